"""Tasks that a worker process can import."""

import os
import signal
import time
from pathlib import Path
from typing import Any


def slow(point: dict[str, Any]) -> dict[str, Any]:
    """Writes down who did it, and takes a moment."""
    time.sleep(point["seconds"])
    with Path(point["log"]).open("a") as file:
        file.write(f"{point['n']} {os.getpid()}\n")
    return {"n": point["n"], "square": point["n"] ** 2 / 3}


def deadly(point: dict[str, Any]) -> int:
    """Kills its worker the first time that point 3 comes up."""
    mark = Path(point["mark"])
    if point["n"] == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return int(point["n"])


def always_deadly(point: dict[str, Any]) -> int:
    """Kills its worker."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def failing(point: dict[str, Any]) -> int:
    """Raises at point 2."""
    if point["n"] == 2:
        raise ZeroDivisionError("point 2")
    return int(point["n"])
