"""Compares two records of a command, but for what must differ, and what is stated to differ."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from scripts.same_results.stated import ADDED, REMOVED, RENAMED

_MEASURED = {
    *("time", "started", "ended", "training_seconds", "peak_memory", "seconds", "date_saved"),
    *("process", "place", "id", "run_id", "experiment_id", "complete", "mlflow_run"),
    *("perf/steps_per_s", "perf/examples_per_s", "steps_per_s", "memory", "directory_name"),
    *("shared_object_id", "model_uuid", "model_id", "utc_time_created"),  # of Keras, of MLflow
}
"""Keys whose values are times, processes and random ids: they are there or not."""
_OF_CODE = {"run_hash", "variant_hash", "code", "codes", "code_hash", "traceback"}
"""Keys whose values follow from the names and the text of expt's modules."""
_TAGS = re.compile(r"expt\.(id|described|model)|code|\w+_hash|mlflow\.parentRunId")
_METRICS = re.compile(r"system/.*")
_COLUMNS = re.compile(r"(steps_per_s|steps/s|seconds|time|(peak_)?memory|code)\b")
"""Columns of tables that are measured, or follow from the code."""

_NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
_REPLACED = (
    (re.compile(r"[^\s'\"=]*/same_results_\w+/project"), "PROJECT"),
    (re.compile(r"[^\s'\"=]*/same_results_\w+"), "HOME"),
    (re.compile(r"\d{4}-\d\d-\d\d[/T]\d\d-\d\d-\d\dZ?_[0-9a-f]{8}"), "WHEN"),
    (re.compile(r"plugins/profile/\d{4}(_\d\d){5}/"), "plugins/profile/"),
    (re.compile(r"step_(\d{7})_[0-9a-f]{16}"), r"step_\1"),
    (re.compile(r"\bm-[0-9a-f]{32}|\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"expt_[0-9a-f]{12}\b"), "expt_CODE"),
    (re.compile(r"timestamp\+\d+\+[0-9a-f-]{36}"), "timestamp"),
    (
        re.compile(rf"{_NUMBER} (?:min )?(?:{_NUMBER} )?(?:steps/s|ms|s|min|h|MB|GB)\b( ago)?"),
        "# s",
    ),
    (re.compile(r"\bprocess \d+"), "process #"),
)
_DONE = re.compile(r"  done after # s$")
_PHASE = re.compile(r"(.* …)( # s)?")


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], *, interrupted: bool, resumed: bool
) -> list[str]:
    """Returns a line for each place at which two records differ.

    Args:
        old: As `recording` wrote it.
        new: Likewise.
        interrupted: Whether the command was ended by a signal at a moment of its own: then its
            exit code and last lines count, and no file.
        resumed: Whether it continued after such a moment, which is then left out.
    """
    keys = ("code",) if interrupted else ("code", "out", "error", "files")
    found = []
    for key in keys:
        before, now = (_simple(record[key], key, resumed) for record in (old, new))
        found += list(_differing(before, now, key))
    return found


def _simple(value: Any, key: str, resumed: bool) -> Any:
    if key in ("out", "error"):
        return _printed(value, resumed)
    if key == "files":
        return _files(value, resumed)
    return value


def _printed(lines: Sequence[str], resumed: bool) -> list[str]:
    """Lines without times; a phase that lasts is printed again and again."""
    found: list[str] = []
    for line in (_text(line) for line in lines):
        text = re.sub(r"from step \d+", "from step #", line) if resumed else line
        phase = _PHASE.fullmatch(text)
        if phase is None:
            found.append(text)
    # The processes of expt.verify end in any order.
    together = iter(sorted(line for line in found if _DONE.search(line)))
    return [next(together) if _DONE.search(line) else line for line in found]


def _files(files: Mapping[str, Any], resumed: bool) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    newest = {_folder(path): path for path in sorted(files) if "/checkpoints/" in path}
    for path, content in files.items():
        if "/checkpoints/" in path and newest[_folder(path)] != path:
            continue  # which of the earlier ones are kept depends on the second
        found.setdefault(_text(path), []).append(_of_file(path, content, resumed))
    # Directories that are called by an id or a time have one name here; their order is by chance.
    return {
        name + "'" * number: content
        for name, contents in found.items()
        for number, content in enumerate(sorted(contents, key=_sorted_text))
    }


def _sorted_text(content: Any) -> str:
    return json.dumps(content, sort_keys=True)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _of_file(path: str, content: Any, resumed: bool) -> Any:
    if path.endswith(".csv"):
        return _table(content, ",")
    if path.endswith(".md"):
        return _markdown(content)
    if path.endswith(".db"):
        return {**content, "runs": {k: _mlflow_run(run) for k, run in content["runs"].items()}}
    if path.endswith("facts.json") or "/checkpoints/" in path:
        facts = {k: v for k, v in content["facts.json"].items() if k != "identity"}
        content = {**content, "facts.json": facts}
    if path.endswith("events"):
        return {tag: _shown(tag, value) for tag, value in content.items()}
    masked = _masked(content)
    if resumed and path.endswith("run.json"):
        masked["resumed"] = [{**entry, "step": "#"} for entry in masked.get("resumed", [])]
    return masked


def _shown(tag: str, value: Any) -> Any:
    """Returns the values of TensorBoard under a tag; a config is parsed, not compared as text."""
    if "_per_s" in tag:
        return "there"
    return [yaml.safe_load(text) for text in value] if tag.startswith("config ") else value


def _mlflow_run(run: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(run)
    kept["tags"] = {
        _text(key): "there" if _TAGS.fullmatch(key) else _text(value) for key, value in run["tags"]
    }
    if note := dict(run["tags"]).get("mlflow.note.content"):
        kept["tags"]["mlflow.note.content"] = _markdown(note.splitlines())
    kept["params"] = {key: _text(value) for key, value in run["params"]}
    for table in ("metrics", "latest"):
        kept[table] = {
            f"{key} {step}": "there" if _METRICS.fullmatch(key) else f"{value} {is_nan}"
            for key, step, value, is_nan in run[table]
        }
    kept["models"] = [_masked(row) for row in run["models"]]
    return kept


def _table(lines: Sequence[str], separator: str) -> list[str]:
    """A table without the columns that are measured."""
    heading = [name.strip() for name in lines[0].split(separator)]
    kept = [number for number, name in enumerate(heading) if not _COLUMNS.match(name)]
    return [
        separator.join(_text(cells[number].strip()) for number in kept if number < len(cells))
        for cells in (line.split(separator) for line in lines)
    ]


def _markdown(lines: Sequence[str]) -> list[str]:
    rows = [line for line in lines if line.startswith("|")]
    others = [_text(line) for line in lines if not line.startswith("|")]
    return others + (_table(rows, "|") if rows else [])


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            _text(str(key)): "there" if key in _MEASURED | _OF_CODE else _masked(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    for pattern, instead in _REPLACED:
        text = pattern.sub(instead, text)
    return re.sub(r"  +", "  ", text).rstrip()


def _differing(old: Any, new: Any, place: str) -> Iterator[str]:
    """Yields a line for each difference that is not stated."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        old = {key if key in new else RENAMED.get(key, key): value for key, value in old.items()}
        for key in old.keys() & new.keys():
            yield from _differing(old[key], new[key], f"{place} > {key}")
        for content, other, side, stated in ((old, new, "old", REMOVED), (new, old, "new", ADDED)):
            for inner in (f"{place} > {key}" for key in content if key not in other):
                if not any(pattern.search(inner) for pattern in stated):
                    yield f"{inner}: only in {side}"
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, pair in enumerate(zip(old, new, strict=True)):
            yield from _differing(*pair, f"{place} > {number}")
    elif _is_lines(old) and _is_lines(new):
        before = [_renamed(line) for line in old]
        changed = (line for line in difflib.ndiff(before, new) if line[0] in "-+")
        texts = (f"{place} {line[0]} {line[2:]}" for line in changed)
        yield from (text for text in texts if not any(one.search(text) for one in ADDED))
    elif new not in (old, _renamed(old)):
        yield f"{place}: {_short(old)} | {_short(new)}"


def _is_lines(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(line, str) for line in value)


def _renamed(value: Any) -> Any:
    if isinstance(value, str):
        for before, now in RENAMED.items():
            value = value.replace(before, now)
    return value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
