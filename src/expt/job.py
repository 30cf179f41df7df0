"""One run's life: build, preflight, train, evaluate, save, close.

Importing this imports TensorFlow; `start_tensorflow` comes first.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.assembly import Parts, make_params, make_parts, make_plan, make_recorder
from expt.config.compose import Job
from expt.config.hashes import run_hash, variant_hash
from expt.errors import Terminated, UserError
from expt.parts.data.dataset import Dataset
from expt.record.environment import git_state, machine, versions
from expt.record.images import draw_validation
from expt.record.recorder import BestModel, Recorder, Scalars
from expt.record.run import Run, Status
from expt.signals import Interruption, deferred_signals
from expt.train.block import RunBlock, make_run_block
from expt.train.evaluate import Evaluate, make_evaluate
from expt.train.loop import CAPACITY, train
from expt.train.plan import Plan
from expt.train.preflight import preflight
from expt.train.state import Best, save_model
from expt.train.step import make_train_step

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
    preflight(parts.model, parts.loss, dataset)
    functions = _compile(parts, dataset, job.config["loop"]["compile"])
    run = _new_run(job, dataset, directory, parts)
    recorder = make_recorder(plan, sinks, console)
    with deferred_signals() as interruption:
        status, error = Status.FAILED, None
        try:
            recorder.open(run)
            final = _train(plan, parts, functions, dataset, run, recorder, interruption)
            _test(plan, functions, dataset, run, recorder, final)
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


def _compile(parts: Parts, dataset: Dataset, mode: str) -> _Functions:
    model, loss, metrics = parts.model, parts.loss, parts.metrics
    try:
        step = make_train_step(model, loss, parts.optimizer, metrics)
        return _Functions(
            make_run_block(step, dataset.train, dataset.batch_size, CAPACITY, mode),
            make_evaluate(model, loss, metrics, dataset.validation, mode),
            make_evaluate(model, loss, metrics, dataset.test, mode),
        )
    except (TypeError, ValueError) as error:
        # TensorFlow puts a traceback into the message; the reason is its last line.
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"the step can't be compiled: {reason}") from error


def _train(
    plan: Plan,
    parts: Parts,
    functions: _Functions,
    dataset: Dataset,
    run: Run,
    recorder: Recorder,
    interruption: Interruption,
) -> dict[str, float]:
    """Trains; whatever ends it, the best model so far is saved and back in `parts`."""
    best, draw = Best(parts.model), partial(draw_validation, dataset)
    run_block, evaluate = functions.run_block, functions.evaluate
    started = time.perf_counter()
    try:
        return train(plan, run_block, evaluate, best, recorder, draw, interruption.check)
    finally:
        run.update(training_seconds=time.perf_counter() - started)
        if best.step is not None:
            best.restore()
            save_model(parts.model, run.directory / MODEL_FILE)
            run.update(best={"step": best.step, **best.values})


def _test(
    plan: Plan,
    functions: _Functions,
    dataset: Dataset,
    run: Run,
    recorder: Recorder,
    final: dict[str, float],
) -> None:
    """Evaluates the test split with the best model, and hands that model to the recorders."""
    test, outputs = functions.test()
    scores = {f"test/{name}": value for name, value in test.items()}
    last = plan.total_steps
    recorder.write(Scalars.single(last, plan.epoch_of(last), scores))
    examples = slice(_EXAMPLES_LOGGED)
    path = run.directory / MODEL_FILE
    recorder.write(BestModel(path, dataset.test.inputs[examples], outputs[examples]))
    run.update(final={"step": last, **final, **scores})


def _new_run(job: Job, dataset: Dataset, directory: Path, parts: Parts) -> Run:
    record = _identity(job, dataset, directory) | {
        "parameters": int(parts.model.count_params()),
        "status": Status.RUNNING,
        "started": time.time(),
    }
    output_dir = Path(job.config["output_dir"]).absolute()
    run = Run(directory, output_dir, job.config, make_params(job), record)
    run.update()
    return run


def _identity(job: Job, dataset: Dataset, directory: Path) -> dict[str, Any]:
    return {
        "run_name": directory.name,
        "name": job.config["name"],
        "overrides": list(job.overrides),
        "choices": job.choices,
        "seed": job.config["seed"],
        "run_hash": run_hash(job.config, dataset.fingerprint),
        "variant_hash": variant_hash(job.config, dataset.fingerprint),
        "data": {
            "name": dataset.name,
            "task": dataset.task,
            "fingerprint": dataset.fingerprint,
            "examples": {name: len(split) for name, split in dataset.splits()},
        },
        "git": git_state(Path.cwd()),
        "versions": versions(),
        "machine": machine(),
    }
