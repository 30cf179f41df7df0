import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from expt.config.allowed import ALLOW_VARIABLE
from expt.config.instantiate import bind_part, call_part, check_target, targets
from expt.errors import UserError

FORBIDDEN = [
    "os.system",
    "builtins.eval",
    "subprocess.Popen",
    "pathlib.Path",
    "tensorflow.io.gfile.remove",
    "hydra.utils.instantiate",
    "expt.config.compose.compose_jobs",
    "expt.train.program.make_program",
    "expt.partsy.mse",
    "expt.train.objective.make_objective",
    "expt.train.trainer.train",
    "expt.train.learners.supervised.make_train_step",
    "expt.train.learners.adversarial.tf",
    "expt.train.state.Path",
    "expt",
    "keras",
    "keras.utils.get_file",
    "keras.models.load_model",
    "keras.layers.Lambda",
    "keras.layers.TFSMLayer",
    "keras.layers.deserialize",
    "keras.layers.Layer.from_config",
    "keras.src.utils.file_utils.get_file",
    "keras.optimizers.SGD\nimport",
    "",
]
# Targets that begin like allowed ones but lead to other code.
OUTSIDE = [
    "expt.parts",
    "expt.parts.losses",
    "expt.parts.losses.tf",
    "expt.parts.losses.tf.io.gfile.remove",
    "expt.parts.nothing.here",
    "expt.runs.directories.shutil.rmtree",
    "expt.record.images.partial",
    "expt.record.mlflow.recorder.FileLock",
]
# Functions of expt that are not parts, and that a config must not call.
NOT_PARTS = ["expt.runs.directories.remove_directory", "expt.runs.environment._git"]


@pytest.mark.parametrize("target", FORBIDDEN)
def test_disallowed_target_is_rejected_without_import(target: str) -> None:
    before = set(sys.modules)
    with pytest.raises(UserError, match=r"(?s)act\._target_=.*(not allowed|expected MODULE)"):
        check_target(target, "act")
    with pytest.raises(UserError, match=r"not allowed|expected MODULE"):
        bind_part({"_target_": target}, "act")
    assert set(sys.modules) == before


@pytest.mark.filterwarnings("ignore:Using '_target_. functools.partial' is deprecated")
@pytest.mark.parametrize("target", OUTSIDE)
def test_target_cannot_leave_allowed_modules(target: str) -> None:
    with pytest.raises(UserError):
        bind_part({"_target_": target}, "loss")


@pytest.mark.parametrize("target", NOT_PARTS)
def test_target_that_is_not_part_is_rejected(target: str) -> None:
    with pytest.raises(UserError):
        bind_part({"_target_": target}, "recorder.mine")


def test_nested_target_cannot_run_program(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    arguments = [".", "-c", f"alias.x=!touch {proof}", "x"]
    nested = {"_target_": "expt.runs.environment._git", "_args_": arguments}
    with pytest.raises(UserError):
        bind_part({"_target_": "keras.optimizers.SGD", "learning_rate": nested}, "optimizer")
    assert not proof.exists()


@pytest.mark.parametrize(
    "hidden",
    [
        {"_target_": "os.system", "command": "false"},
        {"deeper": {"_target_": "os.system"}},
        [1, {"_target_": "os.system"}],
        [[{"deeper": [{"_target_": "os.system"}]}]],
        {"_target_": "keras.layers.ReLU", "max_value": {"_target_": "os.system"}},
    ],
)
def test_nested_targets_are_rejected(hidden: Any) -> None:
    with pytest.raises(UserError, match=r"act\.activation.*os\.system.*not allowed"):
        bind_part({"_target_": "keras.layers.Activation", "activation": hidden}, "act")


def test_targets_yields_keys_of_all_targets() -> None:
    node = {"_target_": "a", "x": {"_target_": "b"}, "y": [0, {"_target_": "c"}], "z": "_target_"}
    assert list(targets(node, "model")) == [("model", "a"), ("model.x", "b"), ("model.y.1", "c")]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("expt.parts.lossess.mse", "there is no module 'expt.parts.lossess'"),
        ("expt.parts.losses.msee", "msee"),
        ("keras.layers.RELU", "RELU"),
    ],
)
def test_error_names_missing_target(target: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        bind_part({"_target_": target}, "loss")


def test_error_suggests_nearest_argument() -> None:
    node = {"_target_": "expt.parts.models.dense.mlp", "unit": [3]}
    with pytest.raises(UserError, match=r"model\.unit: mlp.*Did you mean 'units'\?.*dropout"):
        bind_part(node, "model")


def test_arguments_are_bound_and_declarations_are_not() -> None:
    node = {
        "_target_": "keras.layers.LeakyReLU",
        "negative_slope": 0.3,
        "_tasks_": ["regression"],
        "_anything_": 1,
    }
    made = bind_part(node, "act")
    assert made.keywords == {"negative_slope": 0.3}
    assert made().negative_slope == pytest.approx(0.3)
    assert node["_tasks_"] == ["regression"]


def test_positional_arguments_are_rejected() -> None:
    try:
        made = bind_part({"_target_": "keras.optimizers.SGD", "_args_": [0.5]}, "optimizer")
    except UserError:
        return
    assert float(made().learning_rate) == 0.5


def test_nested_parts_are_instantiated() -> None:
    initializer = {"_target_": "keras.initializers.Constant", "value": 3.0}
    node = {"_target_": "keras.layers.Dense", "units": 2, "kernel_initializer": initializer}
    layer = bind_part(node, "model")()
    layer.build((None, 4))
    assert layer.kernel.numpy().tolist() == [[3.0, 3.0]] * 4


def test_lists_remain_lists() -> None:
    made = bind_part({"_target_": "expt.parts.models.dense.mlp", "units": [1, 2]}, "model")
    assert type(made.keywords["units"]) is list


@pytest.fixture
def user_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Creates two packages of a user, of which one's name is a prefix of the other's."""
    for name in ("users_own", "users_own_too"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "losses.py").write_text(
            "from os import system\n\ndef huber(targets, outputs, *, delta): return delta\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for module in [name for name in sys.modules if name.startswith("users_own")]:
        del sys.modules[module]


@pytest.mark.usefixtures("user_packages")
class TestAllow:
    NODE: ClassVar = {"_target_": "users_own.losses.huber", "delta": 2.0}

    def test_package_of_user_is_not_allowed_by_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(ALLOW_VARIABLE, raising=False)
        with pytest.raises(UserError, match="EXPT_ALLOW=users_own"):
            bind_part(self.NODE, "loss")
        assert "users_own" not in sys.modules

    @pytest.mark.parametrize("value", ["users_own", "other, users_own ,", "users_own.losses"])
    def test_environment_allows_package(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv(ALLOW_VARIABLE, value)
        assert bind_part(self.NODE, "loss")(None, None) == 2.0

    def test_arguments_are_checked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ALLOW_VARIABLE, "users_own")
        with pytest.raises(UserError, match=r"loss\.detla: huber.*'delta'"):
            bind_part({"_target_": "users_own.losses.huber", "detla": 2.0}, "loss")

    @pytest.mark.parametrize(
        ("value", "target"),
        [
            ("users_own", "users_own_too.losses.huber"),
            ("users_own_too", "users_own.losses.huber"),
            ("users", "users_own.losses.huber"),
            ("", "users_own.losses.huber"),
            (",", "os.system"),
            ("users_own", "users_own.losses.system"),
            ("users_own", "users_own.loss.huber"),
        ],
    )
    def test_other_packages_are_not_allowed(
        self, monkeypatch: pytest.MonkeyPatch, value: str, target: str
    ) -> None:
        monkeypatch.setenv(ALLOW_VARIABLE, value)
        with pytest.raises(UserError):
            bind_part({"_target_": target}, "loss")


def test_value_can_be_any_text() -> None:
    made = bind_part({"_target_": "keras.layers.ReLU", "name": "my_args_layer"}, "act")
    assert made.keywords == {"name": "my_args_layer"}


@pytest.mark.parametrize(
    "name", ["learners.supervised.Supervised", "learners.adversarial.Adversarial"]
)
def test_learners_are_allowed_targets(name: str) -> None:
    check_target(f"expt.train.{name}", "model._step_")


def test_call_passes_supplied_arguments() -> None:
    made = bind_part({"_target_": "keras.layers.LeakyReLU", "negative_slope": 0.25}, "act")
    assert call_part(made, "act", name="mine").name == "mine"


@pytest.mark.parametrize(
    ("node", "supplied", "message"),
    [
        (
            {"_target_": "keras.layers.LeakyReLU", "negative_slope": -1},
            {},
            "^act: .*negative_slope",
        ),
        ({"_target_": "keras.layers.ReLU"}, {"nonsense": 1}, "^act: .*nonsense"),
        ({"_target_": "expt.parts.losses.mse"}, {"targets": 1}, "^act: .*outputs"),
    ],
)
def test_error_of_target_names_its_key(node: Any, supplied: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call_part(bind_part(node, "act"), "act", **supplied)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, UserError])
def test_call_propagates_other_errors(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("as it is")

    with pytest.raises(error, match=r"^as it is$"):
        call_part(fail, "act")
