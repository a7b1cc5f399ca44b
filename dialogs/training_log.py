"""What a training has written so far: the tables that it keeps while it runs, read as often as somebody looks."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..processing_provider.translation import tr

STEPS, EPOCHS, ABOUT, END = "log.csv", "epochs.csv", "training.json", "metrics.json"
"""A row for each step, a row for each epoch, what was said before the start, and what the command train writes last."""
TABLES = (STEPS, EPOCHS, END)
DEEPEST = 3
"""Folders below the chosen one in which trainings are looked for: a mining has one for each round."""
STILL_S = 180.0
"""A training that has written nothing for so long, and for as long as an epoch takes with its validation, counts as stopped."""
HALF_A_DAY_S = 43_200.0

Columns = dict[str, list[float]]


@dataclass(frozen=True)
class TrainingLog:
    """The tables of a training: columns of numbers, NaN where a field is empty.

    ``steps``: step, epoch, learning_rate, loss; ``epochs``: epoch, step, seconds (of work so far), loss, validation_loss, iou, f1,
    precision, recall and others. ``planned``: steps and minutes that it was asked for, whichever ends first, 0 = no limit. ``began`` and
    ``changed``: when it was started first and when it wrote last, seconds since 1970. ``is_done``: it has come to its end.
    """

    steps: Columns = field(default_factory=dict)
    epochs: Columns = field(default_factory=dict)
    planned: tuple[float, float] = (0.0, 0.0)
    began: float = 0.0
    changed: float = 0.0
    is_done: bool = False

    @property
    def best(self) -> int | None:
        """Row of the epoch with the highest validation IoU; None where none has one."""
        known = [row for row, value in enumerate(self.epochs.get("iou", ())) if not math.isnan(value)]
        return max(known, key=lambda row: self.epochs["iou"][row], default=None)

    @property
    def seconds(self) -> float:
        """Of work up to the last step, as the epochs tell; NaN before the end of the first."""
        if not self.epochs.get("seconds") or not self.epochs["step"][-1]:
            return math.nan
        return self.epochs["seconds"][-1] * max(1.0, self.steps["step"][-1] / self.epochs["step"][-1])

    @property
    def progress(self) -> float:
        """Share that is done, 0-1; 0 where it cannot be told."""
        steps, minutes = self.planned
        shares = [self.steps["step"][-1] / steps if steps else 0.0, self.seconds / 60 / minutes if minutes else 0.0]
        return min(1.0, max(share for share in shares if not math.isnan(share)))

    def is_still(self, now: float) -> bool:
        """Whether it has written nothing for longer than it should take."""
        ends = [0.0, *self.epochs.get("seconds", ())]
        longest = max((after - before for before, after in zip(ends, ends[1:])), default=self.changed - self.began if self.began else 0.0)
        return now - self.changed > STILL_S + max(0.0, longest)

    def told(self, now: float) -> str:
        """How it stands, in words."""
        if not self.steps.get("step"):
            return tr("The training has not taken its first step yet.")
        when = time.strftime("%H:%M" if now - self.changed < HALF_A_DAY_S else "%Y-%m-%d %H:%M", time.localtime(self.changed))
        parts = [tr("step {:.0f}").format(self.steps["step"][-1]), tr("loss {:.3f}").format(self.steps["loss"][-1])]
        if self.epochs.get("epoch"):
            parts.insert(0, tr("{:.0f} epochs").format(self.epochs["epoch"][-1]))
        if self.best is not None:
            best = tr("best validation IoU {:.3f} after epoch {:.0f}")
            parts.append(best.format(self.epochs["iou"][self.best], self.epochs["epoch"][self.best]))
        if not math.isnan(self.seconds):
            parts.append(tr("{} of work").format(duration(self.seconds)))
        text = ", ".join(parts)
        if self.is_done:
            return tr("Finished at {}: {}.").format(when, text)
        if self.is_still(now):
            stopped = tr("Stopped at {}: {}. It resumes from its last checkpoint when it is run again with the same values.")
            return stopped.format(when, text)
        if 0 < self.progress < 1 and not math.isnan(self.seconds):
            text += ", " + tr("about {} left").format(duration(self.seconds * (1 - self.progress) / self.progress))
        return tr("Running: {}.").format(text)


def find_training(folder: Path) -> Path:
    """The one below a folder that wrote last, where there is any and the folder itself is none of a training."""
    if (folder / STEPS).is_file():
        return folder
    patterns = ("/".join(["*"] * depth + [STEPS]) for depth in range(1, DEEPEST + 1))
    return max((path for pattern in patterns for path in folder.glob(pattern)), key=_written, default=folder / STEPS).parent


def read_training(folder: Path) -> TrainingLog:
    """The tables as they are now; a row that is only half written is left out."""
    steps, epochs = _read(folder / STEPS), _read(folder / EPOCHS)
    try:
        settings = json.loads((folder / ABOUT).read_text("utf-8"))["settings"]
        planned = float(settings["steps"]), float(settings["minutes"])
    except (OSError, ValueError, KeyError, TypeError):
        planned = 0.0, 0.0
    is_done = (folder / END).is_file() or 0 < planned[0] <= max(steps.get("step", ()), default=0.0)
    changed = max(_written(folder / name) for name in TABLES)
    return TrainingLog(steps, epochs, planned, _written(folder / ABOUT), changed, is_done)


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """The exponential moving average of values, without a bias towards the first; ``weight`` 0-1 of what came before. NaN stays."""
    mean, share, result = 0.0, 0.0, []
    for value in values:
        if not math.isnan(value):
            mean = weight * mean + (1 - weight) * value
            share = weight * share + (1 - weight)
        result.append(mean / share if share and not math.isnan(value) else math.nan)
    return result


def duration(seconds: float) -> str:
    """In the unit that fits."""
    if seconds < 90:
        return tr("{:.0f} s").format(seconds)
    if seconds < 5400:
        return tr("{:.0f} min").format(seconds / 60)
    return tr("{:.1f} h").format(seconds / 3600)


def _written(path: Path) -> float:
    """When a file was written last, seconds since 1970; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> Columns:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            names = next(rows, [])
            table = [[_number(text) for text in row] for row in rows if len(row) == len(names)]
    except OSError:  # not there yet, or just being replaced
        return {}
    return {name: [row[column] for row in table] for column, name in enumerate(names)}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
