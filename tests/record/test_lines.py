from hypothesis import given, settings
from hypothesis import strategies as st

from expt.record.lines import Line, ThinnedLines, fit_to_width

LINE: Line = [(0, "epoch 3/30"), (2, "step 57"), (0, "val/loss 0.5"), (1, "12 steps/s")]


def test_least_important_parts_of_a_line_are_dropped() -> None:
    whole = "epoch 3/30  step 57  val/loss 0.5  12 steps/s"
    assert fit_to_width(LINE, None) == fit_to_width(LINE, len(whole)) == whole
    assert fit_to_width(LINE, len(whole) - 1) == "epoch 3/30  val/loss 0.5  12 steps/s"
    assert fit_to_width(LINE, 30) == "epoch 3/30  val/loss 0.5"
    assert fit_to_width(LINE, 5) == "epoch 3/30  val/loss 0.5"  # parts of rank 0 are always kept


def shown(evaluations: int, bests: set[int]) -> list[int]:
    """Returns the numbers of the evaluations that are printed."""
    lines, numbers = ThinnedLines(evaluations), list[int]()
    for number in range(1, evaluations + 1):
        numbers += [int(line[0][1]) for line in lines.add([(0, str(number))], number in bests)]
    return numbers + [int(line[0][1]) for line in lines.rest()]


def test_short_run_has_a_line_per_evaluation() -> None:
    assert shown(40, set()) == list(range(1, 41))


def test_long_run_has_every_nth_evaluation_and_the_last() -> None:
    assert shown(210, set()) == [1, *range(11, 210, 11), 210]


def test_only_the_latest_of_consecutive_bests_is_printed() -> None:
    numbers = shown(210, {3, 4, 25, 203})
    assert numbers[:6] == [1, 4, 11, 22, 25, 33]
    assert numbers[-4:] == [198, 203, 209, 210]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 3000), st.sets(st.integers(1, 3000)))
def test_lines_are_limited_and_include_the_best_and_the_last(
    evaluations: int, bests: set[int]
) -> None:
    bests = {number for number in bests if number <= evaluations}
    numbers = shown(evaluations, bests)
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= 42
    assert numbers[-1] == evaluations
    if bests:
        assert max(bests) in numbers


def test_nothing_is_printed_twice_at_the_end() -> None:
    lines = ThinnedLines(100)
    lines.add([(0, "1")], is_best=True)
    assert lines.rest() == []
    lines.add([(0, "2")], is_best=True)
    assert lines.rest() == [[(0, "2")]]
    assert lines.rest() == []
