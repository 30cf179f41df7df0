from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.made_runs import write_run, write_sweep
from expt.analysis.compared_run import ComparedRun, read_compared
from expt.analysis.table import compare, measured_only
from expt.analysis.variants import Verdict
from expt.errors import UserError


def read(folder: Path) -> list[ComparedRun]:
    return [read_compared(file.parent) for file in sorted(folder.rglob("run.json"))]


def acts(folder: Path, metric: str, **options: Any) -> list[Any]:
    return [variant.params["act"] for variant in compare(read(folder), metric, **options).variants]


def sweep(folder: Path, *columns: Sequence[float], metric: str = "val/loss") -> Path:
    named = zip(("relu", "tanh", "gelu"), columns, strict=False)
    return write_sweep(folder, [({"act": act}, column) for act, column in named], metric)


class TestVariants:
    def test_seeds_are_grouped_into_variants(self, tmp_path: Path) -> None:
        comparison = compare(read(sweep(tmp_path, [0.4, 0.2, 0.3], [0.5, 0.9])))
        assert comparison.parameters == ["act"]
        assert comparison.leading == "best/val/loss"
        relu, tanh = comparison.variants
        assert (relu.params, len(relu.counted)) == ({"act": "relu"}, 3)
        assert relu.summaries["val/loss"].mean == pytest.approx(0.3)
        assert tanh.summaries["best/val/loss"].mean == pytest.approx(0.7)
        assert relu.costs["peak_memory"] == 5e8

    def test_unfinished_runs_do_not_count(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.4, 0.2])
        values = {"val/loss": 0.0}
        write_run(tmp_path / "x", {"act": "relu"}, seed=2, values=values, status="FAILED")
        (tmp_path / "y").mkdir()
        (tmp_path / "y" / "run.json").write_text("{")
        comparison = compare(read(tmp_path))
        (variant,) = comparison.variants
        assert (len(variant.runs), len(variant.counted)) == (3, 2)
        assert variant.summaries["val/loss"].mean == pytest.approx(0.3)
        assert [run.status for run in comparison.unfinished] == ["FAILED", "UNREADABLE"]
        assert "Not included in the means: 1 FAILED, 1 UNREADABLE." in comparison.notes

    def test_without_a_finished_run_there_is_no_best_variant(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", status="FAILED", final=None, best=None)
        (variant,) = compare(read(tmp_path)).variants
        assert not variant.is_best
        assert compare(read(tmp_path)).best is None

    def test_unreadable_runs_have_no_variant(self, tmp_path: Path) -> None:
        (tmp_path / "run.json").write_text("{")
        comparison = compare(read(tmp_path))
        assert (comparison.variants, comparison.leading) == ([], None)

    def test_only_the_newest_run_of_a_repeated_seed_counts(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.4, 0.2])
        write_run(tmp_path / "again", {"act": "relu"}, values={"val/loss": 0.6}, started=200.0)
        comparison = compare(read(tmp_path))
        (variant,) = comparison.variants
        assert variant.values("val/loss") == {("0",): 0.6, ("1",): 0.2}
        assert any(note.startswith("1 run repeats the seed") for note in comparison.notes)

    def test_versions_of_the_code_are_counted(self, tmp_path: Path) -> None:
        for dirty in (False, True):
            write_run(tmp_path / str(dirty), git={"commit": "a", "dirty": dirty})
        assert "The runs come from 2 versions of the code (git)." in compare(read(tmp_path)).notes


class TestVarying:
    def varying(self, folder: Path, *params: dict[str, Any], **fields: Any) -> Sequence[str]:
        for number, each in enumerate(params):
            write_run(folder / str(number), each, **fields)
        return compare(read(folder)).parameters

    def test_constant_parameters_are_left_out(self, tmp_path: Path) -> None:
        rates: list[dict[str, Any]] = [{"optimizer.learning_rate": rate} for rate in (0.1, 0.2)]
        assert self.varying(tmp_path, *rates) == ["optimizer.learning_rate"]

    def test_parameters_that_vary_are_found_without_overrides(self, tmp_path: Path) -> None:
        """A preset or a file in conf/ may have set the value."""
        units: list[dict[str, Any]] = [{"model.units": [units]} for units in (8, 9)]
        assert self.varying(tmp_path, *units, overrides=[]) == ["model.units"]

    def test_parameters_without_effect_are_left_out(self, tmp_path: Path) -> None:
        pairs: list[dict[str, Any]] = [{"act": "relu"}, {"act": "tanh", "loop.image_every": "1ep"}]
        assert self.varying(tmp_path, *pairs) == ["act"]

    def test_parameters_that_follow_from_an_option_are_left_out(self, tmp_path: Path) -> None:
        options: list[dict[str, Any]] = [
            {"optimizer": "adam"},
            {"optimizer": "sgd", "optimizer.learning_rate": 0.01},
        ]
        assert self.varying(tmp_path, *options, overrides=[]) == ["optimizer"]

    def test_parameters_given_on_the_command_line_are_kept(self, tmp_path: Path) -> None:
        options: list[dict[str, Any]] = [
            {"optimizer": "adam"},
            {"optimizer": "sgd", "optimizer.learning_rate": 0.01},
        ]
        assert self.varying(tmp_path, *options) == ["optimizer", "optimizer.learning_rate"]

    def test_a_parameter_that_some_options_lack_is_found(self, tmp_path: Path) -> None:
        options: list[dict[str, Any]] = [
            {"act": "relu"},
            *({"act": "elu", "act.alpha": alpha} for alpha in (1, 2)),
        ]
        assert self.varying(tmp_path, *options, overrides=[]) == ["act", "act.alpha"]

    def test_different_data_of_the_same_name_is_distinguished(self, tmp_path: Path) -> None:
        for name in "ab":
            write_run(tmp_path / name, variant_hash=name, data={"fingerprint": name * 32})
        assert compare(read(tmp_path)).parameters == ["data.fingerprint"]


class TestLeading:
    def test_the_default_is_the_monitored_metric_of_the_best_checkpoint(
        self, tmp_path: Path
    ) -> None:
        best = {"step": 1, "watched": "val/accuracy", "val/accuracy": 0.9}
        write_run(tmp_path, best=best)
        assert compare(read(tmp_path)).leading == "best/val/accuracy"

    def test_different_losses_are_not_compared_with_each_other(self, tmp_path: Path) -> None:
        for loss in ("mse", "crossentropy"):
            write_run(tmp_path / loss, {"loss": loss})
        comparison = compare(read(tmp_path))
        assert comparison.leading == "best/val/accuracy"
        assert "not comparable between different losses" in comparison.notes[0]
        assert compare(read(tmp_path), "val/loss").leading == "val/loss"

    def test_without_another_metric_the_loss_decides_with_a_note(self, tmp_path: Path) -> None:
        for loss in ("mse", "crossentropy"):
            write_run(tmp_path / loss, {"loss": loss}, values={"val/loss": 0.5})
        comparison = compare(read(tmp_path))
        assert comparison.leading == "best/val/loss"
        assert "not comparable between different losses" in comparison.notes[0]

    def test_without_a_best_checkpoint_the_last_value_of_the_monitored_metric_decides(
        self, tmp_path: Path
    ) -> None:
        write_run(tmp_path, status="RUNNING", best=None, values={"val/loss": 1, "a/b": 1})
        assert compare(read(tmp_path)).leading == "val/loss"

    def test_an_unknown_metric_is_an_error_with_a_suggestion(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="Did you mean 'val/accuracy'"):
            compare(read(sweep(tmp_path, [0.5])), "val/acuracy")


class TestOrder:
    def test_smaller_losses_are_better(self, tmp_path: Path) -> None:
        assert acts(sweep(tmp_path, [0.5], [0.3], [0.4]), "val/loss") == ["tanh", "gelu", "relu"]

    def test_larger_accuracies_are_better(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.5], [0.3], [0.4], metric="val/accuracy")
        assert acts(tmp_path, "val/accuracy") == ["relu", "gelu", "tanh"]
        comparison = compare(read(tmp_path), "val/accuracy")
        assert comparison.best is comparison.variants[0]

    def test_variants_are_sorted_by_parameters_and_costs(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.5], [0.3], [0.4])
        assert acts(tmp_path, "val/loss", sort="act") == ["gelu", "relu", "tanh"]
        assert acts(tmp_path, "val/accuracy", sort="val/loss") == ["tanh", "gelu", "relu"]
        for number, rate in enumerate((4.0, 1.0, 2.0)):
            write_run(
                tmp_path / f"{number}_job",
                {"act": ("relu", "tanh", "gelu")[number]},
                ended=100 + rate,
                training_seconds=rate,
            )
        assert acts(tmp_path, "val/loss", sort="time") == ["tanh", "gelu", "relu"]
        assert acts(tmp_path, "val/loss", sort="steps/s") == ["tanh", "gelu", "relu"]
        with pytest.raises(UserError, match="--sort tiem: there is no such column"):
            acts(tmp_path, "val/loss", sort="tiem")

    def test_numbers_are_sorted_as_numbers(self, tmp_path: Path) -> None:
        for rate in (10.0, 9.0, 0.5):
            write_run(tmp_path / str(rate), {"optimizer.learning_rate": rate})
        found = compare(read(tmp_path), sort="optimizer.learning_rate").variants
        assert [v.params["optimizer.learning_rate"] for v in found] == [0.5, 9.0, 10.0]


class TestVerdicts:
    def test_variants_are_compared_with_the_best(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.30, 0.41, 0.50], [0.31, 0.40, 0.51], [0.91, 1.02, 1.1])
        relu, tanh, gelu = compare(read(tmp_path)).variants
        assert (relu.verdict, relu.is_best, relu.difference) == (Verdict.BEST, True, None)
        assert tanh.difference is not None
        assert tanh.difference.test == "paired"
        assert tanh.verdict is Verdict.INCONCLUSIVE
        assert gelu.verdict is Verdict.WORSE
        assert gelu.difference is not None
        assert gelu.difference.low > 0  # a larger loss

    def test_different_seeds_are_not_paired(self, tmp_path: Path) -> None:
        _, tanh = compare(read(sweep(tmp_path, [0.3, 0.4, 0.5], [0.6, 0.7]))).variants
        assert tanh.difference is not None
        assert tanh.difference.test == "Welch"

    def test_a_single_seed_is_not_tested(self, tmp_path: Path) -> None:
        comparison = compare(read(sweep(tmp_path, [0.3], [0.6])))
        assert comparison.variants[1].difference is None
        assert comparison.variants[1].verdict is Verdict.NOT_TESTED
        assert any(note.startswith("A variant with a single value") for note in comparison.notes)

    def test_a_margin_changes_only_inconclusive_verdicts(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.300, 0.410, 0.500], [0.301, 0.411, 0.499], [0.91, 1.02, 1.1])
        found = {}
        for margin in (None, 0.001, 0.05, 9.0):
            variants = compare(read(tmp_path), margin=margin).variants
            found[margin] = [variant.verdict for variant in variants]
        inconclusive = [Verdict.BEST, Verdict.INCONCLUSIVE, Verdict.WORSE]
        assert found[None] == found[0.001] == inconclusive
        assert found[0.05] == found[9.0] == [Verdict.BEST, Verdict.EQUIVALENT, Verdict.WORSE]

    def test_a_note_explains_the_correction(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.3, 0.4, 0.6], [0.5, 0.7, 0.8], [0.9, 1.0, 1.3])
        notes = " ".join(compare(read(tmp_path)).notes)
        assert "The best of 3 was picked after seeing the data" in notes
        assert "all 3 pairs (Holm)" in notes
        assert "paired by seed" in notes

    def test_a_note_names_a_variant_that_is_much_noisier(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.30, 0.31, 0.32], [0.40, 0.42, 0.41], [1.0, 9.0, 4.0])
        notes = " ".join(compare(read(tmp_path)).notes)
        assert "act=gelu varies 404 times as much" in notes

    def test_a_note_names_the_only_variant_that_has_noise(self, tmp_path: Path) -> None:
        sweep(tmp_path, [0.3, 0.3, 0.3], [0.4, 0.4, 0.4], [1.0, 9.0, 4.0])
        notes = " ".join(compare(read(tmp_path)).notes)
        assert "act=gelu is the only one that differs between seeds, which widens" in notes

    def test_a_note_says_that_there_is_no_noise(self, tmp_path: Path) -> None:
        comparison = compare(read(sweep(tmp_path, [0.3, 0.3], [0.4, 0.4], [0.5, 0.5])))
        assert any("Without any noise" in note for note in comparison.notes)
        assert [v.verdict for v in comparison.variants[1:]] == [Verdict.NOT_TESTED] * 2


class TestReplicates:
    def splits(self, folder: Path) -> list[ComparedRun]:
        values = np.random.default_rng(0).normal(0.5, 0.1, (2, 2))
        for act, shift in (("relu", 0.0), ("tanh", 0.3)):
            for seed, split in np.ndindex(2, 2):
                params = {"act": act, "data.split_seed": split}
                value = float(values[seed, split]) + shift + 0.001 * seed * shift
                write_run(
                    folder / f"{act}{seed}{split}",
                    params,
                    seed=seed,
                    values={"val/loss": value},
                    data={"name": "digits", "fingerprint": f"{split}" * 32},
                )
        return read(folder)

    def test_splits_can_be_replicates(self, tmp_path: Path) -> None:
        comparison = compare(self.splits(tmp_path), replicates=("seed", "data.split_seed"))
        assert comparison.parameters == ["act"]
        relu, tanh = comparison.variants
        names = [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
        assert sorted(relu.values("val/loss")) == names
        assert tanh.difference is not None
        first, second = ([v.values("val/loss")[name] for name in names] for v in (tanh, relu))
        assert tanh.difference.p == pytest.approx(stats.ttest_rel(first, second).pvalue)
        assert tanh.difference.test == "paired"

    def test_by_default_splits_are_variants(self, tmp_path: Path) -> None:
        comparison = compare(self.splits(tmp_path))
        assert comparison.parameters == ["act", "data.split_seed"]
        assert len(comparison.variants) == 4

    def test_seeds_are_a_parameter_if_they_are_not_replicates(self, tmp_path: Path) -> None:
        comparison = compare(self.splits(tmp_path), replicates=("data.split_seed",))
        assert comparison.parameters == ["act", "seed"]
        assert {len(variant.counted) for variant in comparison.variants} == {2}

    def test_an_unknown_replicate_key_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"Did you mean 'data\.split_seed'"):
            compare(self.splits(tmp_path), replicates=("seed", "data.split_sed"))


def test_variants_without_the_metric_are_left_out_and_counted(tmp_path: Path) -> None:
    sweep(tmp_path, [0.5], [0.3], metric="val/accuracy")
    for units in (7, 8):
        write_run(tmp_path / f"{units}", {"model.units": units}, values={"val/loss": 1.0})
    comparison = compare(read(tmp_path), "val/accuracy")
    assert (len(comparison.variants), len(comparison.parameters)) == (4, 2)
    kept = measured_only(comparison)
    assert [variant.params["act"] for variant in kept.variants] == ["relu", "tanh"]
    assert kept.parameters == ["act"]
    assert kept.notes[-1] == (
        "2 more variants have no finished run with val/accuracy and are left out."
    )
    assert measured_only(kept) is kept
