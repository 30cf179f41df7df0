"""How a command line's last override can be completed, as Hydra finds it."""

from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.completion_plugin import DefaultCompletionPlugin

from expt.config.hydra_setup import composing


def complete_override(words: list[str], word: str, config_dir: str | None) -> list[str]:
    """Returns what an override that is being typed may become.

    Args:
        words: The flags and overrides before it.
        word: What is typed of it; of `act=relu,ta`, the last value is completed.
        config_dir: A `conf/` folder of the user's own.
    """
    key, equals, values = word.partition("=")
    done, comma, last = values.rpartition(",")
    with composing(config_dir):
        completion = DefaultCompletionPlugin(GlobalHydra.instance().config_loader())
        line = " ".join([*words, f"{key}{equals}{last}"])
        found = completion._query(config_name="config", line=line)
    before = f"{key}{equals}{done}{comma}"
    return [before + one.removeprefix(f"{key}{equals}") for one in found] if comma else found
