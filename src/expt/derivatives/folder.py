"""The folder of the page: its files are replaced, and no others are touched."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from expt.errors import UserError
from expt.runs.atomic import replacing, write_text

_MANIFEST = "files.txt"


class ResultFolder:
    """A folder whose files a later call replaces, and that contains nothing else.

    A list of the files is kept in it, so that nothing is removed that the command did not write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> None:
        """Checks that the folder is new, empty, or one that was written by an earlier call.

        Raises:
            UserError: It is a file, or contains files of something else.
        """
        if self._path.exists() and not self._path.is_dir():
            raise UserError(f"--output {self._path}: this is a file. Expected a folder.")
        known = {*self._listed(), _MANIFEST}
        names = sorted(file.name for file in self._path.glob("*"))
        foreign = [name for name in names if name.removeprefix("partial-") not in known]
        if foreign:
            raise UserError(
                f"--output {self._path}: the folder contains {foreign[0]}, which this command has "
                "not written. Expected a new folder, an empty one, or that of an earlier call."
            )

    def write(self, files: Mapping[str, bytes]) -> Path:
        """Replaces the files of an earlier call, each of them atomically.

        Args:
            files: The content of each file by name; the last one is written last.

        Returns:
            The path of the last file.
        """
        before = self._listed()
        self._path.mkdir(parents=True, exist_ok=True)
        # Before the files, so that they are known even if this call is interrupted.
        self._list([*files, *before])
        for name, content in files.items():
            with replacing(self._path / name) as partial:
                partial.write_bytes(content)
        for name in before:
            if name not in files:
                (self._path / name).unlink(missing_ok=True)
        self._list(files)
        return self._path / list(files)[-1]

    def _listed(self) -> list[str]:
        manifest = self._path / _MANIFEST
        names = manifest.read_text(encoding="utf-8").splitlines() if manifest.is_file() else []
        # Names only: a list that was edited must not lead out of the folder.
        return [name for name in names if name and Path(name).name == name]

    def _list(self, names: Iterable[str]) -> None:
        write_text(self._path / _MANIFEST, "".join(f"{name}\n" for name in dict.fromkeys(names)))
