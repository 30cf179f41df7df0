"""Class names are texts as written; values are numbers of any format."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.errors import UserError
from expt.parts.data.labels import Targets, parse_known_targets, parse_targets
from expt.parts.data.number_formats import NumberFormat


def column(texts: list[str]) -> "pd.Series[str]":
    # The index is the line in a file, of which the header is line 1.
    return pd.Series(texts, index=range(2, 2 + len(texts)), name="y", dtype="str")


def targets(texts: list[str], task: Any = None, **options: Any) -> Targets:
    return parse_targets(column(texts), task, **options)


def named(made: Targets) -> list[str]:
    return [made.class_names[code] for code in made.values]


# By name: the texts, and the classes in the order of their labels.
CLASSES = {
    "leading zeros": (["01", "1", "007", "7"], ("01", "1", "007", "7")),
    "ids": (
        ["995279394541916030", "88", "995279394541916024", "170794150009"],
        ("88", "170794150009", "995279394541916024", "995279394541916030"),
    ),
    # As float64 these would be one number.
    "neighbors beyond 2^53": (
        [str(2**60 + 2), str(2**60), str(2**60 + 1)],
        (str(2**60), str(2**60 + 1), str(2**60 + 2)),
    ),
    "numbers in order": (["10", "9", "-1"], ("-1", "9", "10")),
    "with points": (["2.0", "1.0"], ("1.0", "2.0")),
    "two ways": (["1", "1.0", "2"], ("1", "1.0", "2")),
    "exponents": (["1e3", "20"], ("20", "1e3")),
    "names and numbers": (["2", "10", "x"], ("10", "2", "x")),
    "capitals": (["no", "NO"], ("NO", "no")),
    "age groups": (["25-34", "18-24", "65+"], ("18-24", "25-34", "65+")),
    "missing marks": (["NA", "None", "x"], ("NA", "None", "x")),
    # Python's int() refuses texts of more than 4,300 digits.
    "many zeros": (["0" * 5000 + "1", "2"], ("0" * 5000 + "1", "2")),
}


@pytest.mark.parametrize("task", [None, "classification"])
@pytest.mark.parametrize("case", CLASSES)
def test_class_names_are_the_texts_as_written(case: str, task: Any) -> None:
    texts, expected = CLASSES[case]
    made = targets(texts * 6, task)
    assert (made.task, made.class_names, named(made)) == ("classification", expected, texts * 6)
    assert made.values.dtype == np.int32
    assert made.number is None


@given(st.lists(st.from_regex(r"[0-9]{1,20}", fullmatch=True), min_size=2, max_size=6, unique=True))
@settings(max_examples=30)
def test_different_texts_are_different_classes(names: list[str]) -> None:
    made = targets(names * 6)
    assert sorted(made.class_names) == sorted(names)
    assert named(made) == names * 6
    # Labels are in the order of the numbers.
    assert [int(name) for name in made.class_names] == sorted(map(int, names))


def test_names_that_look_alike_are_noted() -> None:
    assert targets(["01", "1", "x"] * 6).notes[-1] == (
        "'01' and '1' are different classes, as they are written."
    )
    assert not targets(["a", "b"] * 6, "classification").notes


@pytest.mark.parametrize(
    ("texts", "options", "note"),
    [
        (["a", "b"], {}, "task: classification, since 'y' has texts that are not numbers (2 diff"),
        (["1", "2"], {}, "task: classification, since 'y' has only 2 different whole numbers. If "),
        (["1", "2.5"], {}, "task: regression, since 'y' has 2 different numbers. If they are nam"),
        (["5%", "6.5%"], {}, "'y' is read as numbers in %."),
        (["1,5", "2,5"], {"decimal": ","}, "task: regression, since 'y' has 2 different numbers"),
    ],
)
def test_the_inferred_task_is_explained(texts: list[str], options: Any, note: str) -> None:
    assert any(one.startswith(note) for one in targets(texts * 10, **options).notes)


def test_explicit_task_is_not_explained() -> None:
    assert targets(["1", "2"] * 10, "regression").notes == ()
    assert targets(["1", "2"] * 10, "classification").notes == ()


def test_values_keep_float64_precision() -> None:
    texts = [str(1_700_000_000_000 + k) for k in range(60)]
    made = targets(texts)
    assert (made.task, made.values.shape) == ("regression", (60, 1))
    assert made.values.dtype == np.float64
    assert made.values[:, 0].tolist() == [float(text) for text in texts]


@pytest.mark.parametrize(
    ("texts", "task", "message"),
    [
        (["a"] * 9, None, "data.target=y is 'a' in every row"),
        ([f"{k}.5" for k in range(9)], "classification", "data.target=y has 9 different numbers"),
        (["1,5", "2,5"] * 9, None, "data.decimal=','. If its values are names of classes: data.ta"),
        (["a", "b"], "regression", "'y' has 'a' on line 2, where numbers are expected"),
        ([str(2**60 + k) for k in range(60)], None, "differences are lost in float64"),
        ([str(2**60 + k) for k in range(60)], "regression", "differences are lost in float64"),
    ],
)
def test_invalid_targets_are_reported(texts: list[str], task: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        targets(texts, task)
    assert message in str(error.value)


def test_fractions_may_be_classes_if_the_config_says_so() -> None:
    made = targets(["3.1", "3.10", "0.5"] * 6, "classification")
    assert made.class_names == ("0.5", "3.1", "3.10")


class TestTrainedModel:
    @pytest.mark.parametrize(
        ("given", "known"),
        [
            (["2", "1"], ("1", "2")),
            (["2.0", "1."], ("1", "2")),
            (["2", "1"], ("1.0", "2.0")),
            (["b", "b"], ("a", "b", "c")),  # classes may be absent
        ],
    )
    def test_labels_of_another_table(self, given: list[str], known: tuple[str, ...]) -> None:
        made = parse_known_targets(column(given), known, None)
        expected = [float(name) if name[0].isdigit() else name for name in given]
        found = [float(name) if name[0].isdigit() else name for name in named(made)]
        assert (made.task, made.class_names, found) == ("classification", known, expected)

    @pytest.mark.parametrize(
        ("given", "known"),
        [
            (["01"], ("1", "2")),
            (["A"], ("a", "b")),
            # Ambiguous: both 2 and 2. are classes.
            (["2.0"], ("1", "1.0", "2", "2.")),
            ([str(2**60 + 1)], (str(2**60), "1")),
        ],
    )
    def test_unknown_labels_are_reported(self, given: list[str], known: tuple[str, ...]) -> None:
        with pytest.raises(UserError, match="'y' has 1 labels that the model does not know"):
            parse_known_targets(column(given), known, None)

    def test_long_list_of_classes_is_shortened(self) -> None:
        known = tuple(f"c{k}" for k in range(1000))
        with pytest.raises(UserError) as error:
            parse_known_targets(column([f"d{k}" for k in range(1000)]), known, None)
        assert "'d0', 'd1', 'd10', 'd100', 'd101' and 995 more" in str(error.value)
        assert len(str(error.value)) < 400

    def test_few_whole_numbers_are_values_for_a_regression(self) -> None:
        # Inferred anew, these would be classes.
        made = parse_known_targets(column(["1", "2"] * 30), (), NumberFormat())
        assert (made.task, made.values[:2].tolist()) == ("regression", [[1.0], [2.0]])

    def test_values_have_the_unit_of_the_training(self) -> None:
        how = NumberFormat(decimal=",", suffix="%")
        assert parse_known_targets(column(["52,5 %"]), (), how).values.tolist() == [[52.5]]
        with pytest.raises(UserError, match=r"'y' has '0\.525' on line 2, where numbers in %"):
            parse_known_targets(column(["0.525"]), (), how)
