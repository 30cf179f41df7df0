"""One run's life: build, preflight, train, evaluate, save, close.

Importing this imports TensorFlow; `start_tensorflow` comes first.
"""

import errno
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.config.cadence import parse_seconds
from expt.config.checks import task_of
from expt.config.compose import Job
from expt.config.outputs import model_outputs
from expt.config.sources import check_imported, code_of
from expt.errors import RunError, Terminated
from expt.parts.data.dataset import Dataset
from expt.parts.models.links import with_link
from expt.record.images import draw_validation
from expt.record.phases import Phases
from expt.record.recorder import BestModel, Recorder, Scalars
from expt.runs.changed_code import check_code
from expt.runs.directories import held
from expt.runs.environment import peak_memory
from expt.runs.recorded_data import check_unchanged
from expt.runs.records import RunRecord
from expt.runs.run import Earlier, Membership, Run, Status
from expt.runs.secrets import redacted
from expt.train.assembly import expected_length, make_plan, make_recorder
from expt.train.backend import mistakes_told
from expt.train.block import RunBlock, make_run_block
from expt.train.building import Parts, make_parts
from expt.train.checkpoint import CheckpointWriter
from expt.train.continuing import MakeWriter, checkpoints, last_checkpoint, let_go_on, rate_change
from expt.train.description import new_run, resumed_run
from expt.train.evaluate import Evaluate
from expt.train.input.feed import Feed, first_batch, make_feed
from expt.train.learners.learner import Learner
from expt.train.loop import CAPACITY, Evaluation, train
from expt.train.plan import Plan
from expt.train.profile import profiled
from expt.train.saveable import check_saveable
from expt.train.signals import Interruption, deferred_signals
from expt.train.state import Progress, State, averages_in_place, save_model, state_variables
from expt.train.watch import Best, Stopping

_log = logging.getLogger(__name__)
_EXAMPLES_LOGGED = 5
MODEL_FILE = "model.keras"


def run_job(
    job: Job,
    dataset: Dataset,
    directory: Path,
    sinks: Sequence[Recorder],
    console: Console,
    earlier: Earlier | None = None,
    make_writer: MakeWriter = CheckpointWriter,
    sweep: Membership | None = None,
) -> RunRecord:
    """Trains one job to its last step, and records it in a directory.

    Args:
        job: The frozen config; it must have been checked.
        dataset: Its data.
        directory: Exists. It holds no run yet, or the one to be continued.
        sinks: Where to record, beside the journal.
        console: Where progress is shown.
        earlier: What is known of the run to be continued, from its last checkpoint.
        make_writer: Makes what writes the checkpoints; it is given every state that is due.
        sweep: What the run is a job of. Other processes then follow it, and it is for them to
            note in run.json that it is closed.

    Returns:
        The content of the run's run.json.

    Raises:
        UserError: The parts don't fit each other, or the run can't be continued; nothing is
            recorded or changed.
        RunError: The run failed. It is closed as FAILED. So it is when anything else is raised,
            but for KeyboardInterrupt and Terminated, which close it as KILLED.
    """
    with held(directory, by_its_sweep=sweep is not None):
        code = code_of(job.config)
        if earlier is not None:
            check_code(earlier, code, directory)
            check_unchanged(earlier.record["data"], dataset, os.path.relpath(directory))
        plan, phases, checkpoint = make_plan(job, dataset), Phases(console), None
        with phases("building the model"):
            parts = make_parts(job, dataset, plan.total_steps)
            if earlier is not None:
                checkpoint = last_checkpoint(job, dataset, directory, earlier)
            feed = make_feed(plan, dataset, checkpoint.step if checkpoint else 0)
            phases.begin("checking the model on one batch")
            with mistakes_told("the first batch can't be trained on"):
                batch = first_batch(dataset)
                notes = parts.learner.check(batch, dataset) or ()
            for note in notes:
                console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
            check_saveable(parts.learner.model, job, batch.inputs)
            phases.begin("compiling the training step")
            functions = _compile(job, plan, parts.learner, feed, dataset)
            check_imported(code)
        state, change = _make_state(job, parts), None
        if checkpoint is not None and earlier is not None:
            state.restore(checkpoint)
            let_go_on(state.progress, plan, earlier)
            change = rate_change(job, dataset, earlier, state.progress.step)
        with _disk_errors_told(directory):
            if earlier is None:
                run = new_run(job, dataset, directory, parts.learner, code, sweep)
            else:
                step = state.progress.step
                run = resumed_run(job, dataset, directory, earlier, step, code, change)
            if notes:
                run.update(notes=list(notes))
        if change is not None:
            console.print(change, highlight=False, markup=False, soft_wrap=True)
            _log.info(change)
        best = state.best.values.get(parts.watch.metric)
        expected = expected_length(job, dataset, plan, parts.watch, best)
        recorder = make_recorder(sinks, phases, expected, state.progress.step)
        code_hash = run.record["code"]["hash"]
        saving = checkpoints(job, dataset, directory, state, sinks, make_writer, code_hash)
        with deferred_signals() as interruption, _closing(run, recorder, sweep is None):
            recorder.open(run)
            _train(
                job,
                plan,
                parts,
                functions,
                dataset,
                run,
                recorder,
                state,
                saving,
                interruption,
            )
        return run.record


@contextmanager
def _closing(run: Run, recorder: Recorder, is_last: bool) -> Iterator[None]:
    """Closes a run with the status that fits how it ended; nobody follows it if it `is_last`."""
    outcome: dict[str, Any] = {"status": Status.FAILED, "error": None}
    try:
        with _disk_errors_told(run.directory):
            yield
        outcome["status"] = Status.FINISHED
    except (KeyboardInterrupt, Terminated) as interrupted:
        outcome |= {"status": Status.KILLED, "error": type(interrupted).__name__}
        raise
    except (Exception, SystemExit) as failure:
        outcome["error"] = redacted(f"{type(failure).__name__}: {failure}")
        outcome["traceback"] = redacted("".join(traceback.format_exception(failure)))
        _log.info("the run failed", exc_info=failure)
        raise
    finally:
        _note(run, **outcome, ended=time.time(), peak_memory=peak_memory())
        recorder.close(outcome["status"])
        if is_last:
            _note(run, closed=True)


def _note(run: Run, **values: Any) -> None:
    try:
        run.update(**values)
    except OSError as error:
        _log.warning("run.json can't be written and lacks %s: %s", ", ".join(values), error)


@contextmanager
def _disk_errors_told(directory: Path) -> Iterator[None]:
    """Tells of a full disk in a sentence, and how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise RunError(
            f"{error.filename or directory} can't be written: {error.strerror}. What was recorded "
            "before is whole. Free some space, then continue with: "
            f"python -m expt.resume {directory}"
        ) from error


@dataclass(frozen=True)
class _Functions:
    """What runs on the device."""

    run_block: RunBlock
    evaluate: Evaluate
    test: Evaluate


def _compile(job: Job, plan: Plan, learner: Learner, feed: Feed, dataset: Dataset) -> _Functions:
    mode, target = job.config["loop"]["compile"], job.config["loop"]["target_loss"]
    with mistakes_told("the step can't be compiled"):
        return _Functions(
            make_run_block(learner.step, feed, plan.batch_size, CAPACITY, mode, target),
            learner.make_evaluate(dataset.validation, mode),
            learner.make_evaluate(dataset.test, mode),
        )


def _make_state(job: Job, parts: Parts) -> State:
    loop = job.config["loop"]
    return State(
        variables=state_variables(parts.learner, parts.schedules),
        progress=Progress(),
        best=Best(parts.learner.networks, parts.watch),
        stopping=Stopping(
            parts.watch,
            patience=loop["patience"],
            min_change=loop["min_change"],
            seconds=parse_seconds(loop["time_limit"]),
            target_loss=loop["target_loss"],
        ),
    )


def _train(
    job: Job,
    plan: Plan,
    parts: Parts,
    functions: _Functions,
    dataset: Dataset,
    run: Run,
    recorder: Recorder,
    state: State,
    saving: AbstractContextManager[Callable[[], None]],
    interruption: Interruption,
) -> None:
    """Trains, keeps checkpoints and the best model whatever ends training, and tests it."""
    learner, loop, best = parts.learner, job.config["loop"], state.best
    evaluation = Evaluation(
        functions.evaluate,
        partial(averages_in_place, learner.networks, learner.optimizers),
        parts.watch,
        best,
        parts.schedules,
    )
    task = task_of(job, dataset.task)
    given = model_outputs(job.config["loss"], task)
    draw = partial(draw_validation, dataset, task, given.kind)
    run_block = functions.run_block
    if loop["profile"] is not None:
        run_block = profiled(run_block, loop["profile"], run.directory / "train")
    before, started = run.record.get("training_seconds") or 0.0, time.perf_counter()

    def keep_best() -> None:
        run.update(training_seconds=before + time.perf_counter() - started)
        if best.step is not None:
            best.restore()
            save_model(with_link(learner.model, given.link), run.directory / MODEL_FILE)
            run.update(
                best={"step": best.step, "watched": parts.watch.metric, **best.values},
                model_outputs=asdict(given),
            )

    try:
        with saving as save:
            train(
                plan,
                state.progress,
                run_block,
                evaluation,
                state.stopping,
                recorder,
                draw,
                save,
                interruption.check,
            )
    except BaseException:
        try:
            keep_best()
        except OSError as error:  # what ended training is told; it may well be the same
            _log.warning("the best model can't be saved: %s", error)
        raise
    keep_best()
    run.update(stopped=state.progress.reason)
    if best.step is None:
        raise RunError(f"{parts.watch.metric} was not finite at any evaluation; no model is kept.")
    _test(plan, functions, dataset, run, recorder, state.progress)
    lowest = state.stopping.lowest_loss
    if loop["target_loss"] is not None and lowest >= loop["target_loss"]:
        raise RunError(
            f"the training loss did not fall below loop.target_loss={loop['target_loss']} within "
            f"{state.progress.step} steps; its lowest was {lowest:.4g}."
        )


def _test(
    plan: Plan,
    functions: _Functions,
    dataset: Dataset,
    run: Run,
    recorder: Recorder,
    progress: Progress,
) -> None:
    """Evaluates the test split with the best model, and hands that model to the recorders."""
    test, predictions = functions.test()
    scores = {f"test/{name}": value for name, value in test.items()}
    step = progress.step
    recorder.write(Scalars.single(step, plan.epoch_of(step), scores))
    examples = dataset.test.first(_EXAMPLES_LOGGED)
    path = run.directory / MODEL_FILE
    recorder.write(BestModel(path, examples, predictions[: len(examples)]))
    run.update(final={"step": step, **progress.values, **scores})
