"""A summary of what a mirror has added to MLflow."""

from dataclasses import dataclass


@dataclass
class Additions:
    """The parts of a run or a sweep that MLflow lacked and that were added.

    Attributes:
        run: Whether the run was created.
        restored: Whether the run was restored after its deletion in MLflow.
        values: The number of values added.
        images: The number of images added.
        model: Whether the best model was added.
        status: The final status, if it was set or changed.
    """

    run: bool = False
    restored: bool = False
    values: int = 0
    images: int = 0
    model: bool = False
    status: str | None = None

    def __str__(self) -> str:
        texts = {
            "a new run": self.run,
            "the restored run": self.restored,
            f"{self.values:,} values": self.values,
            f"{self.images:,} images": self.images,
            "the model": self.model,
            f"the status {self.status}": self.status,
        }
        return ", ".join(text for text, is_there in texts.items() if is_there)
