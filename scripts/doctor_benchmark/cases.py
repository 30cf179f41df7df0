"""The runs of the benchmark: planted faults with the rules that must find them, and healthy runs.

What is expected and what is allowed was written down before the rules were tried: the rules that
are right about a fault, and those that are right about its consequences.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_MLP = "model.units=[64,64]"
_SLOW_CURVE = frozenset({"not_converged", "not_learning"})
_TOO_FAST = frozenset(
    {
        *("unstable_loss", "update_ratio", "exploding_gradients", "dead_units", "saturated_units"),
        *("beyond_stability", "non_finite_loss", "not_learning", "no_gradient", "ignored_classes"),
        "vanishing_gradients",  # of units that have died or saturated
    }
)
_NO_SIGNAL = frozenset({"not_learning", "ignored_classes", "not_converged", "vanishing_gradients"})
_RAW = frozenset({"initial_loss", "exploding_gradients", "saturated_units", *_TOO_FAST})


@dataclass(frozen=True)
class Case:
    """A run of the benchmark.

    Attributes:
        name: The name.
        overrides: The overrides, separated by blanks.
        expected: The rules that must find something; none for a healthy run.
        allowed: Further rules that are right if they find something: consequences of the fault.
        is_held_out: Whether the run was not looked at while the thresholds were chosen.
    """

    name: str
    overrides: str
    expected: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    is_held_out: bool = False

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong with the run."""
        return not self.expected


def cases() -> Iterator[Case]:
    """Yields all runs."""
    for rules, allowed, runs in _FAULTS:
        for held_out, of_part in ((False, runs), (True, _HELD_OUT.get(rules, ()))):
            for number, overrides in enumerate(of_part):
                name = f"{'held-out-' * held_out}{rules.replace(' ', '+')}-{number}"
                yield Case(name, overrides, frozenset(rules.split()), allowed, held_out)
    for held_out, of_part in ((False, _HEALTHY), (True, _HEALTHY_HELD_OUT)):
        for number, overrides in enumerate(of_part):
            name = f"{'held-out-' * held_out}healthy-{number:02}"
            yield Case(name, overrides, is_held_out=held_out)


def _npz(name: str, batch_size: int = 32) -> str:
    return f"data=npz data.path={{data}}/{name}.npz data.batch_size={batch_size}"


_FAULTY = "model=custom model._target_=scripts.doctor_benchmark.faulty.build"
_DEEP = "model.units=[64,64,64,64,64,64,64,64]"

_FAULTS: tuple[tuple[str, frozenset[str], tuple[str, ...]], ...] = (
    (
        "non_finite_loss",
        _TOO_FAST | {"initial_loss", "unscaled_inputs", "overfitting"},
        (
            "data=linear model=linear loss=mse optimizer=sgd optimizer.learning_rate=10",
            f"data=diabetes loss=mse {_MLP} optimizer=sgd optimizer.learning_rate=10",
            "data=diabetes model=linear loss=mse optimizer=momentum optimizer.learning_rate=5",
            f"{_MLP} model.l2=1 optimizer=sgd optimizer.learning_rate=3",
            f"data=iris {_MLP} optimizer=momentum optimizer.learning_rate=2 loop.epochs=40",
        ),
    ),
    (
        "non_finite_loss unscaled_inputs",
        _RAW,
        (f"data=diabetes data.standardize=false loss=mse {_MLP} optimizer=sgd",),
    ),
    (
        "unstable_loss",
        _TOO_FAST | {"overfitting"},
        (
            f"{_MLP} optimizer=sgd optimizer.learning_rate=5",
            f"{_MLP} act=tanh optimizer=momentum optimizer.learning_rate=3",
            f"data=wine {_MLP} act=tanh optimizer=rmsprop optimizer.learning_rate=1",
            f"data=breast_cancer {_MLP} optimizer=nesterov optimizer.learning_rate=5",
            "model=linear optimizer=adam optimizer.learning_rate=10",
        ),
    ),
    (
        "update_ratio",
        _TOO_FAST | _SLOW_CURVE | {"overfitting"},
        (
            f"{_MLP} optimizer.learning_rate=1",
            f"data=wine {_MLP} act=tanh optimizer=rmsprop optimizer.learning_rate=0.5",
            f"data=breast_cancer {_MLP} optimizer=adamw optimizer.learning_rate=1",
            f"{_MLP} optimizer.learning_rate=1e-7",
            f"data=wine {_MLP} optimizer=sgd optimizer.learning_rate=1e-5 loop.epochs=40",
            "data=diabetes loss=mse model=linear optimizer.learning_rate=1e-7",
        ),
    ),
    (
        "not_learning",
        _NO_SIGNAL | {"update_ratio", "no_gradient", "dead_units"},
        (
            f"{_MLP} optimizer.learning_rate=1e-6",
            f"{_MLP} optimizer=sgd optimizer.learning_rate=1e-5",
            f"data=wine {_MLP} optimizer=sgd optimizer.learning_rate=1e-5 loop.epochs=40",
        ),
    ),
    (
        "not_converged",
        frozenset({"update_ratio"}),
        (
            f"{_MLP} optimizer.learning_rate=3e-5",
            f"{_MLP} optimizer=sgd optimizer.learning_rate=0.005",
            f"{_MLP} act=sigmoid loop.epochs=10",
            f"data=wine {_MLP} optimizer=sgd optimizer.learning_rate=0.003 loop.epochs=25",
            f"data=breast_cancer {_MLP} optimizer=momentum optimizer.learning_rate=1e-4",
            f"data=diabetes loss=mse {_MLP} optimizer=sgd optimizer.learning_rate=0.001",
            f"data=iris {_MLP} optimizer.learning_rate=3e-4",
            "model=cnn model.filters=[8,16] model.units=[] optimizer=sgd "
            "optimizer.learning_rate=0.003 loop.epochs=12",
        ),
    ),
    (
        "overfitting",
        frozenset({"not_learning"}),
        (
            "data.split=[0.04,0.48,0.48] loop.epochs=150 data.batch_size=32 act=tanh "
            "optimizer.learning_rate=0.01 " + _npz("noisy_digits"),
            f"{_npz('noisy_digits', 64)} model.units=[128,128] loop.epochs=60",
            f"{_npz('noisy_wine', 16)} {_MLP} loop.epochs=60 optimizer.learning_rate=0.003",
            f"{_npz('noisy_breast_cancer')} {_MLP} loop.epochs=60 optimizer.learning_rate=0.003",
            "data=diabetes loss=mse model.units=[128,128] loop.epochs=100 "
            "optimizer.learning_rate=0.003",
            f"data=diabetes loss=mse {_MLP} act=tanh loop.epochs=150 optimizer=momentum",
        ),
    ),
    (
        "initial_loss",
        _TOO_FAST | {"overfitting"},
        (
            f"{_FAULTY} +model.output_scale=15",
            f"data=wine {_FAULTY} +model.output_scale=15",
            f"data=breast_cancer {_FAULTY} +model.output_scale=15 act=tanh",
            f"data=iris {_FAULTY} +model.scale=4 loop.epochs=40",
        ),
    ),
    (
        "unscaled_inputs",
        _RAW | {"overfitting", "not_converged"},
        (
            f"data=wine data.standardize=false {_MLP}",
            f"data=breast_cancer data.standardize=false {_MLP} act=tanh",
            f"{_npz('large_iris', 16)} data.standardize=false {_MLP}",
            f"{_npz('small_iris', 16)} data.standardize=false {_MLP}",
            f"{_npz('large_digits', 64)} data.standardize=false {_MLP} optimizer=momentum",
            f"{_npz('large_line')} data.standardize=false loss=mse model=linear",
        ),
    ),
    (
        "constant_labels",
        frozenset({"not_learning", "overfitting", "not_converged", "update_ratio"}),
        (
            f"{_npz('constant_line')} loss=mse {_MLP}",
            f"{_npz('constant_line')} loss=mse model=linear",
        ),
    ),
    (
        "shuffled_labels",
        frozenset({"overfitting", "not_learning", "ignored_classes"}),
        (
            f"{_npz('shuffled_digits', 64)} model.units=[128,128] optimizer.learning_rate=0.003",
            f"{_npz('shuffled_digits', 64)} model=cnn optimizer.learning_rate=0.003",
            f"{_npz('shuffled_wine', 16)} {_MLP} optimizer.learning_rate=0.003 loop.epochs=60",
            f"{_npz('shuffled_iris', 16)} {_MLP} optimizer.learning_rate=0.01 loop.epochs=80",
            f"{_npz('shuffled_breast_cancer')} {_MLP} optimizer.learning_rate=0.01 act=tanh",
            f"{_npz('shuffled_diabetes')} loss=mse {_MLP} optimizer.learning_rate=0.003",
            f"{_npz('shuffled_digits', 64)} model=linear",
            f"{_npz('shuffled_digits', 64)} model.units=[256] act=tanh seed=1 "
            "optimizer.learning_rate=0.003",
            f"{_npz('shuffled_breast_cancer')} model.units=[128] optimizer.learning_rate=0.003 "
            "loop.epochs=60",
            f"{_npz('shuffled_iris', 16)} model.units=[128,128] act=tanh seed=1 loop.epochs=80 "
            "optimizer.learning_rate=0.01",
            f"{_npz('shuffled_diabetes')} loss=mse {_MLP} act=tanh optimizer.learning_rate=0.01",
        ),
    ),
    (
        "ignored_classes",
        frozenset({"not_learning", "overfitting"}),
        (
            f"{_npz('rare_pair', 64)} {_MLP}",
            f"{_npz('rare_pair', 64)} model=linear optimizer=sgd",
            f"{_npz('rare_third', 64)} {_MLP} loop.epochs=15",
            f"{_npz('rare_tumor')} {_MLP} act=tanh loop.epochs=15",
            f"{_npz('rare_tenth', 64)} model=linear optimizer=sgd",
        ),
    ),
    (
        "vanishing_gradients",
        _NO_SIGNAL | {"saturated_units", "dead_units", "no_gradient"},
        (
            f"{_DEEP} act=sigmoid",
            f"{_DEEP} act=sigmoid optimizer=sgd",
            f"{_DEEP} act=hard_sigmoid optimizer=momentum",
            f"data=wine {_DEEP} act=sigmoid",
            f"data=diabetes loss=mse {_DEEP} act=sigmoid",
            f"{_DEEP} act=tanh model.initializer=random_normal optimizer=sgd",
            f"{_DEEP} act=relu model.initializer=random_normal optimizer=sgd",
        ),
    ),
    (
        "exploding_gradients",
        _TOO_FAST | {"initial_loss", "overfitting", "not_converged"},
        (
            f"{_FAULTY} +model.scale=3 +{_DEEP}",
            f"data=wine {_FAULTY} +model.scale=3 +{_DEEP}",
            f"data=breast_cancer {_FAULTY} +model.scale=4 +{_DEEP} act=leaky_relu",
            f"data=diabetes loss=mse {_FAULTY} +model.scale=3 +{_DEEP}",
        ),
    ),
    (
        "no_gradient",
        _NO_SIGNAL | {"dead_units", "update_ratio"},
        (
            f"{_MLP} model.initializer=zeros",
            f"data=wine {_MLP} act=tanh model.initializer=zeros",
            f"{_FAULTY} +model.cut=true",
            f"data=breast_cancer {_FAULTY} +model.cut=true act=tanh",
            f"{_FAULTY} +model.bias=-50",
        ),
    ),
    (
        "dead_units",
        _TOO_FAST | {"overfitting", "not_converged"},
        (
            f"{_FAULTY} +model.bias=-3",
            f"data=wine {_FAULTY} +model.bias=-4",
            f"data=breast_cancer {_FAULTY} +model.bias=-5 act=relu6",
            f"{_MLP} optimizer.learning_rate=0.3",
            "data=diabetes loss=mse model.units=[64,64,64] optimizer.learning_rate=0.3",
        ),
    ),
    (
        "saturated_units",
        _TOO_FAST | {"overfitting", "not_converged", "unscaled_inputs", "initial_loss"},
        (
            f"{_FAULTY} +model.scale=15 act=tanh",
            f"{_FAULTY} +model.scale=20 act=sigmoid",
            f"data=wine {_FAULTY} +model.scale=15 act=softsign",
            f"data=breast_cancer data.standardize=false {_MLP} act=sigmoid",
            f"{_MLP} act=tanh optimizer.learning_rate=0.3",
        ),
    ),
    (
        "beyond_stability",
        _TOO_FAST | {"overfitting"},
        (
            f"{_MLP} optimizer=sgd optimizer.learning_rate=4 act=tanh",
            "model=linear optimizer=sgd optimizer.learning_rate=20",
            "data=diabetes loss=mse model=linear optimizer=sgd optimizer.learning_rate=0.5",
            "data=breast_cancer model=linear optimizer=sgd optimizer.learning_rate=10",
        ),
    ),
)

# Trained only after the thresholds had been chosen.
_HELD_OUT: Mapping[str, tuple[str, ...]] = {
    "non_finite_loss": (
        "data=linear data.weights=[1,2,3] model=linear loss=mse optimizer=momentum "
        "optimizer.learning_rate=3",
        "data=diabetes loss=mse model.units=[32] optimizer=sgd optimizer.learning_rate=20",
        "model=cnn model.filters=[8,16] model.units=[32] model.l2=1 optimizer=sgd "
        "optimizer.learning_rate=3",
    ),
    "unstable_loss": (
        "model.units=[128] act=tanh optimizer=sgd optimizer.learning_rate=10",
        "model=cnn model.filters=[8,16] model.units=[32] optimizer.learning_rate=0.3 "
        "loop.epochs=10",
        "data=wine model=linear optimizer=momentum optimizer.learning_rate=20",
        f"data=breast_cancer {_MLP} act=tanh optimizer.learning_rate=1",
    ),
    "update_ratio": (
        "model.units=[128] act=tanh seed=1 optimizer.learning_rate=3e-8",
        f"data=iris {_MLP} optimizer=sgd optimizer.learning_rate=1e-6",
        f"data=breast_cancer {_MLP} optimizer=adamw optimizer.learning_rate=1e-7",
        "data=wine model=linear optimizer.learning_rate=5",
    ),
    "not_learning": (
        "model=cnn model.filters=[8,16] model.units=[32] optimizer.learning_rate=1e-6 "
        "loop.epochs=10",
        f"data=breast_cancer {_MLP} optimizer=sgd optimizer.learning_rate=1e-5",
        "model=linear optimizer.learning_rate=1e-7",
    ),
    "not_converged": (
        "model.units=[128] act=tanh seed=1 optimizer.learning_rate=5e-5",
        f"{_MLP} optimizer=momentum optimizer.learning_rate=0.0005",
        f"data=wine {_MLP} optimizer.learning_rate=1e-4",
        f"data=breast_cancer {_MLP} optimizer=sgd optimizer.learning_rate=0.002",
        "model=linear optimizer=sgd optimizer.learning_rate=0.02",
    ),
    "overfitting": (
        f"{_npz('noisy_digits', 64)} model=cnn optimizer.learning_rate=0.003",
        f"{_npz('noisy_breast_cancer')} {_MLP} act=tanh optimizer=momentum loop.epochs=80",
        f"data=diabetes loss=mse {_MLP} optimizer=rmsprop loop.epochs=120 "
        "optimizer.learning_rate=0.003",
        f"{_npz('noisy_wine', 16)} model.units=[128] optimizer.learning_rate=0.01 loop.epochs=60",
    ),
    "initial_loss": (
        f"{_FAULTY} +model.output_scale=25 act=tanh",
        f"data=iris {_FAULTY} +model.output_scale=20 loop.epochs=40",
        f"data=wine {_FAULTY} +model.scale=5",
    ),
    "unscaled_inputs": (
        f"data=breast_cancer data.standardize=false {_MLP} optimizer=sgd",
        f"data=wine data.standardize=false {_MLP} act=tanh optimizer=rmsprop",
        f"{_npz('large_iris', 16)} data.standardize=false model=linear",
        "data=diabetes data.standardize=false loss=mse model=linear",
    ),
    "constant_labels": (f"{_npz('constant_line')} loss=mse model.units=[32] act=tanh seed=1",),
    "shuffled_labels": (
        f"{_npz('shuffled_wine', 16)} model.units=[128] act=tanh seed=2 loop.epochs=40",
        f"{_npz('shuffled_digits', 64)} {_MLP} act=elu optimizer=momentum seed=2",
        f"{_npz('shuffled_breast_cancer')} model=linear optimizer=sgd seed=2",
        f"{_npz('shuffled_iris', 16)} {_MLP} optimizer=rmsprop loop.epochs=60 seed=2",
        f"{_npz('shuffled_digits', 64)} model=cnn model.filters=[16,32] model.units=[64] seed=2",
    ),
    "ignored_classes": (
        f"{_npz('rare_pair', 64)} {_MLP} act=tanh seed=1",
        f"{_npz('rare_third', 64)} model=linear optimizer=momentum loop.epochs=15",
        f"{_npz('rare_tumor')} model=linear optimizer=sgd",
    ),
    "vanishing_gradients": (
        "model.units=[32,32,32,32,32,32,32,32,32,32] act=sigmoid seed=1",
        f"data=breast_cancer {_DEEP} act=sigmoid optimizer=sgd",
        f"data=iris {_DEEP} act=hard_sigmoid loop.epochs=60",
        "model.units=[32,32,32,32,32,32,32,32,32,32] act=tanh model.initializer=random_normal",
    ),
    "exploding_gradients": (
        f"{_FAULTY} +model.scale=4 +model.units=[64,64,64,64,64,64]",
        f"data=iris {_FAULTY} +model.scale=4 +{_DEEP} loop.epochs=40",
        f"data=diabetes loss=mse {_FAULTY} +model.scale=4 +{_DEEP} act=elu",
    ),
    "no_gradient": (
        f"data=breast_cancer {_MLP} model.initializer=zeros",
        f"data=iris {_FAULTY} +model.cut=true loop.epochs=40",
        f"data=wine {_FAULTY} +model.bias=-50 act=relu6",
    ),
    "dead_units": (
        f"{_FAULTY} +model.bias=-3 +model.units=[128,128] optimizer=momentum",
        f"data=diabetes loss=mse {_FAULTY} +model.bias=-4",
        f"data=wine {_MLP} optimizer.learning_rate=0.3",
    ),
    "saturated_units": (
        f"{_FAULTY} +model.scale=12 act=tanh seed=1",
        f"data=breast_cancer data.standardize=false {_MLP} act=tanh optimizer=momentum",
        f"data=iris {_FAULTY} +model.scale=20 act=sigmoid loop.epochs=40",
    ),
    "beyond_stability": (
        "model=linear optimizer=sgd optimizer.learning_rate=40 seed=1",
        f"{_MLP} act=elu optimizer=sgd optimizer.learning_rate=6",
        "data=wine model=linear optimizer=sgd optimizer.learning_rate=20",
    ),
}

_HEALTHY = (
    "",
    "act=tanh",
    "act=elu",
    "act=leaky_relu",
    "act=selu",
    "act=sigmoid optimizer.learning_rate=0.01",
    "optimizer=sgd",
    "optimizer=momentum",
    "optimizer=rmsprop",
    "optimizer=adamw optimizer.weight_decay=0.01",
    "optimizer=lion optimizer.learning_rate=0.0003",
    "loss=mse",
    "loss=focal",
    "model.dropout=0.3",
    "model.normalization=batch",
    "model.residual=true model.units=[64,64,64,64,64,64]",
    "model.units=[64,64,64,64,64]",
    "schedule=one_cycle optimizer.learning_rate=0.01",
    "model=linear optimizer.learning_rate=0.01",
    "model=cnn model.filters=[16,32] model.units=[64] loop.epochs=15",
    "model=cnn model.filters=[16,32] model.units=[64] act=tanh optimizer=momentum loop.epochs=15",
    "model=resnet model.depth=8 model.width=8 loop.epochs=15 optimizer.learning_rate=0.01",
    "model=autoencoder loss=mse optimizer.learning_rate=0.003 loop.epochs=60",
    "data=iris model.units=[16] optimizer.learning_rate=0.01 loop.epochs=60",
    "data=iris model=linear optimizer=sgd loop.epochs=100",
    "data=wine model.units=[16] optimizer.learning_rate=0.003 loop.epochs=60",
    "data=breast_cancer model.units=[16] optimizer.learning_rate=0.003 loop.epochs=30",
    "data=diabetes loss=mse model=linear optimizer=sgd optimizer.learning_rate=0.02",
    "data=diabetes loss=mse model.units=[8] model.l2=0.01 optimizer.learning_rate=0.01",
    "data=linear model=linear loss=mse optimizer=sgd",
    f"{_npz('balanced_pair')} model.units=[16] optimizer.learning_rate=0.003 loop.epochs=15",
    f"{_npz('uneven_pair')} model=linear optimizer.learning_rate=0.01 loop.epochs=20",
    f"{_npz('uneven_pair')} model.units=[16] act=tanh loss.class_weights=balanced "
    "optimizer.learning_rate=0.003 loop.epochs=15",
)

# Trained only after the thresholds had been chosen.
_HEALTHY_HELD_OUT = (
    "seed=2",
    "act=tanh seed=1",
    "act=mish",
    "act=softplus",
    "act=prelu",
    "act=relu6 model.units=[256]",
    "act=sigmoid model.units=[128] optimizer.learning_rate=0.01 seed=1",
    "optimizer=sgd act=tanh seed=1",
    "optimizer=momentum optimizer.learning_rate=0.02 act=elu",
    "optimizer=nesterov optimizer.learning_rate=0.02",
    "optimizer=adamax optimizer.learning_rate=0.005",
    "optimizer=muon",
    "optimizer=nadam act=tanh seed=1",
    "optimizer.learning_rate=0.005 model.units=[64]",
    "loss=mae optimizer.learning_rate=0.003",
    "loss.class_weights=balanced",
    "model.dropout=0.5 model.units=[256] loop.epochs=40",
    "model.normalization=batch act=tanh seed=1",
    "model.units=[96,96,96,96] act=tanh",
    "model.residual=true model.units=[64,64,64,64,64,64,64,64] act=tanh",
    "schedule=cosine_warmup optimizer.learning_rate=0.003",
    "data.batch_size=128 optimizer.learning_rate=0.003",
    "model=linear optimizer=momentum",
    "model=cnn model.filters=[16,32] model.units=[] model.normalization=batch loop.epochs=15",
    "model=vit model.depth=2 model.width=32 model.patch_size=2 loop.epochs=25 "
    "optimizer.learning_rate=0.002",
    "data=iris model.units=[32] act=tanh optimizer=momentum optimizer.learning_rate=0.02 "
    "loop.epochs=60",
    "data=wine model=linear optimizer.learning_rate=0.02 loop.epochs=60",
    "data=breast_cancer model.units=[16] act=tanh optimizer=sgd optimizer.learning_rate=0.1",
    "data=diabetes loss=huber model=linear optimizer=sgd optimizer.learning_rate=0.05",
    "data=linear data.weights=[1,2,3] model=linear loss=mse optimizer.learning_rate=0.03",
    f"{_npz('balanced_pair')} model=linear optimizer=sgd loop.epochs=15",
)
