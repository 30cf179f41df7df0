import csv
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data import csv_files
from expt.parts.data.dataset import Dataset
from expt.parts.data.encoding import Encoder
from expt.parts.data.tables import Csv

COLOURS = ("blue", "green", "red")
HEADER = ["place", "size", "colour", "on", "price", "kind"]


def table(count: int = 60) -> list[list[str]]:
    """Returns rows whose first number is the index of the row."""
    random = np.random.default_rng(0)
    return [
        [
            str(row),
            f"{random.normal(50, 9):.3f}",
            COLOURS[row % 3],
            ("True", "False")[row // 3 % 2],
            f"{random.normal(1000, 250):.2f}",
            ("cat", "dog")[row // 2 % 2],
        ]
        for row in range(count)
    ]


def write(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    path = folder / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def text(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def load(path: Path, **changes: Any) -> Dataset:
    return Csv(path=str(path), **{"target": "kind", "batch_size": 4, **changes}).load()


def inputs_of(dataset: Dataset) -> list[NDArray[np.floating[Any]]]:
    return [split.first(len(split)) for _, split in dataset.splits()]


def rows_of(dataset: Dataset) -> list[list[int]]:
    """Returns the indices of each split's rows, which are in the first column."""
    return [inputs[:, 0].astype(int).tolist() for inputs in inputs_of(dataset)]


def with_cells(cells: Mapping[tuple[int, str], str]) -> list[list[str]]:
    rows = table()
    for (row, column), value in cells.items():
        rows[row][HEADER.index(column)] = value
    return rows


def test_columns_become_inputs_in_order(tmp_path: Path) -> None:
    dataset = load(write(tmp_path, table()))
    assert (dataset.name, dataset.task, dataset.skipped) == ("csv", "classification", 0)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.input_shape == (2 + 3 + 2 + 1,)
    assert sorted(row for rows in rows_of(dataset) for row in rows) == list(range(60))
    assert [len(rows) for rows in rows_of(dataset)] == [42, 9, 9]
    table_rows = table()
    for (_, split), rows in zip(dataset.splits(), rows_of(dataset), strict=True):
        expected = []
        for row in rows:
            number, size, colour, is_on, price, _ = table_rows[row]
            one_hot = [float(colour == name) for name in COLOURS]
            two_hot = [float(is_on == name) for name in ("False", "True")]
            expected.append([float(number), float(size), *one_hot, *two_hot, float(price)])
        inputs = split.first(len(split))
        assert inputs.dtype == np.float64
        np.testing.assert_array_equal(inputs, expected)
        assert split.targets.dtype == np.int32
        assert [dataset.class_names[k] for k in split.targets] == [table_rows[r][-1] for r in rows]


def test_splits_are_stratified_by_class(tmp_path: Path) -> None:
    rows = [[str(row), "ab"[row % 10 == 0]] for row in range(200)]
    dataset = load(write(tmp_path, rows, ["place", "kind"]))
    assert [int(split.targets.sum()) for _, split in dataset.splits()] == [14, 3, 3]


def test_splits_depend_only_on_split_seed(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    first = load(path, split_seed=1)
    # NumPy's global generator must not influence the split.
    np.random.seed(123)
    assert load(path, split_seed=1).fingerprint == first.fingerprint
    assert load(path, split_seed=1).preparation == first.preparation
    assert list(map(set, rows_of(load(path, split_seed=2)))) != list(map(set, rows_of(first)))


@pytest.mark.parametrize(
    ("target", "task", "class_names"),
    [
        (["yes", "no"], "classification", ("no", "yes")),
        (["True", "False"], "classification", ("False", "True")),
        (["10", "9", "1"], "classification", ("1", "9", "10")),
        (["1.0", "2.0"], "classification", ("1.0", "2.0")),
        (["-1", "1"], "classification", ("-1", "1")),
        (["0.5", "1.5"], "regression", ()),
        ([str(k) for k in range(60)], "regression", ()),
        ([str(k) for k in range(16)], "regression", ()),  # fewer than four rows per value
    ],
    ids=lambda given: ",".join(given)[:12] if isinstance(given, list) else "",
)
def test_the_task_is_inferred(
    tmp_path: Path, target: list[str], task: str, class_names: tuple[str, ...]
) -> None:
    rows = [[str(row), target[row % len(target)]] for row in range(60)]
    dataset = load(write(tmp_path, rows, ["place", "kind"]))
    assert (dataset.task, dataset.class_names) == (task, class_names)
    for (_, split), places in zip(dataset.splits(), rows_of(dataset), strict=True):
        given = [target[place % len(target)] for place in places]
        if task == "classification":
            named = [class_names[k] for k in split.targets]
            assert named == given
        else:
            assert split.targets.dtype == np.float64
            assert split.targets.tolist() == [[float(value)] for value in given]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_explicit_task_overrides_the_inferred_one(tmp_path: Path, task: str) -> None:
    rows = [[str(row), str(row % 2)] for row in range(60)]
    assert load(write(tmp_path, rows, ["place", "kind"]), task=task).task == task


def test_scale_is_fitted_to_numbers_of_the_train_split(tmp_path: Path) -> None:
    dataset = load(write(tmp_path, table()), target="price")
    inputs = inputs_of(dataset)[0].astype(np.float64)
    scale, target_scale = dataset.input_scale, dataset.target_scale
    assert scale is not None
    assert target_scale is not None
    numbers = [0, 1]
    # Columns of numbers are scaled, one-hot columns are not.
    np.testing.assert_allclose(scale.mean[numbers], inputs.mean(0)[numbers], rtol=1e-6)
    np.testing.assert_allclose(scale.deviation[numbers], inputs.std(0)[numbers], rtol=1e-6)
    assert scale.mean[2:].tolist() == [0] * 7
    assert scale.deviation[2:].tolist() == [1] * 7
    assert scale.mean.dtype == scale.deviation.dtype == np.float64
    targets = dataset.train.targets.astype(np.float64)
    np.testing.assert_allclose(target_scale.mean, targets.mean(0), rtol=1e-6)
    plain = load(
        write(tmp_path, table()), target="price", standardize=False, standardize_targets=False
    )
    assert plain.input_scale is None
    assert plain.target_scale is None


def test_category_missing_from_the_train_split_is_all_zeros(tmp_path: Path) -> None:
    # Changing a cell does not change the splits, so they can be found out first.
    train, validation, test = rows_of(load(write(tmp_path, table())))
    late = {(validation[0], "colour"): "aqua", (test[0], "colour"): "violet"}
    dataset = load(write(tmp_path, with_cells(late)))
    assert dataset.input_shape == (8,)
    _, later, latest = inputs_of(dataset)
    assert later[0, 2:5].tolist() == latest[0, 2:5].tolist() == [0, 0, 0]
    assert (later[1:, 2:5].sum(axis=1) == 1).all()
    early = load(write(tmp_path, with_cells({(train[0], "colour"): "aqua"})))
    assert early.input_shape == (9,)
    assert inputs_of(early)[0][0, 2:6].tolist() == [1, 0, 0, 0]  # aqua is sorted before blue


def test_ignored_columns_are_left_out(tmp_path: Path) -> None:
    dataset = load(write(tmp_path, table()), ignore=["colour", "on", "price"])
    assert dataset.input_shape == (2,)


def test_numbers_may_be_categories(tmp_path: Path) -> None:
    rows = [[str(row), str(row % 3), "ab"[row % 2]] for row in range(60)]
    path = write(tmp_path, rows, ["place", "zone", "kind"])
    assert load(path).input_shape == (2,)
    dataset = load(path, categorical=["zone"])
    assert dataset.input_shape == (4,)
    for inputs, places in zip(inputs_of(dataset), rows_of(dataset), strict=True):
        assert inputs[:, 1:].argmax(axis=1).tolist() == [place % 3 for place in places]


def test_column_of_weights(tmp_path: Path) -> None:
    rows = [[str(row), str(row % 5), "ab"[row % 2]] for row in range(60)]
    dataset = load(write(tmp_path, rows, ["place", "often", "kind"]), weight="often")
    assert dataset.input_shape == (1,)
    for (_, split), places in zip(dataset.splits(), rows_of(dataset), strict=True):
        assert split.weights is not None
        assert split.weights.dtype == np.float32
        assert split.weights.tolist() == [place % 5 for place in places]
        assert 0 not in split.weights
    assert sum(len(split) for _, split in dataset.splits()) == 48
    assert dataset.notes[-1].startswith("12 of 60 examples have the weight 0 and are left out of")


def test_scales_ignore_rows_of_weight_0(tmp_path: Path) -> None:
    # Rows of weight 0 hold values that would dominate any scale.
    rows = [[str(row), "1", str(3 * row)] for row in range(60)]
    junk = [["-99999", "0", "1e9"] for _ in range(15)]
    header = ["place", "often", "price"]
    both = load(
        write(tmp_path, [*rows, *junk], header), weight="often", task="regression", target="price"
    )
    for scale, of in (
        (both.input_scale, both.train.inputs),
        (both.target_scale, both.train.targets),
    ):
        assert scale is not None
        np.testing.assert_allclose(scale.mean, np.asarray(of).mean(axis=0))
        assert 0 < scale.mean[0] < 180


@pytest.mark.parametrize("mark", ["", "  ", "NA", "nan", "NULL", "None", "?", "n/a"])
def test_rows_with_missing_values_are_dropped(tmp_path: Path, mark: str) -> None:
    cells = {(3, "size"): mark, (7, "colour"): mark, (7, "price"): mark, (11, "kind"): mark}
    dataset = load(write(tmp_path, with_cells(cells)), missing="drop")
    kept = sorted(row for rows in rows_of(dataset) for row in rows)
    assert kept == [row for row in range(60) if row not in (3, 7, 11)]
    assert dataset.skipped == 3


def test_missing_numbers_become_the_train_splits_mean(tmp_path: Path) -> None:
    # One missing value in each split, and a second one in training, written differently.
    places = rows_of(load(write(tmp_path, table())))
    cells = {(rows[0], "size"): "" for rows in places} | {(places[0][1], "size"): "NA"}
    dataset = load(write(tmp_path, with_cells(cells)), missing="impute")
    assert rows_of(dataset) == places
    rows = table()
    known = [float(rows[row][1]) for row in places[0][2:]]
    for inputs in inputs_of(dataset):
        assert inputs[0, 1] == pytest.approx(sum(known) / len(known), rel=1e-6)
    assert inputs_of(dataset)[0][1, 1] == inputs_of(dataset)[0][0, 1]
    assert dataset.skipped == 0


def test_missing_text_is_a_separate_category(tmp_path: Path) -> None:
    places = rows_of(load(write(tmp_path, table())))
    cells = {(rows[0], "colour"): "" for rows in places}
    dataset = load(write(tmp_path, with_cells(cells)), missing="impute")
    assert dataset.input_shape == (9,)
    for inputs in inputs_of(dataset):
        assert inputs[0, 2:6].tolist() == [1, 0, 0, 0]
        assert (inputs[1:, 2] == 0).all()
    # Without a missing text in training there is no such category.
    later = load(write(tmp_path, with_cells({(places[1][0], "colour"): ""})), missing="impute")
    assert later.input_shape == (8,)
    assert inputs_of(later)[1][0, 2:5].tolist() == [0, 0, 0]


@pytest.mark.parametrize("missing", ["error", "drop", "impute"])
def test_encoder_does_not_need_the_target(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path, with_cells({} if missing == "error" else {(5, "size"): ""}))
    dataset = load(path, missing=missing)
    assert dataset.preparation is not None
    encoder = Encoder.from_mapping(json.loads(json.dumps(dataset.preparation)))
    assert encoder.to_mapping() == dataset.preparation
    for inputs, rows in zip(inputs_of(dataset), rows_of(dataset), strict=True):
        # Without the target, with an additional column, in another order.
        given = [[table()[row][k] for k in (4, 2, 1, 0, 3)] + ["x"] for row in rows]
        for cells, row in zip(given, rows, strict=True):
            cells[2] = "" if row == 5 and missing == "impute" else cells[2]
        path = write(tmp_path, given, ["price", "colour", "size", "place", "on", "more"])
        np.testing.assert_array_equal(
            encoder.transform(encoder.read(path)).inputs, inputs, strict=True
        )


def encoder_of(folder: Path, **changes: Any) -> Encoder:
    mapping = load(write(folder, table()), **changes).preparation
    assert mapping is not None
    return Encoder.from_mapping(mapping)


def test_another_table_is_encoded_like_the_first(tmp_path: Path) -> None:
    known = load(write(tmp_path, table())).preparation
    rows = [[*row[:2], "aqua" if k % 3 else "red", *row[3:], ""] for k, row in enumerate(table())]
    path = write(tmp_path, rows, [*HEADER, "more"])  # an unknown, empty column is ignored
    dataset = load(path, preparation=known)
    assert dataset.preparation == known
    for inputs, places in zip(inputs_of(dataset), rows_of(dataset), strict=True):
        expected = [[0.0, 0.0, float(place % 3 == 0)] for place in places]  # blue, green, red
        assert inputs[:, 2:5].tolist() == expected
    path = write(tmp_path, [row[1:] for row in table()], HEADER[1:])
    with pytest.raises(UserError, match=f"{re.escape(str(path))}: the columns 'place' are missing"):
        load(path, preparation=known)


def test_the_encoder_reads_the_separator_of_training(tmp_path: Path) -> None:
    rows = "\n".join(f"{row};{row % 3}" for row in range(30))
    path = text(tmp_path, f"place;kind\n{rows}\n")
    mapping = load(path, separator=";").preparation
    assert mapping is not None
    assert Encoder.from_mapping(mapping).read(path).shape == (30, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "place,size\n1,2\n",
            "the columns 'colour', 'on', 'price' are missing; the table has 'place', 'size'.",
        ),
        ("place,size,colour,on,price\n1,2,red,True,\n", "line 2 has no value of 'price'"),
        ("place,size,colour,on,price\n1,2,,True,4\n", "line 2 has no value of 'colour'"),
        ("place,size,colour,on,price\n1,big,red,True,4\n", "'size' has 'big' on line 2"),
        ("place,size,colour,on,price\n1,2,red\n", "line 2 has 3 value(s), the header 5"),
        ("", "the file is empty"),
    ],
)
def test_invalid_tables_for_prediction_are_reported(
    tmp_path: Path, content: str, message: str
) -> None:
    encoder = encoder_of(tmp_path)
    path = text(tmp_path, content)
    with pytest.raises(UserError) as error:
        encoder.transform(encoder.read(path))
    assert message in str(error.value)


def test_missing_table_for_prediction_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.csv: it can't be read as CSV"):
        encoder_of(tmp_path).read(tmp_path / "nothing.csv")


BODY = "".join(f"{row},{row * 1.5},{'ab'[row % 2]}\n" for row in range(30))


@pytest.mark.parametrize(
    "content",
    [
        "place,x,kind\n" + BODY,
        "\ufeffplace,x,kind\n" + BODY,
        "place,x,kind\r\n" + BODY.replace("\n", "\r\n"),
        "place,x,kind\r" + BODY.replace("\n", "\r"),
        "\nplace,x,kind\n\n" + BODY.replace("\n", "\n\n"),
        " place , x ,kind \n" + BODY.replace(",", " , ").replace("\n", " \n"),
        '"place","x","kind"\n' + BODY.replace("a", '"a"').replace("b", ' "b"'),
        "place,x,kind\n" + BODY.rstrip("\n"),
    ],
    ids=["plain", "mark", "crlf", "cr", "blank lines", "spaces", "quoted", "no last line end"],
)
def test_spellings_of_the_same_table(tmp_path: Path, content: str) -> None:
    expected = load(text(tmp_path, "place,x,kind\n" + BODY))
    dataset = load(text(tmp_path, content))
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.preparation == expected.preparation
    assert dataset.class_names == ("a", "b")


@pytest.mark.parametrize("separator", [";", "\t", r"\t", "|"])
def test_separators(tmp_path: Path, separator: str) -> None:
    character = separator.replace(r"\t", "\t")
    content = ("place,x,kind\n" + BODY).replace(",", character)
    assert load(text(tmp_path, content), separator=separator).input_shape == (2,)


def test_quoted_values_may_hold_separators_line_ends_and_quotes(tmp_path: Path) -> None:
    names = ['a,"b"', "c\nd"]
    rows = [[str(row), names[row % 2]] for row in range(30)]
    assert load(write(tmp_path, rows, ["place", "kind"])).class_names == tuple(names)


def test_large_tables_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, table())
    expected = load(path).fingerprint
    # Line numbers must stay right across pieces, too.
    monkeypatch.setattr(csv_files, "_ROWS_AT_ONCE", 7)
    assert load(path).fingerprint == expected
    with pytest.raises(UserError, match="'size' has '12a' on line 57"):
        load(write(tmp_path, with_cells({(55, "size"): "12a"})))


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, table())
    monkeypatch.setenv("HOME", str(tmp_path))
    dataset = load(Path("~/table.csv"))
    assert len(dataset.test) == 9
    assert dataset.preparation is not None
    assert len(Encoder.from_mapping(dataset.preparation).read("~/table.csv")) == 60


def test_loading_writes_no_files(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    before = path.stat().st_mtime_ns, path.read_bytes()
    load(path)
    assert list(tmp_path.iterdir()) == [path]
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def many(name: Callable[[int], str], count: int = 60) -> list[list[str]]:
    """Returns rows whose colour is `name` of their index."""
    return [[*row[:2], name(k), *row[3:]] for k, row in enumerate(table(count))]


# What is refused


def body(line: str = "") -> str:
    return "place,x,kind\n" + BODY + line


BAD_TABLES: dict[str, tuple[str | list[list[str]], dict[str, Any], str]] = {
    "empty": ("", {}, "the file is empty; expected a header and rows"),
    "blank": ("\n\n", {}, "the file is empty; expected a header and rows"),
    "a header alone": ("place,x,kind\n", {}, "there is a header but no rows"),
    "a short row": (body("30,1\n"), {}, "line 32 has 2 value(s), the header 3"),
    "a long row": (body("30,1,a,b\n"), {}, "line 32 has 4 value(s), the header 3"),
    "a row after a quoted line end": (
        'place,kind\n1,"a\nb"\n2\n',
        {},
        "line 4 has 1 value(s), the header 2",
    ),
    "an open quotation": (body('30,1,"a\n'), {}, "line 32 can't be read as CSV"),
    "text behind a quotation": (body('30,1,"a"b\n'), {}, "line 32 can't be read as CSV"),
    "the same name twice": ("x,x,kind\n1,2,a\n", {}, "the header repeats 'x'; expected"),
    "the same name but for spaces": ("x, x,kind\n1,2,a\n", {}, "the header repeats 'x'"),
    "no name": (
        body().replace("place", "", 1),
        {},
        "column 1 has no name in the header, like an index written by pandas; name it, or leave",
    ),
    "another separator": (
        body().replace(",", ";"),
        {},
        "the header has one column, 'place;x;kind'; expected several. It is separated by ';': "
        "data.separator=';'.",
    ),
    "a long separator": (
        body(),
        {"separator": "::"},
        "data.separator='::': expected one character",
    ),
    "a misspelt target": (
        body(),
        {"target": "kinds"},
        "data.target=kinds: there is no such column. Did you mean 'kind'? Valid: kind, place, x.",
    ),
    "no target": (
        body(),
        {"target": None},
        "data.target=null: expected a column, or \"data.target='null'\" for one of that name. "
        "Valid: kind, place, x.",
    ),
    "no header": (BODY, {}, "data.target=kind: there is no such column"),
    "a misspelt column to ignore": (body(), {"ignore": ["xx"]}, "data.ignore=xx: there is no such"),
    "a misspelt weight": (body(), {"weight": "w"}, "data.weight=w: there is no such column"),
    "a misspelt category": (body(), {"categorical": ["w"]}, "data.categorical=w: there is no such"),
    "no list": (body(), {"ignore": "place"}, "data.ignore=place: expected a list, such as [place]"),
    "the target ignored": (body(), {"ignore": ["kind"]}, "'kind' is named twice"),
    "the target as weight": (body(), {"weight": "kind"}, "'kind' is named twice"),
    "nothing left": (body(), {"ignore": ["place", "x"]}, "no column is left for the inputs"),
    "a task of another kind": (
        body(),
        {"task": "generation"},
        "data.task=generation: expected one",
    ),
    "a misspelt choice": (body(), {"missing": "mean"}, "data.missing=mean: expected one of error,"),
    "text among numbers": (
        with_cells({(7, "size"): "12a"}),
        {},
        "'size' has '12a' on line 9, where numbers are expected (1 such value(s) of 60). Fix it,",
    ),
    "infinity": (
        with_cells({(7, "size"): "-inf"}),
        {},
        "such as '-inf' on line 9: infinite values",
    ),
    "beyond float64": (with_cells({(7, "size"): "1e309"}), {}, "'size' has '1e309' on line 9"),
    "missing values": (
        with_cells({(7, "size"): "", (7, "on"): "NA", (9, "size"): "?"}),
        {},
        "2 of 60 rows lack values, the first on line 9; missing by column: 'size' 2 ('?' 1), "
        "'on' 1 ('NA' 1).",
    ),
    "a missing target": (
        with_cells({(7, "kind"): ""}),
        {"missing": "impute"},
        "1 of 60 rows lack values, the first on line 9; missing by column: 'kind' 1.",
    ),
    "a missing weight": (
        with_cells({(7, "place"): ""}),
        {"missing": "impute", "weight": "place"},
        "missing by column: 'place' 1",
    ),
    "nothing left to drop": (
        [[*row[:2], "", *row[3:]] for row in table()],
        {"missing": "drop"},
        "60 of 60 rows lack values, the first on line 2; missing by column: 'colour' 60.",
    ),
    "nothing to impute from": (
        [[*row[:2], "", *row[3:]] for row in table()],
        {"missing": "impute"},
        "'colour' has no value in the train split; leave it out: data.ignore=[colour]",
    ),
    "a text a row": (many(lambda k: f"n{k}"), {}, "'colour' has 60 different texts in 60 rows"),
    "a text for two rows": (
        many(lambda k: f"n{k % 31}"),
        {},
        "'colour' has 31 different texts in 60 rows; expected at most 100, and at most half",
    ),
    "too many texts": (
        many(lambda k: f"n{k % 101}", 300),
        {},
        "'colour' has 101 different texts in 300 rows",
    ),
    "one class": (
        [[*row[:5], "cat"] for row in table()],
        {},
        "data.target=kind is 'cat' in every row; expected at least two classes",
    ),
    "a rare class": (with_cells({(0, "kind"): "cow"}), {}, "class cow has 1 example(s)"),
    "text where values are asked for": (
        table(),
        {"task": "regression"},
        "'kind' has 'cat' on line 2, where numbers are expected (60 such value(s) of 60)",
    ),
    "values where classes are asked for": (
        table(),
        {"task": "classification", "target": "size"},
        "data.target=size has",
    ),
    "a slip in a target of values": (
        with_cells({(7, "price"): "1o0"}),
        {"target": "price"},
        "'price' has '1o0' on line 9, where numbers are expected (1 such value(s) of 60). If its",
    ),
    "negative weights": (
        with_cells({(7, "place"): "-2"}),
        {"weight": "place"},
        "data.weight=place: line 9 has -2; expected at least 0",
    ),
    "text weights": (table(), {"weight": "colour"}, "'colour' has 'blue' on line 2, where numbers"),
    "two rows": ("x,y\n1,1.5\n2,2.5\n", {"target": "y"}, "2 examples are too few to split"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_invalid_tables_are_reported(tmp_path: Path, case: str) -> None:
    content, changes, message = BAD_TABLES[case]
    path = text(tmp_path, content) if isinstance(content, str) else write(tmp_path, content)
    with pytest.raises(UserError) as error:
        load(path, **changes)
    assert message in str(error.value)
    assert f"data.path={path}: " in str(error.value) or set(changes) & {"task", "missing"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("place,kind\n1,a\n2,caf\xe9\n".encode("latin-1"), 3),
        (b"place,kind\n" + b"1,a\n" * 20_000 + b"2,\xff\n", 20_002),
    ],
)
def test_other_encodings(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises(UserError, match=f"line {line} is not UTF-8 text .*; save the file as"):
        load(text(tmp_path, content))


def test_folder_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"data.path={re.escape(str(tmp_path))}: it can't be read"):
        load(tmp_path)


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file or folder"):
        load(tmp_path / "nothing.csv")


def test_batch_size_too_large(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.batch_size=43: data=csv has 42 training"):
        load(write(tmp_path, table()), batch_size=43)


def test_loading_does_not_import_tensorflow(tmp_path: Path) -> None:
    import subprocess

    path = write(tmp_path, table())
    # In a fresh process: this one may have imported TensorFlow for other tests.
    code = (
        "import sys; from expt.parts.data.tables import Csv; "
        f"Csv(path={str(path)!r}, target='kind', batch_size=4).load(); "
        "print({'tensorflow', 'keras', 'mlflow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
