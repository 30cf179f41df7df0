"""Completion of the last override on a command line, as Hydra does it."""

from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.completion_plugin import DefaultCompletionPlugin

from expt.config.hydra_setup import composing


def complete_override(words: list[str], word: str, config_dir: str | None) -> list[str]:
    """Returns the possible completions of an override.

    Args:
        words: The flags and overrides before it.
        word: The override as typed so far; in `act=relu,ta`, the last value is completed.
        config_dir: The user's `conf/` folder, if any.
    """
    key, equals, values = word.partition("=")
    # Hydra completes single values only, so it is asked about the last one of several.
    done, comma, last = values.rpartition(",")
    with composing(config_dir):
        completion = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        line = " ".join([*words, f"{key}{equals}{last}"])
        found = completion._query(config_name="config", line=line)
    before = f"{key}{equals}{done}{comma}"
    return [before + one.removeprefix(f"{key}{equals}") for one in found] if comma else found
