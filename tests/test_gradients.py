import re
from pathlib import Path

import pytest
from PIL import Image

from conftest import Command
from expt.record.journal import FILE_NAME
from expt.record.replay import read_scalars
from expt.runs.record_parts import Status
from expt.runs.records import read_run

USER_PROJECT = Path(__file__).parent / "user_project"


def test_page_and_figures(run_here: Command, tmp_path: Path) -> None:
    arguments = ("act=relu,softsign", "loss=mse", "optimizer=sgd", "--dtype", "float64")
    done = run_here(*arguments, folder=tmp_path, command="gradients")
    assert done.code == 0, done.error
    assert "act=softsign" in done.out
    assert done.out.rstrip().endswith("page: outputs/gradients/index.html")
    folder = tmp_path / "outputs/gradients"
    pictures = {file.name for file in folder.iterdir()} - {"files.txt", "index.html"}
    problems = ("quadratic", "rosenbrock", "himmelblau")
    assert pictures == {
        *("act_relu.png", "act_softsign.png", "loss_mse.png", "softmax_jacobian.png"),
        *("mse_and_crossentropy.png", "chain_rule.png"),
        *(f"descent_{name}.{kind}" for name in problems for kind in ("png", "gif")),
    }
    with Image.open(folder / "descent_himmelblau.gif") as animation:
        assert getattr(animation, "n_frames", 1) > 20
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/') == len(pictures)
    assert "http://" not in page
    assert "https://" not in page
    assert "with tf.GradientTape(persistent=True) as tape:" in page
    assert "in float64" in page
    outputs = re.findall(r'<pre class="output">(.*?)</pre>', page, re.DOTALL)
    assert len(outputs) == 14
    assert "…" not in "".join(outputs)  # as in the lines of phases, such as "starting … 3 s"


def test_only_named_groups_are_drawn_and_earlier_files_replaced(
    run_here: Command, tmp_path: Path
) -> None:
    for act, record in (("relu", ()), ("tanh", ("--record",))):
        arguments = (f"act={act}", "--output", "drawn", *record)
        done = run_here(*arguments, folder=tmp_path, command="gradients")
        assert done.code == 0, done.error
    names = sorted(file.name for file in (tmp_path / "drawn").iterdir())
    assert names == ["act_tanh.png", "files.txt", "index.html"]
    assert "loss=" not in done.out
    _check_recorded(tmp_path)
    latest = run_here("latest", folder=tmp_path, command="resume")
    assert (latest.code, "latest: there are no runs" in latest.error) == (2, True)
    named = run_here("gradients", folder=tmp_path, command="resume")
    assert (named.code, "expt.gradients has none" in named.error) == (2, True)


def _check_recorded(folder: Path) -> None:
    (directory,) = folder.glob("outputs/runs/*/*")
    record = read_run(directory)
    assert (record.status, record.closed) == (Status.FINISHED, True)
    assert record.params == {"act": "tanh", "dtype": "float32"}
    assert record.mlflow is not None
    assert record.mlflow.complete
    names = [file.name for file in (directory / "images").iterdir()]
    assert names == ["gradients_act_tanh_0000000.png"]
    (scalars,) = read_scalars(directory / FILE_NAME, None)
    assert scalars.last().keys() == {"gradients/act.tanh/first", "gradients/act.tanh/second"}
    assert [*directory.glob("val/events.out.tfevents.*")]


def test_parts_of_the_user(
    run_here: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPT_ALLOW", "my_project")
    monkeypatch.syspath_prepend(USER_PROJECT)
    own = {
        group: [file.stem for file in (USER_PROJECT / "conf" / group).glob("*.yaml")]
        for group in ("act", "loss")
    }
    assert all(own.values())
    arguments = [f"{group}={','.join(names)}" for group, names in own.items()]
    config_dir = ("--config-dir", str(USER_PROJECT / "conf"))
    done = run_here(*arguments, *config_dir, folder=tmp_path, command="gradients")
    assert done.code == 0, done.error
    for name in own["act"]:
        assert (tmp_path / f"outputs/gradients/act_{name}.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("act=rleu",), "error: act=rleu: there is no such option. Did you mean 'relu'?"),
        (("--act", "relu"), "error: --act: expected KEY=VALUE, without dashes. Did you mean act="),
        (("--config-dir", "nowhere"), "error: --config-dir nowhere: there is no such folder."),
        (("--output", "."), "error: --output .: the folder contains x,"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...], message: str, run_here: Command, tmp_path: Path
) -> None:
    (tmp_path / "x").touch()
    done = run_here(*arguments, folder=tmp_path, command="gradients")
    assert done.code == 2
    assert done.error.startswith(message)
