"""What the kernel cache promises: this processor's code or none, never somebody else's, and no place is no error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from ghostnet.engines.cpu import cache
from ghostnet.engines.cpu.compiled import entry

ROOT = Path(__file__).parents[1]

# A kernel that returns the length of vectors that it was compiled with; printed with that of its process.
KERNEL = """
import resource, sys
import llvmlite.binding
if "--no-avx512" in sys.argv:
    host = {name: has and "avx512" not in name for name, has in llvmlite.binding.get_host_cpu_features().items()}
    llvmlite.binding.get_host_cpu_features = lambda: host

from ghostnet.engines.cpu.compiled import entry
from ghostnet.engines.cpu.emit import VECTOR_BYTES

if "--full" in sys.argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

@entry
def width():
    return VECTOR_BYTES

print(width(), VECTOR_BYTES, sum(width.stats.cache_hits.values()))
"""
HASWELL = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}


def elsewhere(folder: Path, *options: str, **environment: str) -> tuple[list[int], str]:
    """What the kernel prints in a new process, and what that writes to stderr."""
    (folder / "kernel.py").write_text(KERNEL)
    own = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    own |= {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, folder / "kernel.py", *options]
    done = subprocess.run(command, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(map(int, done.stdout.split())), done.stderr


def test_a_cache_filled_by_one_processor_gives_another_none_of_its_kernels(tmp_path):
    for processor, again in ((HASWELL, 0), ({}, 0), (HASWELL, 1)):
        (compiled, own, hits), complaints = elsewhere(tmp_path, **processor)
        assert (compiled, hits, complaints) == (own, again, "")
    assert len(list((tmp_path / "cache").glob("kernels-*"))) == 2


def test_the_length_of_vectors_is_that_of_the_processor_that_numba_compiles_for(tmp_path):
    (compiled, own, _), _ = elsewhere(tmp_path, **HASWELL)  # perhaps on a machine that has longer ones
    assert compiled == own == 32
    (compiled, own, _), _ = elsewhere(tmp_path, "--no-avx512", **HASWELL)
    assert compiled == own == 32


def test_a_full_disk_costs_the_cache_and_one_line(tmp_path):
    (compiled, own, _), complaints = elsewhere(tmp_path, "--full")
    assert compiled == own
    assert len(complaints.splitlines()) == 1 and "can't be kept there" in complaints


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Says where a process that begins now shall keep its kernels."""

    def begin(path: Path | str = tmp_path / "cache"):
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(path))
        cache.directory.cache_clear()
        cache._say_once.cache_clear()
        return path

    yield begin
    monkeypatch.undo()
    cache.directory.cache_clear()


def two() -> int:
    return 2


def hits() -> int:
    """Compiles or finds a kernel, and says which."""
    kernel = entry(two)
    assert kernel() == 2
    return sum(kernel.stats.cache_hits.values())


def made(folder: Path) -> Path:
    (only,) = folder.iterdir()
    return only


def test_kernels_are_kept(place):
    place()
    assert [hits(), hits()] == [0, 1]
    assert cache.kernels(cache.directory()) == 1


def test_no_home_directory_or_one_that_cannot_be_written_costs_the_cache_and_one_line(place, monkeypatch, caplog):
    place("/proc/nowhere")
    assert [hits(), hits()] == [0, 0]
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: "~/.cache/ghostnet")  # as without a home directory
    place("")
    assert [hits(), hits()] == [0, 0]
    assert len(caplog.messages) == 2 and all("NUMBA_CACHE_DIR" in line for line in caplog.messages)
    assert not Path("~").exists()


def test_a_damaged_kernel_is_compiled_anew(place, caplog):
    folder = place()
    hits()
    for kind in ("nbi", "nbc"):
        for path in folder.rglob(f"*.{kind}"):
            path.write_bytes(path.read_bytes()[:50])
        assert [hits(), hits()] == [0, 1]
    assert len(caplog.messages) == 2 and all("damaged" in line for line in caplog.messages)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_can_write_to_is_not_used(place, caplog, mode):
    folder = place()
    hits()
    assert made(folder).stat().st_mode & 0o777 == 0o700
    made(folder).chmod(mode)
    place()
    assert hits() == 0
    assert len(caplog.messages) == 1 and "only this user can write" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_somebody_elses_directory_is_not_used(place, caplog):
    folder = place()
    hits()
    os.chown(made(folder), 65534, 65534)
    place()
    assert hits() == 0 and "only this user can write" in caplog.text


def test_a_link_is_not_followed(place, caplog, tmp_path):
    folder = place()
    hits()
    made(folder).rename(tmp_path / "moved")
    cache_name = cache.directory().name
    (folder / cache_name).symlink_to(tmp_path / "moved")
    place()
    assert hits() == 0 and "not a directory" in caplog.text


def test_directories_are_private_whatever_the_umask_and_not_used_where_they_could_be_replaced(place, caplog, tmp_path):
    before = os.umask(0)
    try:
        place(tmp_path / "a" / "b")
        assert hits() == 0
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a", *(tmp_path / "a").glob("b"))} == {0o700}
        (tmp_path / "open").mkdir(0o777)
        place(tmp_path / "open")
        assert hits() == 0 and "could be replaced" in caplog.text
    finally:
        os.umask(before)
