"""The hook that records images of the validation split, such as predictions and errors."""

from expt.record.images import draw_validation
from expt.train.hooks import Moment
from expt.train.program import Program


class DrawImages:
    """A `Hook` that records the images of the task, drawn from the moment's evaluation."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __call__(self, moment: Moment) -> None:
        """Records the images; each is drawn when the first recorder needs its pixels."""
        program = self._program
        kind, predictions = program.outputs.kind, moment.evaluation.predictions
        images = draw_validation(program.dataset, program.task, kind, moment.step, predictions)
        for image in images:
            moment.recorder.write(image)
