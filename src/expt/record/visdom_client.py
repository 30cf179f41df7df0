"""A client of a Visdom server: lines, images, text and histograms in the windows of a run.

Requires the extra `visdom`.
"""

import html
import json
import logging
from functools import cached_property
from typing import Any

import numpy as np
import requests
import visdom
from numpy.typing import ArrayLike, NDArray

from expt.errors import RunError

_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER = 5.0, 30.0
_SLIDER_HEIGHT = 60  # pixels

logging.getLogger("visdom").setLevel(logging.ERROR)  # it warns of features that are not used here


class VisdomClient:
    """The windows of one run on a Visdom server.

    The ids of windows begin with the run's name, so that runs can share an environment.

    Args:
        server: The URL of the server without its port.
        port: The port of the server.
        environment: The environment of the windows, which is created if it does not exist.
        run: The name of the run. It is part of the windows' titles in an environment of another
            name.

    Raises:
        RunError: The server does not answer; all methods raise this error.
    """

    def __init__(self, server: str, port: int, environment: str, run: str) -> None:
        self._visdom = _Connection(server, port, environment)
        self._environment, self._prefix = environment, f"{run}/"
        self._title_prefix = "" if environment == run else f"{run}: "

    def clear(self) -> None:
        """Removes all windows of the run."""
        for window in json.loads(self._visdom.get_window_data()):
            if window.startswith(self._prefix):
                self._visdom.close(window)

    def add_points(
        self, name: str, line: str, steps: NDArray[np.float64], values: NDArray[np.float64]
    ) -> None:
        """Appends points to a line in a window; both are created if they do not exist.

        Args:
            name: The name of the window.
            line: The name of the line in the legend.
            steps: The optimizer steps, shape [points].
            values: The values, shape [points]; a value that is not finite is a gap in the line.
        """
        title = self._title(name)
        self._visdom.line(
            # JSON has no infinity, and the page would show nothing at all.
            Y=np.where(np.isfinite(values), values, np.nan),
            X=steps,
            name=line,
            update="append",
            win=self._window(name),
            # Evaluations are few, the test split's single point would be invisible without one.
            opts={
                "title": title,
                "xlabel": "step",
                "showlegend": True,
                "markers": line != "train",
                "markersize": 4,
                "markerborderwidth": 0,
            },
        )

    def add_image(self, name: str, step: int, pixels: NDArray[np.uint8]) -> None:
        """Adds an image to a window whose slider selects the step.

        Args:
            name: The name of the window.
            step: The optimizer step.
            pixels: The pixels, shape [height, width, 3].
        """
        height, width = pixels.shape[:2]
        self._visdom.image(
            np.moveaxis(pixels, -1, 0),
            win=self._window(name),
            opts={
                "title": self._title(name),
                "caption": f"step {step}",
                "store_history": True,  # the slider
                "width": width,
                # The page centers the image in the window and draws the slider over it.
                "height": height + 2 * _SLIDER_HEIGHT,
            },
        )

    def show_text(self, name: str, text: str) -> None:
        """Shows a text as it is, with its line breaks, in place of the window's previous text."""
        # Visdom shows HTML.
        content = f"<pre>{html.escape(text)}</pre>"
        self._visdom.text(content, win=self._window(name), opts={"title": self._title(name)})

    def show_histogram(self, name: str, step: int, edges: ArrayLike, counts: ArrayLike) -> None:
        """Shows a histogram in place of the window's previous one, with bars as wide as the bins.

        Args:
            name: The name of the window.
            step: The optimizer step, which is shown in the title.
            edges: The edges of the bins in ascending order, shape [bins + 1].
            counts: The number of values in each bin, shape [bins].
        """
        borders = np.asarray(edges, np.float64)
        bars = {
            "type": "bar",
            "x": ((borders[:-1] + borders[1:]) / 2).tolist(),
            "y": np.asarray(counts, np.float64).tolist(),
            "width": np.diff(borders).tolist(),
        }
        title = f"{self._title(name)}, step {step}"
        layout = {"title": title, "xaxis": {"title": "value"}, "yaxis": {"title": "count"}}
        # `Visdom.bar` has no widths, and `Visdom.histogram` expects the values themselves.
        self._visdom._send(
            {
                "data": [bars],
                "layout": layout,
                "opts": {"title": title},
                "win": self._window(name),
                "eid": self._environment,
            }
        )

    def close(self) -> None:
        """Lets the server write the environment to its disk, where it survives a restart."""
        self._visdom.save([self._environment])
        self._visdom.session.close()

    def _window(self, name: str) -> str:
        return self._prefix + name

    def _title(self, name: str) -> str:
        return self._title_prefix + name


class _Connection(visdom.Visdom):  # type: ignore[misc]
    """Visdom's client with timeouts, and errors that name the server.

    It has no incoming socket, which is a thread that reconnects forever.
    """

    def __init__(self, server: str, port: int, environment: str) -> None:
        self._address = f"{server}:{port}"
        super().__init__(
            server=server,
            port=port,
            env=environment,
            use_incoming_socket=False,
            raise_exceptions=True,
        )

    @cached_property
    def session(self) -> requests.Session:
        """The session without proxies and the passwords in ~/.netrc, which are for other hosts."""
        session = requests.Session()
        session.trust_env = False
        return session

    def _handle_post(self, url: str, data: Any = None) -> str:
        """Replaces the method that Visdom documents as the one to override."""
        try:
            answer = self.session.post(
                url, data=data, timeout=(_SECONDS_TO_CONNECT, _SECONDS_TO_ANSWER)
            )
            answer.raise_for_status()
        except requests.HTTPError as error:
            status = error.response.status_code
            raise RunError(
                f"{self._address} answers with status {status}; is it a Visdom server?"
            ) from error
        except requests.RequestException as error:
            raise RunError(
                f"no Visdom server answers at {self._address}; to start one: "
                "python -m expt.ui --visdom"
            ) from error
        return str(answer.text)
