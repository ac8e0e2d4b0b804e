"""A character language model, trained on a text."""
