"""Secrets of the environment, kept out of whatever is written or shown."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote, unquote

_HIDDEN = "***"
# MYSQL_PWD holds a password, PWD and OLDPWD folders; TOKEN_FILE names the place of a secret.
_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN(?!IZ)|API_?KEY|ACCESS_?KEY|CREDENTIAL|_KEY$|_PWD$|_PASS$)"
    r"(?!.*_(FILE|PATH|DIR|URL|URI)$)",
    re.IGNORECASE,
)
_SHORTEST = 6  # `1`, `true` and `basic` are no secrets
_URL_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#'\"]*@", re.IGNORECASE)
_URL_OPTION = re.compile(
    r"([?&](?:password|passwd|pwd|secret|token|api_?key|access_?(?:key|token))=)[^&\s'\"]+",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"://[^\s:/@]*:([^\s]+)@")


def looks_secret(name: str) -> bool:
    """Tells whether an environment variable of that name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def redacted(text: str) -> str:
    """Returns a text with `***` for every secret in it.

    Secrets are the values, six characters or longer, of environment variables whose names look
    secret (`…PASSWORD`, `…TOKEN`, `…API_KEY` …), the passwords of addresses in any environment
    variable, and the part of an address that names its user and password.
    """
    return _make_redact()(text)


def redacted_values(value: Any) -> Any:
    """Returns a copy of nested mappings, lists and texts with `***` for every secret in texts."""
    return _redacted_values(value, _make_redact())


def install_log_redaction() -> None:
    """Redacts every log record that this process makes from now on, its traceback too.

    It is done where records are made, so that handlers added later get none with a secret.
    """
    factory = logging.getLogRecordFactory()
    if getattr(factory, "func", None) is not _make_record:
        logging.setLogRecordFactory(partial(_make_record, factory))


def _make_redact() -> Callable[[str], str]:
    pattern = _pattern(tuple(os.environ.items()))  # read anew each time: it may change

    def redact(text: str) -> str:
        text = _URL_USER.sub(rf"\g<1>{_HIDDEN}@", text)
        text = _URL_OPTION.sub(rf"\g<1>{_HIDDEN}", text)
        return pattern.sub(_HIDDEN, text) if pattern else text

    return redact


@lru_cache(maxsize=1)
def _pattern(environment: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Returns what matches every secret of an environment."""
    secrets = sorted(_secrets(environment), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, secrets))) if secrets else None


def _secrets(environment: Iterable[tuple[str, str]]) -> set[str]:
    """Returns the secrets of an environment, as they are and as formats write them."""
    found: set[str] = set()
    for name, value in environment:
        if looks_secret(name):
            # A key may have lines, each of which tells something.
            found.update(line.strip() for line in (value, *value.splitlines()))
        found.update(
            form for text in _URL_PASSWORD.findall(value) for form in (text, unquote(text))
        )
    kept = {secret for secret in found if len(secret) >= _SHORTEST}
    return kept.union(*((json.dumps(s)[1:-1], repr(s)[1:-1], quote(s, safe="")) for s in kept))


def _redacted_values(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted_values(item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_redacted_values(item, redact) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def _make_record(
    factory: Callable[..., logging.LogRecord], *arguments: Any, **keywords: Any
) -> logging.LogRecord:
    record = factory(*arguments, **keywords)
    redact = _make_redact()
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):  # a format that its arguments don't fit
        message, record.args = f"{record.msg} {record.args}", None
        record.msg = message
    if redact(message) != message:
        record.msg, record.args = redact(message), None
    if record.exc_info:
        # Formatters take the text that is there rather than make it.
        record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    return record
