"""A training session: builds, trains and records one run, from start to end.

Importing this module imports TensorFlow; call `expt.train.backend.start_tensorflow` first.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from expt.config.cadence import Cadence
from expt.config.hashes import identity
from expt.config.job import Job
from expt.config.schema import Mode
from expt.config.sources import Code, check_imported, code_of
from expt.errors import RunError
from expt.parts.data.dataset import Dataset
from expt.record.background import BackgroundRecorder
from expt.record.histograms import HISTOGRAMS
from expt.record.journal import FILE_NAME
from expt.record.phases import Phases
from expt.record.recorder import BestModel, Recorder, Scalars
from expt.record.replay import IMAGES
from expt.runs.atomic import synchronize
from expt.runs.changed_code import check_code
from expt.runs.directories import locked
from expt.runs.recorded_data import check_unchanged
from expt.runs.records import RunRecord
from expt.runs.run import Membership, PreviousRun, Run
from expt.train.best_model import MODEL_FILE, saving_best_model
from expt.train.checkpoint import CheckpointWriter
from expt.train.closing import closing, disk_errors_as_run_errors
from expt.train.compilation_rule import recorded_compilation
from expt.train.executors import Executor
from expt.train.executors.kept import KeptProgram
from expt.train.executors.single import SingleExecutor
from expt.train.hooks import Every, make_hooks
from expt.train.hooks.checkpoints import MakeWriter, checkpointing
from expt.train.hooks.images import DrawImages
from expt.train.hooks.lr_finder import finding_learning_rate
from expt.train.hooks.probes import make_probes
from expt.train.hooks.profile import profiling
from expt.train.program import make_program
from expt.train.recorders import expected_progress, make_recorder
from expt.train.resume.checks import CHECKPOINTS
from expt.train.resume.restore import Resumption, last_checkpoint
from expt.train.run_record import new_run, resumed_run
from expt.train.signals import deferred_signals
from expt.train.step_times import StepTimes, train_timed
from expt.train.timing import measure_parts
from expt.train.trainer import train

_log = logging.getLogger(__name__)
_EXAMPLES_LOGGED = 5


@dataclass(frozen=True)
class Session:
    """The training of one job to its last step, in this process.

    Attributes:
        job: The job, with its frozen config; `expt.config.checks.check` must have accepted it.
        dataset: The data set of the job.
        directory: The run directory; it must exist, and hold either no run or the one to continue.
        sinks: The recorders in addition to the journal and the console.
        console: Shows progress.
        previous: The record of the previous run, if it is to be continued from its last
            checkpoint; None for a new run.
        make_writer: Makes the checkpoint writer.
        sweep: The sweep that the run is a job of; None for a single run. The run of a job is marked
            as closed in run.json by the sweep, not by the session.
        kept: The compiled program of a previous job in this process, which this one uses if it can;
            None to compile the program anew.
    """

    job: Job
    dataset: Dataset
    directory: Path
    sinks: Sequence[Recorder]
    console: Console
    previous: PreviousRun | None = None
    make_writer: MakeWriter = CheckpointWriter
    sweep: Membership | None = None
    kept: KeptProgram | None = None

    def run(self) -> RunRecord:
        """Trains the job and records the run.

        A run that has begun always gets a final status: FINISHED, KILLED after KeyboardInterrupt or
        Terminated, or FAILED after any other exception.

        Returns:
            The content of the run's run.json.

        Raises:
            UserError: The parts are incompatible, or the run can't be continued. Nothing has been
                recorded or changed.
            RunError: The run failed.
            KeyboardInterrupt: Ctrl-C was pressed.
            Terminated: SIGTERM arrived.
        """
        # Locked until the end, so that no other process resumes or completes the run meanwhile.
        with locked(self.directory, by_its_sweep=self.sweep is not None):
            code, phases = code_of(self.job.config), Phases(self.console)
            is_profiled, times = self.job.config.loop.profile is not None, StepTimes()
            executor, hooks, resumption, notes = self._build(code, phases)
            schedule_note = None
            # All user errors are raised before `_begin`, which writes the first file.
            if resumption is not None:
                schedule_note = resumption.restore(executor.state, executor.program.timeline)
            run = self._begin(executor, code, schedule_note, notes)
            recorder = self._recorder(executor, phases)
            with (
                deferred_signals() as interruption,
                closing(executor, run, recorder, is_last=self.sweep is None),
            ):
                recorder.open(run)
                with (
                    saving_best_model(executor, run),
                    times.running(),
                    self._hooks(executor, hooks, run, recorder) as every,
                ):
                    arguments = executor, every, recorder, interruption.check
                    if is_profiled:
                        train_timed(times, *arguments)
                    else:
                        train(*arguments)
                _finish(executor, run, recorder)
            if is_profiled:
                # Measured only now, so that it does not count as time of the run.
                self.console.print(times.table(measure_parts(self.job, self.dataset)))
            if self.kept is not None:
                self.kept.keep(executor)
            return run.record

    def _build(
        self, code: Code, phases: Phases
    ) -> tuple[SingleExecutor, list[Every], Resumption | None, Sequence[str]]:
        """Builds, checks and compiles the program.

        Returns:
            The executor, the hooks of the config, the point to resume from (None for a new run),
            and the notes of the checks.
        """
        resumption = None
        # The cheap checks come first: building and compiling take seconds.
        if self.previous is not None:
            check_code(self.previous, code, self.directory)
            where = os.path.relpath(self.directory)
            check_unchanged(self.previous.record.data, self.dataset, where)
        with phases("building the model"):
            compilation = recorded_compilation(self.previous)
            program = make_program(self.job, self.dataset, compilation)
            executor = None
            if self.kept is not None and self.previous is None:
                executor = self.kept.take(program)
            program = program if executor is None else executor.program
            hooks = [
                *make_hooks(self.job),
                *make_probes(self.job, program, self.directory, self._drain),
            ]
            if self.previous is not None:
                resumption = last_checkpoint(self.job, self.dataset, self.directory, self.previous)
            phases.begin("checking the model on one batch")
            notes = program.check()
            for note in notes:
                self._print(f"note: {note}")
            phases.begin("compiling the training step")
            if executor is None:
                executor = SingleExecutor(program, 0 if resumption is None else resumption.step)
            # Checked only now that the modules of all parts are imported: `code` was hashed from
            # files, and a file may have been edited between hashing and import.
            check_imported(code)
        return executor, hooks, resumption, notes

    def _begin(
        self, executor: Executor, code: Code, schedule_note: str | None, notes: Sequence[str]
    ) -> Run:
        """Writes run.json, and returns the new or resumed run."""
        job, dataset, directory = self.job, self.dataset, self.directory
        with disk_errors_as_run_errors(directory):
            if self.previous is None:
                learner = executor.program.learner
                run = new_run(job, dataset, directory, learner, code, self.sweep)
            else:
                step = executor.state.progress.step
                run = resumed_run(job, dataset, directory, self.previous, step, code, schedule_note)
            compilation = executor.program.compilation
            with_notes = {"notes": list(notes)} if notes else {}
            run.update(compilation=asdict(compilation), **with_notes)
            _log.info("compiled as %s: %s", compilation.mode, compilation.reason)
        if schedule_note is not None:
            self._print(schedule_note)
            _log.info(schedule_note)
        return run

    def _recorder(self, executor: Executor, phases: Phases) -> Recorder:
        program, state = executor.program, executor.state
        expected = expected_progress(program, state.best.values.get(program.monitor.metric))
        return make_recorder(self.sinks, phases, expected, state.progress.step)

    @contextmanager
    def _hooks(
        self, executor: Executor, hooks: list[Every], run: Run, recorder: Recorder
    ) -> Iterator[list[Every]]:
        """Yields all hooks of the run, in the order in which they are called."""
        loop = self.job.config.loop
        folder, keep = self.directory / CHECKPOINTS, loop.keep_checkpoints
        assert run.record.code is not None
        run_identity = identity(self.job.config, self.dataset.fingerprint, run.record.code.hash)
        images = Every(
            Cadence.parse(loop.image_every),
            DrawImages(executor.program),
            at_start=True,
            at_end=True,
        )
        finds_rate = self.job.config.mode is Mode.lr_finder
        with ExitStack() as stack:
            finder = finding_learning_rate(finds_rate, executor, recorder, run)
            # Entered first, so left last: `checkpointing` must see a NonFiniteLossError, and save
            # no checkpoint of those weights, before the finder turns the error into the normal end
            # of a range test.
            finding = stack.enter_context(finder)
            profile = stack.enter_context(profiling(loop.profile, self.directory / "train"))
            writer = self.make_writer(folder, keep, self._before_checkpoint)
            cadence = Cadence.parse(loop.save_every)
            saving = checkpointing(cadence, executor.state, writer, run_identity)
            # Checkpoints come last: a resumed run does not call the hooks of the saved step again.
            yield [*hooks, images, *finding, *profile, stack.enter_context(saving)]

    def _before_checkpoint(self) -> None:
        """Flushes the journal to the disk, after images and histograms are in their files."""
        # A resumed run does not record the steps before its checkpoint again. The journal must
        # survive a power cut; images and histograms survive only the end of the process.
        self._drain()
        synchronize(self.directory / FILE_NAME)

    def _drain(self) -> None:
        """Waits until the images and the histograms are in their files."""
        for sink in self.sinks:
            if isinstance(sink, BackgroundRecorder) and sink.name in (IMAGES, HISTOGRAMS):
                sink.drain()

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _finish(executor: Executor, run: Run, recorder: Recorder) -> None:
    """Evaluates the best model on the test split, records the results, completes run.json.

    Raises:
        RunError: There is no best model, or the training loss has not reached its target.
    """
    program, state = executor.program, executor.state
    run.update(stopped=state.progress.reason)
    if state.best.step is None:
        metric = program.monitor.metric
        raise RunError(f"{metric} was not finite at any evaluation, so no model was saved.")
    tested, step = executor.evaluate_test(), state.progress.step
    recorder.write(Scalars.single(step, program.timeline.epoch_of(step), tested.values))
    examples = program.dataset.test.first(_EXAMPLES_LOGGED)
    path = run.directory / MODEL_FILE
    recorder.write(BestModel(path, examples, tested.predictions[: len(examples)]))
    run.update(final={"step": step, **state.progress.values, **tested.values})
    target, lowest = program.job.config.loop.target_loss, state.stopping.lowest_loss
    if target is not None and lowest >= target:
        raise RunError(
            f"the training loss did not fall below loop.target_loss={target} within {step} steps; "
            f"its lowest was {lowest:.4g}. If the minimum of the loss is above {target}, set "
            "loop.target_loss=… to a value above that minimum."
        )
