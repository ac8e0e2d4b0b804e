"""Derivations: as the hand-written ones, as code that runs, and as a judge of somebody's own page."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_explain import LAYERS

import numpy_lstm as nl
from numpy_lstm import cli, ops
from numpy_lstm.explain import derive, rows
from numpy_lstm.explain.held import drawn, first_difference
from numpy_lstm.explain.skeleton import python
from numpy_lstm.mistakes.page_factors import DERIVATIVES, FACTORS, GATES, PATHS

ROOT = Path(__file__).parent.parent
MANUAL = (ROOT / "docs" / "own_cell.md").read_text(encoding="utf-8")
(MGU,) = re.findall(r"^Save this as `mgu\.py`:\n\n```python\n(.*?)^```$", MANUAL, re.S | re.M)


def table(text: str) -> dict[str, list[str]]:
    """The cells of the rows of tables by tag, without spaces, braces and the brackets of tanh."""
    found = {}
    for line in text.splitlines():
        if re.match(r"\| [A-Z]\d+ \|", line):
            tag, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            bare = [re.sub(r"[\s{}]", "", cell.partition(", and")[0]) for cell in cells]
            found[tag] = [re.sub(r"tanh\((\w+)\)", r"tanh\1", cell) for cell in bare]
    return found


@pytest.mark.parametrize("page", [nl.RNN, nl.LSTM], ids=str)
def test_it_is_the_derivation_beside_the_page(page: nl.Page) -> None:
    hand = table((ROOT / "numpy_lstm" / "pages" / f"{page.equations}.md").read_text(encoding="utf-8"))
    derived = table(derive.markdown(rows(page)))
    assert list(hand) == list(derived)
    for tag, (equation, change, back) in hand.items():
        ours = derived[tag]
        assert ours[0] == equation, tag
        assert "as" in change or ours[1] == change, tag
        assert "arriving" in back or sorted(ours[2].split(",")) == sorted(back.split(",")), tag


@pytest.mark.parametrize("page", [*nl.PAGES, *nl.VARIANTS, *LAYERS], ids=str)
def test_the_skeleton_runs_and_is_right(page: nl.Page) -> None:
    equations, (p, v, arriving) = rows(page), drawn(page, np.random.default_rng(1))
    known: dict[str, Any] = {**vars(ops), "Trace": page.Trace, "Params": page.Params}
    exec(python(equations), known)
    d, right = (f(page.functions, p, v, arriving) for f in (known["adjoint"], page.adjoint))
    pairs = [*zip(d, right, strict=True)]
    pairs += zip(*(f(page.functions, p, v, right) for f in (known["gradients"], page.gradients)), strict=True)
    for ours, hand in pairs:
        assert (ours is None) == (hand is None)
        assert ours is None or np.linalg.norm(ours - hand) <= 1e-12 * np.linalg.norm(hand)
    assert python(equations).count("\n") < 80
    for line in python(equations).splitlines():
        assert len(line) <= 130, line


@pytest.mark.parametrize("page", [*nl.PAGES, *LAYERS], ids=str)
def test_right_pages_are_called_right(page: nl.Page) -> None:
    assert first_difference(rows(page), np.random.default_rng(0)) is None
    assert derive.latex(rows(page)).count(r"\begin{align}") in (3, 4)


def test_wrong_pages_are_called_wrong_at_the_row() -> None:
    """Each catalogued mistake on the page of the LSTM: the first wrong cotangent is that of the catalogue."""
    case, _ = nl.explain.example("course")
    bench, made = nl.mistakes.Workbench(case), 0
    for mistake in (*PATHS, *FACTORS, *DERIVATIVES, *GATES):
        for variant in mistake.conceivable(bench):
            edits = mistake.edits(bench, variant)
            if edits.page is nl.mistakes.workbench.same or "clipped" in mistake.name:  # nothing is large here
                continue
            equations = rows(nl.LSTM)._replace(page=edits.page(nl.LSTM))
            found = first_difference(equations, np.random.default_rng(0))
            assert found is not None, (mistake.name, variant)
            made += 1
            if mistake.at is not None and mistake.at[1] == 0:
                assert found.field == mistake.at[0].format(variant), (mistake.name, variant)
    assert made >= 20


def status(tmp_path: Path, code: str, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    (tmp_path / "mgu.py").write_text(code, encoding="utf-8")
    return cli.main(["derive", str(tmp_path / "mgu.py"), *more]), capsys.readouterr().out


def test_a_file_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = status(tmp_path, MGU, capsys)
    assert code == 0
    assert said.startswith("# MGU: derivation of U1′ to U6′")
    assert "Every row is the derived one." in said
    forgetful = MGU.replace("df, dh_prev = df + ds * v.h_prev, dh_prev + ds * v.f", "df = df + ds * v.h_prev")
    code, said = status(tmp_path, forgetful, capsys)
    assert code == 1
    assert "the cotangent of h_prev differs by" in said
    assert ": the term of U3' is missing\nright\n    U6'  d.h_prev += d.h * sigmoid(-a_f)\n" in said
    assert "yours\n    dh_prev, df, dn = dh * (1 - v.f)" in said
    assert said.rstrip().endswith(": fail.")
    (shown,) = re.findall(r"```\n(First difference.*?)\n```", MANUAL, re.S)
    assert shown in said
    code, said = status(tmp_path, MGU.replace("contract(d.a_n, v.s)", "contract(d.a_n, v.h_prev)"), capsys)
    assert code == 1
    assert "right\n    U4'  d.U_n += contract(d.a_n, s)\nyours\n    U_n=contract(d.a_n, v.h_prev)," in said
    for old, new, says in (
        ("f=df, s", "f=None, s", "the cotangent of f is None; expected shape (3, 5)"),
        ("h=dh)", "h=0 * dh)", "what arrives is missing\nright\n    what arrives in d.h\nyours\n"),
        ("df, dh_prev = df + ds", "df, dh_prev = ds", "of its size: all of U6' is missing"),
        ("n=dn, h", "n=dn / 0, h", "the cotangent of n is not finite"),
    ):
        with np.errstate(all="ignore"):
            code, said = status(tmp_path, MGU.replace(old, new), capsys)
        assert code == 1
        assert says in said
    bare = MGU.replace("values, adjoint, gradients", "values, None, None").replace("+ f * n ", "+ f * F.y(n) ")
    bare = bare.replace("n: Activation = TANH", "n: Activation = TANH\n    y: Activation = TANH")
    code, said = status(tmp_path, bare, capsys, "--format", "python")
    assert code == 0
    assert "F.y.d(v.n)" in said
    assert said.startswith("def adjoint(F, p, v, d):")
    assert "Every row" not in said


def test_every_page_has_a_name_here_and_a_verdict_is_told_beside_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, tag in (("Linear", "Y1"), ("AdditiveAttentionLSTM", "W17")):
        assert cli.main(["derive", name]) == 0
        assert f"| {tag} | " in capsys.readouterr().out
    code, said = status(tmp_path, MGU.replace("h=dh)", "h=0 * dh)"), capsys, "--out", str(tmp_path / "derived.md"))
    assert code == 1
    assert said.startswith("First difference: ")
    assert "| U1 | " in (tmp_path / "derived.md").read_text(encoding="utf-8")


def test_a_file_may_wrap_a_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = status(tmp_path, "from numpy_lstm import LSTM, projected\nP = projected(LSTM, 3)\n", capsys)
    assert code == 0
    assert "| M1 | $q = m M^{\\top}$ | $dq = dm M^{\\top} + m dM^{\\top}$ |" in said


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (re.sub(r"  # \(U.*", "", MGU), "MGU: no line in values has a tag"),
        (MGU + "\nSECOND = nl", "mgu.py cannot be run: NameError"),
        (MGU.replace("MGU = Page", "PAGES = lambda: Page"), "mgu.py has no page; expected one"),
        (MGU + "\nTWO = MGU.having(n=SIGMOID)", "mgu.py has several pages, MGU, MGU(n=sigmoid)"),
        (MGU.replace("dn * F.n.d(v.a_n)", "dn * v.typo"), r"'typo', in 'da_n = dn * v.typo # (U5')'"),
        (MGU.replace("adjoint, gradients,", "adjoint, None,"), "MGU has no adjoint, or no gradients; expected both"),
        (MGU.replace("n=n, h=h", "n=n, h=2 * h"), "MGU: h is returned as 2 * h; expected 'h = ... # (TAG)'"),
        (MGU.replace("s = f * prev.h", "s = f @ prev.h"), "MGU, U3: no rule for f @ prev.h"),
    ],
    ids=lambda text: text[-20:],
)
def test_bad_files(code: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mgu.py").write_text(code, encoding="utf-8")
    assert cli.main(["derive", str(tmp_path / "mgu.py")]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
    assert told.err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == ["mgu.py"]
