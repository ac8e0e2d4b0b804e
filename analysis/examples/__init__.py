"""Worked examples: ``python -m analysis.examples.own_text``, ``python -m analysis.examples.torch_lstm``."""
