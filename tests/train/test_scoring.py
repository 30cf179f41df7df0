"""Tests that an evaluation of changed data leaves out what the run was trained on."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from contracts.example_data import FILES, images
from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.runs.find import FoundRun
from expt.train.saved_model import LoadedData, load_data
from expt.train.scoring import ScoredExamples, choose_examples
from recorded_runs import record_run

RANDOM = np.random.default_rng(0)
ROWS = [
    f"{a:.4f},{b:.4f},{'cat' if i % 3 else 'dog'}"
    for i, (a, b) in enumerate(RANDOM.random((60, 2)))
]
NEW = [
    f"{a:.4f},{b:.4f},{'cat' if i % 3 else 'dog'}"
    for i, (a, b) in enumerate(RANDOM.random((30, 2)))
]
TABLE = ("data=csv", "data.target=kind", "data.batch_size=8")


def table(file: Path, rows: Sequence[str], header: str = "a,b,kind") -> str:
    file.write_text("\n".join([header, *rows]) + "\n")
    return f"data.path={file}"


def scored(run: FoundRun, *overrides: str, split: str | None = None) -> ScoredExamples:
    return choose_examples(run, load_data(run, overrides, None, split), split)


def rows_of(split: Split) -> Counter[bytes]:
    return Counter(row.tobytes() for row in split.first(len(split)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(folder: Path) -> FoundRun:
    return record_run(folder, *TABLE, table(folder / "known.csv", ROWS))


@pytest.fixture(scope="module")
def trained(run: FoundRun) -> Dataset:
    return load_data(run, [], None).dataset


class TestUnchangedData:
    @pytest.mark.parametrize("split", [None, "train", "val", "test"])
    def test_splits_of_unchanged_data_are_those_of_training(
        self, run: FoundRun, trained: Dataset, split: str | None
    ) -> None:
        found = scored(run, split=split)
        expected = dict(trained.splits())[split or "test"]
        np.testing.assert_array_equal(found.examples.inputs, expected.inputs)
        assert (found.split, found.label, found.notes) == (split or "test",) * 2 + ((),)
        assert found.left_out == {}

    def test_split_all_is_noted_to_include_training_examples(self, run: FoundRun) -> None:
        found = scored(run, split="all")
        assert (len(found.examples), found.label) == (60, "all")
        assert "includes the 42 examples that the run was trained on and the 9" in found.notes[0]

    def test_moved_data_is_unchanged(self, run: FoundRun, tmp_path: Path) -> None:
        found = scored(run, table(tmp_path / "copy.csv", ROWS), "data.batch_size=4")
        assert (found.label, len(found.examples)) == ("test", 9)

    def test_data_of_a_run_with_limited_batches_is_unchanged(self, tmp_path: Path) -> None:
        """The fingerprint is that of two batches per split; the test split is scored completely."""
        path = table(tmp_path / "known.csv", ROWS)
        run = record_run(tmp_path, *TABLE, path, "loop.batches=1")
        assert (scored(run).label, len(scored(run).examples)) == ("test", 9)
        found = scored(run, table(tmp_path / "more.csv", [*ROWS, *NEW]))
        assert (found.left_out, len(found.examples)) == ({"train": 8, "val": 8}, 74)

    def test_unknown_split_is_an_error(self, run: FoundRun) -> None:
        with pytest.raises(UserError, match=r"split=tset: there is no such split\. Did you"):
            scored(run, split="tset")


class TestChangedData:
    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(data=st.data())
    def test_scored_examples_were_never_trained_on(
        self, run: FoundRun, trained: Dataset, tmp_path: Path, data: st.DataObject
    ) -> None:
        """Rows are reordered, removed and added."""
        kept = data.draw(st.permutations(range(60)))[: data.draw(st.integers(0, 60))]
        added = data.draw(st.lists(st.integers(0, 29), min_size=1, unique=True))
        rows = [*(ROWS[number] for number in kept), *(NEW[number] for number in added)]
        found = scored(run, table(tmp_path / "changed.csv", rows))
        seen = rows_of(trained.train) | rows_of(trained.validation)
        names = {row: name for name, split in trained.splits() for row in rows_of(split)}
        inputs = rows_of(found.examples)
        # Counters intersect as multisets: no scored row is one of those that were seen.
        assert not inputs & seen
        assert sum(found.left_out.values()) + len(found.examples) == len(rows)
        of_test = sum(names.get(row) == "test" for row in inputs)
        assert len(found.examples) == len(added) + of_test
        assert sum(found.left_out.values()) + of_test == len(kept)

    @pytest.mark.parametrize("change", ["sorted", "reversed", "one removed", "another column"])
    def test_reordered_rows_score_as_the_test_split(
        self, run: FoundRun, trained: Dataset, tmp_path: Path, change: str
    ) -> None:
        of_test = rows_of(trained.test)
        rows = {
            "sorted": sorted(ROWS),
            "reversed": ROWS[::-1],
            "one removed": [ROWS[k] for k in range(60) if k != self._trained(trained)],
            "another column": [f"{row},7" for row in ROWS[1:] + ROWS[:1]],
        }[change]
        header = "a,b,kind,more" if change == "another column" else "a,b,kind"
        found = scored(run, table(tmp_path / "changed.csv", rows, header))
        assert rows_of(found.examples) == of_test
        assert re.fullmatch("all-new-[0-9a-f]{8}", found.label)
        assert "9 are scored (9 of them are in the run's own test split)" in found.notes[0]
        assert "has changed since" in found.notes[0]

    @staticmethod
    def _trained(trained: Dataset) -> int:
        """Returns the number of a row that was trained on."""
        inputs = rows_of(trained.train)
        values = [np.array([*map(float, row.split(",")[:2])]).tobytes() for row in ROWS]
        return next(k for k in range(60) if inputs[values[k]])

    def test_named_split_is_that_of_the_new_data(
        self, run: FoundRun, trained: Dataset, tmp_path: Path
    ) -> None:
        path = table(tmp_path / "more.csv", [*ROWS, *NEW])
        total = 0
        for name in ("train", "val", "test"):
            loaded = load_data(run, [path], None, name)
            found = choose_examples(run, loaded, name)
            fresh = dict(loaded.dataset.splits())[name]
            assert len(fresh) == len(found.examples) + sum(found.left_out.values())
            assert not rows_of(found.examples) - rows_of(fresh)
            assert not rows_of(found.examples) & rows_of(trained.train)
            assert found.label.startswith(f"{name}-new-")
            assert ("not those of training data" in found.notes[0]) == (name == "train")
            total += len(found.examples)
        # The run's test split and the new rows, divided among the new splits.
        assert total == 9 + 30

    def test_new_data_is_scored_completely(self, run: FoundRun, tmp_path: Path) -> None:
        found = scored(run, table(tmp_path / "new.csv", NEW))
        assert len(found.examples) == 30
        assert re.fullmatch("all-[0-9a-f]{8}", found.label)
        assert "all 30 examples are scored, and the run was trained on none" in found.notes[0]
        assert len(scored(run, f"data.path={tmp_path / 'new.csv'}", split="test").examples) == 5

    def test_duplicates_of_training_examples_are_counted(
        self, run: FoundRun, trained: Dataset, tmp_path: Path
    ) -> None:
        known = ROWS[self._trained(trained)]
        found = scored(run, table(tmp_path / "new.csv", [*NEW, known, known, known]))
        assert (len(found.examples), found.left_out) == (30, {"train": 3, "val": 0})
        assert "3 are left out, since the run was trained on the inputs of 3" in found.notes[0]

    def test_row_with_a_corrected_label_is_not_new(self, run: FoundRun, tmp_path: Path) -> None:
        swapped = [
            row.replace("cat", "?").replace("dog", "cat").replace("?", "dog") for row in ROWS
        ]
        assert len(scored(run, table(tmp_path / "labels.csv", swapped)).examples) == 9

    def test_error_if_no_example_is_left(
        self, run: FoundRun, trained: Dataset, tmp_path: Path
    ) -> None:
        path = table(tmp_path / "known.csv", [ROWS[self._trained(trained)]])
        with pytest.raises(UserError, match=r"nothing is left to score.* of 1 and its best"):
            scored(run, path)

    def test_rows_of_weight_0_are_neither_trained_on_nor_scored(self, tmp_path: Path) -> None:
        rows = [f"{row},{int(i % 10 > 0)}" for i, row in enumerate(ROWS)]
        path = table(tmp_path / "known.csv", rows, "a,b,kind,w")
        run = record_run(tmp_path, *TABLE, path, "data.weight=w")
        size = len(scored(run).examples)
        rows = [row[:-1] + "1" for row in rows[::-1]]
        found = scored(run, table(tmp_path / "known.csv", rows, "a,b,kind,w"))
        assert len(found.examples) == size + 6
        path = table(tmp_path / "few.csv", [f"{NEW[0]},0", f"{NEW[1]},2"], "a,b,kind,w")
        loaded = load_data(run, [path], None)
        assert len(choose_examples(run, loaded, None).examples) == 1
        assert any("1 of 2 examples have the weight 0" in note for note in loaded.dataset.notes)


class TestSmallData:
    """Tests of data that is too small to be split."""

    @pytest.mark.parametrize("rows", [NEW[:1], NEW[1:3], [NEW[0], NEW[3]], NEW[:8]])
    def test_small_table_is_scored_completely(
        self, run: FoundRun, tmp_path: Path, rows: Sequence[str]
    ) -> None:
        found = scored(run, table(tmp_path / "few.csv", rows))
        assert len(found.examples) == len(rows)
        expected = ["cat" in row for row in rows]
        assert (found.examples.targets == 0).tolist() == expected  # cat comes before dog

    def test_column_that_only_defines_splits_may_be_missing(self, tmp_path: Path) -> None:
        rows = [f"{row},{i},{i // 3}" for i, row in enumerate(ROWS)]
        path = table(tmp_path / "known.csv", rows, "a,b,kind,id,patient")
        run = record_run(tmp_path, *TABLE, path, "data.group=patient", "data.ignore=[id]")
        found = scored(run, table(tmp_path / "new.csv", NEW))
        assert len(found.examples) == 30

    def test_split_of_a_small_table_is_an_error_with_the_fix(
        self, run: FoundRun, tmp_path: Path
    ) -> None:
        path = table(tmp_path / "few.csv", NEW[:3])
        with pytest.raises(
            UserError, match=r"class dog has 1 example.* To use all of the data: split=all"
        ):
            scored(run, path, split="test")

    def test_other_errors_of_small_data_are_reported(self, run: FoundRun, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="does not know: 'bird'"):
            scored(run, table(tmp_path / "few.csv", ["1,2,bird"]))
        with pytest.raises(UserError, match="the columns 'b' are missing"):
            scored(run, table(tmp_path / "few.csv", ["1,cat"], "a,kind"))
        with pytest.raises(UserError, match="there is no such file"):
            scored(run, f"data.path={tmp_path / 'nothing.csv'}")

    def test_small_regression_data_is_scored(self, tmp_path: Path) -> None:
        values = [f"{a:.4f},{b:.4f},{a + b:.4f}" for a, b in RANDOM.random((40, 2))]
        given = ("data=csv", "data.target=kind", "data.batch_size=8", "loss=mse")
        run = record_run(tmp_path, *given, table(tmp_path / "known.csv", values))
        assert len(scored(run, table(tmp_path / "known.csv", values[::-1])).examples) == 6
        found = scored(run, table(tmp_path / "new.csv", ["0.5,0.25,0.75"]))
        assert found.examples.targets.tolist() == [[0.75]]


def npz(file: Path, **arrays: Any) -> str:
    np.savez(file, **arrays)
    return f"data.path={file}"


class TestArrays:
    X, Y = RANDOM.standard_normal((60, 4)), np.arange(60) % 3

    @pytest.fixture
    def run(self, tmp_path: Path) -> FoundRun:
        path = npz(tmp_path / "known.npz", x=self.X, y=self.Y)
        return record_run(tmp_path, "data=npz", "data.batch_size=8", path)

    def test_reordered_examples_are_recognized(self, run: FoundRun, tmp_path: Path) -> None:
        found = scored(run, npz(tmp_path / "x.npz", x=self.X[::-1], y=self.Y[::-1]))
        assert (len(found.examples), found.left_out) == (9, {"train": 42, "val": 9})

    @pytest.mark.parametrize("classes", [[0], [1], [2, 0]])
    def test_few_examples_of_few_classes_are_scored(
        self, run: FoundRun, tmp_path: Path, classes: list[int]
    ) -> None:
        x = RANDOM.standard_normal((len(classes), 4))
        found = scored(run, npz(tmp_path / "x.npz", x=x, y=np.array(classes)))
        assert found.examples.targets.tolist() == classes

    def test_unknown_class_is_an_error(self, run: FoundRun, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="the labels go up to 3"):
            scored(run, npz(tmp_path / "x.npz", x=self.X[:1], y=np.array([3])))

    def test_given_splits(self, tmp_path: Path) -> None:
        """One of two given splits has changed; the run was trained on all of the other one."""
        names: dict[str, Any] = {
            f"x_{name}": self.X[k::3] for k, name in enumerate(("train", "val", "test"))
        }
        names |= {f"y_{name}": self.Y[:20] for name in ("train", "val", "test")}
        run = record_run(
            tmp_path, "data=npz", "data.batch_size=8", npz(tmp_path / "known.npz", **names)
        )
        assert (scored(run).label, len(scored(run).examples)) == ("test", 20)
        new = RANDOM.standard_normal((5, 4))
        changed = {**names, "x_test": np.r_[new, self.X[:2]], "y_test": self.Y[:7]}
        path = npz(tmp_path / "changed.npz", **changed)
        found = scored(run, path, split="test")
        # The second of the two, number 1, is in the array of the validation split.
        assert (len(found.examples), found.left_out) == (5, {"train": 1, "val": 1})
        assert len(scored(run, path).examples) == 5
        with pytest.raises(UserError, match="the train split of data=npz: nothing is left"):
            scored(run, path, split="train")

    @pytest.mark.parametrize("stream", [False, True])
    def test_folders(self, tmp_path: Path, stream: bool) -> None:
        def folder(name: str, x: Any, y: Any) -> str:
            (tmp_path / name).mkdir()
            np.save(tmp_path / name / "x.npy", x)
            np.save(tmp_path / name / "y.npy", y)
            return f"data.path={tmp_path / name}"

        known = folder("known", self.X, self.Y)
        run = record_run(
            tmp_path, "data=npz", "data.batch_size=8", known, f"data.stream={str(stream).lower()}"
        )
        assert scored(run).label == "test"
        more = np.r_[self.X, RANDOM.standard_normal((7, 4))]
        found = scored(run, folder("more", more, np.arange(67) % 3))
        assert isinstance(found.examples.inputs, np.ndarray) != stream
        assert len(found.examples) == 9 + 7
        assert not rows_of(found.examples) - Counter(row.tobytes() for row in more)
        one = folder("one", more[-1:], np.array([2]))
        assert len(scored(run, one).examples) == 1


class TestImages:
    def folder(self, path: Path, count: int = 20, classes: Sequence[str] = ("cat", "dog")) -> str:
        for name in classes:
            (path / name).mkdir(parents=True)
            for number, pixels in enumerate(images(count, 8, 8, 3)):
                Image.fromarray(pixels).save(path / name / f"{number}.png")
        return f"data.path={path}"

    @pytest.fixture
    def run(self, tmp_path: Path) -> FoundRun:
        path = self.folder(tmp_path / "known")
        return record_run(tmp_path, "data=image_folder", "data.batch_size=8", path)

    def test_added_image_is_the_only_new_example(self, run: FoundRun, tmp_path: Path) -> None:
        assert (scored(run).label, len(scored(run).examples)) == ("test", 6)
        # Its name sorts first, so that the numbers of all others change.
        Image.fromarray(images(1, 8, 8, 3)[0]).save(tmp_path / "known" / "cat" / "+.png")
        found = scored(run)
        assert (len(found.examples), found.left_out) == (7, {"train": 28, "val": 6})

    def test_few_images_of_one_class_are_scored(self, run: FoundRun, tmp_path: Path) -> None:
        found = scored(run, self.folder(tmp_path / "new", 2, ["dog"]))
        assert found.examples.targets.tolist() == [1, 1]

    def test_unknown_or_renamed_class_is_an_error(self, run: FoundRun, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="ant"):
            scored(run, self.folder(tmp_path / "new", 2, ["ant"]))
        with pytest.raises(UserError, match=r"ant.*cat, dog"):
            scored(run, self.folder(tmp_path / "renamed", 20, ["ant", "bee"]))

    def test_given_splits(self, tmp_path: Path) -> None:
        for part, count in (("train", 10), ("val", 5), ("test", 5)):
            self.folder(tmp_path / "known" / part, count)
        run = record_run(
            tmp_path, "data=image_folder", "data.batch_size=8", f"data.path={tmp_path / 'known'}"
        )
        assert len(scored(run).examples) == 10
        file = tmp_path / "known" / "train" / "cat" / "0.png"
        file.rename(tmp_path / "known" / "test" / "cat" / "moved.png")
        found = scored(run, split="test")
        assert (len(found.examples), found.left_out) == (10, {"train": 1, "val": 0})


def test_published_files_with_other_test_images_are_scored(tmp_path: Path) -> None:
    given = ["data=mnist", *FILES["mnist"](tmp_path)]
    run = record_run(tmp_path, *given)
    assert (scored(run).label, len(scored(run).examples)) == ("test", 20)
    with np.load(tmp_path / "mnist.npz") as file:
        arrays = dict(file)
    x, y = images(3, 28, 28), np.array([1, 2, 2])
    (tmp_path / "new").mkdir()
    few: dict[str, Any] = {name: x if name[0] == "x" else y for name in arrays}
    np.savez(tmp_path / "new" / "mnist.npz", **few)
    found = scored(run, f"data.path={tmp_path / 'new'}")  # fewer than are held out
    assert found.examples.targets.tolist() == [1, 2, 2] * 2
    arrays |= {"x_test": np.r_[x, arrays["x_train"][:4]], "y_test": np.arange(7)}
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert len(scored(run, split="test").examples) == 3
    assert len(scored(run).examples) == 3


def test_cifar_files_with_few_images_are_scored(tmp_path: Path) -> None:
    run = record_run(tmp_path, "data=cifar10", *FILES["cifar10"](tmp_path))
    assert len(scored(run).examples) == 20
    few: dict[str, Any] = {"x_train": images(2, 32, 32, 3), "x_test": images(1, 32, 32, 3)}
    (tmp_path / "few").mkdir()
    np.savez(
        tmp_path / "few" / "cifar10.npz", **few, y_train=np.array([3, 4]), y_test=np.array([5])
    )
    found = scored(run, f"data.path={tmp_path / 'few'}")
    assert found.examples.targets.tolist() == [3, 4, 5]


def test_bundled_data_from_another_source_is_recognized(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    run = record_run(tmp_path)
    assert (scored(run).label, len(scored(run).examples)) == ("test", 270)
    x = (digits.images / 16)[..., None].astype(np.float32)
    found = scored(run, "data=npz", npz(tmp_path / "same.npz", x=x, y=digits.target))
    assert (len(found.examples), found.label) == (270, "test")
    found = scored(run, "data=npz", npz(tmp_path / "mine.npz", x=x[::-1], y=digits.target[::-1]))
    assert (len(found.examples), found.left_out) == (270, {"train": 1257, "val": 270})
    assert found.label.startswith("all-new-")


def test_columns_in_another_order_are_an_error(tmp_path: Path) -> None:
    from sklearn.datasets import load_iris

    run = record_run(tmp_path, "data=iris")
    frame = load_iris(as_frame=True).frame
    frame["target"] = frame["target"].map(dict(enumerate(load_iris().target_names)))
    frame.to_csv(tmp_path / "iris.csv", index=False)
    given = ("data=csv", "data.target=target", f"data.path={tmp_path / 'iris.csv'}")
    assert len(scored(run, *given).examples) < 25
    frame[frame.columns[[1, 0, 2, 3, 4]]].to_csv(tmp_path / "iris.csv", index=False)
    with pytest.raises(UserError, match=r"its features are sepal width .* Rename and reorder"):
        scored(run, *given)


class TestOlderRuns:
    """Tests of runs of older versions, without hashes and with fingerprints of contents alone."""

    @pytest.fixture
    def older(self, tmp_path: Path) -> FoundRun:
        return record_run(tmp_path, *TABLE, table(tmp_path / "known.csv", ROWS), is_older=True)

    def test_unchanged_data_is_recognized(self, older: FoundRun) -> None:
        assert (scored(older).label, len(scored(older).examples)) == ("test", 9)
        assert len(scored(older, split="train").examples) == 42

    def test_changed_data_is_scored_completely_with_a_warning(
        self, older: FoundRun, tmp_path: Path
    ) -> None:
        found = scored(older, table(tmp_path / "known.csv", ROWS[::-1]))
        assert len(found.examples) == 60
        assert re.fullmatch("all-unchecked-[0-9a-f]{8}", found.label)
        assert "It is unknown whether the run was trained on some of them" in found.notes[0]
        assert "recorded before runs kept hashes" in found.notes[0]

    def test_split_of_changed_data_is_an_error(self, older: FoundRun, tmp_path: Path) -> None:
        path = table(tmp_path / "known.csv", ROWS[::-1])
        with pytest.raises(UserError, match=r"split=test: .* is unknown.*: split=all"):
            scored(older, path, split="test")

    def test_renamed_classes_are_an_error(self, older: FoundRun, tmp_path: Path) -> None:
        renamed = [row.replace("cat", "ant").replace("dog", "bee") for row in ROWS]
        with pytest.raises(UserError, match="does not know: 'ant', 'bee'"):
            scored(older, table(tmp_path / "known.csv", renamed))


def test_stream_without_hashes_is_noted(run: FoundRun, tmp_path: Path) -> None:
    data = {**run.record.data.to_mapping(), "example_hashes": None}
    streamed = replace(run, record=run.record.updated({"data": data}))
    found = scored(streamed, table(tmp_path / "new.csv", NEW))
    assert "its inputs were a stream that can't be hashed" in found.notes[0]


def test_lost_hashes_are_reported(run: FoundRun, tmp_path: Path) -> None:
    lost = replace(run, directory=tmp_path / "copy")
    (tmp_path / "copy" / ".hydra").mkdir(parents=True)
    config = run.directory / ".hydra" / "config.yaml"
    (tmp_path / "copy" / ".hydra" / "config.yaml").write_text(config.read_text())
    assert len(scored(lost).examples) == 9  # unchanged data needs none
    with pytest.raises(UserError, match=r"examples\.npz can't be read"):
        scored(lost, table(tmp_path / "new.csv", NEW))


def test_loaded_data_has_the_scales_of_training(run: FoundRun) -> None:
    loaded: LoadedData = load_data(run, [], None)
    assert loaded.dataset.input_scale is None  # as the record says
