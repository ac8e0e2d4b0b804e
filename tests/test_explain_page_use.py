"""What a reader does with the interactive page: keys, small screens, readers aloud, questions; and the command."""

import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cases
import numpy_lstm as nl
from numpy_lstm import cli
from numpy_lstm.cases import RECORDS, Case, Network, files
from numpy_lstm.explain.page import beginning, example, page
from numpy_lstm.mistakes import CATALOGUE, Workbench
from page_tab import ROOT, Tab, passes


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_section(browser: Any, document: Path, scheme: str) -> None:
    from axe_playwright_python import sync_playwright as axe

    address = {"light": "#back=true&k=9&wrong=df-from-new-cell", "dark": "#cell=GRU&table=true"}[scheme]
    tab = Tab(browser, document, address, color_scheme=scheme)
    tab.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    tab.page.check("#E input[type=radio] >> nth=0")
    found = axe.Axe().run(tab.page).response
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
    assert len(found["passes"]) > 20
    tab.close()


def test_by_keyboard_alone(browser: Any, document: Path) -> None:
    tab = Tab(browser, document)
    press, says = tab.page.keyboard.press, lambda: tab.text(".say")
    assert says() == "L1: a_i from x, h_t−1"
    for _ in range(10):
        press("ArrowRight")
    assert says() == "L11: h from o, y"
    press("ArrowRight")
    assert "step 2 of 4" in tab.text("#A h2")
    press("b")
    press("ArrowRight")
    press("ArrowDown")
    assert "step 3 of 4" in tab.text("#A h2")
    assert says() == "L11': the cotangent of y, from that of h"
    press("c")
    assert "agrees with the derived dL to" in tab.text("header [role=status]")
    press("?")
    assert tab.page.is_visible("#keys")
    press("Escape")
    stops = set()
    for _ in range(250):
        press("Tab")
        stops.add(tab.page.evaluate("document.activeElement.closest('main > section')?.id"))
    assert {*"ABCDEF"} <= stops
    tab.page.focus("#wrong-2")
    tab.page.keyboard.type("df-from-new")
    press("Enter")
    assert "df-from-new-cell" in tab.text("#D .broken")
    tab.page.focus("#B .column >> nth=0")
    press("Enter")
    assert "step 1 of 4" in tab.text("#A h2")
    tab.page.focus("#F button >> text=o")
    press("Enter")
    tab.page.evaluate("page.writeAddress()")
    again = Tab(browser, document, tab.page.evaluate("location.hash"))
    assert again.text("#A h2") == tab.text("#A h2")
    assert again.page.evaluate(HEAT) == [0.125, 1]
    again.close()
    tab.close()


def test_a_narrow_screen(browser: Any, document: Path) -> None:
    for address in ("", "#cell=LayerNormLSTM&back=true&k=3&wrong=carry-doubled[h]", "#T=100&table=true"):
        tab = Tab(browser, document, address, viewport={"width": 320, "height": 700}, reduced_motion="reduce")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 320
        assert tab.ask("small") == []
        if "LayerNorm" in address:  # what is active is brought into view
            tab.page.evaluate("page.now()")
            box, node = (tab.page.locator(k).bounding_box() for k in ("#diagram", ".node.now"))
            assert box["x"] <= node["x"] <= box["x"] + box["width"] - node["width"]
        tab.close()


def test_what_a_reader_types_is_named(tab: Tab) -> None:
    right = tab.computed("LSTM", 4)
    name, t, j, number = tab.page.evaluate("(() => { const q = page.target(); return [q.name, q.t, q.j, q.right]; })()")
    assert number == pytest.approx(float(passes(nl.LSTM, right)[1].cotangents._asdict()[name][t, 0, j]), rel=1e-12)

    def typed(text: str) -> str:
        tab.page.fill("#E .hidden input", text)
        tab.page.keyboard.press("Enter")
        return tab.text("#E .hidden [role=status]")

    assert typed(f"{number:.4g}").startswith("✓")
    assert "none of the mistakes that we know" in typed(f"{number + 1.2345:.5g}")
    assert "no number" in typed("abc")
    ask = "([name, t, j]) => page.compute('output-cotangents-doubled').ds[t].d[name][j]"
    wrong = tab.page.evaluate(ask, [name, t, j])
    assert "✗ That is what you get from" in (told := typed(f"{wrong:.5g}"))
    assert "dL/dh_t enters twice" in told
    tab.page.evaluate("([t, j]) => page.set({ back: true, t, unit: j, k: 99 })", [t, j])
    tab.page.evaluate("page.now()")
    assert "?" in tab.page.evaluate("[...document.querySelectorAll('.node .val')].map(e => e.textContent)")


def test_the_wrong_answers_are_the_numbers_of_the_catalogue(tab: Tab) -> None:
    tab.computed("LSTM", 4)
    asked = dict(tab.ask("questions"))
    assert len(asked) == 12
    assert all(len({round(value, 9) for _, value in options}) == len(options) >= 3 for options in asked.values())
    case = beginning(example(nl.LSTM), 4)
    opened, padded = case.arrays | {"b_f": case.arrays["b_f"] + 3}, case.arrays | {"lengths": np.array([3])}
    for question, read in READ.items():
        bench = Workbench(case._replace(arrays={"forget bias": opened, "packing": padded}.get(question, case.arrays)))
        for label, value in asked[question]:
            name, _, variant = (label or RIGHT.get(question, "")).rstrip("]").partition("[")
            if name in CATALOGUE or not name:
                answer = CATALOGUE[name].answer(bench, variant) if name else bench.right
                assert value == pytest.approx(float(read(answer)), rel=1e-10, abs=1e-12), (question, label)


READ = {
    "four gates": lambda a: a["cotangents.h"][0, 0, 0] - example(nl.LSTM).arrays["d_output"][0, 0, 0],
    "forget bias": lambda a: a["d_c_0"][0, 0],
    "h_n and output": lambda a: a["cotangents.h"][3, 0, 0],
    "packing": lambda a: a["cotangents.h"][2, 0, 0],
    "clipping": lambda a: a["d_b_g"][0],
    "detaching": lambda a: a["d_U_f"][0, 0],
    "rnn and lstm": lambda a: a["d_c_0"][0, 0],
    "the join at c": lambda a: a["cotangents.c"][1, 0, 0],
    "tanh of c": lambda a: a["cotangents.c"][3, 0, 0],
    "which h": lambda a: a["d_U_f"][0, 0],
    "candidate": lambda a: a["cotangents.a_g"][1, 0, 0],
}
RIGHT = {"clipping": "norm-clipped[1]", "detaching": "truncated-windows[2]"}  # what is asked for, not what is wrong


def test_a_training_run_is_shown_from_its_record(tab: Tab) -> None:
    assert "t, 9 characters, 2 updates." in tab.text("#F")
    assert [row[0] for row in run_table(tab)] == [
        *("training loss", "held-out loss", "training perplexity", "held-out perplexity"),
        *("gradient norm", "learning rate", "tokens/s", "seconds so far"),
    ]
    assert [row[1] for row in run_table(tab)] == ["2", "1.25", "7.38906", "3.49034", "0.5", "0.125", "64", "1.5"]
    assert "Sample after update 2" in tab.text("#F")
    tab.page.evaluate("page.set({ at: 1 })")
    assert [row[1] for row in run_table(tab)] == ["3", "–", "20.08554", "–", "0.25", "0.125", "–", "–"]
    assert "Sample" not in tab.text("#F")


def run_table(tab: Tab) -> Any:
    tab.page.evaluate("page.now()")
    rows = "[...document.querySelector('#F table').rows]"
    return tab.page.evaluate(f"{rows}.map(r => [...r.cells].map(c => c.innerText))")


def test_the_heat_map_of_a_run_shows_one_gate_at_a_time(tab: Tab) -> None:
    assert tab.page.evaluate(HEAT) == [0.5, 0.25]
    tab.page.click("#F button >> text=o")
    assert "o, ten units" in tab.text("#F")
    assert tab.page.evaluate(HEAT) == [0.125, 1]
    tab.page.evaluate("page.set({ value: '' })")


HEAT = "[...document.querySelectorAll('#F .cell')].map(e => +e.getAttribute('fill-opacity'))"


def test_an_example_of_one_step_is_shown(browser: Any, tmp_path: Path) -> None:
    shown = page(nl.explain.example("course", nl.LSTM)[0]).write(tmp_path / "page.html")
    tab = Tab(browser, shown, "#back=true")
    assert "step 1 of 1" in tab.text("#A h2")
    assert tab.page.locator("#E fieldset").count() == 0  # the questions are about four steps
    tab.close()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    case = files.write_case(tmp_path / "case.json", beginning(example(nl.GRU), 3))
    assert cli.main(["page", str(out), "--case", str(case)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.stat().st_size < 400_000
    assert cli.main(["page", str(out), "--example", "course", "--cell", "GRU"]) == 0
    assert out.read_text(encoding="utf-8") == page(nl.explain.example("course", nl.GRU)[0]).text
    out.unlink()
    capsys.readouterr()
    (tmp_path / "old.json").write_text('{"schema": "numpy-lstm run record", "version": 0}')
    (tmp_path / "bad.json").write_text("{")
    sizes = {"T": 2, "B": 1, "D": 2, "H": 2}
    deep = Case.random(Network("LSTM", layers=2), RECORDS, sizes, np.random.default_rng(0))
    two = files.write_case(tmp_path / "two.json", deep)
    for options, says in (
        (["--cell", "LSTN"], "'LSTN' is no known cell"),
        (["--cell", f"{ROOT / 'tests' / 'own_cells.py'}::MGU"], "MGU: no line in values has a tag"),
        (["--case", str(tmp_path / "bad.json")], "bad.json: is no json file"),
        (["--case", str(two)], "expected one layer, read forward"),
        (["--case", str(case), "--cell", "GRU"], "a case says its cell"),
        (["--case", str(case), "--example", "pen"], "--example and --case are given; expected one of them"),
        (["--example", "gomez", "--cell", "GRU"], "gomez is an example of the LSTM"),
        (["--record", str(tmp_path / "old.json")], "version 0; expected"),
        (["--record", str(tmp_path / "none.json")], "cannot read"),
    ):
        assert cli.main(["page", str(out), *options]) == 3
        error = capsys.readouterr().err
        assert says in error, error
        assert error.count("\n") == 1
        assert not out.exists()
    assert cli.main(["page", str(tmp_path)]) == 3


def test_every_row_of_every_cell_is_drawn(tab: Tab) -> None:
    shown, odd = tab.ask("walked", 1 if cases.THOROUGH else 7)
    assert shown > 36
    assert odd == []
    assert tab.said == []


def test_a_slider_is_answered_at_once(tab: Tab) -> None:
    """In processor time, so that other work on the machine does not count."""
    clock = tab.context.new_cdp_session(tab.page)
    clock.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        return next(m["value"] for m in clock.send("Performance.getMetrics")["metrics"] if m["name"] == "TaskDuration")

    tab.ask("redrawn", {"cell": "LSTM", "T": 100, "back": True, "wrong": ""})
    times = []
    for _ in range(5):
        start = spent()
        tab.page.evaluate("async () => { page.set({ bias: page.S.bias + 0.25 }); await tests.frame(); }")
        times.append(1000 * (spent() - start))
    print("redrawn in", sorted(times), "ms")
    assert sorted(times)[2] < (50 if cases.THOROUGH else 500)


def test_the_document(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert len(text.encode()) < 400_000
    assert "unsafe" not in text.partition("<title>")[0]
    web = ROOT / "numpy_lstm" / "explain" / "web"
    assert hashlib.sha256((web / "lit-html.js").read_bytes()).hexdigest() == LIT_HTML
    scripts = "".join(path.read_text(encoding="utf-8") for path in web.glob("*.js") if path.stem != "lit-html")
    words = json.loads((web / "words.json").read_text(encoding="utf-8"))
    used = set(re.findall(r'say\(\s*"([^"]+)"', scripts))
    assert {k for k in used if not k.endswith(" ")} <= {*words}
    unused = {
        k for k in words if f'"{k}"' not in scripts and not k.startswith(tuple(u for u in used if u.endswith(" ")))
    }
    assert unused <= {"language", "title", "noscript"}
    shown = page(beginning(example(nl.RNN), 2))._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert html.unescape(shown.split('"')[1]) == page(beginning(example(nl.RNN), 2)).text


LIT_HTML = "b878e7f95dec8a9b6e9b217faca6b6a11bad82ebc44c0caa77419ed83edd81f2"  # lit-html 3.3.3, as npm has it
