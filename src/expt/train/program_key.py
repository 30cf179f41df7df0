"""The key of a job's compiled functions, which is equal for jobs that can share them."""

import hashlib
import json
from collections.abc import Iterator

from expt.config.declarations import LEARNER_KEY
from expt.config.hashes import has_effect
from expt.config.instantiate import targets
from expt.config.job import Job
from expt.config.schema import Config, Mode

_BUILT_IN = ("expt", "keras")
_CONSTANT = "expt.parts.schedules.constant"


def program_key(job: Job) -> str | None:
    """Returns a key of a job's compiled functions; None if another job can't use them.

    Jobs with equal keys differ only in values that are in variables: the seed, from which the
    initial weights and the states of random layers are drawn, and a constant learning rate. User
    code may read other values while it is traced, so jobs with user code have no key.
    """
    config = job.config
    has_user_code = next(user_code(config), None) is not None
    if config.mode is not Mode.train or config.loop.compile == "eager" or has_user_code:
        return None
    values = config.flat(declarations=True)
    variable = {"seed"}
    if config.schedule["_target_"] == _CONSTANT:
        variable.add("optimizer.learning_rate")
    kept = {k: v for k, v in values.items() if has_effect(k) and k not in variable}
    # A hash, since a sweep has one for each of its jobs.
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def user_code(config: Config) -> Iterator[tuple[str, str]]:
    """Yields the key and the name of all code of the compiled step that is not of expt or Keras."""
    for group in ("model", "act", "loss", "optimizer", "schedule", "metric"):
        for where, target in targets(getattr(config, group), group):
            if not _is_of_library(target):
                yield where, target
    learner = config.model.get(LEARNER_KEY)
    if learner and not _is_of_library(learner):
        yield f"model.{LEARNER_KEY}", learner


def _is_of_library(name: str) -> bool:
    return name.partition(".")[0] in _BUILT_IN
