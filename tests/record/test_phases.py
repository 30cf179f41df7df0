import io
import logging
import re
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from expt.record import phases as module
from expt.record.phases import Phases


class Watched(io.StringIO):
    """A stream with an event that is set by the first write."""

    def __init__(self) -> None:
        super().__init__()
        self.was_written = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.was_written.set()
        return written


def plain(stream: io.StringIO) -> Phases:
    return Phases(Console(file=stream, width=20, force_terminal=False))


def test_phase_known_to_be_long_is_printed_at_once() -> None:
    stream = io.StringIO()
    with plain(stream)("starting [TensorFlow]", at_once=True):
        assert stream.getvalue() == "starting [TensorFlow] …\n"
    assert stream.getvalue() == "starting [TensorFlow] …\n"


def test_a_short_phase_prints_nothing() -> None:
    stream = io.StringIO()
    shown = plain(stream)
    for _ in range(20):
        with shown("loading data"):
            pass
    assert stream.getvalue() == ""


def test_a_long_phase_prints_lines_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_UNTIL_SHOWN", 0.0)
    monkeypatch.setattr(module, "_SECONDS_UNTIL_TIMED", -1.0)
    stream = Watched()
    with plain(stream)("loading data"):
        assert stream.was_written.wait(30)
    assert re.fullmatch(r"(loading data … \d+ s\n)+", stream.getvalue())


def test_phase_ends_the_previous_one_and_is_logged_with_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = Phases(Console(file=io.StringIO()), is_logged=False)
    with caplog.at_level(logging.INFO, logger="expt.record.phases"):
        with shown("composing the config"):
            shown.begin("composing the config")  # continues the phase
            shown.begin("loading data")
        assert caplog.messages == []  # logging is not set up yet
        shown.start_log()
        with shown("compiling"):
            pass
        shown.end()
    texts = [message.partition(":")[0] for message in caplog.messages]
    assert texts == ["composing the config", "loading data", "compiling"]
    assert all(re.search(r": \d+\.\d\d s$", message) for message in caplog.messages)


def test_an_error_ends_the_phase() -> None:
    shown = plain(io.StringIO())
    before = threading.active_count()
    with pytest.raises(ValueError, match="no"), shown("loading data"):
        raise ValueError("no")
    assert threading.active_count() == before


def test_phase_on_a_terminal_is_a_line_that_vanishes() -> None:
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, force_interactive=True, width=80, color_system=None
    )
    with Phases(console)("loading data"):
        assert "loading data …" in stream.getvalue()
        console.print("data: a note")
    text = stream.getvalue()
    assert "data: a note\n" in text
    after = text.rpartition("loading data …")[2]
    assert "\x1b[2K" in after  # clears the line
    assert "\x1b[?25h" in after  # shows the cursor


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_first_phase_imports_no_slow_modules() -> None:
    slow = {"numpy", "hydra", "omegaconf", "sklearn", "tensorflow", "expt.train.data_loading"}
    code = (
        "import sys\nfrom expt.record.phases import show_start\nshow_start('run', [])\n"
        f"print(sorted({slow} & sys.modules.keys()))"
    )
    assert run(code) == "composing the config …\n[]\n"


@pytest.mark.parametrize("flag", ["--help", "-h", "--cfg=job", "-c", "--shell-completion"])
def test_command_that_prints_a_text_shows_no_phase(flag: str) -> None:
    code = f"from expt.record.phases import show_start\nshow_start('run', ['act=relu', {flag!r}])"
    assert run(code) == ""


def test_commands_without_a_first_phase_print_nothing() -> None:
    assert run("from expt.record.phases import show_start\nshow_start('list', [])") == ""


def test_ctrl_c_during_the_imports_prints_no_traceback() -> None:
    code = (
        "from expt.record.phases import show_start\nshow_start('run', [])\nraise KeyboardInterrupt"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "interrupted\n")
