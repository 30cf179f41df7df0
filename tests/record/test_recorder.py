import io
import pickle

import numpy as np
import pytest
from PIL import Image as PillowImage
from record_helpers import Memory, one_record

from expt.record.recorder import Fanout, Image
from expt.runs.run import Status


def test_fanout_closes_all_recorders_even_if_one_raises() -> None:
    first, broken, last = Memory(), Memory("close FAILED"), Memory()
    fanout = Fanout([first, broken, last])
    fanout.write(one_record(1))
    with pytest.raises(OSError, match="no close"):
        fanout.close(Status.FAILED)
    for memory in (first, broken, last):
        assert memory.calls == ["write 1", "close FAILED"]


def test_png_has_name_step_and_time() -> None:
    image = Image(12, 1_795_400_000.123456789, "val/α", lambda: np.zeros((2, 3, 3), np.uint8))
    with PillowImage.open(io.BytesIO(image.png())) as decoded:
        texts = dict(decoded.info)
    assert (texts["name"], texts["step"]) == ("val/α", "12")
    assert float(texts["time"]) == image.time


def test_image_is_drawn_once_and_pickles_as_pixels() -> None:
    drawn: list[int] = []

    def draw() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        drawn.append(1)
        return np.full((4, 6, 3), 7, np.uint8)

    image = Image(step=5, time=1.5, name="val/x", draw=draw)
    copy = pickle.loads(pickle.dumps(image))  # noqa: S301
    assert image.png() == copy.png()
    assert (copy.step, copy.time, copy.name) == (5, 1.5, "val/x")
    np.testing.assert_array_equal(copy.pixels(), image.pixels())
    assert len(drawn) == 1
