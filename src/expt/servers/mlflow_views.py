"""Views of MLflow's list of runs: the runs, columns and charts that it shows, and their order."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from expt.config.quoting import values_by_key
from expt.runs.leading import BEST_PREFIX, best_values, larger_is_better, leading_metric
from expt.runs.records import RunRecord

_MOST_METRICS, _MOST_PARAMS = 3, 5  # these fit beside the names at a width of 1400 pixels
_NAME, _NAME_WIDTH = "attributes.`Run Name`", 270  # pixels
_WIDTH = 110  # of a column, in pixels
_MOST_CURVES = 30  # curves that can be distinguished in a chart
_CARD_HEIGHT = 360  # pixels
_LAST = ("optimizer.learning_rate", "seed")  # the last columns of params
_LINE = {
    "type": "LINE",
    "lineSmoothness": 0,
    "xAxisKey": "step",
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "range": {},
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
_BAR = {"type": "BAR", "runsCountToCompare": 20}
_IMAGE = {"type": "IMAGE", "showRunParams": False}


def newest_first() -> dict[str, Any]:
    """Returns the order of a list of all runs, in which jobs are not folded below their sweeps."""
    # With backquotes, unlike MLflow's default `attributes.start_time`, for which it folds jobs.
    return {"searchFilter": "", "orderByKey": "attributes.`start_time`", "orderByAsc": False}


def best_first(search: str, records: Sequence[RunRecord]) -> dict[str, Any]:
    """Returns the order of a list of the runs that match a search, the best one first.

    Args:
        search: A search filter in MLflow's syntax.
        records: The records of the runs.
    """
    leading = leading_metric(records)
    if leading is None:
        return {**newest_first(), "searchFilter": search}
    key, larger = f"metrics.`{BEST_PREFIX}{leading}`", larger_is_better(leading, records)
    return {"searchFilter": search, "orderByKey": key, "orderByAsc": not larger}


def make_view(
    name: str,
    order: Mapping[str, Any],
    records: Sequence[RunRecord],
    images: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Returns a view in the form in which MLflow stores it: a name and the state of its page.

    Args:
        name: The name in the menu of views.
        order: The order, as `best_first` or `newest_first` returned it.
        records: The records of the runs.
        images: The step to show of each image, by its name.
    """
    leading = leading_metric(records)
    columns = [
        *(f"metrics.`{metric}`" for metric in _metrics(records, leading)),
        *(f"params.`{key}`" for key in varying(records)[:_MOST_PARAMS]),
    ]
    few = len(records) <= _MOST_CURVES
    state = {
        **order,
        "selectedColumns": columns,
        "columnOrder": [_NAME, *columns],
        "columnWidths": {_NAME: _NAME_WIDTH, **dict.fromkeys(columns, _WIDTH)},
        "runsHiddenMode": "SHOW_ALL" if few else "FIRST_20_RUNS",
        "compareRunCharts": _charts(records, leading, images or {}),
        "compareRunSections": [
            _section("val", cardHeight=_CARD_HEIGHT),
            _section("test"),
            _section("train"),
            _section(f"{BEST_PREFIX}val"),
            _section("best", display=False),
            _section("System metrics", display=False),
        ],
        "isAccordionReordered": True,
    }
    now = int(time.time() * 1000)
    return {"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)}


def varying(records: Sequence[RunRecord]) -> list[str]:
    """Returns the params that differ between runs: options of groups first, the seed last."""
    keys = dict.fromkeys(
        key
        for record in records
        for key in (
            *record.choices,
            # Runs of earlier versions have no `distinctive`.
            *(record.distinctive or values_by_key(record.overrides)),
        )
    )
    ordered = [*(key for key in keys if key not in _LAST), *_LAST]
    return [key for key in ordered if len({_param(record, key) for record in records}) > 1]


def _param(record: RunRecord, key: str) -> str:
    return str((record.params or {}).get(key))


def _metrics(records: Sequence[RunRecord], leading: str | None) -> list[str]:
    """Returns the metrics with a column: the best leading one, that of the test split, others."""
    if leading is None:
        return []
    tests = {name for record in records if record.final for name in record.final.values}
    others = Counter(name for record in records for name in best_values(record)).most_common()
    test = f"test/{leading.rpartition('/')[2]}"
    best = [BEST_PREFIX + name for name in (leading, *(name for name, _ in others))]
    found = [best[0], *([test] if test in tests else []), *best[1:]]
    return [*dict.fromkeys(found)][:_MOST_METRICS]


def _charts(
    records: Sequence[RunRecord], leading: str | None, images: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Returns the first charts, behind which MLflow adds those of the other metrics.

    The first row has the curve of the leading metric, its best values, and an image.
    """
    curves = dict.fromkeys([name for record in records for name in best_values(record)])
    first = [] if leading is None else [_chart(leading, _LINE), _chart(BEST_PREFIX + leading, _BAR)]
    # Without a step, the card of an image stays empty.
    shown = [_chart(name, {**_IMAGE, "step": step}) for name, step in images.items()]
    return [
        *first,
        *shown[:1],
        *(_chart(name, _LINE) for name in curves if name != leading),
        *shown[1:],
    ]


def _chart(name: str, kind: Mapping[str, Any]) -> dict[str, Any]:
    keys = {"imageKeys": [name]} if kind["type"] == "IMAGE" else {"metricKey": name}
    return {
        **kind,
        **keys,
        "uuid": f"expt-{name}",
        "metricSectionId": "expt-val",
        "displayName": name,
        "deleted": False,
        "isGenerated": True,
    }


def _section(name: str, *, display: bool = True, **options: Any) -> dict[str, Any]:
    # MLflow sorts charts by name, except in a section that is marked as reordered by the user.
    kept = {"isReordered": True, "deleted": False, "isGenerated": True}
    return {"uuid": f"expt-{name}", "name": name, "display": display, **kept, **options}
