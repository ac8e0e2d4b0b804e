"""Studies and figures: data in, figure and table out. ``python -m analysis --help``."""
