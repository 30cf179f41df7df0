"""Images of the validation split: predictions, mistakes, a confusion matrix and others."""

from expt.record.images import draw_validation
from expt.train.hooks import Moment
from expt.train.program import Program


class DrawImages:
    """Records the images of the task, drawn from a moment's evaluation; a `Hook`."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __call__(self, moment: Moment) -> None:
        """Records the images; they are drawn when the first sink needs them."""
        program = self._program
        kind, predictions = program.outputs.kind, moment.evaluation.predictions
        images = draw_validation(program.dataset, program.task, kind, moment.step, predictions)
        for image in images:
            moment.recorder.write(image)
