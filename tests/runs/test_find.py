import json
import os
from pathlib import Path
from typing import Any

import pytest

from expt.errors import UserError
from expt.runs.find import file_name, find_run, find_runs, load_run

ID = "0123456789abcdef" * 2


def write_run(directory: Path, **fields: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"status": "FINISHED", "started": 1.0, **fields}
    (directory / "run.json").write_text(json.dumps(record))
    return directory


def with_model(directory: Path, **fields: Any) -> Path:
    data = {
        "name": "digits",
        "source": "a.b",
        "task": "regression",
        "fingerprint": "f",
        "input_shape": [8],
        "class_names": [],
        "skipped": 0,
        "examples": {},
    }
    names = dict.fromkeys(("run_name", "run_hash", "variant_hash"), "x")
    made = {"parameters": 9, "versions": {}, "model_input_shape": [8], **names}
    best = {"step": 1, "watched": "val/loss"}
    complete = {"choices": {}, "overrides": [], "best": best, "data": data, **made}
    write_run(directory, **complete | fields)
    (directory / "model.keras").write_bytes(b"model")
    return directory


class TestNames:
    def test_run_is_found_by_directory(self, tmp_path: Path) -> None:
        directory = write_run(tmp_path / "runs" / "day" / "run", note=7)
        assert find_run(str(directory), Path("nowhere")).record.model_extra == {"note": 7}
        assert find_run("runs/day/run", tmp_path).directory == directory

    def test_latest_is_run_started_last(self, tmp_path: Path) -> None:
        write_run(tmp_path / "runs" / "2026-01-01" / "10-00-00_a", started=1.0)
        write_run(tmp_path / "runs" / "2026-01-02" / "09-00-00_b", started=2.0)
        for job, started in (("0_x", 4.0), ("1_y", 3.0)):
            write_run(tmp_path / "sweeps" / "2026-01-02" / "09-30-00_c" / job, started=started)
        assert find_run("latest", tmp_path).directory.name == "0_x"

    def test_run_is_found_by_mlflow_id(self, tmp_path: Path) -> None:
        write_run(tmp_path / "runs" / "day" / "a", mlflow={"run_id": "f" * 32})
        write_run(tmp_path / "runs" / "day" / "b", mlflow=None)
        write_run(tmp_path / "runs" / "day" / "c", mlflow={"run_id": ID})
        assert find_run(ID, tmp_path).directory.name == "c"

    def test_damaged_run_does_not_hide_others(self, tmp_path: Path) -> None:
        (write_run(tmp_path / "runs" / "day" / "a") / "run.json").write_text("{")
        write_run(tmp_path / "runs" / "day" / "b", mlflow={"run_id": ID})
        assert find_run(ID, tmp_path).directory.name == "b"
        with pytest.raises(UserError, match="no run in"):  # in either order of the search
            find_run("f" * 32, tmp_path)

    @pytest.mark.parametrize("name", ["latest", ID, "nowhere"])
    def test_missing_run_is_user_error(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=f"^{name}: "):
            find_run(name, tmp_path)


def test_each_run_in_folders_is_found_once(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "runs" / "day" / name) for name in ("c", "a", "b")]
    write_run(runs[0] / "inside")  # a run contains no others
    first, middle, last = sorted(runs)
    assert find_runs([str(middle), str(tmp_path)], is_default=True) == [middle, first, last]


@pytest.mark.parametrize(
    ("is_default", "problem"), [(True, "there are no runs"), (False, "there is no such run")]
)
def test_folder_without_runs_is_user_error(is_default: bool, problem: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"empty: {problem}\."):
        find_runs([str(tmp_path), str(tmp_path / "empty")], is_default=is_default)


class TestFolderOfAllRuns:
    @pytest.mark.parametrize("place", ["runs/day/run", "sweeps/day/sweep/0_job"])
    def test_it_is_parent_of_runs_or_sweeps(self, place: str, tmp_path: Path) -> None:
        directory = write_run(tmp_path / "mine" / place, output_dir="/elsewhere")
        assert find_run(str(directory), tmp_path / "given").output_dir == tmp_path / "mine"

    @pytest.mark.parametrize(
        "place", ["run", "runs/run", "runs/a/b/run", "sweeps/day/run", "x/y/z"]
    )
    def test_otherwise_it_is_the_given_one_and_never_the_recorded_one(
        self, place: str, tmp_path: Path
    ) -> None:
        directory = write_run(tmp_path / "mine" / place, output_dir=str(tmp_path / "evil"))
        given = tmp_path / "given"
        assert find_run(str(directory), given).output_dir == given
        assert not (tmp_path / "evil").exists()

    def test_it_is_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(write_run(tmp_path / "run").parent)
        assert find_run("run", Path("outputs")).output_dir == tmp_path / "outputs"


class TestRecords:
    @pytest.mark.parametrize(
        "content",
        [
            *(b"", b"{", b"\xff\xfe", b"[]", b"7", b"{}", b"[" * 100_000),
            *(b'{"status": 1}', b'{"status": "FINISHED", "started": "now"}'),
            b'{"status": "FINISHED", "started": 1, "mlflow": "id"}',
            b'{"status": "RUNNING", "started": 1, "process": 7}',
        ],
    )
    def test_damaged_record_is_user_error_with_file_name(
        self, content: bytes, tmp_path: Path
    ) -> None:
        (tmp_path / "run.json").write_bytes(content)
        with pytest.raises(UserError, match=r"run\.json "):
            load_run(tmp_path, tmp_path)


class TestModel:
    def test_model_is_in_run_directory(self, tmp_path: Path) -> None:
        directory = with_model(tmp_path / "run")
        assert load_run(directory, tmp_path).model_file == directory / "model.keras"

    def test_model_is_found_through_link_to_run(self, tmp_path: Path) -> None:
        directory = with_model(tmp_path / "run")
        (tmp_path / "link").symlink_to(directory)
        assert load_run(tmp_path / "link", tmp_path).model_file == directory / "model.keras"

    def test_model_that_links_outside_of_run_is_refused(self, tmp_path: Path) -> None:
        other, directory = with_model(tmp_path / "other"), with_model(tmp_path / "run")
        (directory / "model.keras").unlink()
        (directory / "model.keras").symlink_to(other / "model.keras")
        with pytest.raises(UserError, match="outside of the run's directory"):
            _ = load_run(directory, tmp_path).model_file

    def test_model_that_is_no_file_is_user_error(self, tmp_path: Path) -> None:
        directory = write_run(tmp_path / "run", status="FAILED")
        (directory / "model.keras").mkdir()
        with pytest.raises(UserError, match=r"has no model\.keras: the run is FAILED"):
            _ = load_run(directory, tmp_path).model_file

    def test_dead_run_is_reported_as_killed(self, tmp_path: Path) -> None:
        process = {"host": os.uname().nodename, "id": os.getpid(), "started": 0.0}
        directory = write_run(tmp_path / "run", status="RUNNING", process=process)
        with pytest.raises(UserError, match="the run is KILLED"):
            _ = load_run(directory, tmp_path).model_file

    @pytest.mark.parametrize(
        "fields",
        [
            *({"choices": None}, {"overrides": "x"}, {"data": []}, {"best": None}),
            *({"data": {}}, {"data": {"name": ["digits"]}}),
        ],
    )
    def test_incomplete_record_is_user_error(self, fields: dict[str, Any], tmp_path: Path) -> None:
        directory = with_model(tmp_path / "run", **fields)
        with pytest.raises(UserError, match=r"run\.json is damaged: '[\w.]+' is missing or wrong"):
            _ = load_run(directory, tmp_path).model_file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("digits", "digits"), ("my_data-2.1", "my_data-2.1"), ("vögel", "vögel")),
        *(("group/digits", "group_digits"), ("../../evil", "_.._evil"), ("..", "_"), ("", "_")),
        *((".hidden", "hidden"), ("a\\b\0c\nd", "a_b_c_d"), ("x" * 300, "x" * 100)),
        ("价格" * 60, ("价格" * 17)[:33]),
    ],
)
def test_file_name_has_no_path_separators(name: str, expected: str, tmp_path: Path) -> None:
    assert file_name(name) == expected
    assert (tmp_path / f"{file_name(name)}.json").parent == tmp_path
