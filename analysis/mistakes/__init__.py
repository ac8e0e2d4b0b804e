"""Which way of checking a gradient catches which known mistake: ``python -m analysis kill_matrix``."""
