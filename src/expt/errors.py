"""Exceptions for users, and suggestions of valid names for their messages."""

import difflib
from collections.abc import Iterable

_MAX_LISTED = 25  # a wide table has thousands of columns


class UserError(Exception):
    """An invalid config or input, reported before training and without a traceback; exit code 2.

    A message says what was given, what was expected, and how to fix it.
    """


class RunError(Exception):
    """A failure of a run whose message is enough, without a traceback; exit code 1."""


class Terminated(BaseException):
    """The process received SIGTERM; exit code 143.

    Like `KeyboardInterrupt`, it is not an `Exception`, so `except Exception` does not catch it.
    """


def nearest(given: str, valid: Iterable[str]) -> str | None:
    """Returns the valid name that is most similar to a given one, or None if none is similar.

    Case matters only between names that differ in nothing else. Names are also similar if one
    contains the other, or if the given one consists of the initials of the valid one's words (`lr`
    for `learning_rate`).
    """
    spelled = list(valid)
    if given in spelled:
        return given
    # Reversed, so that the first of several names that differ in case alone wins.
    by_lower_case = {name.lower(): name for name in reversed(spelled)}
    near = _nearest(given.lower(), [name.lower() for name in spelled])
    return None if near is None else by_lower_case[near]


def _nearest(given: str, names: list[str]) -> str | None:
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    # Initials and parts of a name have too few letters in common with it for difflib's ratio.
    by_initials = [n for n in names if "".join(word[:1] for word in n.split("_")) == given]
    by_part = [n for n in names if len(given) > 2 and (given in n or n in given)]
    return next(iter(by_initials + by_part), None)


def hint(given: str, valid: Iterable[str]) -> str:
    """Returns sentences with the nearest valid name, if any, and the valid names.

    Of more than 25 names, it lists the first 25 in alphabetical order and the total number.
    """
    names = sorted(valid)
    near = nearest(given, names)
    question = f"Did you mean {near!r}? " if near else ""
    shown = ", ".join(names[:_MAX_LISTED])
    more = f", … ({len(names):,} in all)" if len(names) > _MAX_LISTED else ""
    return f"{question}Valid: {shown or 'none'}{more}."
