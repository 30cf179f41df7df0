"""One run's life: build, preflight, train, evaluate, save, close.

Importing this imports TensorFlow; `start_tensorflow` comes first.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf
from rich.console import Console

from expt.assembly import make_params, make_plan, make_recorder
from expt.building import Parts, make_parts
from expt.config.checks import metrics_for, task_of
from expt.config.compose import Job
from expt.config.hashes import run_hash, variant_hash
from expt.errors import RunError, Terminated, UserError
from expt.parts.data.dataset import Dataset
from expt.record.environment import git_state, machine, versions
from expt.record.images import draw_validation
from expt.record.layers import write_layers
from expt.record.recorder import BestModel, Recorder, Scalars
from expt.record.run import Run, Status
from expt.saved import scale_values
from expt.signals import Interruption, deferred_signals
from expt.train.block import RunBlock, make_run_block
from expt.train.cadence import parse_seconds
from expt.train.evaluate import Evaluate
from expt.train.feed import Feed, first_batch, make_feed
from expt.train.learner import Learner
from expt.train.loop import CAPACITY, Evaluation, Outcome, train
from expt.train.plan import Plan
from expt.train.profile import profiled
from expt.train.state import averages_in_place, save_model
from expt.train.summary import layer_table
from expt.train.watch import Best, Stopping

_log = logging.getLogger(__name__)
_EXAMPLES_LOGGED = 5
MODEL_FILE = "model.keras"


def run_job(
    job: Job, dataset: Dataset, directory: Path, sinks: Sequence[Recorder], console: Console
) -> dict[str, Any]:
    """Trains one job from its first step to its last, and records it in a directory.

    Args:
        job: The frozen config; it must have been checked.
        dataset: Its data.
        directory: Exists, and holds no run yet.
        sinks: Where to record, beside the journal.
        console: Where progress is shown.

    Returns:
        The content of the run's run.json.

    Raises:
        UserError: The parts don't fit each other; nothing of the run has been recorded.
        RunError: The run failed. It is closed as FAILED. So it is when anything else is raised,
            but for KeyboardInterrupt and Terminated, which close it as KILLED.
    """
    plan = make_plan(job, dataset)
    parts = make_parts(job, dataset, plan.total_steps)
    feed = make_feed(plan, dataset)
    with _mistakes_told("the first batch can't be trained on"):
        parts.learner.check(first_batch(dataset), dataset)
    functions = _compile(job, plan, parts.learner, feed, dataset)
    run = _new_run(job, dataset, directory, parts)
    shown = ["loss", *metrics_for(job, task_of(job, dataset.task))][:2]
    watched = parts.watch.metric.removeprefix("val/")
    recorder = make_recorder(plan, sinks, console, list(dict.fromkeys([*shown, watched])))
    with deferred_signals() as interruption:
        status, error = Status.FAILED, None
        try:
            recorder.open(run)
            _train(job, plan, parts, functions, dataset, run, recorder, interruption)
            status = Status.FINISHED
        except (KeyboardInterrupt, Terminated) as interrupted:
            status, error = Status.KILLED, type(interrupted).__name__
            raise
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
            _log.info("the run failed", exc_info=failure)
            raise
        finally:
            run.update(status=status, error=error, ended=time.time())
            recorder.close(status)
    return run.record


@dataclass(frozen=True)
class _Functions:
    """What runs on the device."""

    run_block: RunBlock
    evaluate: Evaluate
    test: Evaluate


def _compile(job: Job, plan: Plan, learner: Learner, feed: Feed, dataset: Dataset) -> _Functions:
    mode, target = job.config["loop"]["compile"], job.config["loop"]["target_loss"]
    with _mistakes_told("the step can't be compiled"):
        return _Functions(
            make_run_block(learner.step, feed, plan.batch_size, CAPACITY, mode, target),
            learner.make_evaluate(dataset.validation, mode),
            learner.make_evaluate(dataset.test, mode),
        )


@contextmanager
def _mistakes_told(what: str) -> Iterator[None]:
    """Tells of arguments that only TensorFlow finds wrong as of any other mistake."""
    try:
        yield
    except (TypeError, ValueError, tf.errors.OpError) as error:
        # TensorFlow puts a traceback into the message; the reason is its last line.
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{what}: {reason}") from error


def _train(
    job: Job,
    plan: Plan,
    parts: Parts,
    functions: _Functions,
    dataset: Dataset,
    run: Run,
    recorder: Recorder,
    interruption: Interruption,
) -> None:
    """Trains, keeps the best model whatever ends training, and tests it at the end."""
    learner, loop = parts.learner, job.config["loop"]
    stopping = Stopping(
        parts.watch,
        patience=loop["patience"],
        min_change=loop["min_change"],
        seconds=parse_seconds(loop["time_limit"]),
        target_loss=loop["target_loss"],
    )
    best = Best(learner.networks, parts.watch)
    evaluation = Evaluation(
        functions.evaluate,
        partial(averages_in_place, learner.networks, learner.optimizers),
        parts.watch,
        best,
        parts.schedules,
    )
    draw = partial(draw_validation, dataset, task_of(job, dataset.task))
    run_block = functions.run_block
    if loop["profile"] is not None:
        run_block = profiled(run_block, loop["profile"], run.directory)
    started = time.perf_counter()
    try:
        outcome = train(plan, run_block, evaluation, stopping, recorder, draw, interruption.check)
    finally:
        run.update(training_seconds=time.perf_counter() - started)
        if best.step is not None:
            best.restore()
            save_model(learner.model, run.directory / MODEL_FILE)
            run.update(best={"step": best.step, "watched": parts.watch.metric, **best.values})
    run.update(stopped=outcome.reason)
    if best.step is None:
        raise RunError(f"{parts.watch.metric} was not finite at any evaluation; no model is kept.")
    _test(plan, functions, dataset, run, recorder, outcome)
    if loop["target_loss"] is not None and stopping.lowest_loss >= loop["target_loss"]:
        raise RunError(
            f"the training loss did not fall below loop.target_loss={loop['target_loss']} within "
            f"{outcome.step} steps; its lowest was {stopping.lowest_loss:.4g}."
        )


def _test(
    plan: Plan,
    functions: _Functions,
    dataset: Dataset,
    run: Run,
    recorder: Recorder,
    outcome: Outcome,
) -> None:
    """Evaluates the test split with the best model, and hands that model to the recorders."""
    test, outputs = functions.test()
    scores = {f"test/{name}": value for name, value in test.items()}
    recorder.write(Scalars.single(outcome.step, plan.epoch_of(outcome.step), scores))
    examples = dataset.test.first(_EXAMPLES_LOGGED)
    path = run.directory / MODEL_FILE
    recorder.write(BestModel(path, examples, outputs[: len(examples)]))
    run.update(final={"step": outcome.step, **outcome.values, **scores})


def _new_run(job: Job, dataset: Dataset, directory: Path, parts: Parts) -> Run:
    networks = parts.learner.networks
    record = _identity(job, dataset, directory) | {
        "parameters": sum(int(network.count_params()) for network in networks),
        "model_input_shape": list(parts.learner.model.input_shape[1:]),
        "status": Status.RUNNING,
        "started": time.time(),
    }
    output_dir = Path(job.config["output_dir"]).absolute()
    run = Run(directory, output_dir, job.config, make_params(job), record)
    run.update()
    write_layers(directory, layer_table(networks))
    return run


def _identity(job: Job, dataset: Dataset, directory: Path) -> dict[str, Any]:
    return {
        "run_name": directory.name,
        "name": job.config["name"],
        "output_dir": str(Path(job.config["output_dir"]).absolute()),
        "overrides": list(job.overrides),
        "choices": job.choices,
        "seed": job.config["seed"],
        "run_hash": run_hash(job.config, dataset.fingerprint),
        "variant_hash": variant_hash(job.config, dataset.fingerprint),
        "data": {
            "name": dataset.name,
            "source": job.config["data"]["_target_"],
            "task": task_of(job, dataset.task),
            "fingerprint": dataset.fingerprint,
            "skipped": dataset.skipped,
            "encoding": dataset.encoding,
            "input_shape": list(dataset.input_shape),
            "class_names": list(dataset.class_names),
            "input_scale": scale_values(dataset.input_scale),
            "target_scale": scale_values(dataset.target_scale),
            "examples": {name: len(split) for name, split in dataset.splits()},
        },
        "git": git_state(Path.cwd()),
        "versions": versions(),
        "machine": machine(),
    }
