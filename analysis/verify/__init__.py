"""Is the gradient right: on text by every route, for every cell, wiring and layout, and where gates saturate."""
