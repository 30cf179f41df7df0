import base64
import html
import io
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as PillowImage
from record_helpers import make_run
from visdom_helpers import VisdomServer, require_visdom

from conftest import Train
from expt.config.location import config_directory
from expt.errors import RunError, UserError
from expt.record import visdom as recorder_module
from expt.record.histograms import HistogramRecorder
from expt.record.images import ImageRecorder
from expt.record.journal import FILE_NAME, Journal, complete_size
from expt.record.recorder import Fanout, Histogram, Image, Record, Scalars
from expt.record.visdom import PORT, VisdomRecorder
from expt.runs.run import Run, Status
from expt.servers.interface import PORTS
from servers.process_helpers import free_port

RUN = "experiment_name_of_the_run"
PIXELS = np.random.default_rng(0).integers(0, 200, (4, 6, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisdomServer]:
    server = VisdomServer(tmp_path_factory.mktemp("home"))
    yield server
    server.kill()


def _block(first: int, last: int) -> Scalars:
    steps = np.arange(first, last + 1)
    return Scalars(
        steps, steps, steps.astype(np.float64), {"train/loss": np.sqrt(steps).astype(np.float32)}
    )


def _evaluation(step: int) -> Scalars:
    return Scalars.single(step, 1, {"val/loss": step / 3, "perf/steps_per_s": 1.0})


def _image(step: int) -> Image:
    return Image(step, step + 0.75, "val/grid", lambda: PIXELS + np.uint8(step))


def _histogram(step: int) -> Histogram:
    return Histogram.of(step, step + 0.5, "within/weights/dense", np.arange(step + 1.0))


def _lines(window: dict[str, Any]) -> dict[str, list[tuple[float, float | None]]]:
    traces = window["content"]["data"]
    return {trace["name"]: list(zip(trace["x"], trace["y"], strict=True)) for trace in traces}


def _images(window: dict[str, Any]) -> list[tuple[str, np.ndarray[Any, Any]]]:
    found = []
    for image in window["content"]:
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        found.append((image["caption"], np.asarray(PillowImage.open(io.BytesIO(data)))))
    return found


def _text(window: dict[str, Any]) -> Any:
    content = window["content"].removeprefix("<pre>").removesuffix("</pre>")
    return yaml.safe_load(html.unescape(content))


def _records(last: int) -> list[Record]:
    return [_block(last - 2, last), _evaluation(last), _image(last), _histogram(last)]


def _assert_histogram(windows: dict[str, Any], step: int) -> None:
    """Checks that the histogram of a step is shown."""
    window = windows[f"{RUN}/within/weights/dense"]
    assert window["title"] == f"within/weights/dense, step {step}"
    assert window["content"]["data"][0]["y"] == _histogram(step).counts.tolist()


def _assert_complete(windows: dict[str, Any], last: int) -> None:
    """Checks that every point and every image up to the last step is there once."""
    evaluated = range(3, last + 1, 3)
    assert _lines(windows[f"{RUN}/loss"]) == {
        "train": [(step, float(np.float32(np.sqrt(step)))) for step in range(1, last + 1)],
        "val": [(step, float(np.float32(step / 3))) for step in evaluated],
    }
    assert _lines(windows[f"{RUN}/steps_per_s"]) == {"perf": [(step, 1.0) for step in evaluated]}
    _assert_histogram(windows, last)
    images = _images(windows[f"{RUN}/val/grid"])
    assert [caption for caption, _ in images] == [f"step {step}" for step in evaluated]
    for step, (_, pixels) in zip(evaluated, images, strict=True):
        np.testing.assert_array_equal(pixels, PIXELS + np.uint8(step))


def test_windows_of_a_run(server: VisdomServer, tmp_path: Path) -> None:
    run = make_run(tmp_path, note="<script>")
    recorder = VisdomRecorder(port=server.port)
    recorder.open(run)
    for last in (3, 6):
        for record in _records(last):
            recorder.write(record)
    recorder.write(Histogram.of(6, 6.5, "within/weights/dense", np.array([np.nan])))
    recorder.write(Scalars.single(6, 1, {"test/accuracy": 0.5}))
    run.update(best={"step": 3, "watched": "val/loss", "val/loss": 1.0})
    recorder.close(Status.FINISHED)
    windows = server.windows(RUN)
    _assert_complete(windows, 6)
    (test,) = windows[f"{RUN}/accuracy"]["content"]["data"]
    assert (test["x"], test["y"], test["mode"]) == ([6], [0.5], "lines+markers")
    assert windows[f"{RUN}/loss"]["content"]["layout"]["showlegend"]
    assert windows[f"{RUN}/loss"]["title"] == "loss"
    assert _text(windows[f"{RUN}/config"]) == run.config
    assert "<script>" not in windows[f"{RUN}/config"]["content"]
    assert "dense" in windows[f"{RUN}/layers"]["content"]
    summary = _text(windows[f"{RUN}/summary"])
    assert (summary["status"], summary["best"]["val/loss"]) == ("FINISHED", 1.0)


def test_points_are_sent_together(
    server: VisdomServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from expt.record.visdom_client import VisdomClient

    sent: list[tuple[str, str, int]] = []
    add = VisdomClient.add_points

    def count(client: VisdomClient, name: str, line: str, steps: Any, values: Any) -> None:
        sent.append((name, line, len(steps)))
        add(client, name, line, steps, values)

    monkeypatch.setattr(VisdomClient, "add_points", count)
    monkeypatch.setattr(recorder_module, "_BUSY_SHARE", 0.0)
    recorder = VisdomRecorder(port=server.port)
    recorder.open(make_run(tmp_path))
    for step in range(1, 51):
        recorder.write(_block(step, step))
    recorder.close(Status.FINISHED)
    # The first record is sent at once: no time has been spent on sending yet.
    assert sent == [("loss", "train", 1), ("loss", "train", 49)]
    assert len(_lines(server.windows(RUN)[f"{RUN}/loss"])["train"]) == 50


def test_values_that_are_not_finite_are_gaps(server: VisdomServer, tmp_path: Path) -> None:
    recorder = VisdomRecorder(port=server.port)
    recorder.open(make_run(tmp_path))
    values = np.array([1.0, np.nan, np.inf, -np.inf, 2.0], np.float32)
    steps = np.arange(1, 6)
    recorder.write(Scalars(steps, steps, steps.astype(np.float64), {"train/loss": values}))
    recorder.close(Status.FAILED)
    (line,) = _lines(server.windows(RUN)[f"{RUN}/loss"]).values()
    assert line == [(1, 1.0), (2, None), (3, None), (4, None), (5, 2.0)]


def _killed(folder: Path, server: VisdomServer) -> Run:
    """Records like a process that was killed before Visdom had steps 4 to 6."""
    run, recorder = make_run(folder), VisdomRecorder(port=server.port)
    files = Fanout([Journal(), ImageRecorder(), HistogramRecorder()])
    files.open(run)
    recorder.open(run)
    for record in _records(3):
        files.write(record)
        recorder.write(record)
    for record in _records(6):
        files.write(record)
    files.close(Status.KILLED)
    return replace(run, is_resumed=True, recorded=complete_size(folder / FILE_NAME))


def test_resumed_run_has_every_point_once(server: VisdomServer, tmp_path: Path) -> None:
    run = _killed(tmp_path, server)
    recorder = VisdomRecorder(port=server.port)
    recorder.open(run)
    # The last image of the previous process may arrive again, after its file was written.
    recorder.write(_image(6))
    _assert_histogram(server.windows(RUN), 6)
    for record in _records(9):
        recorder.write(record)
    recorder.close(Status.FINISHED)
    _assert_complete(server.windows(RUN), 9)


def test_runs_can_share_an_environment(server: VisdomServer, tmp_path: Path) -> None:
    for name in ("one", "other", "other"):  # the last one replaces only its own windows
        (tmp_path / name).mkdir(exist_ok=True)
        run = make_run(tmp_path / name)
        run.update(run_name=name)
        recorder = VisdomRecorder(port=server.port, environment="a/study?")
        recorder.open(run)
        recorder.write(_block(1, 3))
        recorder.close(Status.FINISHED)
    windows = server.windows("a_study_")
    for name in ("one", "other"):
        window = windows[f"experiment_{name}/loss"]
        assert window["title"] == f"experiment_{name}: loss"
        assert len(_lines(window)["train"]) == 3


def test_environment_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    server = VisdomServer(tmp_path)
    recorder = VisdomRecorder(port=server.port)
    recorder.open(make_run(tmp_path))
    recorder.write(_block(1, 3))
    recorder.close(Status.FINISHED)
    server.kill()
    again = VisdomServer(tmp_path, server.port)
    assert len(_lines(again.windows(RUN)[f"{RUN}/loss"])["train"]) == 3
    again.kill()


def test_histogram_has_bars_as_wide_as_its_bins(server: VisdomServer) -> None:
    from expt.record.visdom_client import VisdomClient

    values = np.random.default_rng(0).normal(size=1000)
    counts, edges = np.histogram(values, [-4.0, -1.0, 0.0, 0.5, 4.0])
    client = VisdomClient("http://127.0.0.1", server.port, "histograms", "run")
    client.show_histogram("weights", 1, edges, np.zeros(4))
    client.show_histogram("weights", 7, edges, counts)
    client.close()
    (window,) = server.windows("histograms").values()
    (bars,) = window["content"]["data"]
    assert (window["title"], bars["type"]) == ("run: weights, step 7", "bar")
    assert bars["y"] == counts.tolist()
    left, right = (np.array(bars["x"]) + side * np.array(bars["width"]) / 2 for side in (-1, 1))
    np.testing.assert_array_equal(left, edges[:-1])
    np.testing.assert_array_equal(right, edges[1:])


def test_server_that_is_killed_stops_nothing(
    train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    server = VisdomServer(tmp_path)
    write = VisdomRecorder.write

    def write_and_kill(recorder: VisdomRecorder, record: Any) -> None:
        write(recorder, record)
        server.kill()

    monkeypatch.setattr(VisdomRecorder, "write", write_and_kill)
    _train_without_server(train_here, server.port, tmp_path, caplog)


def test_missing_server_stops_nothing(train_here: Train, tmp_path: Path, caplog: Any) -> None:
    require_visdom()
    _train_without_server(train_here, free_port(), tmp_path, caplog)


def _train_without_server(train_here: Train, port: int, folder: Path, caplog: Any) -> None:
    given = ["recorder=[visdom]", f"recorder.visdom.port={port}", "loop.epochs=2"]
    with caplog.at_level(logging.WARNING):
        run = train_here([*given, "model.units=[4]"], folder)
    assert run.record.status == Status.FINISHED
    warnings = [one.getMessage() for one in caplog.records if one.name.startswith("expt")]
    assert warnings == [
        f"visdom: recording stopped: no Visdom server answers at http://localhost:{port}; to start "
        "one: python -m expt.ui --visdom. The journal is complete."
    ]


def test_answer_that_is_an_error_is_reported(server: VisdomServer, tmp_path: Path) -> None:
    recorder = VisdomRecorder(port=server.port)
    recorder.open(make_run(tmp_path))
    with pytest.raises(RunError, match=r"answers with status 500; is it a Visdom server\?"):
        recorder._client._visdom.get_window_data("missing")
    recorder.close(Status.FINISHED)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example:8097"}],
)
@pytest.mark.parametrize(("path", "body"), [("env_state", b"{}"), ("", None), ("socket", None)])
def test_other_sites_are_refused(
    server: VisdomServer, headers: dict[str, str], path: str, body: bytes | None
) -> None:
    address = f"http://127.0.0.1:{server.port}/{path}"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(address, body, headers))


@pytest.mark.parametrize(
    "path", ["js/main.js", "js/react-react.min.js", "js/plotly-plotly.min.js", "css/style.css"]
)
def test_page_has_its_scripts(server: VisdomServer, path: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/static/{path}") as answer:
        assert len(answer.read()) > 1000


def test_files_elsewhere_are_refused(server: VisdomServer) -> None:
    address = f"http://127.0.0.1:{server.port}/static/js/%2e%2e/%2e%2e/%2e%2e/server.py"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address)


def test_missing_extra_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"^recorder=visdom: needs visdom, .* 'expt\[visdom\]'$"):
        VisdomRecorder()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"server": "localhost"}, "server=localhost: expected http://HOST"),
        ({"server": "http://me:secret@host"}, "without a user or password"),
        ({"server": "http://host:8097"}, "the port has its own key"),
        ({"server": "http://host/path"}, "expected http://HOST"),
        ({"port": 0}, "port=0: expected a number from 1 to 65535"),
        ({"port": "8097"}, "port=8097: expected a number"),
    ],
)
def test_place_is_checked(
    arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "find_spec", lambda name: name)
    with pytest.raises(ValueError, match=message):
        VisdomRecorder(**arguments)


def test_default_port_is_the_same_everywhere() -> None:
    node = yaml.safe_load((config_directory() / "recorder" / "visdom.yaml").read_text())
    assert node["port"] == PORT == PORTS["Visdom"]
