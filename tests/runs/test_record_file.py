"""Tests of the schema version of a record's file; test_records.py tests the records."""

import json
from pathlib import Path
from typing import Any

import pytest

from expt.errors import UserError
from expt.runs.record_file import SCHEMA_VERSION, read_versioned, write_versioned
from expt.runs.record_parts import Place

PLACE: dict[str, Any] = {"id": "a", "directory": "runs/b", "number": 3}


def put(file: Path, **content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file


def test_written_file_has_schema_version(tmp_path: Path) -> None:
    file, place = tmp_path / "place.json", Place.of(PLACE)
    write_versioned(file, place)
    assert json.loads(file.read_text()) == {"schema_version": SCHEMA_VERSION, **PLACE}
    assert read_versioned(file, Place) == place


def test_file_without_schema_version_has_version_1(tmp_path: Path) -> None:
    assert read_versioned(put(tmp_path / "place.json", **PLACE), Place) == Place.of(PLACE)


def test_newer_schema_is_user_error(tmp_path: Path) -> None:
    newer = SCHEMA_VERSION + 1
    expected = (
        rf"place\.json was written by a newer version of expt \(schema {newer}, this version reads "
        rf"up to {SCHEMA_VERSION}\): update expt\."
    )
    with pytest.raises(UserError, match=expected):
        read_versioned(put(tmp_path / "place.json", schema_version=newer, id=["other"]), Place)


@pytest.mark.parametrize("version", ["1", 0, True, 1.5])
def test_wrong_schema_version_is_damage(version: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is damaged: 'schema_version' is missing or wrong\."):
        read_versioned(put(tmp_path / "place.json", schema_version=version, **PLACE), Place)


def test_other_json_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(UserError, match=r"run\.json is not the record of a run\."):
        read_versioned(tmp_path / "run.json", Place)
