import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BY_INPUT = "end_with_parent()"
BY_CALL = "import os; end_with_parent(lambda: os.read(0, 1), with_group=True)"


@pytest.mark.parametrize("call", [BY_INPUT, BY_CALL])
def test_process_ends_when_pipe_of_parent_is_closed(call: str) -> None:
    code = f"from expt.runs.parent_process import end_with_parent; {call}; print(flush=True)\n"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}import signal; signal.pause()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(60) == -signal.SIGKILL


def test_process_group_ends_too() -> None:
    code = (
        "import subprocess, sys; from expt.runs.parent_process import end_with_parent\n"
        "subprocess.Popen([sys.executable, '-c', 'import signal; print(1, flush=True); "
        "signal.pause()'], stdin=subprocess.DEVNULL)\n"
        "end_with_parent(with_group=True)\nimport signal; signal.pause()\n"
    )
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=writing,
        start_new_session=True,
    ) as process:
        os.close(writing)
        assert process.stdin is not None
        with Path(f"/dev/fd/{reading}").open("rb") as output:
            os.close(reading)
            assert output.readline() == b"1\n"
            process.stdin.close()
            assert output.read() == b""  # the pipe is closed only when the grandchild has ended
        assert process.wait(60) == -signal.SIGKILL
