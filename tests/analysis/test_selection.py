import json
import os
from pathlib import Path

import pytest

from analysis.made_runs import write_plan, write_run
from expt.analysis.selection import select
from expt.errors import UserError
from expt.runs.sweeps import newest_sweep


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Creates two sweeps and a run in the working directory, and returns the output directory."""
    monkeypatch.chdir(tmp_path)
    output_dir = Path("outputs")
    for sweep, names in (("2026-01-01/09_a", ("0", "1")), ("2026-01-02/08_b", ("0", "1", "2"))):
        for name in names:
            params = {"act": "tanh" if name == "1" else "relu", "model.units": [8, int(name)]}
            write_run(output_dir / "sweeps" / sweep / f"{name}_x={name}", params, seed=int(name))
    write_run(output_dir / "runs" / "2026-01-03" / "10_c", name="mine", status="FAILED")
    return output_dir


def names(*arguments: str, filters: tuple[str, ...] = (), outputs: Path) -> list[str]:
    selection = select(arguments, filters, outputs)
    return [str(run.directory.relative_to(outputs)) for run in selection.runs]


NEWEST = [f"sweeps/2026-01-02/08_b/{name}_x={name}" for name in (0, 1, 2)]


def test_the_newest_sweep_is_the_default(outputs: Path) -> None:
    assert names(outputs=outputs) == names("latest", outputs=outputs) == NEWEST
    assert newest_sweep(outputs) == outputs / "sweeps/2026-01-02/08_b"


def test_without_a_sweep_all_runs_are_selected(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "day" / "a")
    (tmp_path / "sweeps" / "day" / "empty").mkdir(parents=True)
    assert names(outputs=tmp_path) == ["runs/day/a"]
    assert newest_sweep(tmp_path) is None


def test_directories_select_each_run_once(outputs: Path) -> None:
    run = NEWEST[0]
    assert names(str(outputs / run), outputs=outputs) == [run]
    assert names(run, f"{outputs}/sweeps/2026-01-02", outputs=outputs) == NEWEST  # each once
    assert len(names(".", outputs=outputs)) == 6


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (("name=mine",), 1),
        (("name=default",), 5),
        (("name=default,mine",), 6),
        (("act=tanh",), 1),
        (("act=tanh,relu",), 3),
        (("act=relu", "seed=2"), 1),
        (("optimizer.learning_rate=1e-3",), 3),
        (("optimizer.learning_rate=0.0010",), 3),
        (("model.units=[8, 1]",), 1),
        (("model.units=[8,1],[8,2]",), 2),
        (("loop.direction=null",), 3),
        (("status=FINISHED",), 3),
    ],
)
def test_filters_select_runs(filters: tuple[str, ...], count: int, outputs: Path) -> None:
    selection = select((), filters, outputs)
    assert len(selection.runs) == count
    assert all(text in selection.title for text in filters)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Größe", ["Größe"]),
        ("petal width (cm)", ["petal width (cm)"]),
        ("'petal width (cm)'", ["petal width (cm)"]),
        ("a,b", ["a,b"]),
        ("'a,b',Größe", ["a,b", "Größe"]),
        ("f(x,y),Größe", ["Größe", "f(x,y)"]),
    ],
)
def test_a_filter_matches_values_with_special_characters(
    wanted: str, found: list[str], tmp_path: Path
) -> None:
    for number, name in enumerate(("a,b", "Größe", "petal width (cm)", "f(x,y)")):
        write_run(tmp_path / str(number), {"data.target": name})
    runs = select([str(tmp_path)], [f"data.target={wanted}"], tmp_path).runs
    assert [run.params["data.target"] for run in runs] == found


@pytest.mark.parametrize(
    ("arguments", "filters", "message"),
    [
        (("nowhere",), (), "nowhere: there is no such folder"),
        (("empty",), (), "empty: there are no runs"),
        ((), ("act=rleu",), "act=rleu: no run has this value. Did you mean 'relu'? Valid: relu, t"),
        ((), ("atc=relu",), "no run has a parameter 'atc'. Did you mean 'act'?"),
        ((), ("name=other",), "name=other: no run has this value"),
        ((), ("status=FAILED",), "Valid: FINISHED."),
    ],
)
def test_missing_folders_keys_and_values_are_errors(
    arguments: tuple[str, ...], filters: tuple[str, ...], message: str, outputs: Path
) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError) as caught:
        select(arguments, filters, outputs)
    assert message in str(caught.value)


def test_an_error_lists_only_the_first_values(outputs: Path) -> None:
    for number in range(30):
        write_run(outputs / "many" / str(number), {"act": f"act{number}"})
    with pytest.raises(UserError, match=r"\(and 10 more\)\.$"):
        select(("many",), ("act=none",), outputs)


def test_a_missing_output_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no runs"):
        select((), (), tmp_path / "outputs")


@pytest.mark.parametrize(("name", "title"), [("act-seed", "act-seed ({})"), (None, "{}")])
def test_the_title_has_the_name_and_directory_of_the_sweep(
    name: str | None, title: str, tmp_path: Path
) -> None:
    sweep = write_plan(tmp_path / "sweep", a={"status": "FINISHED"})
    if name is not None:
        record = json.loads((sweep / "sweep.json").read_text())
        (sweep / "sweep.json").write_text(json.dumps(record | {"sweep_name": name}))
    write_run(sweep / "a")
    selection = select([str(sweep)], [], tmp_path)
    assert selection.title == title.format(os.path.relpath(sweep))
