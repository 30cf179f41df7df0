from expt.parts.data.names import as_item, join_names, similar_names_note


def test_names_that_look_alike_are_noted() -> None:
    assert similar_names_note(["01", "1", "no", "NO", "b"], "classes") == (
        "'01' and '1', 'no' and 'NO' are different classes, as they are written."
    )
    assert similar_names_note(["3.1", "3.10"], "categories") is not None
    assert similar_names_note(["no  risk", "no risk"], "classes") is not None


def test_names_that_differ_are_not_noted() -> None:
    near = ["995279394541916024", "995279394541916030", "1e3", "1000", "-1", "1", "a", "b"]
    assert similar_names_note(near, "classes") is None


def test_long_list_of_names_is_shortened() -> None:
    assert join_names(["a", "b"]) == "a, b"
    assert join_names([str(k) for k in range(1012)], 2) == "0, 1 and 1,010 more"


def test_names_in_overrides_are_quoted_where_necessary() -> None:
    assert as_item("größe_2") == "größe_2"
    assert as_item("petal width (cm)") == "'petal width (cm)'"
