"""URLs of TensorBoard's tabs, with pinned cards and filters."""

import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from expt.servers.entries import MAX_RUNS, Entry

_PINNED = [{"plugin": "scalars", "tag": tag} for tag in ("loss", "accuracy")]
_CURVES = {"pinnedCards": json.dumps(_PINNED, separators=(",", ":")), "smoothing": "0"}


def tensorboard_lines(
    address: str, entries: Sequence[Entry], num_runs: int
) -> Iterator[tuple[str, str]]:
    """Yields lines to print: a label, and a text such as a URL; either may be empty.

    Args:
        address: The URL of TensorBoard.
        entries: The sweeps and runs that it shows.
        num_runs: The number of all runs, including those that it does not show.
    """
    yield "TensorBoard", ""
    yield "  curves", f"{address}/?{_query(_CURVES)}#timeseries"
    yield "  images", f"{address}/#images"
    yield "  HParams", f"{address}/#hparams"
    for entry in entries:
        if entry.num_omitted:
            num_jobs = len(entry.runs) + entry.num_omitted
            yield "", f"{entry.name}: the best {len(entry.runs)} of its {num_jobs} runs"
    num_shown = len({run.directory for entry in entries for run in entry.runs})
    if num_shown < num_runs:
        others = f"TensorBoard's tabs open empty with more than {MAX_RUNS} lines"
        yield "", f"{num_shown} of {num_runs} runs: {others}"
        yield "", "to see others: python -m expt.ui RUN_OR_SWEEP …"


def sweep_page(address: str, sweep: Entry) -> str:
    """Returns the URL of the validation curves of a sweep.

    Args:
        address: The URL of TensorBoard.
        sweep: A sweep that TensorBoard shows.
    """
    only = {"runFilter": f"^{re.escape(sweep.name)}/", **_CURVES}
    return f"{address}/?{_query(only)}#timeseries"


def _query(values: dict[str, str]) -> str:
    return urlencode(values, quote_via=quote)
