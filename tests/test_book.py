"""The book: every derivation stands in it, it builds, and each exercise marks right answers and names wrong ones."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cases
import numpy_lstm as nl
from numpy_lstm.mistakes import CATALOGUE

ROOT = Path(__file__).parent.parent
CONTENTS = ROOT / "docs" / "book" / "README.md"
EXERCISES = ROOT / "docs" / "exercises"
NOTATION = (CONTENTS.parent / "notation.md").read_text(encoding="utf-8")


def linked(page: Path) -> set[Path]:
    return {(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)\)", page.read_text("utf-8"))}


def test_every_derivation_and_every_page_of_the_manual_stands_in_the_book() -> None:
    written = {p for room in ("docs", "numpy_lstm", "analysis") for p in (ROOT / room).rglob("*.md")}
    manual = {p for p in linked(ROOT / "docs" / "README.md") if p.parent == ROOT / "docs"}
    assert written - {CONTENTS} <= linked(CONTENTS) | manual


def test_every_tag_is_listed_in_the_notation_beside_its_page() -> None:
    """As L1–L11, or Z1: what the rows in reference/equations have, and S1 and S2 of the steps."""
    rows = [
        (f"numpy_lstm/pages/{p.stem}.md", p.read_text("utf-8")) for p in (ROOT / "reference/equations").glob("*.txt")
    ]
    tags = {page: re.findall(r"^[A-Z]+\d+", text, re.M) for page, text in [*rows, ("numpy_lstm/steps.md", "S1\nS2")]}
    listed = re.findall(r"\| ([A-Z]+\d+[^|]*) \| \[[^\]]+\]\(\.\./\.\./([^)]+)\) (?=\|)", NOTATION)
    assert {page: said for said, page in listed} == {
        page: "–".join(dict.fromkeys((found[0], found[-1]))) for page, found in tags.items()
    }


def test_every_mistake_that_a_chapter_names_is_in_the_catalogue() -> None:
    named = {
        k for p in CONTENTS.parent.glob("*.md") for k in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", p.read_text("utf-8"))
    }
    assert len(named) >= 10
    assert named <= {*CATALOGUE}


@pytest.mark.skipif(not cases.THOROUGH, reason="builds the book: .ci/run does, and --thorough")
def test_it_builds_without_a_warning_and_asks_nothing_of_the_net(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="needs the extra book")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "-c", "docs", ".", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    assert len(pages) > len(linked(CONTENTS))
    for page in pages:
        assert not re.search(r"""(?:src|<link[^>]+href)=["'](?:https?:)?//""", page)
        assert "\\frac" not in page


# What a learner writes in place of the dots, and what of it is otherwise for each mistake that the exercise knows.
RIGHT = {
    "ch01": "da @ p.W, da @ p.U",
    "ch02": "dh * F.h.d(v.a)",
    "ch03": "dc * v.c_prev, dc * v.g, dc * v.i",
    "ch04": "d.c + dy * F.y.d(v.c)",
    "ch05": "np.einsum('tbj,tbk->jk', da, np.concatenate([h_0[None], hs[:-1]]))",
    "ch06": "back.dfirst",
    "ch07": "loss(1j * h).imag / h",
    "ch08": "np.exp(-abs(a)) / (1 + np.exp(-abs(a))) ** 2",
    "ch09": "dc * v.f",
    "ch10": "dh * v.n, dh * v.q, dh * v.h_prev, dh * v.z",
    "ch11": "v.y * F.o.d(v.a_o), v.o * F.y.d(v.c), v.g * F.i.d(v.a_i), v.c_prev * F.f.d(v.a_f), v.i * F.g.d(v.a_g)",
    "ch12": "da_o @ p.W_o, da_o @ p.U_o",
}
WRONG: dict[str, dict[str, tuple[str, str]]] = {
    "ch01": {
        "recurrent-weights-transposed": ("p.U", "p.U.T"),
        "gate-omitted-in-dx": ("da @ p.W", "0 * da @ p.W"),
        "hidden-carry-dropped": ("da @ p.U", "0 * da"),
        "carry-sign": (", da", ", -da"),
    },
    "ch02": {
        "rnn-derivative-missing": ("dh * F.h.d(v.a)", "dh"),
        "rnn-derivative-of-output": ("v.a", "v.h"),
        "rnn-derivative-of-pre-activation": ("F.h.d(v.a)", "(1 - v.a**2)"),
        "rnn-derivative-not-squared": ("F.h.d(v.a)", "(1 - v.h)"),
    },
    "ch03": {
        "old-cell-missing": ("dc * v.c_prev", "dc"),
        "df-from-new-cell": ("v.c_prev", "v.c"),
        "df-from-forget-gate": ("v.c_prev", "v.f"),
        "candidate-missing": ("dc * v.g", "dc"),
        "di-from-input-gate": ("v.g", "v.i"),
        "input-gate-missing": ("dc * v.i", "dc"),
        "dg-from-candidate": ("v.i", "v.g"),
    },
    "ch04": {
        "cell-cotangent-overwritten": ("d.c + ", ""),
        "output-path-to-cell-missing": (" + dy * F.y.d(v.c)", ""),
        "output-path-to-cell-twice": ("dy", "2 * dy"),
        "carry-through-tanh-derivative": ("d.c + dy", "(d.c + dy)"),
        "carry-through-output-gate": ("d.c", "d.c * v.o"),
        "tanh-derivative-missing": (" * F.y.d(v.c)", ""),
        "tanh-derivative-of-tanh": ("F.y.d(v.c)", "F.y.d(v.y)"),
        "one-minus-cell-squared": ("F.y.d(v.c)", "(1 - v.c**2)"),
    },
    "ch05": {
        "recurrent-gradient-from-new-state": ("np.concatenate([h_0[None], hs[:-1]])", "hs"),
        "initial-state-missing-in-recurrent-gradient": ("h_0[None]", "0 * h_0[None]"),
        "state-of-another-step": (
            "np.concatenate([h_0[None], hs[:-1]])",
            "np.concatenate([h_0[None], h_0[None], hs[:-2]])",
        ),
        "square-gradient-transposed": ("->jk", "->kj"),
    },
    "ch06": {"truncated-windows": ("back.dfirst", "None")},
    "ch07": {
        "sign-flipped": ("1j", "-1j"),
        "halved": ("/ h", "/ (2 * h)"),
        "doubled": ("loss", "2 * loss"),
        "zero-gradient": ("loss", "0 * loss"),
    },
    "ch08": {
        "sigmoid-derivative-missing": (RIGHT["ch08"], "np.ones_like(a)"),
        "sigmoid-derivative-of-activation": (
            "np.exp(-abs(a)) / (1 + np.exp(-abs(a))) ** 2",
            "nl.activations.SIGMOID.d(nl.activations.SIGMOID(a))",
        ),
        "sigmoid-in-place-of-its-derivative": (RIGHT["ch08"], "nl.activations.SIGMOID(a)"),
        "sigmoid-complement-for-its-derivative": (RIGHT["ch08"], "1 - nl.activations.SIGMOID(a)"),
        "sigmoid-derivative-sign": ("np.exp(-abs(a)) /", "-np.exp(-abs(a)) /"),
    },
    "ch09": {
        "forget-gate-missing-in-carry": (" * v.f", ""),
        "carry-from-input-gate": ("v.f", "v.i"),
        "cell-carry-dropped": ("dc", "0 * dc"),
        "carry-doubled": ("dc", "2 * dc"),
        "carry-sign": ("dc", "-dc"),
    },
    "ch10": {
        "gru-kept-state-forgotten": ("dh * v.z", "0 * dh"),
        "gru-kept-state-by-candidate-share": ("v.z", "v.q"),
        "gru-candidate-share-missing": ("dh * v.q", "dh"),
        "gru-candidate-by-update-gate": ("v.q", "v.z"),
        "gru-update-forgets-candidate": ("dh * v.n", "0 * dh"),
        "gru-update-from-new-state": ("v.h_prev", "v.h"),
    },
    "ch11": {
        "output-tanh-missing": ("v.y * ", ""),
        "output-gate-missing": ("v.o * ", ""),
        "tanh-derivative-missing": (" * F.y.d(v.c)", ""),
        "candidate-missing": ("v.g * ", ""),
        "old-cell-missing": ("v.c_prev * ", ""),
        "df-from-new-cell": ("v.c_prev", "v.c"),
        "input-gate-missing": ("v.i * ", ""),
        "candidate-derivative-missing": (" * F.g.d(v.a_g)", ""),
    },
    "ch12": {
        "recurrent-weights-transposed": ("p.U_o", "p.U_o.T"),
        "gate-omitted-in-dh": (", da_o", ", 0 * da_o"),
        "gate-omitted-in-dx": ("da_o @ p.W_o", "0 * da_o @ p.W_o"),
        "gate-doubled-in-dh": (", da_o", ", 2 * da_o"),
    },
}


def exercise(chapter: str, written: str = "...") -> Any:
    """The exercise of a chapter, with this in place of its dots."""
    path = EXERCISES / f"{chapter}.py"
    text = path.read_text(encoding="utf-8")
    assert text.count("...") == 1
    exec(compile(text.replace("...", written), path, "exec"), space := {"__name__": chapter})
    return space["EXERCISE"]


@pytest.fixture(autouse=True)
def _beside_the_exercises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(EXERCISES))
    monkeypatch.chdir(tmp_path)


def test_each_exercise_has_a_right_answer_and_names_its_mistakes() -> None:
    assert sorted(path.stem for path in EXERCISES.glob("ch*.py")) == sorted(RIGHT) == sorted(WRONG)
    for chapter, wrong in WRONG.items():
        said = (EXERCISES / f"{chapter}.py").read_text(encoding="utf-8").split('"""')[1]
        assert re.findall(r"[\w-]+", said.partition("known here:")[2]) == list(wrong)
        assert set(wrong) <= set(CATALOGUE)
        sends = [page for page in linked(CONTENTS) if f"exercises/{chapter}.py" in page.read_text(encoding="utf-8")]
        assert sends, f"no chapter sends its reader to {chapter}.py"


@pytest.mark.parametrize("chapter", RIGHT)
def test_the_dots_say_what_to_do_and_the_right_answer_passes(chapter: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exercise(chapter).mark() == 2
    said = capsys.readouterr().out
    assert re.fullmatch(rf"{chapter}\.py: put code in place of the dots in \w+, save, and run this again\n", said)
    assert not list(Path().iterdir()), "nothing is written"
    assert exercise(chapter, RIGHT[chapter]).mark() == 0
    said = capsys.readouterr().out
    assert said.startswith("PASS: exercise")
    assert "digits" not in said


@pytest.mark.parametrize(
    "chapters", [("ch01", "ch02"), ("ch03", "ch04", "ch05", "ch06", "ch09", "ch11"), ("ch08",), ("ch10",)]
)
def test_each_mistake_of_an_exercise_is_named(chapters: tuple[str, ...]) -> None:
    """Chapters that share a case share a judge."""
    judge = nl.judge.Judge(exercise(chapters[0]).case())
    for chapter, mistake, (old, new) in [(c, m, edit) for c in chapters for m, edit in WRONG[c].items()]:
        assert old in RIGHT[chapter]
        one = exercise(chapter, RIGHT[chapter].replace(old, new))
        judgement = judge(one.answer(judge.case, one.yours))
        assert judgement.verdict == "fail", (chapter, mistake)
        assert mistake in {suspect.label.partition("[")[0] for suspect in judgement.suspects}, (chapter, mistake)


def test_the_textbook_form_of_a_derivative_is_told_what_it_loses() -> None:
    one = exercise("ch08", "nl.activations.SIGMOID(a) * (1 - nl.activations.SIGMOID(a))")
    judgement = nl.judge.judge(one.case(), one.answer(one.case(), one.yours))
    assert judgement.verdict != "fail"
    assert any("d_b_f is right by formula but loses digits" in note for note in judgement.notes)


def test_an_exercise_that_cannot_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert exercise("ch04", "d.c + nothing").mark() == 3
    assert capsys.readouterr().err == "ch04.py: cell raised NameError: name 'nothing' is not defined\n"
    assert exercise("ch04", "d.c[:, :2]").mark() == 3
    assert capsys.readouterr().err.startswith("ch04.py: cell returned what does not fit: ValueError: ")
