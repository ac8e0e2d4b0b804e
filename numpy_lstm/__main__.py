"""``python -m numpy_lstm``: the same as ``numpy-lstm``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
