"""The trainer: segments of a program, and between them the hooks that are due."""

from collections.abc import Callable, Iterable, Sequence

from expt.record.recorder import Recorder, Scalars
from expt.train.executors import Executor
from expt.train.hooks import Every, Moment


def train(
    executor: Executor,
    hooks: Sequence[Every],
    recorder: Recorder,
    check_signals: Callable[[], None] = lambda: None,
) -> None:
    """Trains to the last step, or until there is a reason to stop.

    Args:
        executor: Runs the program from the step in its state.
        hooks: Called in their order where they are due.
        recorder: Records every number.
        check_signals: Called before each segment; raises if training is to stop there. All that
            was due at the last step has been done then.

    Raises:
        NonFiniteLossError: A loss became NaN or infinite; everything up to then is recorded.
    """
    timeline, progress = executor.program.timeline, executor.state.progress

    def record(numbers: Iterable[Scalars]) -> None:
        for scalars in numbers:
            recorder.write(scalars)

    def call_hooks() -> None:
        moment, waiting = Moment(executor, recorder), list(hooks)
        while (hook := next((each for each in waiting if each.is_due(moment)), None)) is not None:
            waiting.remove(hook)
            hook(moment)
            if progress.reason is not None:  # perhaps by the hook: the last step is evaluated
                record(executor.evaluate_last())

    if progress.step == 0:
        call_hooks()
    while progress.step < timeline.total_steps and progress.reason is None:
        check_signals()
        due = (hook.next_due(progress.step, timeline) for hook in hooks)
        record(executor.run(int(min((timeline.total_steps, *due)))))
        call_hooks()
