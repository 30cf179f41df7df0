"""Redaction of secrets from the environment in everything that is written or shown."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote, unquote

_HIDDEN = "***"
# `_PWD` at the end matches MYSQL_PWD, but not PWD and OLDPWD, which are folders. The second line
# excludes names such as TOKEN_FILE, which contain the path of a secret and not the secret.
_SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN(?!IZ)|API_?KEY|ACCESS_?KEY|CREDENTIAL|_KEY$|_PWD$|_PASS$)"
    r"(?!.*_(FILE|PATH|DIR|URL|URI)$)",
    re.IGNORECASE,
)
_SHORTEST = 6  # characters; shorter values such as `1`, `true` and `basic` are not secrets
_URL_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#'\"]*@", re.IGNORECASE)
_URL_OPTION = re.compile(
    r"([?&](?:password|passwd|pwd|secret|token|api_?key|access_?(?:key|token))=)[^&\s'\"]+",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"://[^\s:/@]*:([^\s]+)@")


def looks_secret(name: str) -> bool:
    """Whether an environment variable with that name is likely to contain a secret."""
    return _SECRET_NAME.search(name) is not None


def redacted(text: str) -> str:
    """Returns a text in which every secret is replaced by `***`.

    Secrets are values of at least six characters of environment variables with names such as
    `…PASSWORD`, `…TOKEN` or `…API_KEY`, passwords of URLs in any environment variable, and the user
    and password in any URL of the text.
    """
    return _make_redactor()(text)


def redacted_values(value: Any) -> Any:
    """Returns a copy of nested values in which secrets in strings are replaced by `***`."""
    return _redacted_values(value, _make_redactor())


def install_log_redaction() -> None:
    """Redacts secrets in all future log records of this process, including tracebacks.

    This happens when log records are created, so that handlers added later are covered as well.
    """
    factory = logging.getLogRecordFactory()
    if getattr(factory, "func", None) is not _make_record:
        logging.setLogRecordFactory(partial(_make_record, factory))


def _make_redactor() -> Callable[[str], str]:
    pattern = _pattern(tuple(os.environ.items()))  # read each time, since it may change

    def redact(text: str) -> str:
        text = _URL_USER.sub(rf"\g<1>{_HIDDEN}@", text)
        text = _URL_OPTION.sub(rf"\g<1>{_HIDDEN}", text)
        return pattern.sub(_HIDDEN, text) if pattern else text

    return redact


@lru_cache(maxsize=1)
def _pattern(environment: tuple[tuple[str, str], ...]) -> re.Pattern[str] | None:
    """Returns a pattern that matches every secret of an environment; None if there are none."""
    # The longest first: a secret may begin with another one.
    secrets = sorted(_secrets(environment), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, secrets))) if secrets else None


def _secrets(environment: Iterable[tuple[str, str]]) -> set[str]:
    """Returns the secrets of an environment, including their JSON, Python and URL encodings."""
    found: set[str] = set()
    for name, value in environment:
        if looks_secret(name):
            # A private key has several lines, each of which must not be shown.
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
    redact = _make_redactor()
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):  # the arguments do not match the format string
        message, record.args = f"{record.msg} {record.args}", None
        record.msg = message
    if redact(message) != message:
        record.msg, record.args = redact(message), None
    if record.exc_info:
        # Formatters use an existing `exc_text` instead of formatting the exception themselves.
        record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    return record
