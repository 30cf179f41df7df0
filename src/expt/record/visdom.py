"""The Visdom recorder, which draws a run on the page of a Visdom server while it trains."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import yaml
from numpy.typing import NDArray

from expt.errors import UserError
from expt.record.histograms import read_histograms
from expt.record.journal import FILE_NAME
from expt.record.layers import read_layers
from expt.record.recorder import Histogram, Image, Record, Scalars
from expt.record.replay import read_images, read_scalars
from expt.runs.run import Run, Status

if TYPE_CHECKING:
    from expt.record.visdom_client import VisdomClient  # imports visdom, an optional extra

PORT = 8097
"""The default port of a Visdom server."""

_BUSY_SHARE = 0.1
"""The share of the time since the start that may be spent on sending points."""


class VisdomRecorder:
    """A recorder of scalars, images, histograms, the config and a summary for a Visdom server.

    A metric has one window with a line for each split: `train/loss` and `val/loss` are the lines
    `train` and `val` of the window `loss`. An image has a window with a slider over its steps, a
    histogram one with the distribution at its latest step.
    Points that arrive faster than Visdom draws them are collected and sent together.

    The environment of a run is named after its experiment and its run, such as `expt_mlp-relu-s0`,
    since the names of runs are unique within an experiment only.

    Args:
        server: The URL of the server without a port, such as `http://localhost`.
        port: The port of the server.
        environment: The environment that has the run's windows, for instance to see several runs
            on one page; None for one environment per run.

    Raises:
        UserError: The extra `visdom` is not installed.
        ValueError: `server` is not a URL of the form `http://HOST`, or `port` is not a port.
    """

    _run: Run
    _client: "VisdomClient"
    _pending: dict[tuple[str, str], list[NDArray[np.float64]]]
    _replayed_images: set[tuple[str, int]]

    def __init__(
        self, *, server: str = "http://localhost", port: int = PORT, environment: str | None = None
    ) -> None:
        check_installed("recorder=visdom")
        _check_place(server, port)
        self._server, self._port, self._environment = server.rstrip("/"), port, environment

    def open(self, run: Run) -> None:
        """Removes the windows of a previous process and shows the config and the layers.

        The windows of a resumed run are drawn again from the journal and the image files, because
        those of a killed process may lack records, and the server may have been restarted.

        Raises:
            RunError: The server does not answer.
        """
        from expt.record.visdom_client import VisdomClient

        self._run, self._pending, self._replayed_images = run, {}, set()
        self._opened, self._seconds_busy = time.monotonic(), 0.0
        name = _as_id(f"{run.record.name}_{run.record.run_name}")
        environment = name if self._environment is None else _as_id(str(self._environment))
        self._client = VisdomClient(self._server, self._port, environment, name)
        self._client.clear()
        self._client.show_text("config", _as_yaml(run.config))
        self._client.show_text("layers", read_layers(run.directory))
        if run.is_resumed:
            self._replay()

    def write(self, record: Record) -> None:
        """Collects scalars, sends them if there is time, and sends images and histograms.

        Raises:
            RunError: The server does not answer.
        """
        if isinstance(record, Scalars):
            self._collect(record)
            # Limited by the share of time, not by a minimum interval: with an interval, the last
            # points of a slow run would wait for its next record.
            if self._seconds_busy <= _BUSY_SHARE * (time.monotonic() - self._opened):
                self._send_points()
        # `_replay` may have sent this image already, since its file can be written before the
        # recorder receives it.
        elif isinstance(record, Image) and (record.name, record.step) not in self._replayed_images:
            with self._timed():
                self._client.add_image(record.name, record.step, record.pixels())
        elif isinstance(record, Histogram):
            with self._timed():
                self._show(record)

    def close(self, status: Status) -> None:
        """Sends the remaining points and the summary, and lets the server save the environment."""
        self._send_points()
        self._client.show_text("summary", _as_yaml(_summary(self._run, status)))
        self._client.close()

    def _replay(self) -> None:
        directory = self._run.directory
        for scalars in read_scalars(directory / FILE_NAME, self._run.recorded):
            self._collect(scalars)
        self._send_points()
        for image in read_images(directory):
            self._client.add_image(image.name, image.step, image.pixels())
            self._replayed_images.add((image.name, image.step))
        latest = {histogram.name: histogram for histogram in read_histograms(directory)}
        for histogram in latest.values():
            self._show(histogram)

    def _show(self, histogram: Histogram) -> None:
        if len(histogram.counts):
            self._client.show_histogram(
                histogram.name, histogram.step, histogram.edges, histogram.counts
            )

    def _collect(self, scalars: Scalars) -> None:
        for name, column in scalars.values.items():
            split, _, metric = name.partition("/")
            points = np.stack([scalars.steps, column]).astype(np.float64)
            self._pending.setdefault((metric, split), []).append(points)

    def _send_points(self) -> None:
        with self._timed():
            for (metric, split), points in self._pending.items():
                self._client.add_points(metric, split, *np.concatenate(points, axis=1))
        self._pending = {}

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._seconds_busy += time.monotonic() - begun


def check_installed(what: str) -> None:
    """Checks that the extra `visdom` is installed.

    Args:
        what: What needs it, such as `recorder=visdom`, for the message.

    Raises:
        UserError: It is not installed.
    """
    if find_spec("visdom") is None:
        # Visdom can't be built with setuptools 81, and pip's isolated builds use the newest one.
        raise UserError(
            f"{what}: needs visdom, not installed here. Install with: pip install 'setuptools<81' "
            "wheel && pip install --no-build-isolation 'expt[visdom]'"
        )


def _check_place(server: str, port: int) -> None:
    parts = urlsplit(str(server))
    is_plain = parts.netloc == parts.hostname and parts.path in ("", "/")
    if parts.scheme not in ("http", "https") or not is_plain or parts.query or parts.fragment:
        # A password would be recorded in the run's config.
        raise ValueError(
            f"server={server}: expected http://HOST or https://HOST, without a user or password; "
            "the port has its own key, port."
        )
    if not isinstance(port, int) or not 0 < port < 1 << 16:
        raise ValueError(f"port={port}: expected a number from 1 to 65535.")


def _as_id(name: str) -> str:
    """Replaces the characters that Visdom's page can't use in a URL.

    The page splits names at `+`, and quotes no other character.
    """
    return re.sub(r"[^\w.,=@-]", "_", name)


def _summary(run: Run, status: Status) -> dict[str, Any]:
    record, summary = run.record, {"status": str(status)}
    for name in ("stopped", "error"):
        if (value := getattr(record, name)) is not None:
            summary[name] = value
    parts = {"best": record.best, "final": record.final}
    return summary | {name: part.to_mapping() for name, part in parts.items() if part is not None}


def _as_yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
