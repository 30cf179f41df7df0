"""The training loop: runs segments of a program and calls the hooks that are due between them."""

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
    """Trains to the last step, or until there is a reason to stop early.

    Args:
        executor: Runs the program, starting from the step in its state.
        hooks: Called in the given order at the steps where they are due.
        recorder: Records all scalars that the executor yields.
        check_signals: Called before each segment; raises an exception to end training there. All
            hooks that were due at the last step have been called by then.

    Raises:
        NonFiniteLossError: A loss or a weight became NaN or infinite. All scalars up to that step
            have been recorded.
    """
    timeline, progress = executor.program.timeline, executor.state.progress

    def record(segment: Iterable[Scalars]) -> None:
        for scalars in segment:
            recorder.write(scalars)

    def call_hooks() -> None:
        moment, waiting = Moment(executor, recorder), list(hooks)
        # Not a plain loop over `hooks`: if one of them stops training, this becomes the last step,
        # and hooks with `at_end` become due, including those that come before it in the list.
        while (hook := next((each for each in waiting if each.is_due(moment)), None)) is not None:
            waiting.remove(hook)
            hook(moment)
            if progress.reason is not None:
                # The hook may have just stopped training, and the last step is always evaluated.
                record(executor.evaluate())

    if progress.step == 0:
        call_hooks()
    else:
        for hook in hooks:
            hook.resume(Moment(executor, recorder))
    while progress.step < timeline.total_steps and progress.reason is None:
        check_signals()
        due = (hook.next_due(progress.step, timeline) for hook in hooks)
        record(executor.run(int(min((timeline.total_steps, *due)))))
        call_hooks()
