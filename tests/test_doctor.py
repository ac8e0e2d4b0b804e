"""The doctor: it names the kernels in use, measures the others apart, and advises only where it is worth it."""

import json

import pytest

from numpy_lstm import doctor
from numpy_lstm.doctor import Blas, Diagnosis, Speed


def test_it_examines_this_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "CANDIDATES", {k: v[:1] for k, v in doctor.CANDIDATES.items()})
    assert doctor.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["here"]["float64"] > 0.01
    assert found["processors"] == len(doctor.affinity())
    assert doctor.main([]) == 0
    assert "NumPy" in capsys.readouterr().out


def test_a_kernel_that_does_not_run_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "__file__", "/nowhere.py")
    assert doctor.measure("Haswell") is None
    with pytest.raises(RuntimeError, match="cannot multiply"):
        doctor.diagnose()


@pytest.mark.parametrize(("float64", "advice"), [(30.0, False), (60.0, True)])
def test_advice(float64: float, advice: bool) -> None:
    others = {"Haswell": Speed("Haswell", 29.0, 60.0), "SkylakeX": Speed("SkylakeX", float64, 90.0)}
    found = Diagnosis(Blas("openblas 1", "Haswell", 1), 2, Speed("Haswell", 29.0, 60.0), others)
    text = doctor.report(found)
    assert ("Faster by 2.1x in float64: set OPENBLAS_CORETYPE=SkylakeX" in text) == advice
    assert ("Nothing measured is faster" in text) != advice
    assert "2 processors: unset" in text
    assert doctor.widest(found) == ("SkylakeX" if advice else None)


def test_a_mapped_file_that_is_no_library_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_shared_objects", lambda: [__file__])
    assert doctor._openblas.__wrapped__() is None


def test_without_openblas_there_is_nothing_to_choose() -> None:
    found = Diagnosis(Blas("accelerate", None, None), 2, Speed(None, 30.0, 60.0), {})
    assert doctor.widest(found) is None
    assert "kernels not told" in doctor.report(found)
