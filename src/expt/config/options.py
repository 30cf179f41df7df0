"""Composition of several options of a group, without a sweep over them."""

from collections.abc import Mapping, Sequence

from hydra import compose
from omegaconf import OmegaConf

from expt.config.compose import compose_jobs
from expt.config.hydra_errors import convert_hydra_errors
from expt.config.hydra_setup import check_config_dir, composing
from expt.config.job import Job
from expt.config.location import options
from expt.config.paths import expand_path
from expt.errors import UserError, hint


def available_options(group: str, config_dir: str | None = None) -> list[str]:
    """Returns the names of a group's options, those of the user included, in alphabetical order.

    Args:
        group: The group, such as `act`.
        config_dir: The user's `conf/` folder, if any.

    Raises:
        UserError: The folder does not exist, or has a config.yaml.
    """
    check_config_dir(config_dir)
    folder = None if config_dir is None else expand_path(config_dir) / group
    own = [] if folder is None else [file.stem for file in folder.glob("*.yaml")]
    return sorted({*options(group), *own})


def check_option(group: str, name: str, config_dir: str | None = None) -> None:
    """Checks that a group has an option.

    Raises:
        UserError: There is no option of that name; the message has the nearest one.
    """
    valid = available_options(group, config_dir)
    if name not in valid:
        raise UserError(f"{group}={name}: there is no such option. {hint(name, valid)}")


def compose_options(
    chosen: Mapping[str, Sequence[str]], config_dir: str | None = None
) -> dict[str, dict[str, Job]]:
    """Composes options of some groups, each within the default config.

    Hydra composes all options at once, which takes a fraction of the time that a composition for
    each of them would take.

    Args:
        chosen: The names of options by group.
        config_dir: The user's `conf/` folder, if any.

    Returns:
        By group and option, the job with that option and the defaults of all other groups.

    Raises:
        UserError: An option does not exist or can't be composed.
    """
    for group, names in chosen.items():
        for name in names:
            check_option(group, name, config_dir)
    (base,), _ = compose_jobs([], config_dir, multirun=False)
    # Without a primary config, each option can have its own place, such as `act.relu`.
    added = [f"+{group}@{group}.{name}={name}" for group in chosen for name in chosen[group]]
    with convert_hydra_errors(added):
        with composing(config_dir):
            composed = compose(None, added)
        return {
            group: {
                name: _with_option(base, group, name, composed[group][name])
                for name in chosen[group]
            }
            for group in chosen
        }


def _with_option(base: Job, group: str, name: str, node: object) -> Job:
    """Returns a job with another option of a group, whose interpolations are resolved in it."""
    whole = OmegaConf.create(base.config.to_mapping())
    whole[group] = node
    values = OmegaConf.to_container(whole[group], resolve=True, throw_on_missing=True)
    config = base.config.with_values({group: values})
    return Job(config, {**base.choices, group: name}, base.overrides, base.current_output_dir)
