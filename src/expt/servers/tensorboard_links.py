"""Addresses of TensorBoard's tabs that show something at once."""

import json
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlencode

from expt.servers.shown import MOST, Shown

_PINNED = [{"plugin": "scalars", "tag": tag} for tag in ("loss", "accuracy")]
_CURVES = {"pinnedCards": json.dumps(_PINNED, separators=(",", ":")), "smoothing": "0"}


def tensorboard_lines(
    address: str, shown: Sequence[Shown], num_runs: int
) -> Iterator[tuple[str, str]]:
    """Yields what TensorBoard shows, and where.

    Args:
        address: TensorBoard's.
        shown: The sweeps and runs in it.
        num_runs: How many runs there are in all.
    """
    yield "TensorBoard", f"{address}/?{_query(_CURVES)}#timeseries"
    for tab in ("images", "hparams"):
        yield "", f"{address}/#{tab}"
    for one in shown:
        if one.num_left_out:
            num_jobs = len(one.runs) + one.num_left_out
            yield "", f"{one.name}: the best {len(one.runs)} of its {num_jobs} runs"
    num_shown = len({run.directory for one in shown for run in one.runs})
    if num_shown < num_runs:
        others = f"TensorBoard's tabs open empty with more than {MOST} lines"
        yield "", f"{num_shown} of {num_runs} runs: {others}"
        yield "", "to see others: python -m expt.ui RUN_OR_SWEEP …"


def sweep_line(address: str, sweep: Shown) -> str:
    """Returns the page of a sweep's validation curves alone.

    Args:
        address: TensorBoard's.
        sweep: One that is shown.
    """
    only = {"runFilter": f"^{re.escape(sweep.name)}/", **_CURVES}
    return f"{address}/?{_query(only)}#timeseries"


def _query(values: dict[str, str]) -> str:
    return urlencode(values, quote_via=quote)
