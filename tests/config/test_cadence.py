import math

import pytest

from expt.config.cadence import Cadence, parse_seconds


@pytest.mark.parametrize(
    ("value", "cadence"),
    [
        (None, Cadence(None)),
        (1, Cadence(1)),
        (500, Cadence(500)),
        ("500", Cadence(500)),
        ("1ep", Cadence(1, in_epochs=True)),
        ("20ep", Cadence(20, in_epochs=True)),
    ],
)
def test_cadence_is_parsed(value: object, cadence: Cadence) -> None:
    assert Cadence.parse(value) == cadence


@pytest.mark.parametrize(
    "value", [0, -1, 1.5, True, False, "5min", "0", "0ep", "ep", "-1ep", "1 ep", "1eps", "", [1]]
)
def test_invalid_cadence_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a cadence.*500.*1ep.*null") as caught:
        Cadence.parse(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "due"),
    [
        (1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        (4, [4, 8, 12]),
        (20, []),
        ("1ep", [3, 6, 9, 12]),
        ("2ep", [6, 12]),
        ("5ep", []),
        (None, []),
    ],
)
def test_cadence_is_due_at_its_multiples(value: object, due: list[int]) -> None:
    cadence = Cadence.parse(value)
    assert [step for step in range(1, 14) if cadence.is_due(step, steps_per_epoch=3)] == due
    for step in range(13):
        expected = next((later for later in due if later > step), None)
        found = cadence.next_due(step, steps_per_epoch=3)
        assert found == expected if expected else found > 13
    assert math.isinf(cadence.next_due(0, 3)) is (value is None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (90, 90.0),
        (1.5, 1.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("0.5s", 0.5),
        ("10min", 600.0),
        ("10 min", 600.0),
        ("2h", 7200.0),
        ("1.5h", 5400.0),
        (100_000.0, 100_000.0),
    ],
)
def test_duration_is_parsed(value: object, seconds: float | None) -> None:
    assert parse_seconds(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        0,
        0.0,
        -1,
        "-5s",
        "0min",
        True,
        False,
        "5m",
        "h",
        "",
        " 90",
        "90 s ",
        "1h30min",
        [1],
        {},
        "1e3",
        ".5h",
        "5.h",
        float("nan"),
        float("inf"),
        "3s s",
    ],
)
def test_invalid_duration_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration.*90.*90s, 10min, 2h") as caught:
        parse_seconds(value)
    assert repr(value) in str(caught.value)
