"""Studies and figures: data in, figure and table out. ``python -m analysis --help``."""

import os

# The arrays here are small: more threads only wait for one another, and one thread gives the same bits everywhere.
for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
