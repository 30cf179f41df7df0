"""Errors in custom parts: one message each, with the part, the file and the line."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Command

CODE = """
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from expt.parts.data.dataset import Dataset, Split

def good(targets, outputs):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs)

def weighted(targets, outputs, weights):
    return tf.reduce_mean(outputs)

def fails(targets, outputs, *, how):
    return helper(outputs, how, targets)

def helper(outputs, how, targets):
    match how:
        case "attribute": return outputs.nothing
        case "value": raise ValueError("q must be positive")
        case "key": return {}["q"]
        case "none": return None
        case "array": return np.ones(len(outputs), np.float32)
        case "text": return "high"
        case "in_graph": return good(targets, outputs) + 0 * outputs.numpy()[:, 0]

class Source:
    task = "classification"
    def __init__(self, how, path=""):
        self.how, self.path = how, path
    def load(self):
        match self.how:
            case "none": return None
            case "tuple": return 1, 2
            case "lists": return Split([[1.0]], np.zeros(1, np.int32))
            case "file": return open(self.path)
            case "error": return [][0]

class NoLoad:
    task = "classification"
    def __init__(self, how):
        pass

class NotCallable:
    pass

class Momentless:
    def __call__(self):
        pass

class Hook:
    def __init__(self, how):
        self.how = how
    def __call__(self, moment):
        match self.how:
            case "key": moment.evaluation.values["val/acc"]
            case "value": moment.values["train/los"]
            case "array": moment.log({"a/b": np.zeros(3)})
            case "text": moment.log({"a/b": "x"})
            case "list": moment.log({"a/b": [1.0]})
            case "figure": moment.log_image("a/b", Figure())
            case "type": None + 1
"""


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(CODE.splitlines(), 1) if text in line)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "parts.py").write_text(CODE)
    yamls = {
        "loss/mine.yaml": "_target_: lab.parts.fails\nhow: x\n",
        "metric/mine.yaml": "# @package metric.mine\n_target_: lab.parts.fails\nhow: x\n",
        "data/mine.yaml": "_target_: lab.parts.Source\nhow: x\npath: x\n",
        "data/noload.yaml": "_target_: lab.parts.NoLoad\nhow: x\n",
        "hook/mine.yaml": "# @package hook.mine\n_target_: lab.parts.Hook\nevery: 2\nhow: x\n",
        "hook/momentless.yaml": (
            "# @package hook.momentless\n_target_: lab.parts.Momentless\nevery: 2\n"
        ),
        "probe/momentless.yaml": (
            "# @package probe.momentless\n_target_: lab.parts.Momentless\nevery: 2\n"
        ),
        "hook/notcallable.yaml": (
            "# @package hook.notcallable\n_target_: lab.parts.NotCallable\nevery: 2\n"
        ),
        "metric/bare.yaml": "_target_: lab.parts.fails\n",
        "metric/wrong.yaml": "# @package metrics.wrong\n_target_: lab.parts.fails\n",
        "metric/weighted.yaml": "# @package metric.weighted\n_target_: lab.parts.weighted\n",
        "loss/lacking.yaml": "q: 1\n",
        "loss/short.yaml": "_target_: raises\n",
        "loss/classy.yaml": "_target_: lab.parts.NotCallable\n",
        "loss/needy.yaml": "_target_: lab.parts.fails\n",
        "experiment/quick.yaml": "# @package _global_\nloop:\n  epoch: 3\n",
        "loss/tab.yaml": "_target_: lab.parts.good\na:\n\tb: 1\n",
        "loss/bracket.yaml": "_target_: lab.parts.good\na: [1, 2\nb: 3\n",
    }
    for name, text in yamls.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("EXPT_ALLOW", "lab")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]


SHOW = " HYDRA_FULL_ERROR=1 shows the traceback."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["loss=mine", "loss.how=attribute"],
            f"loss: lab/parts.py, line {line_of('outputs.nothing')}: AttributeError: .*'nothing'",
        ),
        (
            ["loss=mine", "loss.how=value"],
            f"loss: lab/parts.py, line {line_of('q must')}: ValueError: q must be positive.{SHOW}",
        ),
        (
            ["loss=mine", "loss.how=key"],
            f"loss: lab/parts.py, line {line_of('{}[')}: KeyError: 'q'.{SHOW}",
        ),
        (["loss=mine", "loss.how=none"], "loss: it returned None; expected a tensor"),
        (
            ["loss=mine", "loss.how=array"],
            "loss: it returned a value of the type ndarray; expected",
        ),
        (
            ["loss=mine", "loss.how=in_graph"],
            f"loss: lab/parts.py, line {line_of('.numpy()')}: AttributeError: .*numpy",
        ),
        (
            ["metric=[mine]", "metric.mine.how=key"],
            f"metric.mine: lab/parts.py, line {line_of('{}[')}: KeyError: 'q'.{SHOW}",
        ),
        (["metric=[mine]", "metric.mine.how=none"], "metric.mine: it returned None; expected one"),
        (["metric=[mine]", "metric.mine.how=text"], "metric.mine: it returned text; expected one"),
        (
            ["data=mine", "data.how=none"],
            "data: load() of lab.parts.Source returned None; expected",
        ),
        (
            ["data=mine", "data.how=tuple"],
            "data: load() of lab.parts.Source returned a value of the type tuple; expected",
        ),
        (["data=mine", "data.how=lists"], "data: the inputs of a split are a list; expected a"),
        (
            ["data=mine", "data.how=error"],
            f"data: lab/parts.py, line {line_of('[][0]')}: IndexError: list index out of",
        ),
        (
            ["data=mine", "data.how=file", "data.path=nope.csv"],
            "data.path=nope.csv: No such file or directory: nope.csv",
        ),
        (["data=noload"], "data: lab.parts.NoLoad has no load; expected an object with `task` and"),
        (
            ["hook=[momentless]"],
            "hook.momentless: lab.parts.Momentless can't be called (too many positional "
            "arguments); expected def __call__(self, moment: Moment) -> None.",
        ),
        (
            ["probe=[momentless]"],
            "probe.momentless: lab.parts.Momentless can't be called (too many positional "
            "arguments); expected def __call__(self, moment: ProbeMoment, subject: Subject)",
        ),
        (["hook=[notcallable]"], "hook.notcallable: lab.parts.NotCallable can't be called"),
        (
            ["metric=[bare]"],
            "metric._target_=lab.parts.fails: the first line of the yaml of this metric, "
            "conf/metric/NAME.yaml, must be `# @package metric.NAME`.",
        ),
        (
            ["metric=[wrong]"],
            "the first line of conf/metric/wrong.yaml must be `# @package metric.wrong`.",
        ),
        (
            ["metric=[weighted]"],
            "metric.weighted: data=digits has no weights of examples, but the argument `weights` "
            "is required. Give it the default None: weights=None",
        ),
        (["loss=lacking"], "loss: its yaml, conf/loss/NAME.yaml, has no `_target_`. Expected"),
        (["loss=short"], "loss._target_=raises: expected MODULE.NAME, such as"),
        (
            ["loss=classy"],
            "loss: lab.parts.NotCallable is a class; expected a function of targets and outputs.",
        ),
        (["loss=needy"], "loss.how is required but has no value. Add it to the yaml, or set it"),
        (
            ["experiment=quick"],
            "experiment=quick: conf/experiment/quick.yaml sets loop.epoch, but there is no key "
            "'epoch' in 'loop'. Did you mean 'epochs'?",
        ),
        (
            ["loss=tab"],
            r"error: conf/loss/tab.yaml, line 3: found character '\t' (a tab) that cannot",
        ),
        (["loss=bracket"], "conf/loss/bracket.yaml, line 3: expected ',' or ']', but got"),
    ],
)
def test_error_in_a_part_found_before_training_is_one_message(
    given: list[str], message: str, folder: Path, run_here: "Command"
) -> None:
    done = run_here("--config-dir", "conf", *given, "recorder=[]", folder=folder)
    assert done.code == 2, done.error
    assert re.search(re.escape(message).replace(r"\.\*", ".*"), done.error), done.error
    assert "Traceback" not in done.error


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("key", "there is no value 'val/acc'. Did you mean 'val/accuracy'? Valid: val/accuracy"),
        ("value", "there is no value 'train/los'. Did you mean 'train/loss'?"),
        ("array", "'a/b': got ndarray of shape [3]; expected one number, such as float(x)."),
        ("text", "'a/b': got str; expected one number, such as float(x)."),
        ("list", "'a/b': got list of shape [1]; expected one number, such as float(x)."),
        ("figure", "image 'a/b': got Figure; expected a NumPy array, uint8"),
        ("type", "unsupported operand type(s)"),
    ],
)
def test_error_in_a_part_found_in_training_is_one_message(
    how: str, message: str, folder: Path, run_here: "Command"
) -> None:
    given = ["hook=[mine]", f"hook.mine.how={how}", "loop.steps=3", "recorder=[]"]
    done = run_here("--config-dir", "conf", *given, folder=folder)
    assert done.code == 1, done.error
    hook = CODE.index("class Hook:")
    line = CODE[: CODE.index(f'case "{how}"', hook)].count("\n") + 1
    assert f"error: hook.mine: lab/parts.py, line {line}: " in done.error
    assert message in done.error
    assert "Traceback" not in done.error
    (log,) = folder.rglob("run.log")
    assert "Traceback" in log.read_text()


def test_message_for_an_unknown_option_mentions_config_dir(
    folder: Path, run_here: "Command"
) -> None:
    message = "Own options need --config-dir FOLDER."
    assert message in run_here("loss=smooth_focal", folder=folder).error
    done = run_here("loss=smooth_focal", "--config-dir", "conf", folder=folder)
    assert "there is no such option" in done.error
    assert message not in done.error
