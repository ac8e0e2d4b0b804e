"""What came out of a judgement, for a terminal, a Markdown page or JSON."""

import platform
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cases.case import Case
from ..check.report import Report
from ..check.verdict import VERDICTS
from .locate import Node
from .suspects import Suspect

SCHEMA = "numpy-lstm/judgement/1"


@dataclass(frozen=True)
class Judgement:
    """What came out; prints as text for a terminal.

    ``report`` has a row for each array of the answer and for each gate's block of it, ``own`` the same for our float64
    (or float32) run, and ``block_of`` says of each block's row which array it is part of; ``value`` and ``cotangent``
    are where the answer first goes wrong, forward and backward; ``absent`` are the outputs and gradients that the
    answer left out; ``partial``: that is as it should be.
    """

    case: Case
    dtype: str
    report: Report
    own: Report
    block_of: dict[str, str]
    value: Node | None
    cotangent: Node | None
    suspects: list[Suspect]
    patterns: dict[str, list[str]]
    absent: list[str]
    partial: bool
    notes: list[str]

    @property
    def verdict(self) -> str:
        """``pass``, ``fail`` or ``cannot tell``.

        Nothing passes where our own run does not, nor where an output or gradient was left out that was asked for.
        """
        worst = max((self.report.verdict, self.own.verdict), key=VERDICTS.index)
        doubtful = worst != "pass" or bool(self.reason)
        return "cannot tell" if self.report.verdict == "pass" and doubtful else self.report.verdict

    @property
    def reason(self) -> str:
        """``not given`` where that alone, or beside others, keeps the answer from passing; else nothing."""
        return "not given" if self.absent and not self.partial and self.report.verdict != "fail" else ""

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", str(self._shown()), *self._tail()])

    def markdown(self) -> str:
        """The text of ``str``, with a Markdown table."""
        return "\n".join([*self._head(), "", self._shown().markdown(), "", *self._tail()])

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with a versioned schema."""
        nodes = {"value": self.value, "cotangent": self.cotangent}
        return {
            "schema": SCHEMA,
            "case": self.case.name,
            "verdict": self.verdict,
            "reason": self.reason,
            "dtype": self.dtype,
            "first_wrong": {k: None if node is None else node.to_dict() for k, node in nodes.items()},
            "suspects": [s._asdict() for s in self.suspects],
            "patterns": self.patterns,
            "absent": self.absent,
            "partial": self.partial,
            "notes": self.notes,
            "report": self.report.to_dict(),
            "own": self.own.to_dict(),
            "environment": {"python": platform.python_version(), "numpy": np.__version__},
        }

    def _shown(self) -> Report:
        """Whole arrays, and blocks where one of them does not pass as its array does."""
        wrong, parts = {row.name for row in self.report if row.verdict == "fail"}, self.block_of
        keep = [row for row in self.report if row.name not in parts or parts[row.name] in wrong]
        return Report(tuple(keep), self.report.unit_roundoff)

    def _head(self) -> list[str]:
        case = self.case
        said = [f"{k} {v}" for k, v in case.network.named().items() if v]
        said += [f"layout {case.layout}", *(f"{k}={n}" for k, n in case.sizes.items()), self.dtype]
        reason = f" ({self.reason})" if self.reason else ""
        return [f"{self.verdict.upper()}{reason}: {case.name} ({', '.join(said)})"]

    def _tail(self) -> list[str]:
        lines = [""]
        if self.value:
            lines.append(f"first wrong forward value: {self.value}")
        if self.cotangent:
            lines.append(f"first wrong in backward order: {self.cotangent}")
        lines += [f"likely mistake: {s}" for s in self.suspects]
        if not self.suspects and any(row.verdict == "fail" and not row.nonfinite for row in self.report):
            lines.append("no single mistake of the catalogue gives these numbers")
        lines += [f"{name} is {', and '.join(found)}" for name, found in self.patterns.items()]
        lines += self.notes
        if self.absent:
            hint = " (to judge a part alone, say --partial or partial=True)" if self.reason else ""
            lines.append(f"not given, so not judged: {', '.join(self.absent)}{hint}")
        return lines if lines[1:] else []
