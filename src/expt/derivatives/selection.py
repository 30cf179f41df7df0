"""The options that a command line of `expt.gradients` selects."""

from collections.abc import Sequence

from expt.config.instantiate import check_target, targets
from expt.config.job import Job
from expt.config.options import available_options, compose_options
from expt.errors import UserError, hint

GROUPS = ("act", "loss", "optimizer")
"""The groups whose options can be selected."""
_ALL = "all"

Jobs = dict[str, dict[str, Job]]
"""By group and option, a job with that option."""


def select_jobs(arguments: Sequence[str], config_dir: str | None) -> Jobs:
    """Composes the selected options, and checks their targets.

    Args:
        arguments: Such as `["act=relu,tanh", "loss=all"]`. Groups that are not named are left out;
            without arguments, all options of all groups are selected.
        config_dir: The user's `conf/` folder, if any.

    Raises:
        UserError: An argument is invalid, there is no such option, or its target is not allowed.
    """
    chosen: dict[str, list[str]] = {}
    for argument in arguments or [f"{group}={_ALL}" for group in GROUPS]:
        group, equals, names = argument.partition("=")
        if group not in GROUPS:
            raise UserError(f"{argument}: expected GROUP=NAME,… {hint(group, GROUPS)}")
        if not equals:
            raise UserError(f"{argument}: expected {group}=NAME,… or {group}={_ALL}.")
        given = [name.strip() for name in names.split(",")]
        if given == [_ALL]:
            given = available_options(group, config_dir)
        chosen[group] = list(dict.fromkeys([*chosen.get(group, ()), *given]))
    jobs = compose_options(chosen, config_dir)
    for group, of_group in jobs.items():
        for name, job in of_group.items():
            _check_part(f"{group}={name}", getattr(job.config, group))
    return jobs


def _check_part(where: str, node: object) -> None:
    if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
        raise UserError(f"{where}: its yaml has no _target_; expected the name of what it calls.")
    for place, target in targets(node, where):
        check_target(target, place)
