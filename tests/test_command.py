"""What both command lines share: exit statuses, one line for whatever goes wrong, and commands without the extras."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bare
import numpy as np
import pytest

import numpy_lstm as nl
from analysis import __main__ as studies
from analysis import text
from analysis.examples import own_text
from numpy_lstm import cli, command
from numpy_lstm.cases import files

ROOT = Path(__file__).parent.parent
SET = ROOT / "reference" / "vectors" / "rnn"
HERE = {"cli": cli.main, "analysis": studies.main, "own_text": own_text.main}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers to the set of RNN cases: one halved, one missing, the others right."""
    folder = tmp_path_factory.mktemp("answers")
    for path in SET.glob("*.json"):
        if path.stem in ("index", "layers"):
            continue
        case = files.read_case(path)
        run = {k: a for k, a in case.run().items() if k in case.expected}
        half = {k: a / 2 if k.startswith("d_") else a for k, a in run.items()}
        files.write_answer(folder / f"{path.stem}.npz", half if path.stem == "large" else run)
    return folder


BAD = [  # a call, and the text of its one line
    ("cli", [], "the following arguments are required: COMMAND (see numpy-lstm --help)"),
    ("cli", ["unheard-of"], "invalid choice: 'unheard-of' (choose from "),
    ("cli", ["judge", "absent.json", "absent.json"], "absent.json: cannot be read: No such file or directory"),
    ("cli", ["judge", SET / "plain.json", "absent.npz"], "absent.npz: cannot be read: No such file or directory"),
    ("cli", ["judge", SET, SET / "plain.json"], "plain.json: expected a folder of answers, as the other is one"),
    ("cli", ["judge", SET / "plain.json", SET], "plain.json: expected a folder of cases, as the other is one"),
    ("cli", ["judge", "EMPTY", "EMPTY"], ": no case in it; expected files .json, .npz, .safetensors"),
    ("cli", ["judge", SET, "STRAY"], "plian.npz: there is no such case; "),
    ("cli", ["judge", SET, "TWICE"], "plain.npz: plain.json has the same stem; expected one of them"),
    ("cli", ["judge", SET, "WRONG"], "plain.npz: abc is not expected by case RNN torch plain; "),
    ("cli", ["mistakes", "--seed", "-1"], "'-1' is not a natural number (see numpy-lstm mistakes --help)"),
    ("cli", ["mistakes", "--layers", "2"], "a network needs --cell"),
    ("cli", ["mistakes", "--cell", "LSTM", "--layers", "200000000"], "argument --layers: 200000000 is more than 20"),
    ("cli", ["mistakes", "--cell", "LSTM", "--layers", "-1"], "argument --layers: '-1' is not a natural number"),
    ("cli", ["mistakes", "--cell", "LSTM", "--projection", "9" * 5000], "9999' is not a natural number"),
    ("analysis", ["flow", "--seeds", "1" * 30], f"{'1' * 30} is more than 1000000"),
    ("analysis", ["flow", "--forget-bias", "1", "inf"], "argument --forget-bias: 'inf' is not a finite number"),
    ("analysis", ["flow", "gain", "--gains", "nan"], "argument --gains: 'nan' is not a finite number"),
    ("analysis", ["flow", "--text", "/dev/zero"], "cannot read /dev/zero: expected a regular file"),
    ("cli", ["vectors", "."], "the directory is this one; expected a name for the set"),
    ("analysis", ["nonsense"], "no command 'nonsense'; expected all, verify, coverage, flow, kill_matrix, "),
    ("analysis", ["--seeds", "0"], "0 is less than 1 (see python -m analysis --help)"),
    ("analysis", ["--seed", "-1"], "'-1' is not a natural number"),
    ("analysis", ["verify", "--networks", "GRU"], "unrecognized arguments: --networks GRU (see python -m analysis ver"),
    ("analysis", ["verify", "--seeds", "3"], "unrecognized arguments: --seeds 3"),
    ("analysis", ["coverage", "--text", "FILE"], "unrecognized arguments: --text FILE"),
    ("analysis", ["--networks", "GRU"], "unrecognized arguments: --networks GRU (see python -m analysis --help)"),
    ("analysis", ["flow", "--jobs", "0"], "'0' is no number of processes; expected 1, 2, ... or -1"),
    ("analysis", ["flow", "--threads", "2"], "unrecognized arguments: --threads"),
    ("analysis", ["benchmark", "--threads", "0"], "argument --threads: 0 is less than 1"),
    (
        "analysis",
        ["case_studies", "keras"],
        "no case study is called 'keras'; known are tensorflow, onnxruntime, thinc",
    ),
    ("own_text", ["--steps", "0"], "0 is less than 1 (see python -m analysis.examples.own_text --help)"),
]


@pytest.mark.parametrize(("line", "argv", "says"), BAD, ids=lambda v: " ".join(map(str, v)) if type(v) is list else "")
def test_bad_input_is_one_line_and_status_3(
    line: str,
    argv: list[Any],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("EMPTY", "STRAY", "TWICE", "WRONG"):
        (tmp_path / name).mkdir()
    a = {"output": np.ones(1)}
    files.write_answer(tmp_path / "STRAY" / "plian.npz", a)
    for suffix in ("json", "npz"):
        files.write_answer(tmp_path / "TWICE" / f"plain.{suffix}", a)
    files.write_answer(tmp_path / "WRONG" / "plain.npz", {"abc": np.ones(1)})
    assert HERE[line](list(map(str, argv))) == 3
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err
    assert not printed.out
    assert not {"set", "out"} & {f.name for f in tmp_path.iterdir()}


def test_a_set_and_a_folder_of_answers(answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["judge", str(SET), str(answers), "--json", str(tmp_path / "found.json")]) == 1
    head, _, _, *lines = capsys.readouterr().out.splitlines()
    assert head == "FAIL: 8 cases, 6 pass, 1 fail, 1 not given"
    verdicts = {line.split()[0]: line for line in lines}
    assert list(verdicts) == sorted(f.stem for f in SET.glob("*.json") if f.stem != "index")
    assert "not given" in verdicts["layers"]
    assert verdicts["large"].endswith("; halved[all]")
    assert '"verdict": "fail"' in (tmp_path / "found.json").read_text(encoding="utf-8")
    judged = nl.judge.judge_set(SET, answers)
    unsure: Any = SimpleNamespace(verdict="cannot tell")
    rest = {k: v for k, v in judged.judgements.items() if k != "large"}
    for left, verdict, status in (
        (judged.judgements, "fail", 1),
        (rest, "not given", 2),
        ({k: v for k, v in rest.items() if v}, "pass", 0),
        ({"layers": None}, "not given", 2),
        ({"layers": None, "plain": unsure}, "cannot tell", 2),
        ({"plain": unsure, "large": judged.judgements["large"]}, "fail", 1),
    ):
        found = nl.judge.SetJudgement(left)
        assert found.verdict == verdict
        assert cli.STATUS.get(found.verdict, 2) == status


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            ZeroDivisionError("division by zero"),
            "unexpected ZeroDivisionError: division by zero (tests/test_command.py:",
        ),
        (ValueError("first\nsecond"), "unexpected ValueError: first second (tests/test_command.py:"),
        (AssertionError(), "unexpected AssertionError (tests/test_command.py:"),
        (OSError(28, "No space left on device", "x.npz"), "[Errno 28] No space left on device: 'x.npz'"),
        (text.InputError("a text"), "a text\n"),
        (ModuleNotFoundError("No module named 'mpmath'", name="mpmath.libmp"), "mpmath is not installed; pip install "),
        (ModuleNotFoundError("No module named 'abc'", name="abc"), "unexpected ModuleNotFoundError: No module named"),
        (type("PanicException", (BaseException,), {})("index out of range"), "unexpected PanicException: index out of"),
        (text.InputError("name " * 4000 + "the end"), "name name "),
    ],
    ids=lambda v: type(v).__name__,
)
def test_an_error_is_one_line(
    error: BaseException, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Sequence[str] | None) -> int:
        raise error

    monkeypatch.delenv(command.TRACEBACK, raising=False)
    assert command.run(fail, [], (text.InputError,)) == 3
    line = capsys.readouterr().err
    assert line.startswith(f"error: {says}")
    assert line.count("\n") == 1
    assert len(line) < 500
    monkeypatch.setenv(command.TRACEBACK, "1")
    assert command.run(fail, [], (text.InputError,)) == 3
    assert capsys.readouterr().err.startswith("Traceback ")


def test_the_other_ends(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: Sequence[str] | None) -> int:
        raise KeyboardInterrupt

    def nothing(_: Sequence[str] | None) -> int:
        raise command.NoVerdict("no device")

    out = sys.stdout
    assert command.run(interrupted, []) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert command.run(nothing, []) == 2
    assert capsys.readouterr() == ("no verdict: no device\n", "")
    assert [command.run(lambda _, status=status: status, []) for status in (0, 1, 2)] == [0, 1, 2]
    left = [command.run(lambda _, code=code: sys.exit(code), []) for code in (None, 0, 1, 2, "a line")]
    assert left == [0, 0, 3, 3, 3]
    assert sys.stdout is out


def start(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    """As from a terminal: a job in the background has Ctrl-C ignored, and so have the processes that it starts."""
    command_line = [sys.executable, "-m", *arguments]
    more["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(command_line, stderr=subprocess.PIPE, text=True, cwd=ROOT, **more)


def test_a_reader_that_leaves_changes_no_verdict(answers: Path) -> None:
    """Nor do both leave, nor streams that are closed from the start."""
    wrong = ["numpy_lstm", "judge", str(SET / "large.json"), str(answers / "large.npz")]
    for arguments, status in ((wrong, 1), (["numpy_lstm", "mistakes"], 0), (["analysis", "--help"], 0)):
        with start(*arguments, stdout=subprocess.PIPE) as process:
            process.stdout.close()
            assert process.stderr.read() == ""
        assert process.returncode == status, arguments
    for arguments, status in ((wrong, 1), (["numpy_lstm", "judge", "absent.json", "absent.json"], 3)):
        with start(*arguments, stdout=subprocess.PIPE) as process:
            process.stdout.close()
            process.stderr.close()
        shell = shlex.join([sys.executable, "-m", *arguments])
        closed = subprocess.run(f"{shell} >&- 2>&-", shell=True, cwd=ROOT, check=False)
        assert (process.returncode, closed.returncode) == (status, status), arguments


def test_no_option_of_python_changes_a_status(answers: Path) -> None:
    """Neither the loss of documentation and assertions nor warnings as errors."""
    run = [
        "from numpy_lstm.cli import main",
        f"c, a = {str(SET)!r}, {str(answers)!r}",
        "judge = lambda k, answer: main(['judge', f'{c}/{k}.json', answer])",
        "print([judge('plain', f'{a}/plain.npz'), judge('large', f'{a}/large.npz'), judge('plain', 'absent.npz')])",
        "from analysis import __main__ as studies",
        "from analysis.examples import own_text, torch_lstm",
        "said = [main([name, '--help']) for name in ('judge', 'vectors', 'mistakes', 'doctor')]",
        "said += [studies.main([name, '--help']) for name in ('all', 'flow')]",
        "print(set(said + [one.main(['--help']) for one in (own_text, torch_lstm)]))",
    ]
    done = subprocess.run(
        [sys.executable, "-OO", "-W", "error", "-c", "\n".join(run)], capture_output=True, text=True, cwd=ROOT
    )
    lines = done.stdout.splitlines()
    assert "[0, 1, 3]" in lines, done.stderr
    assert lines[-1] == "{0}", done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full, start("numpy_lstm", "mistakes", stdout=full) as process:
        assert process.communicate()[1] == "error: [Errno 28] No space left on device\n"
    assert process.returncode == 3


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_interrupting_a_parallel_sweep(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of a terminal: one line, status 130, and no worker is left."""
    arguments = ["flow", "signals", "--seeds", "60", "--jobs", "2", "--out", str(tmp_path)]
    process = start("analysis", *arguments, stdout=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    try:
        assert process.communicate(timeout=30)[1] == "interrupted\n"
    finally:
        process.kill()
    assert process.returncode == 130
    deadline = time.monotonic() + 10
    while (left := _alive(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def _alive(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, state = stat.read_text().rpartition(")")[0], stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just gone
            continue
        if int(state[2]) == group and state[0] != "Z":
            found.append(name)
    return found


EXTRA = "error: {} not installed; pip install 'numpy-lstm[{}]'\n"
TRUTH, FIGURES = EXTRA.format("mpmath is", "truth"), EXTRA.format("matplotlib is", "analysis")
BOTH = EXTRA.format("mpmath and matplotlib are", "truth,analysis")
WITHOUT = [  # module, arguments, and what is told without the extras; nothing where the command does without them
    ("numpy_lstm.cli", ["--version"], ""),
    ("numpy_lstm.cli", ["mistakes"], ""),
    ("numpy_lstm.cli", ["mistakes", "--cell", "LSTM"], ""),
    ("numpy_lstm.cli", ["judge", str(SET / "plain.json"), "ANSWERS/plain.npz"], ""),
    (
        "numpy_lstm.cli",
        ["judge", str(SET / "plain.json"), "plain.safetensors"],
        "needs the safetensors package: pip in",
    ),
    ("numpy_lstm.cli", ["vectors", "DIR"], TRUTH),
    ("analysis.__main__", ["--version"], ""),
    ("analysis.__main__", [], BOTH),
    ("analysis.__main__", ["verify"], TRUTH),
    ("analysis.__main__", ["coverage"], TRUTH),
    ("analysis.__main__", ["accuracy"], TRUTH),
    ("analysis.__main__", ["case_studies"], TRUTH),
    ("analysis.__main__", ["calibration"], TRUTH),
    ("analysis.__main__", ["flow", "lyapunov"], FIGURES),
    ("analysis.__main__", ["kill_matrix"], BOTH),
    ("analysis.__main__", ["benchmark"], FIGURES),
    ("analysis.__main__", ["gpu"], EXTRA.format("cupy is", "gpu")),
    (
        "analysis.__main__",
        ["charlm", "--sample", "1", "--file", "a.safetensors"],
        EXTRA.format("safetensors is", "files"),
    ),
    ("analysis.__main__", ["dashboard"], FIGURES),
    ("analysis.__main__", ["classify"], FIGURES),
    ("analysis.__main__", ["tasks"], FIGURES),
    ("analysis.__main__", ["inside"], FIGURES),
    ("analysis.__main__", ["clinic"], FIGURES),
    ("analysis.__main__", ["updates"], EXTRA.format("torch is", "torch")),
    (
        "analysis.__main__",
        ["translate"],
        EXTRA.format("matplotlib and rapidfuzz and sacrebleu are", "analysis,translate"),
    ),
    ("analysis.examples.own_text", [], FIGURES),
    ("analysis.examples.torch_lstm", ["model.pt"], FIGURES),
    ("numpy_lstm.cli", ["doctor", "--help"], ""),
    *[("analysis.__main__", [name, "--help"], "") for name in ("flow", "benchmark", "memory", "charlm")],
]


def test_numpy_and_scipy_are_enough_or_it_says_which_extra(answers: Path, tmp_path: Path) -> None:
    bare.environment(tmp_path / "env")
    (tmp_path / "plain.safetensors").write_bytes(b"")
    places = {"ANSWERS/plain.npz": str(answers / "plain.npz"), "DIR": str(tmp_path / "set")}
    places["plain.safetensors"] = str(tmp_path / "plain.safetensors")
    calls = [(module, [places.get(a, a) for a in argv]) for module, argv, _ in WITHOUT]
    for (_, argv, says), (status, out, err) in zip(WITHOUT, bare.run(tmp_path / "env", ROOT, calls), strict=True):
        assert status == (3 if says else 0), (argv, err)
        assert err == says or (says and says in err and err.count("\n") == 1), argv
        assert bool(out) != bool(says), argv
    assert not (tmp_path / "set").exists()


def test_every_extra_that_is_named_exists() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    brings = {"flint": "python-flint", "cupy": "cupy-cuda12x"}
    for module, extra in command.EXTRAS.items():
        assert any(brings.get(module, module) in requirement for requirement in extras[extra]), module


def test_every_study_is_known_to_the_tests() -> None:
    run = {argv[0] for module, argv, _ in WITHOUT if module == "analysis.__main__" and argv}
    assert run >= set(studies.COMMANDS)
