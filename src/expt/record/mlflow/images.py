"""The pictures of a run in an MLflow store."""

import re
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from expt.record.recorder import PARTIAL
from expt.record.replay import IMAGES, read_image
from expt.runs.run import Run

# How MLflow names the two files of a picture; the separators differ between its versions.
_FILE = re.compile(
    r"(?P<stem>(?P<name>.+)[+%]step[+%](?P<step>\d+)[+%]timestamp[+%]\d+[+%][0-9a-f-]+)"
    r"([+%]compressed)?\.(png|webp)"
)


class MLflowImages:
    """Sends the files of a run's `images/` that the store lacks."""

    def __init__(self, client: MlflowClient, run: Run, run_id: str) -> None:
        """Begins with a run in the store that has no pictures."""
        self._client, self._run_id = client, run_id
        self._folder = run.directory / IMAGES
        self._present: set[tuple[str, int]] = set()
        self._taken: set[str] = set()
        self._changed = 0

    def compare(self, stored: Any) -> None:
        """Takes note of the pictures that the store has, and removes what is half there.

        Args:
            stored: The run, as the store returns it.
        """
        found: dict[str, list[str]] = {}
        places: dict[str, tuple[str, int]] = {}
        for file in self._client.list_artifacts(self._run_id, IMAGES):
            match = _FILE.fullmatch(file.path.removeprefix(f"{IMAGES}/"))
            if match is not None:
                places[match["stem"]] = re.sub("[#~]", "/", match["name"]), int(match["step"])
                paths = found.setdefault(match["stem"], [])
                # A process that was killed may leave an empty file.
                paths += [file.path] if file.file_size != 0 else [file.path, ""]
        for stem, paths in found.items():
            if len(paths) == 2 and all(paths):
                self._present.add(places[stem])
            else:
                repository: Any = get_artifact_repository(stored.info.artifact_uri)
                for path in filter(None, paths):
                    repository.delete_artifacts(path)

    def send(self, busy: Callable[[], None], *, is_last: bool = False) -> int:
        """Sends new pictures and returns their number.

        Args:
            busy: Called before each.
            is_last: To look even if the folder seems unchanged since the last time: two changes
                can bear the same time.
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
                busy()
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
