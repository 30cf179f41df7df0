"""The image of a config's learning rate over the steps of its run, made without training.

Importing this module imports TensorFlow; call `start_tensorflow` before.
"""

import os

import numpy as np
import tensorflow as tf
from PIL import Image
from rich.console import Console

from expt.config.job import Job
from expt.parts.data.dataset import Dataset
from expt.record.rate_figures import draw_schedule
from expt.runs.atomic import replacing
from expt.runs.naming import distinctive_keys, run_name
from expt.train.optimizer import make_schedule
from expt.train.timeline import make_timeline

FOLDER = "schedules"
"""The subfolder of the folder of all runs for the images."""


def save_schedule(job: Job, dataset: Dataset, console: Console) -> int:
    """Draws the learning rate over the steps of a config's run, and prints the path of the image.

    Args:
        job: The job, which must have been checked.
        dataset: The data set of the job.
        console: Shows the path.

    Returns:
        The exit code, 0.

    Raises:
        UserError: The schedule does not accept its arguments.
    """
    timeline = make_timeline(job, dataset)
    schedule = make_schedule(job, timeline.total_steps)
    option = job.choices.get("schedule", "schedule")
    title = f"{option} schedule, {timeline.total_steps:,} steps"
    if hasattr(schedule, "consider"):
        title += " (without reductions, which depend on the validation)"
    if callable(schedule):
        rates = tf.map_fn(
            schedule, tf.range(timeline.total_steps), fn_output_signature=tf.float32
        ).numpy()
    else:
        rates = np.full(timeline.total_steps, schedule)
    name = run_name(job, distinctive_keys(job))
    file = job.output_dir / FOLDER / f"{name}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial:
        Image.fromarray(draw_schedule(rates, timeline.steps_per_epoch, title)).save(partial)
    console.print(
        f"learning rate: {rates[0]:.3g} at step 1, {rates.max():.3g} at most, "
        f"{rates[-1]:.3g} at step {timeline.total_steps:,}",
        highlight=False,
    )
    console.print(os.path.relpath(file), highlight=False, markup=False, soft_wrap=True)
    return 0
