"""A page of somebody's own, in a file of its own: case, truth, files, mistakes, sets of cases and judge take it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from own_cells import CHUNG, MGU

import cases
import numpy_lstm as nl
from numpy_lstm import check, mistakes
from numpy_lstm.cases import Case, Network, files, network, register, truth
from numpy_lstm.mistakes import vectors

SIZES = {"T": 5, "B": 3, "D": 6, "H": 6}
OWN = [MGU, CHUNG, nl.Linear]


def drawn(page: nl.Page, **wiring: object) -> Case:
    rng = np.random.default_rng(0)
    return Case.random(Network(page, **wiring), "records", SIZES, rng, lengths=[3, 5, 1], cotangents=3.0)  # type: ignore[arg-type]


DEEP = {"direction": "bidirectional", "layers": 2 if cases.THOROUGH else 1}


@pytest.mark.parametrize(("page", "wiring"), [(MGU, {}), (CHUNG, DEEP), (nl.Linear, {})], ids=str)
def test_the_judge_passes_what_is_right_and_names_what_is_wrong(page: nl.Page, wiring: dict[str, object]) -> None:
    case = truth.fill(drawn(page, **wiring))
    problem = check.Problem.of(case)
    assert check.normwise(problem.gradient(), check.complex_step(problem.loss, problem.point)) <= 4e-15
    judge = nl.judge.Judge(case)
    assert judge(case.run()).verdict == "pass"
    bench = mistakes.Workbench(case)
    found = [(m, v) for m, v in mistakes.possible(bench) if m.name not in ("rounded-to-float32", "computed-in-float32")]
    assert len(found) >= 35
    for mistake, variant in found[:: 50 if cases.THOROUGH else 120]:
        judgement = judge(mistake.answer(bench, variant))
        assert judgement.verdict == "fail", mistake.name
        assert mistakes.label(mistake, variant) in {s.label for s in judgement.suspects}


def test_a_page_without_a_state_is_judged_where_all_rows_have_all_steps() -> None:
    case = Case.random(Network(nl.Linear), "records", SIZES | {"D": 3}, np.random.default_rng(0))
    answer = mistakes.CATALOGUE["gradient-overwritten"].answer(mistakes.Workbench(case), "")
    assert nl.judge.judge(case._replace(expected=case.run()), answer).suspects[0].label == "gradient-overwritten"


def test_every_mistake_that_can_be_made_shows() -> None:
    for page in OWN:
        bench = mistakes.Workbench(drawn(page))
        for mistake in list(mistakes.CATALOGUE.values())[:: 1 if cases.THOROUGH else 3]:
            for variant in mistake.variants(bench):
                answer = mistake.answer(bench, variant)
                assert bench.differs(answer), (page, mistakes.label(mistake, variant))
                assert {k: a.shape for k, a in answer.items()} == {k: a.shape for k, a in bench.right.items()}


def test_what_changes_nothing_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    right = mistakes.Mistake("none", "", lambda bench: True, mistakes.Edits())
    monkeypatch.setitem(mistakes.CATALOGUE, "none", right)
    assert right not in {m for m, _ in mistakes.possible(mistakes.Workbench(drawn(MGU)))}


@pytest.fixture
def known() -> Iterator[nl.Page]:
    register(MGU)
    yield MGU
    del network.CELLS["MGU"]


def test_files_know_it_by_its_name_once_it_is_registered(known: nl.Page, tmp_path: Path) -> None:
    path = files.write_case(tmp_path / "case.json", drawn(known))
    read = files.read_case(path)
    assert read.network == Network("MGU")
    assert all(np.array_equal(a, b) for a, b in zip(read.run().values(), drawn(known).run().values(), strict=True))
    assert register(known) is known
    del network.CELLS["MGU"]
    with pytest.raises(
        check.CaseError, match=r"cell is 'MGU'; .*numpy_lstm\.cases\.register\(page\) makes your own known$"
    ):
        files.read_case(path)
    register(known)


def test_a_set_of_cases(tmp_path: Path) -> None:
    made = vectors.cases(MGU, "records", only=["plain", "lengths"])
    assert [case.name for case in made] == ["MGU records plain", "MGU records lengths"]
    assert all(case.about["kills"] and case.about["survivors"] == [] for case in made[:1])
    assert nl.judge.judge(made[1], made[1].run(), partial=True).verdict == "pass"
