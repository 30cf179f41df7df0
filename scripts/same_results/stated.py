"""The stated differences between the two versions; all else must be equal."""

import re

RENAMED: dict[str, str] = {
    "expt.train.adversarial.Adversarial": "expt.train.learners.adversarial.Adversarial",
    "expt.train.supervised.Supervised": "expt.train.learners.supervised.Supervised",
}
"""Texts of the old version, and what the new one writes in their place."""

ADDED: tuple[re.Pattern[str], ...] = (
    re.compile(r"(run|sweep)\.json > schema_version$"),
    re.compile(r"(config\.yaml'*|config 0 > 0) > (sweeper|launcher|hook)$"),  # groups
    # The same, as --cfg and --help print them.
    re.compile(r"^out \+ +(hook|sweeper|launcher):"),
    re.compile(r"^out \+ +_target_: expt\.sweep\.(sweepers|launchers)\."),
)
"""Places that only the new version has."""

REMOVED: tuple[re.Pattern[str], ...] = (
    re.compile(r"multirun\.yaml$"),  # of Hydra, which drives no sweep any more
)
"""Places that only the old version has."""
