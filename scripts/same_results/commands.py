"""The commands that two versions run: each kind of training, of resume, of sweep, of failure."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass

RUNS, SWEEPS = "outputs/runs", "outputs/sweeps"
ALONE = ("recorder=[]", "loop.image_every=null")
TINY = ("data=iris", "model.units=[4]", *ALONE)


@dataclass(frozen=True)
class Command:
    """A command line, run in a folder of its own or after others in theirs.

    Attributes:
        name: Of the line that is printed.
        arguments: After `python -m expt.`.
        within: The name of the first command in the same folder; None begins a new one.
        interrupt: The directory and the step at which a signal is sent.
        number: The signal's.
        remove: Files and folders that are removed before.
    """

    name: str
    arguments: tuple[str, ...]
    within: str | None = None
    interrupt: tuple[str, int] | None = None
    number: int = signal.SIGINT
    remove: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return self.within or self.name


def run(name: str, *overrides: str, to: str = "run", within: str | None = None) -> Command:
    """Returns a training in the directory `to`."""
    return Command(name, ("run", *overrides, f"hydra.run.dir={RUNS}/{to}"), within)


def sweep(name: str, *overrides: str, within: str | None = None, to: str = "sweep") -> Command:
    """Returns a sweep with one worker, so that its lines have one order."""
    where = f"hydra.sweep.dir={SWEEPS}/{to}"
    return Command(name, ("run", "-m", *overrides, "sweep.workers=1", where), within)


def after(first: str, name: str, *arguments: str, remove: tuple[str, ...] = ()) -> Command:
    """Returns a command in the folder of an earlier one."""
    return Command(name, arguments, first, remove=remove)


def interrupted(first: Command, directory: str, step: int, number: int) -> Command:
    """Returns a command that is ended by a signal."""
    return Command(
        first.name, first.arguments, first.within, interrupt=(directory, step), number=number
    )


_A, _B = f"{RUNS}/a", f"{RUNS}/b"
_LONG = (
    *("data=digits", "model.units=[8]", "data.batch_size=256", "loop.epochs=60"),
    *(*ALONE, "model.dropout=0.2", "schedule=cosine"),
)
_GRID = ("data=iris", "model.units=[4]", "loop.epochs=3", "loop.image_every=null")

TRAININGS = (
    run("classification", "model.units=[16]", "loop.epochs=3", "loop.image_every=1ep", to="a"),
    after("classification", "evaluate", "evaluate", _A, "split=val"),
    after("classification", "predict", "predict", _A, "inputs.npy", "predictions.csv"),
    after("classification", "export", "export", _A, "tflite"),
    after("classification", "rerun", "run", "--rerun", _A, "seed=1", *ALONE),
    after("classification", "diff", "diff", _A, "latest"),
    after("classification", "extended", "resume", _A, "loop.epochs=4"),
    after(
        "classification",
        "sync of a lost store",
        "sync",
        remove=("outputs/mlflow.db", "outputs/mlartifacts"),
    ),
    after("classification", "list", "list"),
    run(
        "regression, early stopping, TensorBoard alone",
        "experiment=regression",
        "recorder=[tensorboard]",
        "loop.epochs=9",
        "loop.patience=2",
        "loop.min_change=100",
        "loop.image_every=2ep",
    ),
    run(
        "reconstruction, MLflow alone",
        "experiment=autoencoder",
        "model.units=[16]",
        "model.latent=4",
        "loop.epochs=2",
        "recorder=[mlflow]",
        "loop.image_every=1ep",
    ),
    run(
        "gan",
        "experiment=gan",
        "model.generator_units=[16]",
        "model.discriminator_units=[16]",
        "loop.epochs=4",
        "loop.eval_every=1ep",
        "loop.image_every=2ep",
        "recorder=[tensorboard]",
    ),
    run(
        "mixed precision, accumulation, averages",
        "model.units=[16]",
        "model.dropout=0.2",
        "loop.precision=mixed_float16",
        "optimizer=adamw",
        "optimizer.gradient_accumulation_steps=3",
        "optimizer.use_ema=true",
        "optimizer.global_clipnorm=1.0",
        "loop.epochs=2",
        *ALONE,
    ),
    run(
        "streamed images, augmentation",
        "data=image_folder",
        "data.path=images",
        "data.batch_size=8",
        "data.augment={flip: true, shift: 1, cutout: 2, mixup: 0.2}",
        "model=cnn",
        "model.filters=[4]",
        "model.units=[8]",
        "metric=[accuracy,f1]",
        "loop.epochs=3",
        "loop.image_every=3ep",
        "recorder=[tensorboard]",
    ),
    run(
        "streamed arrays, plateau",
        "data=npz",
        "data.path=arrays",
        "data.stream=true",
        "data.batch_size=8",
        "loss=huber",
        "model.units=[8]",
        "model.normalization=batch",
        "optimizer=momentum",
        "schedule=plateau",
        "schedule.patience=1",
        "schedule.min_change=10",
        "loop.eval_every=3",
        "loop.steps=40",
        *ALONE,
    ),
    run(
        "table, class weights, xla",
        "data=csv",
        "data.path=table.csv",
        "data.target=kind",
        "data.duplicates=drop",
        "loss.class_weights=balanced",
        "loss.label_smoothing=0.1",
        "model.units=[8,8]",
        "model.residual=true",
        "act=gelu",
        "schedule=cosine_warmup",
        "loop.compile=xla",
        "loop.epochs=6",
        "loop.watch=val/accuracy",
        *ALONE,
    ),
    run(
        "linear",
        "data=linear",
        "model=linear",
        "loss=mse",
        "optimizer=sgd",
        "loop.epochs=3",
        *ALONE,
    ),
    run("debug=eager", "debug=eager", *TINY),
    run("debug=one_batch", "debug=one_batch", *TINY),
    run("debug=overfit", "debug=overfit", "model.units=[64]", *ALONE),
    run("profile", "loop.profile=4", "loop.epochs=2", "model.units=[8]", *ALONE),
    Command(
        "user's parts",
        (
            *("run", "--config-dir", "conf", "experiment=spirals", "loop.epochs=2"),
            *("model.width=8", "loop.image_every=1ep", f"hydra.run.dir={_A}"),
            "recorder=[tensorboard]",
        ),
    ),
    after(
        "user's parts",
        "user's parts, evaluate",
        "evaluate",
        _A,
        "--config-dir",
        "conf",
        "split=all",
    ),
    Command("verify", ("verify", *TINY, "loop.steps=8", "model.dropout=0.5")),
)
_KILLED = "killed by signal 9"
_STOPPED = "ended by SIGTERM"
INTERRUPTED = (
    interrupted(run(_KILLED, *_LONG, to="a"), _A, 90, signal.SIGKILL),
    after(_KILLED, "killed, resumed", "resume", _A),
    interrupted(
        run(_STOPPED, *_LONG, "recorder=[tensorboard,mlflow]", to="a"), _A, 90, signal.SIGTERM
    ),
    after(_STOPPED, "ended, listed", "list", "status=KILLED"),
    after(_STOPPED, "ended, resumed", "resume", "latest"),
    interrupted(
        sweep("sweep, interrupted", *_LONG, "seed=0,1,2"),
        f"{SWEEPS}/sweep/1_seed=1",
        90,
        signal.SIGINT,
    ),
    after("sweep, interrupted", "sweep, resumed", "resume", f"{SWEEPS}/sweep"),
)
SWEPT = (
    sweep("sweep of a grid", *_GRID, "act=relu,tanh", "seed=0,1"),
    after(
        "sweep of a grid",
        "compare",
        *("compare", "--csv", "table.csv", "--markdown", "table.md", "--json", "table.json"),
        *("--plots", "plots"),
    ),
    after("sweep of a grid", "list of jobs", "list", "--jobs", "latest"),
    after(
        "sweep of a grid",
        "sync of a sweep",
        "sync",
        remove=("outputs/mlflow.db", "outputs/mlartifacts"),
    ),
    sweep(
        "sweep that reuses",
        *_GRID,
        "act=relu,tanh,elu",
        "sweep.reuse=true",
        within="sweep of a grid",
        to="again",
    ),
    sweep(
        "sweep with choice and range",
        *TINY,
        "loop.epochs=2",
        "act=choice(relu,tanh)",
        "seed=range(2)",
    ),
    sweep("sweep with glob", *TINY, "loop.epochs=2", "act=glob(so*)"),
    sweep(
        "sweep with zip",
        *TINY,
        "loop.epochs=2",
        "act=relu,tanh",
        "optimizer.learning_rate=0.1,0.01",
        "sweep.zip=[act,optimizer.learning_rate]",
    ),
    sweep(
        "sweep with a failing job",
        *("data=diabetes", "model.units=[4]", "loss=mse", "optimizer=sgd", "loop.epochs=2"),
        "optimizer.learning_rate=0.001,1e30,0.002",
        *ALONE,
    ),
    after("sweep with a failing job", "failed job, retried", "resume", "latest", "--retry-failed"),
    Command(
        "sweep where it is put by default",
        ("run", "-m", *TINY, "loop.steps=4", "sweep.workers=1", "seed=3,4"),
    ),
)
_FAILING = "diverging loss"
FAILURES = (
    run(_FAILING, *TINY, "optimizer=sgd", "optimizer.learning_rate=1e30", "loop.epochs=2"),
    after(_FAILING, "resume of nothing", "resume", "nowhere"),
    after(_FAILING, "option misspelt", "run", "act=rellu"),
    after(_FAILING, "value of the wrong kind", "run", "loop.epochs=two"),
    after(_FAILING, "key that is not there", "run", "optimizer.lr=1"),
    after(_FAILING, "loss that does not fit", "run", "data=diabetes", "loss=crossentropy"),
    after(_FAILING, "data that is not there", "run", "data=mnist"),
    after(_FAILING, "interval", "run", "-m", "optimizer.learning_rate=interval(0,1)"),
    after(_FAILING, "target that is not allowed", "run", "loss._target_=os.system"),
    after(_FAILING, "failed run resumed", "resume", f"{RUNS}/run"),
)
SHOWN = (
    Command("--cfg job", ("run", "--cfg", "job", "act=tanh", "experiment=regression")),
    after("--cfg job", "--cfg hydra", "run", "--cfg", "hydra", "--package", "hydra.sweep"),
    after("--cfg job", "--cfg of a sweep", "run", "-m", "--cfg", "job", "act=tanh,relu"),
    after("--cfg job", "--help", "run", "--help"),
)
COMMANDS: Sequence[Command] = (*TRAININGS, *INTERRUPTED, *SWEPT, *FAILURES, *SHOWN)
