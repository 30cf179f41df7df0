"""The tags of an MLflow run that say what the training doctor found."""

from expt.runs.records import RunRecord
from expt.runs.secrets import redacted

_TAG = "doctor"
_TAG_LENGTH = 8_000  # the most that MLflow accepts


def finding_tags(record: RunRecord) -> dict[str, str]:
    """Returns `doctor`, with the names of the rules, and `doctor.RULE` with each one's message.

    There are none if nothing was found.
    """
    findings = record.findings or ()
    if not findings:
        return {}
    texts: dict[str, list[str]] = {}
    for finding in findings:
        texts.setdefault(finding.rule, []).append(finding.text)
    tags = {f"{_TAG}.{rule}": redacted("\n".join(lines)) for rule, lines in texts.items()}
    return {_TAG: ", ".join(texts), **{key: text[:_TAG_LENGTH] for key, text in tags.items()}}


def is_finding_tag(key: str) -> bool:
    """Whether a tag is one of those that `finding_tags` returns."""
    return key == _TAG or key.startswith(f"{_TAG}.")
