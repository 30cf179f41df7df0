"""A session of a sweep: trains the unfinished jobs of its plan, from start to end."""

from rich.console import Console

from expt.record.log_files import log_to_file_and_stderr
from expt.record.phases import command_phases
from expt.sweep.launchers import Launcher
from expt.sweep.plan import SweepPlan
from expt.sweep.proposed_jobs import ProposedJobs
from expt.sweep.scheduler import Scheduler
from expt.sweep.summary import exit_code
from expt.sweep.view import SweepView
from expt.train.signals import deferred_signals

_LOG_FILE = "sweep.log"


def run_jobs(
    plan: SweepPlan,
    launcher: Launcher,
    console: Console,
    *,
    proposed: ProposedJobs | None = None,
    seconds: float | None = None,
    retry_failed: bool = False,
) -> int:
    """Trains the unfinished jobs of a plan.

    Args:
        plan: The plan, which is updated in memory and on disk with each change of a job's status.
        launcher: An idle launcher; it is closed at the end.
        console: Shows one line per job, and a table of the results at the end.
        proposed: Adds the sweeper's further jobs to the plan; None if all jobs are planned.
        seconds: Estimated duration of a job; None if unknown.
        retry_failed: Whether to train failed jobs again.

    Returns:
        The exit code: 0 if all jobs have finished or were reused, else 1.

    Raises:
        RunError: The sweep can't continue: the disk is full, or the sweeper has proposed a job
            that can't be trained.
        KeyboardInterrupt: Ctrl-C was pressed. All runs have been closed as KILLED.
        Terminated: SIGTERM was received. All runs have been closed as KILLED.
    """
    log_to_file_and_stderr(plan.directory / _LOG_FILE)
    command_phases().start_log()
    with deferred_signals() as interruption:
        view = SweepView(plan, console, launcher.num_slots, seconds)
        scheduler = Scheduler(plan, launcher, view, proposed)
        try:
            scheduler.run(interruption, retry_failed)
        finally:
            scheduler.close(console)
    return exit_code(plan)
