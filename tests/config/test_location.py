from pathlib import Path

import pytest

from expt.config import location


def test_the_folder_holds_the_configs() -> None:
    assert (location.config_directory() / "config.yaml").is_file()


@pytest.mark.parametrize("is_wheel", [True, False])
def test_a_wheel_carries_it_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_wheel: bool
) -> None:
    package = tmp_path / "src" / "expt"
    (package / "config").mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    if is_wheel:
        (package / "conf").mkdir()
    monkeypatch.setattr(location, "__file__", str(package / "config" / "location.py"))
    assert location.config_directory() == (package / "conf" if is_wheel else tmp_path / "conf")


def test_options_are_a_groups_file_names_sorted() -> None:
    assert location.options("debug") == ["eager", "one_batch", "overfit", "profile"]
    assert location.options("loop") == ["default"]
    assert location.options("no_such_group") == []
