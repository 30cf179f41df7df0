"""A verification without processes: its trainings run one after the other in this process."""

from collections.abc import Sequence
from pathlib import Path

from expt.config.compose import compose_jobs
from expt.errors import RunError, UserError
from expt.train.data_loading import DataLoader
from expt.verification.plan import make_plan
from expt.verification.processes import Outcome
from expt.verification.report import make_report
from expt.verification.worker import INTERRUPTED, REPEAT, RESUMED, WHOLE, work

LAYERS = ("model=custom", "model._target_=verification.faulty_layers.build")
DATA = (
    "data=iris",
    "data._target_=verification.faulty_data.Points",
    "~data.standardize",
    "~data.split",
    "~data.split_seed",
)
ALLOW = {"EXPT_ALLOW": "verification"}


def prove(overrides: Sequence[str], folder: Path) -> tuple[str, bool]:
    """Verifies a config; returns the report, and whether all bits are the same."""
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    dataset = DataLoader()(job)
    plan = make_plan(job, dataset, folder)
    plan.write(folder)
    outcomes: dict[str, Outcome] = {}
    for name in (WHOLE, REPEAT, INTERRUPTED, RESUMED):
        try:
            work(folder, name)
            outcomes[name] = Outcome(0, "", 0.0)
        except (UserError, RunError) as error:
            outcomes[name] = Outcome(2 if isinstance(error, UserError) else 1, str(error), 0.0)
            break
    lines, is_same = make_report(folder, dataset, plan, outcomes)
    return "\n".join(lines), is_same
