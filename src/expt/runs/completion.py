"""Shell completion of commands, overrides, and names of runs and sweeps."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from expt.config.flags import split_options
from expt.errors import UserError, hint
from expt.runs.find import RUN_KEYWORDS
from expt.runs.names import all_named
from expt.runs.records import SWEEP_FILE

# Bash splits words at the characters in COMP_WORDBREAKS, such as `=`, and replaces only the part
# after the last one. The script completes the whole word, then removes the text before that part.
_BASH = r"""_expt_complete() {
    local line=${COMP_LINE:0:COMP_POINT} breaks= sign found
    local word=${line##* }
    local -a program=("$1")
    [[ ${1##*/} == python* ]] && program+=(-m expt)
    for sign in = : @; do [[ $COMP_WORDBREAKS == *"$sign"* ]] && breaks+=$sign; done
    local rest=${word##*[$breaks]}
    [[ -z $breaks ]] && rest=$word
    COMPREPLY=()
    while IFS= read -r found; do
        [[ $found == *[=./] ]] || found+=' '
        COMPREPLY+=("${found#"${word%"$rest"}"}")
    done < <("${program[@]}" completion query "$line" 2>/dev/null)
}
complete -o nospace -o default -F _expt_complete {names}"""

# Candidates that end in `=`, `.` or `/` can be continued, so they are added without a space.
_ZSH = r"""(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_expt_complete() {
    local -a program=("${words[1]}") found open
    [[ ${words[1]:t} == python* ]] && program+=(-m expt)
    found=("${(@f)$("${(Q@)program}" completion query "${words[1,CURRENT]}" 2>/dev/null)}")
    open=(${(M)found:#*[=./]})
    found=(${found:#*[=./]})
    (( $#open + $#found )) || { compset -P '*='; _files; return }
    compadd -S '' -a open
    compadd -a found
}
compdef _expt_complete {names}"""

_INSTALL_SCRIPTS = {"bash": _BASH, "zsh": _ZSH}
_UNINSTALL_SCRIPTS = {
    "bash": "complete -r {names}; unset -f _expt_complete",
    "zsh": "compdef -d {names}; unfunction _expt_complete",
}
_TAKE_A_RUN = ("resume", "evaluate", "predict", "export")
_TAKE_RUNS = ("diff", "compare", "sync")
_TAKE_SWEEPS = ("resume", "compare", "sync")
_TAKE_OVERRIDES = ("run", "verify")
_DRAWN_GROUPS = ("act", "loss", "optimizer")


def shell_completion(arguments: Sequence[str], commands: Collection[str], called: str) -> int:
    """Handles Hydra's flag `--shell-completion`, for all commands of expt.

    Args:
        arguments: `install=SHELL`, `uninstall=SHELL`, or `query=SHELL` with `COMP_LINE` set.
        commands: Names of all commands.
        called: How the command was called, such as `expt run` or `python -m expt.run`.

    Returns:
        The exit code.

    Raises:
        UserError: The argument or the shell is not supported.
    """
    given = " ".join(arguments)
    what, _, shell = given.partition("=")
    if what not in ("install", "uninstall", "query"):
        raise UserError(
            f"--shell-completion {given or 'without a value'}: expected install=SHELL or "
            "uninstall=SHELL, where SHELL is bash or zsh."
        )
    if shell not in _INSTALL_SCRIPTS:
        raise UserError(
            f"{shell or 'no shell'}: expected a supported shell. {hint(shell, _INSTALL_SCRIPTS)}"
        )
    if what == "query":
        return answer(os.environ.get("COMP_LINE", ""), commands)
    # Bash has one completion per command: `python` gets this one only if expt is called by it.
    names = "expt python python3" if called.startswith("python") else "expt"
    print(
        (_INSTALL_SCRIPTS if what == "install" else _UNINSTALL_SCRIPTS)[shell].replace(
            "{names}", names
        )
    )
    return 0


def answer(line: str, commands: Collection[str]) -> int:
    """Prints the completions of a command line, one per line; nothing if there is an error.

    Returns:
        The exit code, always 0.
    """
    try:
        found = complete(line, commands)
    except Exception:  # noqa: BLE001  a message would end up in the user's command line
        return 0
    print("".join(f"{one}\n" for one in found), end="")
    return 0


def complete(line: str, commands: Collection[str]) -> list[str]:
    """Returns the possible completions of the last word of a command line.

    Args:
        line: The text up to the cursor.
        commands: Names of all commands.
    """
    *words, word = line.split(" ")
    words = [one for one in words if one]
    if not words:
        return []
    if Path(words[0]).name.startswith("python"):
        if words[1:] == ["-m"]:
            return _with_prefix(["expt", *(f"expt.{name}" for name in commands)], word)
        if words[1:2] != ["-m"] or words[2].partition(".")[0] != "expt":
            return []
        words = [*words[2].split("."), *words[3:]]
    if len(words) == 1:
        return _with_prefix(commands, word)
    return _arguments(words[1], words[2:], word)


def _arguments(command: str, words: list[str], word: str) -> list[str]:
    options, words = split_options(words, {"output_dir": "outputs"})
    output_dir, before = Path(options["output_dir"]), words[-1:]
    if before == ["--rerun"]:
        return _runs(output_dir, word)
    if command in _TAKE_OVERRIDES:
        return _overrides(words, word)
    others = [one for one in words if "=" not in one and not one.startswith("-")]
    if command in _TAKE_RUNS or (command in _TAKE_A_RUN and not others):
        sweeps = _sweeps(output_dir) if command in _TAKE_SWEEPS else []
        return _runs(output_dir, word, sweeps)
    if command == "gradients":
        return _options_of_groups(words, word)
    if command == "list":
        return _with_prefix(["latest", *_sweeps(output_dir)], word)
    if command == "completion":
        return _with_prefix(_INSTALL_SCRIPTS, word)
    return []


def _overrides(words: list[str], word: str) -> list[str]:
    # Not at the top: composing needs Hydra, and other completions must not wait for its import.
    from expt.config.completion import complete_override

    config_dir = None
    if "--config-dir" in words[:-1]:
        config_dir = words[words.index("--config-dir") + 1]
        words = [one for one in words if one not in ("--config-dir", config_dir)]
    return complete_override(words, word, config_dir)


def _options_of_groups(words: list[str], word: str) -> list[str]:
    """Completes `GROUP=NAME,…` of the groups that `expt.gradients` draws."""
    group, equals, names = word.partition("=")
    if group not in _DRAWN_GROUPS or not equals:
        return _with_prefix([f"{group}=" for group in _DRAWN_GROUPS], word)
    from expt.config.options import available_options  # imports Hydra

    config_dir = words[words.index("--config-dir") + 1] if "--config-dir" in words[:-1] else None
    done, comma, _ = names.rpartition(",")
    valid = ["all", *available_options(group, config_dir)]
    return _with_prefix([f"{group}={done}{comma}{name}" for name in valid], word)


def _runs(output_dir: Path, word: str, sweeps: Sequence[str] = ()) -> list[str]:
    if word.startswith("best@"):
        return _with_prefix([f"best@{name}" for name in ("latest", *_sweeps(output_dir))], word)
    return _with_prefix(
        [*RUN_KEYWORDS, *(one.name for one in all_named(output_dir)), *sweeps], word
    )


def _sweeps(output_dir: Path) -> list[str]:
    return [one.name for one in all_named(output_dir, SWEEP_FILE)]


def _with_prefix(names: Iterable[str], word: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(word)]
