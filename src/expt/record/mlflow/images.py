"""The images of a run in an MLflow store."""

import re
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from expt.record.recorder import PARTIAL
from expt.record.replay import IMAGES, read_image
from expt.runs.run import Run

# MLflow stores an image as two files, a PNG and a WEBP, named by this pattern. The separators
# differ between its versions.
_FILE = re.compile(
    r"(?P<stem>(?P<name>.+)[+%]step[+%](?P<step>\d+)[+%]timestamp[+%]\d+[+%][0-9a-f-]+)"
    r"([+%]compressed)?\.(png|webp)"
)


class MLflowImages:
    """An uploader of the files in a run's `images/` that the store lacks.

    Args:
        client: A client of the store.
        run: The run.
        run_id: The id of the run in the store. It is assumed to have no images there until
            `compare` is called.
    """

    def __init__(self, client: MlflowClient, run: Run, run_id: str) -> None:
        self._client, self._run_id = client, run_id
        self._folder = run.directory / IMAGES
        self._present: set[tuple[str, int]] = set()
        self._taken: set[str] = set()
        self._changed = 0

    def compare(self, stored: Any) -> None:
        """Records which images the store has, and removes incomplete ones.

        Args:
            stored: The run, as the store returned it.
        """
        found: dict[str, list[str]] = {}
        places: dict[str, tuple[str, int]] = {}
        for file in self._client.list_artifacts(self._run_id, IMAGES):
            match = _FILE.fullmatch(file.path.removeprefix(f"{IMAGES}/"))
            if match is not None:
                places[match["stem"]] = re.sub("[#~]", "/", match["name"]), int(match["step"])
                paths = found.setdefault(match["stem"], [])
                # A killed process may leave an empty file; "" marks the image as incomplete.
                paths += [file.path] if file.file_size != 0 else [file.path, ""]
        for stem, paths in found.items():
            if len(paths) == 2 and all(paths):
                self._present.add(places[stem])
            else:
                repository: Any = get_artifact_repository(stored.info.artifact_uri)
                for path in filter(None, paths):
                    repository.delete_artifacts(path)

    def send(self, extend_deadline: Callable[[], None], *, is_last: bool = False) -> int:
        """Sends new images and returns their number.

        Args:
            extend_deadline: Called before each image is sent.
            is_last: Whether to read the folder even if its modification time is unchanged, since
                two changes may have the same time.
        """
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
        if changed == self._changed and not is_last:
            return 0
        files = {file.name: file for file in self._folder.glob("*.png")}
        images = [
            image
            for name in files.keys() - self._taken
            if not name.startswith(PARTIAL) and (image := read_image(files[name])) is not None
        ]
        count = 0
        for image in sorted(images, key=lambda image: (image.step, image.name)):
            if (image.name, image.step) not in self._present:
                extend_deadline()
                self._client.log_image(
                    self._run_id,
                    image.pixels(),
                    key=image.name,
                    step=image.step,
                    timestamp=int(image.time * 1000),
                )
                self._present.add((image.name, image.step))
                count += 1
        self._taken, self._changed = set(files), changed
        return count
