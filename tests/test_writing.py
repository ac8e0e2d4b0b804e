"""Where files go and where they come from: links, modes, devices, pipes, and what a message repeats of them."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import text
from numpy_lstm import files
from numpy_lstm.cases import files as cases
from numpy_lstm.check import CaseError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("seed", range(3))
def test_links_stay_links_and_modes_stay_modes(seed: int, tmp_path: Path) -> None:
    """A chain of links, each relative or absolute and in a folder of its own, to a file that is there or not."""
    rng = np.random.default_rng(seed)
    for there in (True, False):
        folders = [tmp_path / f"{there}{k}" for k in range(rng.integers(2, 5))]
        for folder in folders:
            folder.mkdir()
        real, mode = folders[0] / "real", int(rng.integers(0o1000)) | 0o600
        if there:
            real.write_text("before")
            real.chmod(mode)
        links = [real]
        for folder in folders:
            target = links[-1] if rng.random() < 0.5 else Path(os.path.relpath(links[-1], folder))
            links.append(folder / "link")
            links[-1].symlink_to(target)
        data = rng.bytes(10)
        assert files.write_bytes(links[-1], data) == links[-1]
        assert [link.is_symlink() for link in links] == [False] + [True] * len(folders)
        assert real.read_bytes() == data
        assert stat.S_IMODE(real.stat().st_mode) == (mode if there else 0o666 & ~umask())
        assert sum(len(list(folder.iterdir())) for folder in folders) == len(links), "no temporary stays"


def umask() -> int:
    os.umask(now := os.umask(0))
    return now


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o002])
def test_a_new_file_has_the_mode_that_the_user_asks_for(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        files.write_bytes(tmp_path / "new", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~mask


def test_what_is_no_regular_file_is_written_through(tmp_path: Path) -> None:
    fifo, link, data = tmp_path / "fifo", tmp_path / "link", np.random.default_rng(0).bytes(100_000)
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    read: list[bytes] = []
    for path in (fifo, link):
        reader = threading.Thread(target=lambda path=path: read.append(path.read_bytes()))
        reader.start()
        files.write_bytes(path, data)
        reader.join(10)
    assert read == [data, data]
    files.write_bytes(null, data)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert link.is_symlink()
    assert null.is_symlink()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(IsADirectoryError):
        files.write_bytes(tmp_path, data)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        files.write_bytes(tmp_path / "loop", data)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_standard_output_as_a_file(tmp_path: Path) -> None:
    """What is printed before and after stands before and after, also where stdout is itself a file."""
    write = "from pathlib import Path; import files; print('1'); files.write_bytes(Path({!r}), b'2\\n')"
    (tmp_path / "link").symlink_to("/dev/stdout")
    for path in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(tmp_path / "link")):
        with (tmp_path / "out").open("w") as out:
            run = [sys.executable, "-c", f"{write.format(path)}; print('3')"]
            subprocess.run(run, stdout=out, cwd=ROOT / "numpy_lstm", check=True)  # the file alone starts at once
        assert (tmp_path / "out").read_text() == "1\n2\n3\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_a_file_that_is_protected_stays(tmp_path: Path) -> None:
    path = tmp_path / "protected"
    path.write_text("before")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        files.write_bytes(path, b"after")
    assert path.read_text() == "before"


READERS = {
    "case.json": cases.read_case,
    "answer.npz": cases.read_answer,
    "answer.safetensors": cases.read_answer,
    "book.txt": text.load,
}


@pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "link to a device", "folder"])
@pytest.mark.parametrize("name", READERS)
def test_only_regular_files_are_read(name: str, kind: str, tmp_path: Path) -> None:
    path, fifo = tmp_path / name, tmp_path / "fifo"
    os.mkfifo(fifo)
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "link to a device" else fifo)
    if kind == "fifo":
        fifo.replace(path)
    says = "Is a directory" if kind == "folder" else "expected a regular file"
    with pytest.raises(ValueError, match=rf"{name}: .*{says}$"):
        READERS[name](str(path))


@pytest.mark.parametrize("seed", range(3))
def test_a_message_repeats_a_line_of_a_file_at_most(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    long = "".join(rng.choice(list("abcxyz"), 20_000))
    many = {f"{long[k : k + 9]}{k}": np.ones(1) for k in range(2000)}
    surplus = ", ".join(f'"{k}": 1' for k in many)
    wrong: list[Any] = [
        lambda path: cases.write_answer(path, many | {long: np.ones(1)}),
        lambda path: path.write_text(f'{{"schema": "{long}"}}'),
        lambda path: path.write_text(f'{{"{long}": "{long}"}}'),
        lambda path: path.write_text(f'{{"schema": "numpy-lstm/case/1", {surplus}}}'),
    ]
    for write in wrong:
        path = tmp_path / "wrong.json"
        write(path)
        with pytest.raises(CaseError) as refused:
            cases.read_case(path)
        assert len(str(refused.value)) <= 400 + len(f"{path}: ")
    assert files.shortened(long[:400]) == long[:400]
    short = files.shortened(long)
    assert len(short) <= 400
    assert (short[:20], short[-20:]) == (long[:20], long[-20:])
