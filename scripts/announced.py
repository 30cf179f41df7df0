"""Runs a command of the Makefile that is silent for long, and shows that it is at work.

    python scripts/announced.py "installing packages" -- pip install …

On a terminal that is one line with the time and the last line of the command's output; elsewhere
a line every two seconds. All of the output is printed if the command fails. It runs before anything
is installed, so it needs nothing but Python.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

_SECONDS_BETWEEN_LINES = 2.0
_SECONDS_BETWEEN_REFRESHES = 0.2
_WIDTH = 100  # of what is no terminal; pip names all packages in a line
_CLEAR = "\r\x1b[2K"


def main(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit code of the command."""
    text, command = arguments[0], arguments[2:]
    output, began = list[str](), time.monotonic()
    is_terminal = sys.stdout.isatty()
    print(f"{text} …", end="" if is_terminal else "\n", flush=True)
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},  # lines come as they are printed
    )
    reader = threading.Thread(target=_read, args=(process, output), daemon=True)
    reader.start()
    while True:
        reader.join(_SECONDS_BETWEEN_REFRESHES if is_terminal else _SECONDS_BETWEEN_LINES)
        if not reader.is_alive():
            break
        last = next((line for line in reversed(output) if not line.startswith("WARNING")), "")
        line = f"{text} … {time.monotonic() - began:.0f} s  {last.strip()}".rstrip()
        if is_terminal:
            print(_CLEAR + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
        else:
            print(line[:_WIDTH], flush=True)
    code = process.wait()
    if is_terminal:
        print(_CLEAR, end="")
    if code:
        print(*output, sep="\n")
    print(f"{text}: {'failed after ' if code else ''}{time.monotonic() - began:.0f} s", flush=True)
    return code


def _read(process: "subprocess.Popen[str]", output: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        output.append(line.rstrip("\n"))  # noqa: PERF401  one by one, as they come


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
