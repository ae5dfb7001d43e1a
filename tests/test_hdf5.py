"""HDF5 from anywhere: what may be read, what is refused, and that damage is never taken for data."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import experiment, inputs, refusal, resealed, running, tiny, unsealed

from ghostnet import FileError, Recorder, Simulator, open_trace, resume, train
from ghostnet.files import hdf5
from ghostnet.files.seal import Sealed
from ghostnet.runs import checkpoint

ROOT = Path(__file__).parents[1]
SECRET = np.arange(100.0) + 0.123456789


@pytest.fixture
def secret(tmp_path) -> Path:
    """A file that nobody asked to be read."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["data"] = SECRET
    (tmp_path / "secret.raw").write_bytes(SECRET.tobytes())
    return path


def _external_link(file, secret):
    file["x"] = h5py.ExternalLink(str(secret), "/data")


def _soft_link(file, secret):
    file["a"] = np.arange(3)
    file["x"] = h5py.SoftLink("/a")


def _dangling_link(file, secret):
    file["x"] = h5py.SoftLink("/nowhere")


def _external_storage(file, secret):
    file.create_dataset("x", (100,), "f8", external=[(str(secret.with_suffix(".raw")), 0, 800)])


def _virtual_storage(file, secret):
    layout = h5py.VirtualLayout((100,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "data", (100,))
    file.create_virtual_dataset("x", layout)


def _four_terabytes(file, secret):
    file.create_dataset("x", (1 << 39,), "f8", chunks=(1 << 16,), compression=1)


def _many_halves(file, secret):
    for i in range(40):
        file.create_dataset(f"x{i}", (1 << 26,), "u1", chunks=(1 << 16,), compression=1)


def _huge_chunk(file, secret):
    file.create_dataset("x", (4,), "f8", chunks=(1 << 28,), maxshape=(None,))


def _many_chunks(file, secret):
    file.create_dataset("x", (1_000_000,), "u1", chunks=(1,), compression=1)
    file["y"] = np.arange(10_000)


def _objects(file, secret):
    file.create_dataset("x", (3,), h5py.vlen_dtype(np.int32))


def _references(file, secret):
    file.create_dataset("x", (3,), h5py.ref_dtype)


def _compound(file, secret):
    file.create_dataset("x", (3,), [("a", "i4"), ("b", "f8")])


def _texts(file, secret):
    file.create_dataset("x", (3,), h5py.string_dtype())


def _ring(file, secret):
    file["self"] = file["/"]


def _two_names(file, secret):
    file["a"] = np.arange(3)
    file["b"] = file["a"]


def _other_filter(file, secret):
    file.create_dataset("x", (100,), "i4", chunks=(10,), compression="lzf")


CRAFTED = [
    _external_link, _soft_link, _dangling_link, _external_storage, _virtual_storage, _four_terabytes, _many_halves,
    _huge_chunk, _many_chunks, _objects, _references, _compound, _texts, _two_names, _other_filter,
]  # fmt: skip


def everything(path):
    """All arrays at the root of a file."""
    with hdf5.open_strictly(path) as contents:
        return {name: array.whole() for name, array in contents.arrays.items()}


@pytest.mark.parametrize("craft", CRAFTED, ids=lambda craft: craft.__name__.strip("_"))
def test_a_crafted_file_is_refused_and_nothing_else_is_read(tmp_path, secret, craft):
    path = tmp_path / "crafted.h5"
    path.write_bytes(hdf5.image(lambda file: craft(file, secret)))
    text = refusal(FileError, everything, path)
    assert text.startswith(f"{path}: refused: ") and "0.123" not in text
    refusal(FileError, open_trace, path)


@pytest.mark.parametrize("craft", [_external_link, _ring, _virtual_storage, _texts])
def test_what_is_in_groups_is_not_looked_at(tmp_path, secret, craft):
    path = tmp_path / "a.h5"

    def write(file):
        file["a"] = np.arange(3)
        craft(file.create_group("group"), secret)

    path.write_bytes(hdf5.image(write))
    assert list(everything(path)) == ["a"]


def test_what_was_written_is_read_and_other_readers_pass_over_the_seal(tmp_path):
    path = tmp_path / "a.h5"

    def write(file):
        file.create_dataset("a", data=np.arange(1000), chunks=(300,), compression=1, shuffle=True)
        file["b"] = SECRET
        hdf5.describe(file, {"text": "ρ(s)", "texts": ["β", "none", ""], "nothing": "", "number": 3})

    path.write_bytes(hdf5.image(write))
    read = everything(path)
    with hdf5.open_strictly(path) as contents:
        assert contents.attributes == {"text": "ρ(s)", "texts": ["β", "none", ""], "nothing": "", "number": 3}
    with h5py.File(path) as file:
        assert file.attrs["text"].decode() == "ρ(s)"
        assert all(np.array_equal(file[name], read[name]) for name in file) and list(read) == ["a", "b"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5"]


def test_a_file_of_another_writer_is_refused(tmp_path):
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        file["a"] = SECRET
    assert "no seal" in refusal(FileError, open_trace, path)


def test_a_file_of_the_former_format_says_so_and_no_run_begins_anew_over_it(tmp_path, task):
    e = tiny(task, epochs=2)
    train(e, tmp_path / "run", progress=False)
    checkpoints = list((tmp_path / "run" / "checkpoints").iterdir())
    for path in checkpoints:
        content = unsealed(path)
        path.write_bytes(content + b"ghostnet" + hashlib.sha256(content).digest())
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert "of ghostnet 0.1" in refusal(FileError, resume, tmp_path / "run", epochs=3)
    unchanged = {path: path.read_bytes() for path in before if path.name not in ("status.json", "config.toml")}
    assert unchanged.items() <= before.items()


def test_only_what_is_read_has_to_be_as_it_was_sealed(tmp_path):
    path = tmp_path / "a.h5"
    first, second = (np.random.default_rng(seed).random(50_000) for seed in (0, 1))

    def write(file):
        file["a"] = first
        file["b"] = second

    path.write_bytes(hdf5.image(write))
    content = bytearray(path.read_bytes())
    content[content.find(second[30_000].tobytes())] ^= 1
    path.write_bytes(content)
    with hdf5.open_strictly(path) as contents:
        assert np.array_equal(contents.arrays["a"].whole(), first)
    assert "SHA-256" in refusal(FileError, contents.arrays["b"].whole)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "not an HDF5"), (b"text", "not an HDF5"), (b"\x89HDF\r\n\x1a\n", "no seal"), (None, "Is a directory")],
)
def test_what_is_no_hdf5_file_is_refused(tmp_path, content, text):
    path = tmp_path
    if content is not None:
        path = tmp_path / "t.h5"
        path.write_bytes(content)
    assert text in refusal(FileError, open_trace, path)


def test_what_fails_while_it_is_read_is_a_file_error(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(hdf5.image(lambda file: file.create_dataset("a", data=np.arange(10))))
    with pytest.raises(FileError, match="damaged, or not"), hdf5.open_strictly(path) as contents:
        contents.arrays["b"]


MUTATED = """
import sys, zlib, numpy as np
from pathlib import Path
from ghostnet import FileError, open_trace
whole, count = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
path, draw = Path(sys.argv[3]), np.random.default_rng(0)
expected, outcomes = open_trace(sys.argv[1]).load(), {"refused": 0, "correct": 0}
for i in range(count):
    content = bytearray(whole)
    kind = i % 4
    if kind == 0:  # some bytes anywhere
        for at in draw.integers(len(content), size=draw.integers(1, 9)):
            content[at] ^= int(draw.integers(1, 256))
    elif kind == 1:  # metadata: the front
        for at in draw.integers(min(4096, len(content)), size=4):
            content[at] ^= int(draw.integers(1, 256))
    elif kind == 2:  # cut off
        del content[int(draw.integers(len(content))):]
    else:  # a block of zeros, or moved
        at, size = int(draw.integers(len(content))), int(draw.integers(1, 2000))
        content[at : at + size] = bytes(len(content[at : at + size])) if i % 8 < 4 else b""
    path.write_bytes(bytes(content))
    try:
        got = open_trace(path).load()
    except FileError as error:
        assert len(str(error).splitlines()) == 1, error
        outcomes["refused"] += 1
    else:
        assert got.identical(expected), i
        outcomes["correct"] += 1
print(outcomes["refused"], outcomes["correct"])
"""


def test_a_mutated_file_is_refused_or_read_correctly(tmp_path):
    e = experiment("MB", (20, 30, 25, 6))
    simulator = Simulator(running(e), "reference")
    with simulator.recording(Recorder(("s", "e"), every=5, examples=[0]), tmp_path / "t.h5"):
        simulator.run(*inputs(e, 2))
    command = [sys.executable, "-c", MUTATED, tmp_path / "t.h5", "200", tmp_path / "m.h5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    refused, correct = map(int, done.stdout.split())
    assert refused + correct == 200 and refused > 180


SEALED_ANEW = """
import sys, numpy as np
from pathlib import Path
from ghostnet import FileError, open_trace
from ghostnet.runs import checkpoint
from ghostnet.files.seal import Sealed, sealed
path, counts = Path(sys.argv[1]), {True: 0, False: 0}

def tried(load, content):
    path.write_bytes(sealed(bytes(content)))
    try:
        load(path)
    except FileError as error:
        assert len(str(error).splitlines()) == 1, error
        return str(error)
    return ""

for load, name in ((checkpoint.load, sys.argv[2]), (lambda path: open_trace(path).load(), sys.argv[3])):
    with Sealed(name) as file:
        whole = file.span(0, file.length)
    heaps = [at for at in range(len(whole)) if whole[at : at + 4] == b"GCOL"]
    assert not tried(load, whole) and bool(heaps) == (name == sys.argv[3])
    for at in heaps:  # sizes with which HDF5 walks a heap for ever, or beyond it: it never does here
        size = int.from_bytes(whole[at + 8 : at + 16], "little")
        for end, value in ((8, 2**63), (16 + 8, 2**64 - 16), (16 + 8, 2**64 - 32), (16 + 8, 0), (16 + 8, size)):
            content = bytearray(whole)
            content[at + 16 : at + 18] = (end == 8 or value > 0).to_bytes(2, "little")
            content[at + end : at + end + 8] = value.to_bytes(8, "little")
            assert not tried(load, content), (at, end, value)
    draw = np.random.default_rng(5)
    for i in range(int(sys.argv[4])):
        content = bytearray(whole)
        for at in draw.integers((len(whole), 4096)[i % 2], size=draw.integers(1, 9)):
            content[at] ^= int(draw.integers(1, 256))
        counts[bool(tried(load, content))] += 1
print(counts[True], counts[False])
"""


def test_a_file_that_was_changed_and_sealed_anew_is_read_or_refused_and_never_hangs(tmp_path):
    e, run = experiment("MB", (20, 30, 25, 6)), tmp_path / "run"
    simulator = Simulator(running(e), "reference")
    with simulator.recording(Recorder(("s", "e"), every=5, examples=[0]), tmp_path / "t.h5"):
        simulator.run(*inputs(e, 2))
    run.mkdir()
    saved = checkpoint.save(run, checkpoint.Checkpoint(simulator.network, 0), "float32")
    arguments = [tmp_path / "m.h5", saved, tmp_path / "t.h5", "60"]
    command = [sys.executable, "-c", SEALED_ANEW, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(int(count) > 10 for count in done.stdout.split())


def test_lists_of_dimension_scales_are_never_read(tmp_path):
    """HDF5's function for them ends the process where they are damaged."""
    e = experiment("MB", (20, 30, 25, 6))
    simulator = Simulator(running(e), "reference")
    with simulator.recording(Recorder(("s",)), tmp_path / "t.h5"):
        simulator.run(*inputs(e, 1))

    def spoil(file):
        for name in ("s_1", "label", "time"):
            for listed in ("DIMENSION_LIST", "REFERENCE_LIST"):
                file[name].attrs[listed] = "nothing"

    spoilt = resealed(tmp_path / "t.h5", spoil, tmp_path / "u.h5")
    assert open_trace(spoilt).identical(open_trace(tmp_path / "t.h5"))


def test_names_out_of_a_file_do_not_write_to_the_terminal(tmp_path):
    path = tmp_path / "a.h5"
    name = "\x1b[2Jevil\n\x85\u2028"
    path.write_bytes(hdf5.image(lambda file: file.create_dataset(name, (3,), h5py.string_dtype())))
    text = refusal(FileError, open_trace, path)
    assert "evil" in text and text.isprintable()


LISTS = np.array([np.arange(3), None], object)[:1]
ATTRIBUTES = {
    "a text of any length": lambda thing: thing.attrs.__setitem__("a", "text"),
    "a list of any length": lambda thing: thing.attrs.create("a", LISTS, (1,), h5py.vlen_dtype(int)),
    "a reference": lambda thing: thing.attrs.__setitem__("a", thing.file["x"].ref),
    "a table": lambda thing: thing.attrs.__setitem__("a", np.zeros(2, [("a", "i4"), ("b", "f8")])),
    "nothing": lambda thing: thing.attrs.__setitem__("a", h5py.Empty("f8")),
}


@pytest.mark.parametrize("place", ["/", "x"])
@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_attributes_other_than_numbers_and_texts_are_refused(tmp_path, kind, place):
    def write(file):
        file["x"] = np.arange(3)
        ATTRIBUTES[kind](file[place])

    path = tmp_path / "a.h5"
    path.write_bytes(hdf5.image(write))
    with pytest.raises(FileError, match="expected numbers or text"), hdf5.open_strictly(path):
        pass


@pytest.mark.parametrize("name", ["missing.h5", "text.h5"])
def test_what_cannot_be_opened_leaves_nothing_to_close(tmp_path, name, monkeypatch):
    (tmp_path / "text.h5").write_text("no HDF5")
    made = []
    whole = Sealed.__init__

    def remembered(self, path):
        made.append(self)
        whole(self, path)

    monkeypatch.setattr(Sealed, "__init__", remembered)
    assert name in refusal(FileError, Sealed, tmp_path / name)
    assert made[0].closed  # else it would be closed when it is collected
