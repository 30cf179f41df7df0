"""Runs that were recorded before some key of the config was."""

from pathlib import Path
from typing import Any

import pytest

from expt.config.hashes import identity
from resume.interrupting import assert_same, train

GIVEN = ("model.units=[8]", "loop.steps=12")


def test_a_run_without_threads_continues_and_a_line_says_with_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def older(*arguments: Any, **others: Any) -> dict[str, Any]:
        made = identity(*arguments, **others)
        return {key: value for key, value in made.items() if key != "loop.threads"}

    expected = train(GIVEN, tmp_path / "whole")
    from expt.train import session  # imports TensorFlow

    with monkeypatch.context() as patched:
        patched.setattr(session, "identity", older)
        train(GIVEN, tmp_path / "older", interrupt_at=7)
    train(GIVEN, tmp_path / "older", resume=True)
    (message,) = [m for m in caplog.messages if "loop.threads" in m]
    assert "continues with 2 threads" in message
    assert_same(tmp_path / "older" / "run", expected)
