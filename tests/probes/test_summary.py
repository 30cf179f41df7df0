"""The heat maps of layers by training step."""

import numpy as np

from expt.probes.summary import draw_summary, is_summarized


def test_vanished_gradient_is_dark_and_the_first_layer_is_at_the_bottom() -> None:
    pixels = draw_summary(
        {
            "within/gradient_mean_abs/first": {0: 0.0, 10: 1e-9},
            "within/gradient_mean_abs/second": {0: 1e-1, 10: 1.0},
            "within/gradient_mean_abs/all": {0: 1.0, 10: 1.0},
        }
    )
    height, width, _ = pixels.shape
    # Viridis goes from dark purple to bright yellow.
    top, bottom = (pixels[int(height * at), width // 2].astype(int) for at in (0.3, 0.65))
    assert top.tolist() == [253, 231, 36] or top[:2].min() > 200
    assert bottom[1] < 30


def test_many_steps_can_be_drawn() -> None:
    series = {"within/dead_share/relu": {step: step / 1000 for step in range(1000)}}
    pixels = draw_summary(series)
    assert pixels.dtype == np.uint8


def test_only_metrics_of_probes_are_summarized() -> None:
    assert is_summarized("within/update_ratio/dense")
    assert not is_summarized("train/loss")
