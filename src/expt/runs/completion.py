"""Completion of command lines in a shell: commands, overrides, and names of runs and sweeps."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from expt.config.flags import take_options
from expt.errors import UserError, hint
from expt.runs.find import WORDS
from expt.runs.names import all_named
from expt.runs.records import SWEEP_FILE

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

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH}
_UNDONE = {
    "bash": "complete -r {names}; unset -f _expt_complete",
    "zsh": "compdef -d {names}; unfunction _expt_complete",
}
_TAKE_A_RUN = ("resume", "evaluate", "predict", "export")
_TAKE_RUNS = ("diff", "compare", "sync")
_TAKE_SWEEPS = ("resume", "compare", "sync")
_TAKE_OVERRIDES = ("run", "verify")


def shell_completion(arguments: Sequence[str], commands: Collection[str], called: str) -> int:
    """Does what Hydra's flag `--shell-completion` asks for, for all commands.

    Args:
        arguments: `install=SHELL`, `uninstall=SHELL`, or `query=SHELL` with `COMP_LINE` set.
        commands: Those of expt.
        called: How a command was called, such as `expt run` or `python -m expt.run`.

    Raises:
        UserError: It is another one, or for another shell.
    """
    given = " ".join(arguments)
    what, _, shell = given.partition("=")
    if what not in ("install", "uninstall", "query"):
        raise UserError(
            f"--shell-completion {given or 'without a value'}: expected install=SHELL or "
            "uninstall=SHELL, of bash or zsh."
        )
    if shell not in _SCRIPTS:
        raise UserError(f"{shell or 'nothing'}: there is no such shell. {hint(shell, _SCRIPTS)}")
    if what == "query":
        return answer(os.environ.get("COMP_LINE", ""), commands)
    # Python's own completion is replaced only for those who call expt by it.
    names = "expt python python3" if called.startswith("python") else "expt"
    print((_SCRIPTS if what == "install" else _UNDONE)[shell].replace("{names}", names))
    return 0


def answer(line: str, commands: Collection[str]) -> int:
    """Prints how a line can go on, a possibility a line; nothing where that fails."""
    try:
        found = complete(line, commands)
    except Exception:  # noqa: BLE001  a message would get into what the user types
        return 0
    print("".join(f"{one}\n" for one in found), end="")
    return 0


def complete(line: str, commands: Collection[str]) -> list[str]:
    """Returns what the last word of a command line may become.

    Args:
        line: The text up to the cursor.
        commands: Those of expt.
    """
    *words, word = line.split(" ")
    words = [one for one in words if one]
    if not words:
        return []
    if Path(words[0]).name.startswith("python"):
        if words[1:] == ["-m"]:
            return _starting(["expt", *(f"expt.{name}" for name in commands)], word)
        if words[1:2] != ["-m"] or words[2].partition(".")[0] != "expt":
            return []
        words = [*words[2].split("."), *words[3:]]
    if len(words) == 1:
        return _starting(commands, word)
    return _arguments(words[1], words[2:], word)


def _arguments(command: str, words: list[str], word: str) -> list[str]:
    options, words = take_options(words, {"output_dir": "outputs"})
    output_dir, before = Path(options["output_dir"]), words[-1:]
    if before == ["--rerun"]:
        return _runs(output_dir, word)
    if command in _TAKE_OVERRIDES:
        return _overrides(words, word)
    others = [one for one in words if "=" not in one and not one.startswith("-")]
    if command in _TAKE_RUNS or (command in _TAKE_A_RUN and not others):
        sweeps = _sweeps(output_dir) if command in _TAKE_SWEEPS else []
        return _runs(output_dir, word, sweeps)
    if command == "list":
        return _starting(["latest", *_sweeps(output_dir)], word)
    if command == "completion":
        return _starting(_SCRIPTS, word)
    return []


def _overrides(words: list[str], word: str) -> list[str]:
    from expt.config.completion import complete_override

    config_dir = None
    if "--config-dir" in words[:-1]:
        config_dir = words[words.index("--config-dir") + 1]
        words = [one for one in words if one not in ("--config-dir", config_dir)]
    return complete_override(words, word, config_dir)


def _runs(output_dir: Path, word: str, sweeps: Sequence[str] = ()) -> list[str]:
    if word.startswith("best@"):
        return _starting([f"best@{name}" for name in ("latest", *_sweeps(output_dir))], word)
    return _starting([*WORDS, *(one.name for one in all_named(output_dir)), *sweeps], word)


def _sweeps(output_dir: Path) -> list[str]:
    return [one.name for one in all_named(output_dir, SWEEP_FILE)]


def _starting(names: Iterable[str], word: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(word)]
