"""Numbers others have printed, each file with its source and what was published, recomputed, or wrong."""

import json
from pathlib import Path
from typing import Any


def load(name: str) -> dict[str, Any]:
    """The contents of ``<name>.json`` beside this file."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
