"""An environment with NumPy and SciPy only, made without a download; and what to run in it."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import scipy

RUN = """
import contextlib, importlib, io, json, sys
found = []
for module, argv in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = importlib.import_module(module).main(argv)
    found.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""


def environment(folder: Path) -> Path:
    """A new environment in ``folder``; returns its site-packages."""
    venv.create(folder, symlinks=True)
    (site,) = [*folder.glob("lib/python*/site-packages"), *folder.glob("Lib/site-packages")]
    for package in (np, scipy):
        home = Path(package.__file__).parent
        for part in (home, home.with_name(f"{home.name}.libs")):
            if part.exists():
                (site / part.name).symlink_to(part)
    return site


def python(folder: Path) -> Path:
    """The interpreter of the environment in ``folder``."""
    return folder / ("Scripts" if os.name == "nt" else "bin") / Path(sys.executable).name


def run(folder: Path, cwd: Path, calls: list[tuple[str, list[str]]]) -> list[Any]:
    """Status, stdout and stderr of ``module.main(argv)``, each in turn, in one process of the environment."""
    done = subprocess.run([python(folder), "-c", RUN], input=json.dumps(calls), capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
