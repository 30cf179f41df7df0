import gzip
import io
import os
import pickle
import re
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.cifar import CIFAR10, CIFAR100
from expt.parts.data.dataset import Dataset
from expt.parts.data.scale import Scale
from expt.prediction.arrays import read_array

Arrays = Mapping[str, NDArray[Any]]
Source = type[CIFAR10]
Files = dict[str, bytes]

savez: Callable[..., None] = np.savez  # NumPy's stub takes keywords for allow_pickle

FOLDERS = {
    CIFAR10: ("cifar-10-batches-py", "cifar-10-batches-bin"),
    CIFAR100: ("cifar-100-python", "cifar-100-binary"),
}
ARCHIVES = {
    CIFAR10: ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
    CIFAR100: ("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
}
# File names as published.
FIRST = {CIFAR10: "data_batch_1", CIFAR100: "train"}
TEST = {CIFAR10: "test_batch", CIFAR100: "test"}
FINE, COARSE = ([f"{kind} {n}" for n in range(count)] for kind, count in (("f", 100), ("c", 20)))


def make_arrays(classes: int = 10) -> dict[str, NDArray[Any]]:
    """Returns 30 train and 12 test images; the first pixel is the image's index."""
    random = np.random.default_rng(0)
    arrays: dict[str, NDArray[Any]] = {}
    for part, count in (("train", 30), ("test", 12)):
        images = random.integers(256, size=(count, 32, 32, 3), dtype=np.uint8)
        images[:, 0, 0, 0] = np.arange(count)
        arrays[f"x_{part}"] = images
        arrays[f"y_{part}"] = random.integers(classes, size=count, dtype=np.uint8)
        arrays[f"coarse_{part}"] = random.integers(20, size=count, dtype=np.uint8)
    return arrays


def rows(images: NDArray[Any]) -> NDArray[Any]:
    """Returns a row per image: its red, its green and its blue plane."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


PurePickler: Any = pickle._Pickler


class Python2Pickler(PurePickler):  # type: ignore[misc]
    """A pickler that writes strings like Python 2, as in the published files."""

    dispatch = dict(PurePickler.dispatch)  # noqa: RUF012

    def save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)

    dispatch[str] = dispatch[bytes] = save_string


def pickle2(value: Any) -> bytes:
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    content = stream.getvalue()
    # Python 3 would write bytes by a call of _codecs.encode.
    assert b"_codecs" not in content
    return content.replace(b"numpy._core", b"numpy.core")


Dump = Callable[[Any], bytes]
DUMPS: dict[str, Dump] = {
    "Python 2": pickle2,
    "protocol 2": lambda value: pickle.dumps(value, protocol=2),
    "protocol 5": lambda value: pickle.dumps(value, protocol=5),
    "protocol 0": lambda value: pickle.dumps(value, protocol=0),
}


def batches(source: Source, arrays: Arrays) -> dict[str, tuple[NDArray[Any], ...]]:
    """Returns the images and labels of each file."""
    if source is CIFAR100:
        return {
            part: tuple(arrays[f"{key}_{part}"] for key in ("x", "coarse", "y"))
            for part in ("train", "test")
        }
    found = {
        f"data_batch_{n + 1}": tuple(arrays[f"{k}_train"][6 * n : 6 * n + 6] for k in "xy")
        for n in range(5)
    }
    return {**found, "test_batch": (arrays["x_test"], arrays["y_test"])}


def python_files(source: Source, arrays: Arrays, dump: Dump = pickle2) -> Files:
    keys = ["labels"] if source is CIFAR10 else ["coarse_labels", "fine_labels"]
    files = {}
    for name, (images, *labels) in batches(source, arrays).items():
        lists = {key: values.tolist() for key, values in zip(keys, labels, strict=True)}
        files[name] = dump({"data": rows(images), "batch_label": "a batch", **lists})
    if source is CIFAR10:
        return {**files, "batches.meta": dump({"label_names": FINE[:10], "num_vis": 3072})}
    return {**files, "meta": dump({"fine_label_names": FINE, "coarse_label_names": COARSE})}


def binary_files(source: Source, arrays: Arrays) -> Files:
    files = {
        f"{name}.bin": np.column_stack([*labels, rows(images)]).astype(np.uint8).tobytes()
        for name, (images, *labels) in batches(source, arrays).items()
    }
    texts = {"fine_label_names.txt": FINE, "coarse_label_names.txt": COARSE}
    texts = {"batches.meta.txt": FINE[:10]} if source is CIFAR10 else texts
    return {
        **files,
        **{name: "\n".join([*lines, "", ""]).encode() for name, lines in texts.items()},
    }


def write(folder: Path, files: Files) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def pack(file: Path, files: Files, folder: str = "cifar", mode: str = "w:gz") -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


def load(path: Path, source: Source = CIFAR10, **changes: Any) -> Dataset:
    arguments: dict[str, Any] = {"batch_size": 4, "num_validation": 8}
    return source(path=str(path), **{**arguments, **changes}).load()


def indices(images: Any) -> list[int]:
    # The order of images can be read off the first pixels, see make_arrays.
    return [round(float(value) * 255) for value in images[:, 0, 0, 0]]


def check(dataset: Dataset, arrays: Arrays, labels: str = "y") -> None:
    held_out, rest = indices(dataset.validation.inputs), indices(dataset.train.inputs)
    assert len(held_out) == 8
    assert sorted(held_out + rest) == list(range(30))
    for split, part, order in (
        (dataset.train, "train", rest),
        (dataset.validation, "train", held_out),
        (dataset.test, "test", list(range(12))),
    ):
        inputs = split.first(len(split))
        assert inputs.dtype == np.float32
        assert split.targets.dtype == np.int32
        assert inputs.flags.c_contiguous
        expected = arrays[f"x_{part}"][order].astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(inputs, expected)
        np.testing.assert_array_equal(split.targets, arrays[f"{labels}_{part}"][order])


# Formats


@pytest.mark.parametrize("source", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("version", [0, 1], ids=["python", "binary"])
@pytest.mark.parametrize("place", ["folder", "above", "archive", "folder of the archive"])
def test_reads_every_format(tmp_path: Path, source: Source, version: int, place: str) -> None:
    arrays = make_arrays(100 if source is CIFAR100 else 10)
    files = (binary_files if version else python_files)(source, arrays)
    folder, archive = FOLDERS[source][version], ARCHIVES[source][version]
    path = {
        "folder": lambda: write(tmp_path / "some_name", files),
        "above": lambda: write(tmp_path / folder, files).parent,
        "archive": lambda: pack(tmp_path / "some_name.tar.gz", files, folder),
        "folder of the archive": lambda: pack(tmp_path / archive, files, folder).parent,
    }[place]()
    dataset = load(path, source)
    assert (dataset.name, dataset.task) == (source.name, "classification")
    assert dataset.class_names == tuple(FINE[: 100 if source is CIFAR100 else 10])
    check(dataset, arrays)


@pytest.mark.parametrize("dump", DUMPS.values(), ids=DUMPS)
def test_reads_every_pickle(tmp_path: Path, dump: Dump) -> None:
    arrays = make_arrays()
    check(load(write(tmp_path, python_files(CIFAR10, arrays, dump))), arrays)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, ">i4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_every_array(tmp_path: Path, kind: Any, order: Any) -> None:
    arrays = make_arrays(100)
    files = python_files(CIFAR100, arrays)
    for part in ("train", "test"):
        data = np.array(rows(arrays[f"x_{part}"]), kind, order=order)
        labels = arrays[f"y_{part}"].astype(kind)
        files[part] = pickle.dumps({b"data": data, b"fine_labels": labels})
    check(load(write(tmp_path, files), CIFAR100), arrays)


@pytest.mark.parametrize("mode", ["w", "w:bz2", "w:xz"])
def test_reads_archives_compressed_otherwise(tmp_path: Path, mode: str) -> None:
    arrays = make_arrays()
    check(load(pack(tmp_path / "some.tar", python_files(CIFAR10, arrays), mode=mode)), arrays)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("inside", [True, False])
def test_reads_npz(tmp_path: Path, shape: tuple[int, ...], *, inside: bool) -> None:
    arrays = make_arrays()
    changed = {key: a.reshape(shape) if key[0] == "y" else a for key, a in arrays.items()}
    file = tmp_path / ("cifar10.npz" if inside else "other.npz")
    savez(file, **changed)
    dataset = load(tmp_path if inside else file)
    check(dataset, arrays)
    assert dataset.class_names[3] == "cat"


@pytest.mark.parametrize("make_files", [python_files, binary_files])
def test_coarse_labels(tmp_path: Path, make_files: Callable[[Source, Arrays], Files]) -> None:
    arrays = make_arrays(100)
    dataset = load(write(tmp_path, make_files(CIFAR100, arrays)), CIFAR100, labels="coarse")
    check(dataset, arrays, "coarse")
    assert dataset.class_names == tuple(COARSE)


@pytest.mark.parametrize("make_files", [python_files, binary_files])
def test_missing_class_names_are_the_published_ones(
    tmp_path: Path, make_files: Callable[[Source, Arrays], Files]
) -> None:
    for source, changes, count, some in (
        (CIFAR10, {}, 10, {0: "airplane", 9: "truck"}),
        (CIFAR100, {}, 100, {0: "apple", 47: "maple_tree", 99: "worm"}),
        (CIFAR100, {"labels": "coarse"}, 20, {0: "aquatic_mammals", 19: "vehicles_2"}),
    ):
        files = make_files(source, make_arrays(count))
        # Without the files of class names, as in some copies.
        named = {name: content for name, content in files.items() if "meta" not in name}
        named = {name: content for name, content in named.items() if "names" not in name}
        folder = write(tmp_path / f"{source.name}_{count}", named)
        names = load(folder, source, **changes).class_names
        assert len(set(names)) == count
        assert {number: names[number] for number in some} == some


def test_splits_depend_only_on_split_seed(tmp_path: Path) -> None:
    folder = write(tmp_path, binary_files(CIFAR10, make_arrays()))
    first = load(folder, split_seed=1)
    # NumPy's global generator must not influence the split.
    np.random.seed(123)
    assert load(folder, split_seed=1).fingerprint == first.fingerprint
    assert load(folder, split_seed=2).fingerprint != first.fingerprint


def test_fingerprint_does_not_depend_on_the_format(tmp_path: Path) -> None:
    arrays = make_arrays()
    first = load(write(tmp_path / "python", python_files(CIFAR10, arrays))).fingerprint
    assert load(write(tmp_path / "binary", binary_files(CIFAR10, arrays))).fingerprint == first
    # One bit of one pixel.
    arrays["x_test"][3, 2, 1, 0] ^= 1
    assert load(write(tmp_path / "binary", binary_files(CIFAR10, arrays))).fingerprint != first


def test_standardize(tmp_path: Path) -> None:
    folder = write(tmp_path, binary_files(CIFAR10, make_arrays()))
    dataset = load(folder)
    expected = Scale.fit(dataset.train.first(100))
    assert dataset.input_scale is not None
    np.testing.assert_array_equal(dataset.input_scale.mean, expected.mean)
    np.testing.assert_array_equal(dataset.input_scale.deviation, expected.deviation)
    assert load(folder, standardize=False).input_scale is None


def test_the_recorded_preparation_makes_the_same_inputs(tmp_path: Path) -> None:
    arrays = make_arrays()
    dataset = load(write(tmp_path, binary_files(CIFAR10, arrays)))
    assert dataset.preparation is not None
    for dtype in ("uint8", "int64", "float32"):
        np.save(tmp_path / "given.npy", arrays["x_test"].astype(dtype))
        inputs = read_array(tmp_path / "given.npy", dataset.input_shape, dataset.preparation)
        np.testing.assert_array_equal(inputs, dataset.test.inputs, strict=True)


def test_augment(tmp_path: Path) -> None:
    folder = write(tmp_path, binary_files(CIFAR10, make_arrays()))
    augmentation = load(folder, augment={"shift": 4, "flip": True}).augmentation
    assert (augmentation.shift, augmentation.flip) == (4, True)
    with pytest.raises(UserError, match=r"data\.augment\.shift=0\.5"):
        load(folder, augment={"shift": 0.5})


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, binary_files(CIFAR10, make_arrays()))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load(Path("~")).test) == 12


# Pickles that hold code


def leave_a_mark(_: str) -> None:
    marks.append("ran")


marks: list[str] = []


class Calls:
    """An object whose unpickling calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def harmful(file: Path) -> dict[str, bytes]:
    touch = f"touch {file}"
    return {
        "os.system": pickle.dumps(Calls(os.system, touch)),
        "eval": pickle.dumps(Calls(eval, f"open({str(file)!r}, 'w')")),
        "eval as in Python 2": b"c__builtin__\neval\n(V"
        + f"open({str(file)!r}, 'w')\n".encode()
        + b"tR.",
        "in a list": pickle.dumps({"data": [Calls(os.system, touch)]}, protocol=2),
        "text": f"cposix\nsystem\n(V{touch}\ntR.".encode(),
        "an instance": f"(S'{touch}'\niposix\nsystem\n.".encode(),
        "nested name": pickle.dumps(Calls(Path.touch, file)),
        "own function": pickle.dumps(Calls(leave_a_mark, "x")),
        "numpy's loading": pickle.dumps(Calls(np.load, str(file))),
        "numpy's scalar": pickle.dumps(np.float64(1)),
        "getattr": pickle.dumps(Calls(getattr, "x", "upper")),
    }


@pytest.mark.parametrize("name", harmful(Path("x")))
@pytest.mark.parametrize("where", ["data_batch_2", "batches.meta"])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, name: str, where: str) -> None:
    # Each pickle would either create a file or append to a list.
    marks.clear()
    mark = tmp_path / "mark"
    files = python_files(CIFAR10, make_arrays())
    folder = write(tmp_path / "cifar", {**files, where: harmful(mark)[name]})
    place = re.escape(str(folder / where))
    with pytest.raises(UserError, match=rf"{place}: it holds code \(.*\), which is never run"):
        load(folder)
    assert not mark.exists()
    assert marks == []


def test_array_of_objects_is_refused(tmp_path: Path) -> None:
    files = python_files(CIFAR10, make_arrays())
    files["test_batch"] = pickle.dumps({"data": np.array([{}] * 3, object), "labels": [1, 2, 3]})
    with pytest.raises(UserError, match=r"can't be read as a pickle.*an array of the type O8"):
        load(write(tmp_path, files))


def test_dtype_flags_of_a_pickle_are_ignored(tmp_path: Path) -> None:
    arrays = make_arrays()
    files = python_files(CIFAR10, arrays)
    # With these flags, NumPy itself would treat the pixels as pointers to objects.
    sizes = b"J\xff\xff\xff\xff" * 2
    assert files["test_batch"].count(sizes + b"K\0") == 1
    files["test_batch"] = files["test_batch"].replace(sizes + b"K\0", sizes + b"K\x3f")
    check(load(write(tmp_path, files)), arrays)


# Missing and damaged files


@pytest.mark.parametrize("source", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("folder", ["", "not/there"])
def test_missing_files_are_named(tmp_path: Path, source: Source, folder: str) -> None:
    with pytest.raises(UserError) as error:
        load(tmp_path / folder, source)
    expected = [*ARCHIVES[source], *FOLDERS[source], f"{source.name}.npz", "data.path="]
    for part in (*expected, str(tmp_path / folder)):
        assert part in str(error.value)


@pytest.mark.parametrize("missing", ["data_batch_3", "test_batch"])
@pytest.mark.parametrize("packed", [True, False])
def test_only_the_missing_file_is_named(tmp_path: Path, missing: str, *, packed: bool) -> None:
    files = python_files(CIFAR10, make_arrays())
    del files[missing]
    path = pack(tmp_path / "x.tar.gz", files) if packed else write(tmp_path, files)
    with pytest.raises(UserError, match=rf"data=cifar10: {missing} missing from {path}\."):
        load(path)


def test_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    files = binary_files(CIFAR10, make_arrays())
    del files["test_batch.bin"]
    file = pack(tmp_path / "x.tar", files, mode="w")
    with tarfile.open(file, "a") as archive:
        member = tarfile.TarInfo("cifar/test_batch.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(member)
    with pytest.raises(UserError, match=r"test_batch\.bin missing"):
        load(file)


def test_loading_writes_no_files(tmp_path: Path) -> None:
    # Archives are read in memory, so that a path that leads out of the folder does no harm.
    file = pack(tmp_path / "x.tar.gz", binary_files(CIFAR10, make_arrays()), "../../escaped")
    load(file)
    assert [path.name for path in tmp_path.rglob("*")] == ["x.tar.gz"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-20],
        lambda content: content[:5],
        lambda content: b"",  # noqa: ARG005
        lambda content: b"text" * 1000,  # noqa: ARG005
        lambda content: gzip.compress(b"text" * 1000),  # noqa: ARG005
        lambda content: gzip.compress(b""),  # noqa: ARG005
        lambda content: content[:2000] + bytes(100) + content[2100:],
    ],
    ids=["half", "cut", "header", "empty", "text", "gzipped text", "gzipped nothing", "changed"],
)
def test_damaged_archives_are_reported(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = pack(tmp_path / "x.tar.gz", python_files(CIFAR10, make_arrays()))
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=f"{re.escape(str(file))} can't be read"):
        load(file)


@pytest.mark.parametrize("length", [0, 100, 1023])
def test_truncated_uncompressed_archive_is_reported(tmp_path: Path, length: int) -> None:
    file = pack(tmp_path / "x.tar", python_files(CIFAR10, make_arrays()), mode="w")
    file.write_bytes(file.read_bytes()[: 15_000 + length])
    with pytest.raises(UserError, match=r"can't be read|missing from"):
        load(file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "can't be read as a pickle; is it cut off"),
        (lambda content: content[:-1], "can't be read as a pickle"),
        (lambda content: b"", "can't be read as a pickle"),  # noqa: ARG005
        (lambda content: b"<html>" + content, "can't be read as a pickle"),
        (lambda content: content[:5] + b"\xff" * 5 + content[10:], "can't be read as a pickle"),
        (lambda content: pickle.dumps([1, 2]), "holds a list; expected a dict"),  # noqa: ARG005
        (lambda content: pickle.dumps({}), "data, labels missing; it has "),  # noqa: ARG005
    ],
)
@pytest.mark.parametrize("name", ["data_batch_1", "test_batch"])
def test_damaged_pickles_are_reported(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str, name: str
) -> None:
    files = python_files(CIFAR10, make_arrays())
    files[name] = damage(files[name])
    folder = write(tmp_path, files)
    with pytest.raises(UserError, match=rf"{re.escape(str(folder / name))}:? .*{message}"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((6, 3071), np.uint8)}, r"data has the shape \(6, 3071\)"),
        ({"data": np.zeros((6, 32, 32, 3), np.uint8)}, r"data has the shape \(6, 32, 32, 3\)"),
        ({"data": [[0] * 3072] * 6}, "data has the shape"),
        ({"data": np.full((6, 3072), 256)}, "from 0 to 255"),
        ({"data": np.full((6, 3072), -1)}, "from 0 to 255"),
        ({"data": np.zeros((5, 3072), np.uint8)}, r"labels have the shape \(6,\).* each of 5"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, r"images have the shape \(0, 32"),
        ({"labels": [0, 1, 2, 3, 4, 10]}, "labels from 0 to 9"),
        ({"labels": [0, 1, 2, 3, 4, -1]}, "labels from 0 to 9"),
        ({"labels": [0, 1, 2, 3, 4, 0.5]}, "labels from 0 to 9"),
        ({"labels": [0, 1, 2, 3, 4, 2**70]}, "labels from 0 to 9"),
        ({"labels": [[0], [1, 2]]}, "labels is not a list of numbers"),
        ({"labels": [0, 1, 2, 3, 4]}, r"labels have the shape \(5,\)"),
        ({"labels": "text"}, "labels from 0 to 9"),
        ({"labels": None}, "labels from 0 to 9"),
    ],
)
def test_malformed_batches_are_reported(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    files = python_files(CIFAR10, make_arrays())
    batch = {"data": np.zeros((6, 3072), np.uint8), "labels": [0] * 6, **change}
    files["data_batch_4"] = pickle.dumps(batch)
    with pytest.raises(UserError, match=f"data_batch_4: .*{message}"):
        load(write(tmp_path, files))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "has 18437 bytes; expected a multiple of 3073"),
        (lambda content: content + b"\0", "has 18439 bytes; expected a multiple of 3073"),
        (lambda content: b"", "has 0 bytes"),  # noqa: ARG005
        (lambda content: b"\x0a" + content[1:], "labels from 0 to 9"),
    ],
)
def test_damaged_binaries_are_reported(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    files = binary_files(CIFAR10, make_arrays())
    files["data_batch_5.bin"] = damage(files["data_batch_5.bin"])
    with pytest.raises(UserError, match=rf"data_batch_5\.bin:? .*{message}"):
        load(write(tmp_path, files))


def test_cifar10_is_not_cifar100(tmp_path: Path) -> None:
    write(tmp_path / "data", python_files(CIFAR10, make_arrays()))
    with pytest.raises(UserError, match="data=cifar100: the files are not at"):
        load(tmp_path / "data", CIFAR100)
    files = binary_files(CIFAR10, make_arrays())
    renamed = {"train.bin": files["data_batch_1.bin"], "test.bin": files["test_batch.bin"]}
    with pytest.raises(UserError, match="expected a multiple of 3074"):
        load(write(tmp_path / "binary", renamed), CIFAR100)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("x_train", lambda array: array.transpose(0, 3, 1, 2), "images have the shape"),
        ("x_test", lambda array: array[..., :1], "images have the shape"),
        ("x_test", lambda array: array / 255, "the type float64"),
        ("y_train", lambda array: array + 10, "labels from 0 to 9"),
        ("y_test", lambda array: array[:-1], r"labels have the shape \(11,\)"),
        ("y_test", lambda array: np.eye(10, dtype=np.uint8)[array], "labels have the shape"),
        ("y_test", lambda array: array.astype(object), "can't be read as an .npz"),
        ("y_train", None, "the arrays y_train are missing"),
    ],
)
def test_malformed_npz_is_reported(tmp_path: Path, key: str, change: Any, message: str) -> None:
    arrays = make_arrays()
    array = arrays.pop(key)
    file = tmp_path / "cifar10.npz"
    savez(file, **arrays, **({} if change is None else {key: change(array)}))
    with pytest.raises(UserError, match=f"{re.escape(str(file))}.*{message}"):
        load(tmp_path)


def test_truncated_npz_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "cifar10.npz"
    savez(file, **make_arrays())
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"can't be read as an \.npz"):
        load(file)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("batches.meta", pickle.dumps({"label_names": ["a", "b"]})),
        ("batches.meta", pickle.dumps([])),
        ("batches.meta", b""),
        ("batches.meta.txt", b"a\nb\n"),
    ],
)
def test_malformed_class_names_are_reported(tmp_path: Path, name: str, content: bytes) -> None:
    files = (binary_files if name.endswith(".txt") else python_files)(CIFAR10, make_arrays())
    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path / name))}"):
        load(write(tmp_path, {**files, name: content}))


@pytest.mark.parametrize("num_validation", [-1, 0, 30, 5_000])
def test_num_validation_out_of_range_is_reported(tmp_path: Path, num_validation: int) -> None:
    folder = write(tmp_path, binary_files(CIFAR10, make_arrays()))
    expected = rf"data\.num_validation={num_validation}: expected a number from 1 to below 30"
    with pytest.raises(UserError, match=expected):
        load(folder, num_validation=num_validation)


@pytest.mark.parametrize("labels", ["Fine", "", None, "both"])
def test_unknown_labels_are_reported(tmp_path: Path, labels: Any) -> None:
    with pytest.raises(UserError, match=rf"data\.labels={labels}: expected one of fine, coarse"):
        load(tmp_path, CIFAR100, labels=labels)


@pytest.mark.parametrize("path", ["", None, 5])
def test_path_none_is_reported(path: Any) -> None:
    with pytest.raises(UserError, match=r"data\.path="):
        CIFAR10(path=path, batch_size=1).load()
