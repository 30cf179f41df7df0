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
from expt.config.compose import Job
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
from expt.train.backend import as_user_errors
from expt.train.block import RunBlock, make_run_block
from expt.train.checkpoint import CheckpointWriter
from expt.train.evaluation import Evaluate
from expt.train.loop import CAPACITY, Evaluation, train
from expt.train.monitor import BestWeights, EarlyStopping
from expt.train.profile import profiled
from expt.train.program import Program, make_program
from expt.train.recorders import expected_length, make_recorder
from expt.train.resume.restore import (
    MakeWriter,
    checkpoints,
    clear_stop_reason,
    last_checkpoint,
    rate_change,
)
from expt.train.run_record import new_run, resumed_run
from expt.train.signals import Interruption, deferred_signals
from expt.train.state import Progress, State, averages_in_place, save_model, state_variables

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
            check_unchanged(earlier.record.data, dataset, os.path.relpath(directory))
        phases, checkpoint = Phases(console), None
        with phases("building the model"):
            program = make_program(job, dataset)
            if earlier is not None:
                checkpoint = last_checkpoint(job, dataset, directory, earlier)
            phases.begin("checking the model on one batch")
            notes = program.check()
            for note in notes:
                console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
            phases.begin("compiling the training step")
            functions = _compile(program, checkpoint.step if checkpoint else 0)
            check_imported(code)
        state, change = _make_state(program), None
        if checkpoint is not None and earlier is not None:
            state.restore(checkpoint)
            clear_stop_reason(state.progress, program.timeline, earlier)
            change = rate_change(job, dataset, earlier, state.progress.step)
        with _disk_errors_told(directory):
            if earlier is None:
                run = new_run(job, dataset, directory, program.learner, code, sweep)
            else:
                step = state.progress.step
                run = resumed_run(job, dataset, directory, earlier, step, code, change)
            if notes:
                run.update(notes=list(notes))
        if change is not None:
            console.print(change, highlight=False, markup=False, soft_wrap=True)
            _log.info(change)
        best = state.best.values.get(program.monitor.metric)
        expected = expected_length(program, best)
        recorder = make_recorder(sinks, phases, expected, state.progress.step)
        code_hash = run.record["code"]["hash"]
        saving = checkpoints(job, dataset, directory, state, sinks, make_writer, code_hash)
        with deferred_signals() as interruption, _closing(run, recorder, sweep is None):
            recorder.open(run)
            _train(program, functions, run, recorder, state, saving, interruption)
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


def _compile(program: Program, first_step: int) -> _Functions:
    loop, timeline = program.job.config.loop, program.timeline
    pipeline = program.make_pipeline(first_step)
    with as_user_errors("the step can't be compiled"):
        return _Functions(
            make_run_block(
                program.learner.step,
                pipeline,
                timeline.batch_size,
                CAPACITY,
                loop.compile,
                loop.target_loss,
            ),
            program.make_evaluate(program.dataset.validation),
            program.make_evaluate(program.dataset.test),
        )


def _make_state(program: Program) -> State:
    loop = program.job.config.loop
    return State(
        variables=state_variables(program.learner, program.schedules),
        progress=Progress(),
        best=BestWeights(program.learner.networks, program.monitor),
        stopping=EarlyStopping(
            program.monitor,
            patience=loop.patience,
            min_change=loop.min_change,
            seconds=parse_seconds(loop.time_limit),
            target_loss=loop.target_loss,
        ),
    )


def _train(
    program: Program,
    functions: _Functions,
    run: Run,
    recorder: Recorder,
    state: State,
    saving: AbstractContextManager[Callable[[], None]],
    interruption: Interruption,
) -> None:
    """Trains, keeps checkpoints and the best model whatever ends training, and tests it."""
    learner, loop, best = program.learner, program.job.config.loop, state.best
    evaluation = Evaluation(
        functions.evaluate,
        partial(averages_in_place, learner.networks, learner.optimizers),
        program.monitor,
        best,
        program.schedules,
    )
    given = program.outputs
    draw = partial(draw_validation, program.dataset, program.task, given.kind)
    run_block = functions.run_block
    if loop.profile is not None:
        run_block = profiled(run_block, loop.profile, run.directory / "train")
    before, started = run.record.training_seconds or 0.0, time.perf_counter()

    def keep_best() -> None:
        run.update(training_seconds=before + time.perf_counter() - started)
        if best.step is not None:
            best.restore()
            save_model(with_link(learner.model, given.link), run.directory / MODEL_FILE)
            run.update(
                best={"step": best.step, "watched": program.monitor.metric, **best.values},
                model_outputs=asdict(given),
            )

    try:
        with saving as save:
            train(
                program.timeline,
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
        raise RunError(
            f"{program.monitor.metric} was not finite at any evaluation; no model is kept."
        )
    _test(program, functions, run, recorder, state.progress)
    lowest = state.stopping.lowest_loss
    if loop.target_loss is not None and lowest >= loop.target_loss:
        raise RunError(
            f"the training loss did not fall below loop.target_loss={loop.target_loss} within "
            f"{state.progress.step} steps; its lowest was {lowest:.4g}."
        )


def _test(
    program: Program,
    functions: _Functions,
    run: Run,
    recorder: Recorder,
    progress: Progress,
) -> None:
    """Evaluates the test split with the best model, and hands that model to the recorders."""
    test, predictions = functions.test()
    scores = {f"test/{name}": value for name, value in test.items()}
    step = progress.step
    recorder.write(Scalars.single(step, program.timeline.epoch_of(step), scores))
    examples = program.dataset.test.first(_EXAMPLES_LOGGED)
    path = run.directory / MODEL_FILE
    recorder.write(BestModel(path, examples, predictions[: len(examples)]))
    run.update(final={"step": step, **progress.values, **scores})
