"""Tests of comparisons of runs with different code."""

from pathlib import Path
from typing import Any

from analysis.made_runs import write_run
from expt.analysis.code_labels import CODE
from expt.analysis.compared_run import read_compared
from expt.analysis.table import Comparison, compare

LOSS, MODEL = "mine.losses", "mine.models"


def code(**modules: str) -> dict[str, Any]:
    """Returns the fields of a run with some code; the hash of its variant includes the code."""
    named = {name.replace("_", "."): state for name, state in modules.items()}
    return {"code": {"hash": str(named), "modules": named}, "variant_hash": f"relu {named}"}


def compared(folder: Path, *runs: dict[str, Any]) -> Comparison:
    read = [
        read_compared(write_run(folder / str(number), seed=number, **fields))
        for number, fields in enumerate(runs)
    ]
    return compare(read)


def values(comparison: Comparison, key: str = CODE) -> list[Any]:
    return [variant.params[key] for variant in comparison.variants]


def test_runs_of_different_code_are_separate_variants_with_a_note(tmp_path: Path) -> None:
    one, other = (
        code(mine_losses="1", expt_step="8"),
        code(mine_losses="2", expt_step="9"),
    )
    found = compared(tmp_path, one, one, other)
    assert sorted(len(variant.runs) for variant in found.variants) == [1, 2]
    assert found.parameters == [CODE]
    assert len(set(values(found))) == 2
    expected = "The runs used different code: mine.losses (2 versions), expt.step (2 versions)."
    assert expected in found.notes


def test_equal_code_adds_no_parameter_and_no_note(tmp_path: Path) -> None:
    found = compared(tmp_path, code(mine_losses="1"), code(mine_losses="1"))
    assert (len(found.variants), found.parameters) == (1, [])
    assert not [note for note in found.notes if "code" in note]


def test_parts_in_different_modules_are_not_different_code(tmp_path: Path) -> None:
    one = {"params": {"act": "relu"}, **code(mine_a="1", mine_losses="1")}
    other = {"params": {"act": "tanh"}, **code(mine_b="1", mine_losses="1")}
    found = compared(tmp_path, one, other)
    assert found.parameters == ["act"]


def test_a_parameter_and_code_that_differ_together_are_both_shown(tmp_path: Path) -> None:
    one = {"params": {"act": "relu"}, **code(mine_losses="1")}
    other = {"params": {"act": "tanh"}, **code(mine_losses="2")}
    assert compared(tmp_path, one, other).parameters == ["act", CODE]


def test_a_run_resumed_with_changed_code_is_a_separate_variant(tmp_path: Path) -> None:
    change = {"from": "0", "changed": [LOSS]}
    mixed = {
        **code(mine_losses="2"),
        "variant_hash": "mixed",
        "resumed": [{"step": 7, "time": 1.0}, {"step": 38, "time": 2.0, "code": change}],
    }
    found = compared(tmp_path, code(mine_losses="2"), mixed)
    assert sorted(values(found)) == ["changed at step 38", "unchanged"]
    found = compared(tmp_path / "2", code(mine_losses="1"), code(mine_losses="2"), mixed)
    assert len(set(values(found))) == 3
    assert sum(value.endswith(" from step 38") for value in values(found)) == 1


def test_runs_without_recorded_code_are_a_separate_variant_with_a_note(tmp_path: Path) -> None:
    old = {"variant_hash": "old"}
    found = compared(tmp_path, code(mine_losses="1"), old)
    assert sorted(values(found)) == ["not recorded", "unchanged"]
    expected = "1 run has no record of the code, so it may differ from that of the others."
    assert expected in found.notes
    assert compared(tmp_path / "all", old, old).parameters == []
