"""Answers of shipping software to a small case, recorded in float32, so that the tests need no such software."""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np

from numpy_lstm.cases.case import RECORDS, Case

from .. import output
from . import judging
from .studies import CASE_STUDIES, HERE, PEEPHOLES, CaseStudy, Trial

SCHEMA = "numpy-lstm/recorded/1"
RECORDED = HERE / "recorded.json"
SMALL = {"T": 3, "B": 2, "D": 4, "H": 5}


def record(study: CaseStudy, trial: Trial, seed: int, python: Path | None) -> dict[str, Any]:
    """What the software answers to a small case, as JSON holds it."""
    arrays, versions = judging.answer(study, trial, judging.case(study, trial, seed, SMALL), python)
    numbers = {k: " ".join(str(v) for v in np.asarray(a, np.float32).ravel()) for k, a in arrays.items()}
    today = datetime.date.today().isoformat()
    return {"study": study.name, "run": trial.what, "versions": versions, "date": today, "float32": numbers}


def write(path: Path, recorded: list[dict[str, Any]], seed: int) -> Path:
    """Write all recordings to ``path``, with their inputs."""
    given = Case.random(PEEPHOLES, RECORDS, SMALL, np.random.default_rng(seed)).arrays
    numbers = {k: " ".join(str(np.float32(v)) for v in a.ravel()) for k, a in given.items()}
    command = "python -m analysis case_studies tensorflow onnxruntime thinc --install --record FILE"
    said = {"schema": SCHEMA, "command": command, "sizes": SMALL, "inputs": numbers, "recordings": recorded}
    return output.write_text(path, json.dumps(said, indent=1) + "\n")


def read(path: Path = RECORDED) -> list[tuple[CaseStudy, Trial, Case, dict[str, Any], dict[str, str]]]:
    """What was recorded: case study, trial, case, answer, versions."""
    said = json.loads(path.read_text(encoding="utf-8"))
    if said.get("schema") != SCHEMA:
        raise ValueError(f"{path}: expected the schema {SCHEMA}")
    like = Case.random(PEEPHOLES, RECORDS, said["sizes"], np.random.default_rng(0)).arrays

    def numbers(text: str, shape: tuple[int, ...]) -> Any:
        return np.array(text.split(), np.float32).reshape(shape)

    given = {k: numbers(text, like[k].shape).astype(np.float64) for k, text in said["inputs"].items()}
    found = []
    for recorded in said["recordings"]:
        study = next(s for s in CASE_STUDIES if s.name == recorded["study"])
        trial = next(t for t in study.trials if t.what == recorded["run"])
        of = judging.case(study, trial, 0, given=given)
        shapes = {k: a.shape for k, a in of.run().items()}
        answer = {k: numbers(text, shapes[k]) for k, text in recorded["float32"].items()}
        found.append((study, trial, of, answer, recorded["versions"]))
    return found
