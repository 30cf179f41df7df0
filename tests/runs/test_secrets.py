import io
import logging
import sys
from collections.abc import Iterator

import pytest

from expt.runs.secrets import install_log_redaction, looks_secret, redacted, redacted_values

PHRASE = "correct horse"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", PHRASE)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The output of a log handler that was added before the redaction was installed."""
    stream, factory = io.StringIO(), logging.getLogRecordFactory()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("expt.tests")
    logger.addHandler(handler)
    install_log_redaction()
    yield stream
    logger.removeHandler(handler)
    logging.setLogRecordFactory(factory)


@pytest.mark.parametrize(
    "name",
    [
        *("PASSWORD", "PGPASSWORD", "db_password", "MYSQL_PWD", "DB_PASS", "SSH_PASSPHRASE"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "HF_TOKEN", "WANDB_APIKEY"),
        *("OPENAI_API_KEY", "SIGNING_KEY", "SERVICE_CREDENTIALS", "MLFLOW_TRACKING_PASSWORD"),
    ],
)
def test_names_that_look_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks_secret(name)
    monkeypatch.setenv(name, "hunter22")
    assert redacted("it is hunter22.") == "it is ***."


@pytest.mark.parametrize(
    "name",
    [
        *("PWD", "OLDPWD", "HOME", "PATH", "KEYBOARD", "TOKENIZERS_PARALLELISM", "LESSKEY"),
        *(
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "SECRETS_DIR",
            "SECRET_PATH",
            "TOKEN_URL",
            "SSH_AUTH_SOCK",
        ),
    ],
)
def test_names_that_do_not_look_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not looks_secret(name)
    monkeypatch.setenv(name, "/home/me")
    assert redacted("in /home/me/x") == "in /home/me/x"


def test_short_values_are_not_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_TOKEN", "true")
    monkeypatch.setenv("EMPTY_TOKEN", "")
    assert redacted("true enough") == "true enough"


def test_secret_inside_other_secret_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONG_TOKEN", f"{PHRASE} battery")
    assert redacted(f"<{PHRASE} battery>") == "<***>"


def test_encoded_secrets_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", 'quo"ted\\pass/wörd')
    for written in (
        'quo"ted\\pass/wörd',
        '"quo\\"ted\\\\pass/w\\u00f6rd"',  # JSON
        repr('quo"ted\\pass/wörd'),
        "x=quo%22ted%5Cpass%2Fw%C3%B6rd",  # in a URL
    ):
        assert "***" in redacted(written)
        assert "ted" not in redacted(written)


def test_every_line_of_private_key_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVATE_KEY", "-----BEGIN-----\nabcdefgh\nijklmnop\n-----END-----\n")
    assert redacted("+abcdefgh\n+ijklmnop\n") == "+***\n+***\n"
    assert redacted("-----BEGIN-----\nabcdefgh\nijklmnop\n-----END-----\n") == "***\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see http://bob:pw@host:5000/x.", "see http://***@host:5000/x."),
        ("postgresql+psycopg2://bob:p@ss@db/runs", "postgresql+psycopg2://***@db/runs"),
        ("https://token@host", "https://***@host"),
        ("postgresql://db/runs?user=bob&password=pw&a=1", "postgresql://db/runs?user=bob&password=***&a=1"),
        ("http://host:5000/#/experiments", "http://host:5000/#/experiments"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
        ("me@example.org, http://host", "me@example.org, http://host"),
        ("http://***@host", "http://***@host"),
    ],
)  # fmt: skip
def test_urls(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_password_of_url_in_environment_is_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:pass%20word@host")
    assert redacted("pass%20word or pass word for bob") == "*** or *** for bob"


def test_structure_of_values_is_kept() -> None:
    value = {"a": [PHRASE, 1, None, {"b": f"x{PHRASE}"}], "c": (0.5, True, PHRASE), "d": "d"}
    before = repr(value)
    hidden = redacted_values(value)
    assert hidden == {"a": ["***", 1, None, {"b": "x***"}], "c": (0.5, True, "***"), "d": "d"}
    assert repr(value) == before


def test_current_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert redacted(PHRASE) == "***"
    monkeypatch.delenv("MY_API_KEY")
    assert redacted(PHRASE) == PHRASE


def test_log_records_contain_no_secrets(log: io.StringIO) -> None:
    logger = logging.getLogger("expt.tests")
    logger.warning(f"{PHRASE} as text")
    logger.warning("%s as an argument, %d", PHRASE, 1)
    logger.warning("%(key)s as a mapping", {"key": PHRASE})
    try:
        raise ValueError(PHRASE)
    except ValueError:
        logger.exception(
            "its line: correct horse", stack_info=True
        )  # the stack contains this source line
    logger.warning("%s in a wrong format %s", PHRASE)
    logger.warning("%d: nothing to hide", 7)
    text = log.getvalue()
    assert PHRASE not in text
    assert "*** as an argument, 1\n" in text
    assert "ValueError: ***" in text
    assert "7: nothing to hide" in text


def test_records_without_secrets_are_unchanged(log: io.StringIO) -> None:
    record = logging.getLogRecordFactory()("a", 20, "f", 1, "%d", (7,), None)
    assert (record.msg, record.args, record.exc_text) == ("%d", (7,), None)
    assert log.getvalue() == ""


def test_redaction_is_installed_only_once(log: io.StringIO) -> None:
    factory = logging.getLogRecordFactory()
    install_log_redaction()
    assert logging.getLogRecordFactory() is factory
    assert log.getvalue() == ""


def test_traceback_object_is_kept(log: io.StringIO) -> None:
    try:
        raise ValueError(PHRASE)
    except ValueError:
        raised = sys.exc_info()
    record = logging.getLogRecordFactory()("a", 20, "f", 1, "x", (), raised)
    assert record.exc_info == raised
    assert log.getvalue() == ""
