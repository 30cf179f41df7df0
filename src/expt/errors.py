"""What a user is told when something is wrong."""

import difflib
from collections.abc import Iterable

_MOST_NAMED = 25  # a wide table has thousands of columns


class UserError(Exception):
    """A bad config or bad input: told before any training, without a traceback; exit code 2."""


class RunError(Exception):
    """A run that failed for a reason worth one clear sentence; exit code 1."""


class Terminated(BaseException):
    """SIGTERM arrived; like KeyboardInterrupt, it is not an error of the program."""


def nearest(given: str, valid: Iterable[str]) -> str | None:
    """Returns the valid name that the given one was most likely meant to be.

    Case does not count, unless names differ in nothing else. A name is also near when the given
    one is made of its words' initials (`lr` for `learning_rate`) or is a part of it.
    """
    spelled = list(valid)
    if given in spelled:
        return given
    by_lower_case = {name.lower(): name for name in reversed(spelled)}
    near = _nearest(given.lower(), [name.lower() for name in spelled])
    return None if near is None else by_lower_case[near]


def _nearest(given: str, names: list[str]) -> str | None:
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    if close:
        return close[0]
    by_initials = [n for n in names if "".join(word[:1] for word in n.split("_")) == given]
    by_part = [n for n in names if len(given) > 2 and (given in n or n in given)]
    return next(iter(by_initials + by_part), None)


def hint(given: str, valid: Iterable[str]) -> str:
    """Returns a sentence that names the nearest valid choice, if any, and the others.

    Of many, it names the first and says how many there are.
    """
    names = sorted(valid)
    near = nearest(given, names)
    question = f"Did you mean {near!r}? " if near else ""
    shown = ", ".join(names[:_MOST_NAMED])
    more = f", … ({len(names):,} in all)" if len(names) > _MOST_NAMED else ""
    return f"{question}Valid: {shown or 'none'}{more}."
