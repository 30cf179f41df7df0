"""The tables of the benchmark in Markdown, and the check that all contenders have done the work."""

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.benchmark.contenders import Contender, Other
from scripts.benchmark.measurement import Measurement

Rounds = Sequence[Measurement]
_LARGEST_FACTOR = 1.5
"""The factor between a final loss and the median of all contenders that is still agreement.

Losses differ by the initial weights and the order of the data, by less than this with the models,
data and epochs of the rows. Half of the steps change the training loss by more.
"""


def table(contenders: Sequence[Contender], measured: Sequence[Rounds]) -> str:
    """Returns the table of a row.

    Args:
        contenders: The contenders; the first one is expt, which the others are compared with.
        measured: The measurements of each contender, round by round.
    """
    has_steps = measured[0][0].steps is not None
    columns = [*_columns(has_steps=has_steps), *_loss_columns(measured)]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for contender, rounds in zip(contenders, measured, strict=True):
        cells = [contender.name, *_own_cells(rounds, has_steps=has_steps)]
        if contender is contenders[0]:
            cells += ["", ""]
        else:
            cells += [f"{statistics.median(ratios(measured[0], rounds)):.2f}x"]
            cells += [verdict(contender, measured[0], rounds)]
        cells += _loss_cells(rounds, measured)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratios(expt: Rounds, other: Rounds) -> list[float]:
    """Returns how many times as fast expt was as another contender, round by round."""
    return [one.speed / two.speed for one, two in zip(expt, other, strict=True)]


def verdict(contender: Contender, expt: Rounds, other: Rounds) -> str:
    """Returns the name of the faster side, or `tie` if the rounds do not agree."""
    if isinstance(contender, Other) and contender.is_bound:
        return "(does a part of the work)"
    found = ratios(expt, other)
    if min(found) > 1:
        return "expt"
    return f"**{contender.name}**" if max(found) < 1 else "tie"


def disagreements(names: Sequence[str], measured: Sequence[Rounds]) -> list[str]:
    """Returns a sentence for each final loss that is far from the median of all contenders.

    A contender that does less work, or other work, is noticed by its loss.

    Args:
        names: The names of the contenders.
        measured: The measurements of each contender, round by round.
    """
    found = []
    for split in _splits(measured):
        medians = {
            name: statistics.median(each.losses[split] for each in rounds)
            for name, rounds in zip(names, measured, strict=True)
            if rounds[0].losses
        }
        middle = statistics.median(medians.values())
        for name, loss in medians.items():
            # Written so that NaN is a disagreement, too.
            if not 1 / _LARGEST_FACTOR <= loss / middle <= _LARGEST_FACTOR:
                found.append(
                    f"{name}: the {split} loss is {loss:.3g}, but the median of all contenders "
                    f"is {middle:.3g}; it has not done the same work."
                )
    return found


def machine() -> str:
    """Returns a line about the machine and the versions of the libraries."""
    names = ("tensorflow", "keras", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{os.cpu_count()} cores of {_processor()}; Python {platform.python_version()}, {versions}"
    )


def _columns(*, has_steps: bool) -> list[str]:
    unit = "steps/s" if has_steps else "seconds"
    own = ["contender", unit, "lowest to highest", *([] if has_steps else ["CPU seconds"])]
    return [*own, "memory, MB", "expt is … times as fast", "faster"]


def _own_cells(rounds: Rounds, *, has_steps: bool) -> list[str]:
    values = [each.speed if has_steps else each.seconds for each in rounds]
    form = "{:,.0f}" if has_steps else "{:,.1f}"
    cells = [form.format(statistics.median(values))]
    cells.append(" to ".join(form.format(value) for value in (min(values), max(values))))
    if not has_steps:
        cells.append(f"{statistics.median(each.processor_seconds for each in rounds):,.1f}")
    cells.append(f"{statistics.median(each.megabytes for each in rounds):,.0f}")
    return cells


def _loss_columns(measured: Sequence[Rounds]) -> list[str]:
    return [f"{split} loss" for split in _splits(measured)]


def _loss_cells(rounds: Rounds, measured: Sequence[Rounds]) -> Iterator[str]:
    for split in _splits(measured):
        losses = [each.losses[split] for each in rounds if each.losses]
        yield f"{statistics.median(losses):.3g}" if losses else ""


def _splits(measured: Sequence[Rounds]) -> list[str]:
    """Returns the splits of which all trained contenders have a loss."""
    trained: list[Mapping[str, float]] = [rounds[0].losses for rounds in measured]
    trained = [losses for losses in trained if losses]
    return [
        split
        for split in ("train", "validation")
        if trained and all(split in losses for losses in trained)
    ]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "an unknown processor"
