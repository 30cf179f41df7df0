"""What a mirror added to MLflow."""

from dataclasses import dataclass


@dataclass
class Added:
    """What MLflow lacked of a run or a sweep.

    Attributes:
        run: Whether there was no run in the store.
        restored: Whether the run was restored.
        values: The number of values.
        images: The number of images.
        model: Whether the best model was added.
        status: The status, if the run has been closed, or closed otherwise than it was.
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
