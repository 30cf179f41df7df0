"""Set-up of a run as Hydra sets up its jobs."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from expt.config.compose import Composition
from expt.config.hydra_job import hydra_job


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Removes the handlers that the logging of a run adds."""
    root, level = logging.getLogger(), logging.getLogger().level
    before = list(root.handlers)
    yield
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
    root.handlers = before
    root.setLevel(level)


def started(directory: Path, *overrides: str) -> Composition:
    """Composes a run, and sets it up without training."""
    composition = Composition(overrides)
    directory.mkdir(parents=True)
    with hydra_job(composition.first_job(), composition.hydra, directory):
        pass
    return composition


def test_files_are_those_of_hydra(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    started(directory, "act=tanh", "name=${output_dir}-x", "hydra.verbose=false", "seed=3")
    config, hydra, overrides = (
        yaml.safe_load((directory / ".hydra" / f"{name}.yaml").read_text())
        for name in ("config", "hydra", "overrides")
    )
    assert (config["act"]["activation"], config["name"]) == ("tanh", "${output_dir}-x")
    assert overrides == ["act=tanh", "name=${output_dir}-x", "seed=3"]
    assert list(hydra) == ["hydra"]
    node = hydra["hydra"]
    assert (node["mode"], node["job"]["name"]) == ("RUN", "run")
    assert node["overrides"] == {"hydra": ["hydra.verbose=false"], "task": overrides}
    assert node["runtime"]["choices"]["act"] == "tanh"
    assert node["runtime"]["output_dir"] == node["run"]["dir"] == str(directory)


def test_log_is_in_run_directory(tmp_path: Path) -> None:
    started(tmp_path / "run", "hydra.verbose=[mine]")
    logging.getLogger("mine").debug("a detail")
    logging.getLogger("other").debug("not this one")
    assert (tmp_path / "run" / "run.log").read_text().splitlines()[-1].endswith("DEBUG a detail")


def test_environment_and_working_directory_are_set(tmp_path: Path) -> None:
    composition = Composition(["+hydra.job.env_set.EXPT_TEST=here", "hydra.job.chdir=true"])
    before = Path.cwd()
    with hydra_job(composition.first_job(), composition.hydra, tmp_path):
        assert (os.environ["EXPT_TEST"], Path.cwd()) == ("here", tmp_path)
    assert ("EXPT_TEST" in os.environ, Path.cwd()) == (False, before)


@pytest.mark.parametrize(
    "path",
    [
        *("plain", "a b/c", "it's", "it''s", 'say "hi"', "a,b", "a=b", "[a]{b}(c)", "~a#b:c"),
        *("äß/数", "a$b", "$", "${seed}", "a\\b", "a\\'b", "a\\${seed}"),
    ],
)
def test_directory_can_have_any_name(path: str, tmp_path: Path) -> None:
    composition = started(tmp_path / path)
    assert composition.hydra.run.dir == composition.hydra.runtime.output_dir
    assert composition.hydra.run.dir == str(tmp_path / path)
    written = OmegaConf.load(tmp_path / path / ".hydra" / "hydra.yaml")
    assert written.hydra.runtime.output_dir == str(tmp_path / path)
    assert (tmp_path / path / "run.log").is_file()
