"""The text of `--help`; tests/test_run.py has the command line."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from expt.config.compose import Composition
from expt.config.help import help_text
from expt.config.hydra_flags import parse_run_arguments


def _help(*arguments: str, groups: Sequence[str] = ()) -> list[str]:
    args = parse_run_arguments("run", ["--help", *arguments])
    composition = Composition(args.overrides, args.config_dir, args.multirun)
    return help_text(composition, args, groups).splitlines()


@pytest.fixture(autouse=True)
def _unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the width that pytest-xdist exports to its workers."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("arguments", [[], ["model=vit", "optimizer=muon"], ["experiment=gan"]])
def test_it_fits_into_100_columns(arguments: list[str]) -> None:
    assert max(map(len, _help(*arguments))) <= 100


@pytest.mark.usefixtures("_narrow")
def test_a_narrow_terminal_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert max(map(len, _help("model=vit"))) <= 72


def test_without_options_it_shows_all_groups_and_the_keys_of_the_defaults() -> None:
    lines = _help()
    assert "recorder: mlflow, tensorboard, visdom" in lines
    assert any(line.startswith("act: celu, elu, ") and "tanh" in line for line in lines)
    for key in (
        "  seed: 0 ",
        "  sweep.workers: null ",
        "  model.units: [128, 128] ",
        "  loop.epochs: 30",
    ):
        assert [line for line in lines if line.startswith(key)], key
    assert not [line for line in lines if "_target_" in line or "_initializer_" in line]
    assert not [line for line in lines if line.startswith("  model.filters")]
    assert lines[-1].startswith("--metric val/accuracy says")


def test_of_a_named_option_it_shows_the_keys_alone() -> None:
    lines = _help("model=cnn")
    assert lines[0].startswith("model=cnn: ")
    names = [line.split(":")[0].strip() for line in lines if line.startswith("  model.")]
    assert names[:2] == ["model.filters", "model.kernel_size"]
    assert all(line.startswith("  model.") for line in lines[1:-2])
    assert lines[-1] == "python -m expt.run --help shows all groups, options and keys."


def test_of_a_group_it_lists_the_options() -> None:
    lines = _help("loss=mse", groups=["loop", "act"])
    assert any(line.startswith("  relu  ") for line in lines)
    assert any(line.startswith("loss=mse: ") for line in lines)
    assert not any(line.startswith("optimizer=") for line in lines)


def test_values_are_those_of_the_command_line() -> None:
    (line,) = (line for line in _help("model=cnn", "model.filters=[8]") if "filters" in line)
    assert line.startswith("  model.filters: [8]  ")


def test_needed_values_may_be_missing() -> None:
    assert any(line.startswith("  data.path: ??? ") for line in _help("data=csv"))


def test_options_of_groups_with_several() -> None:
    lines = _help("metric=[f1,r2]", "hook=[weight_norm]")
    assert any(line.startswith("  metric.f1.average: macro  ") for line in lines)
    assert any(line.startswith("metric=r2: ") for line in lines)
    assert any(line.startswith("  hook.weight_norm.every: 1ep  ") for line in lines)


def test_a_preset_shows_what_it_sets() -> None:
    line, *_ = _help("experiment=gan")
    assert line.startswith("experiment=gan: ")
    assert "model=gan" in line
    assert "loop.epochs=400" in line


def test_a_users_folder(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss/mine.yaml").write_text(
        "# A loss of mine.\n_target_: my.loss\nq: 0.7 # the power\n"
    )
    assert any(
        line.startswith("loss: ") and ", mine, " in line
        for line in _help("--config-dir", str(tmp_path))
    )
    first, second, *_ = _help("--config-dir", str(tmp_path), "loss=mine", "+loss.width=3")
    assert first == "loss=mine: A loss of mine."
    assert second == "  loss.q: 0.7    the power"
