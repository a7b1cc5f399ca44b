"""What a training tells on disk while it runs: ``log.csv``, ``epochs.csv``, ``curves.png``. :mod:`model.training` says what is in them."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import figures
from engine.outputs import whole_file, write_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG, EPOCHS, CURVES = "log.csv", "epochs.csv", "curves.png"
LOG_COLUMNS = ("step", "epoch", "learning_rate", "loss")
SECONDS_BETWEEN_WRITES = 1.0
SECONDS_BETWEEN_CURVES = 2.0
SHARE_OF_TIME = 0.05
"""That checkpoints and pictures may take."""


@dataclass(frozen=True)
class EpochRow:
    """A row of ``epochs.csv``; None where there is no value."""

    epoch: int
    step: int
    seconds: float
    learning_rate: float
    loss: float
    validation_loss: float | None = None
    iou: float | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    best: bool = False


class Sparingly:
    """Says when something costly is due again: after ``seconds``, and after so long that it takes a twentieth of the time at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._cost, self._last = seconds, 0.0, time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() - self._last >= max(self._seconds, self._cost / SHARE_OF_TIME if self._seconds else 0.0)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """The costly thing itself."""
        begin = time.monotonic()
        yield
        self._last = time.monotonic()
        self._cost = self._last - begin


class TrainingLog:
    """The tables and the picture of a training folder.

    ``epochs`` the rows so far, ``losses`` of all steps so far. Only the process that ``writes`` does.
    """

    def __init__(self, folder: Path, writes: bool = True) -> None:
        self._folder, self._writes = folder, writes
        self._steps: list[str] = []
        self._flushed = 0.0
        self._drawn = Sparingly(SECONDS_BETWEEN_CURVES)
        self._is_first = True
        self.epochs: list[EpochRow] = []
        self.losses: list[float] = []
        self._at: list[int] = []

    def take_up(self, step: int, epoch: int) -> None:
        """Drop the rows of what came after a checkpoint, and begin new tables where there are none."""
        rows = [row for row in _rows(self._folder / LOG) if _number(row["step"]) <= step]
        self._at, self.losses = [int(row["step"]) for row in rows], [float(row["loss"]) for row in rows]
        kept = [row for row in _rows(self._folder / EPOCHS) if _number(row["epoch"]) <= epoch]
        self.epochs = [_epoch_row(row) for row in kept]
        if self._writes:
            _write_table(self._folder / LOG, LOG_COLUMNS, ([row[name] for name in LOG_COLUMNS] for row in rows))
            columns = [field.name for field in dataclasses.fields(EpochRow)]
            _write_table(self._folder / EPOCHS, columns, ([row[name] for name in columns] for row in kept))

    def add_step(self, step: int, epoch: int, learning_rate: float, loss: float) -> None:
        """A row of ``log.csv``; it is on disk within a second of the next one."""
        self._at.append(step)
        self.losses.append(loss)
        self._steps.append(_line((step, epoch, f"{learning_rate:.6g}", f"{loss:.6g}")))
        if time.monotonic() - self._flushed >= SECONDS_BETWEEN_WRITES:
            self.flush()

    def add_epoch(self, row: EpochRow) -> None:
        """A row of ``epochs.csv``."""
        self.epochs.append(row)
        self.flush()
        self._append(EPOCHS, _line(map(_text, dataclasses.astuple(row))))

    def flush(self) -> None:
        """Bring the rows to the disk."""
        self._flushed = time.monotonic()
        text, self._steps = "".join(self._steps), []
        if text:
            self._append(LOG, text)

    def draw(self, now: bool = False) -> None:
        """Draw the curves, where it is time."""
        if not self._writes or not self.losses or not (now or self._is_first or self._drawn.is_due()):
            return
        self._is_first = False
        with self._drawn.measured(), figures.style(), whole_file(self._folder / CURVES) as path:
            path.write_bytes(figures.rendered(curves(self._at, self.losses, self.epochs), "png"))

    def _append(self, name: str, text: str) -> None:
        if not self._writes:
            return
        path = self._folder / name
        try:
            with open(path, "a", newline="", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise write_error(error, path, path) from error


def curves(steps: Sequence[int], losses: Sequence[float], epochs: Sequence[EpochRow]) -> Figure:
    """Loss over the steps (a), of training and validation, and rock glacier's figures on the validation samples over the epochs (b)."""
    figure = figures.new_figure(66)
    left, right = figure.subplots(1, 2)
    left.set_xlabel("Step")
    left.set_ylabel("Loss")
    left.plot(steps, losses, color="#BBBBBB", linewidth=0.5)
    smooth = _smoothed(losses)
    left.plot(steps, smooth, color=figures.BLUE, label="training")
    validated = [(row.step, row.validation_loss) for row in epochs if row.validation_loss is not None]
    at, values = [step for step, _ in validated], [loss for _, loss in validated]
    left.plot(at, values, color=figures.ORANGE, marker="o", markersize=2, label="validation")
    left.set_ylim(0, 1.1 * max(*smooth, *values, 1e-3))
    left.legend(loc="upper right")
    _validation(right, [row for row in epochs if row.iou is not None])
    figures.panel_letter(left, "a")
    figures.panel_letter(right, "b")
    return figure


def _validation(axes: Axes, rows: Sequence[EpochRow]) -> None:
    axes.set_xlabel("Epoch")
    axes.set_ylabel("Rock glacier, validation, at 0.5")
    if not rows:
        figures.empty_panel(axes, "no validation yet")
        return
    for name, label, colour, line in (
        ("iou", "IoU", "#009E73", "-"),
        ("f1", "F1", "#CC79A7", ":"),
        ("precision", "precision", figures.BLUE, "--"),
        ("recall", "recall", figures.ORANGE, "-."),
    ):
        axes.plot([row.epoch for row in rows], [getattr(row, name) for row in rows], color=colour, linestyle=line, label=label)
    best = [row for row in rows if row.best][-1:]
    axes.plot([row.epoch for row in best], [row.iou or 0.0 for row in best], "o", color="#009E73", markersize=4)
    axes.set_ylim(0, 1)
    axes.legend(loc="lower right", ncols=2)


def _smoothed(values: Sequence[float]) -> list[float]:
    """Running mean of the values, over a fiftieth of them."""
    width = max(1, len(values) // 50)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return list(((sums[ends] - sums[starts]) / (ends - starts)).tolist())


def _rows(path: Path) -> list[dict[str, str]]:
    """Whole rows of a table; a last one that was not finished is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    return [row for row in csv.DictReader(whole) if None not in row.values()]


def _number(text: str) -> float:
    return int(text) if text.isdigit() else math.inf


def _epoch_row(row: dict[str, str]) -> EpochRow:
    numbers = {name: float(text) if text else None for name, text in row.items()}
    return EpochRow(**{**numbers, "epoch": int(row["epoch"]), "step": int(row["step"]), "best": row["best"] == "1"})  # type: ignore[arg-type]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(int(value))


def _line(values: Iterable[Any]) -> str:
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerow(values)
    return target.getvalue()


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with whole_file(path) as new:
        new.write_text("".join(map(_line, [columns, *rows])), encoding="utf-8", newline="")
