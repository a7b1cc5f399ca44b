"""How long a comparison takes: said before it starts, and while it runs."""

from __future__ import annotations

import time

import torch

from engine.reporting import Reporter, StagedReporter
from engine.tiling import plan_tiles
from model.comparison_config import Budget, Entry
from model.comparison_data import BATCHES_FOR_STATISTICS, Folds, chosen
from model.comparison_scores import OVERLAP
from model.losses import LOSSES
from model.networks import BandStatistics, create_network

FORWARD_SHARE = 0.3
"""Of a step's time: the forward pass alone."""


class Clock:
    """How long a number of pieces of work takes, from what each was expected to take and what those that are done took."""

    def __init__(self, expected: list[float]) -> None:
        self._expected, self._done, self._start = expected, 0, time.monotonic()

    def finish_one(self) -> None:
        """The next one is done."""
        self._done += 1

    def share(self, of_this_one: float) -> float:
        """Of all, 0-1."""
        total = sum(self._expected)
        return (sum(self._expected[: self._done]) + of_this_one * self._expected[self._done]) / total if total else 0.0

    def left(self, of_this_one: float) -> float:
        """Seconds, when a share (0-1) of the present one is done."""
        done = self.share(of_this_one)
        pace = (time.monotonic() - self._start) / (done * sum(self._expected)) if self._done and done else 1.0
        return (1 - done) * sum(self._expected) * pace


class RunReporter(StagedReporter):
    """Says which run it is and what is left of all of them."""

    def __init__(self, reporter: Reporter, clock: Clock, name: str) -> None:
        super().__init__(reporter, 0.0, 1.0)
        self._clock, self._name = clock, name

    def progress(self, fraction: float, text: str = "") -> None:
        """See :class:`engine.reporting.Reporter`; what is written at the end of all is left for the rest."""
        fraction = min(fraction, 1.0)
        super().progress(0.99 * self._clock.share(fraction), f"{self._name}: {text}; {spoken(self._clock.left(fraction))} left in all")


def spoken(seconds: float) -> str:
    """A time for a person: ``40 s``, ``12 min``, ``3 h 20 min``."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def seconds_of_a_run(entry: Entry, fold: str, seed: int, budget: Budget, folds: Folds) -> float:
    """Of a training and its test, from two batches; of a forest, that of its batches alone."""
    start = time.monotonic()
    batches = chosen(folds.batches(fold, budget.crop, budget.batch_size, seed), folds.bands, entry.bands)
    opened = time.monotonic()
    stack, truth, weight = (torch.from_numpy(array) for array in batches[0])
    to_load = time.monotonic() - opened
    fixed = opened - start + to_load * BATCHES_FOR_STATISTICS
    if entry.costs is None:
        return fixed + to_load * budget.forest_batches
    count = len(entry.bands)
    network = create_network(entry.name, BandStatistics((0.0,) * count, (1.0,) * count, (0.5,) * count), **entry.options).train()
    for _ in range(2):  # the first one is slow
        before = time.monotonic()
        LOSSES[entry.loss](network(stack), truth, weight).backward()
        of_a_step = time.monotonic() - before
    cases = folds.cases(fold)
    rows, columns = cases[0].read()[1].shape
    plan = plan_tiles(rows, columns, budget.crop, OVERLAP)
    to_test = len(cases) * len(plan.row_starts) * len(plan.column_starts) * of_a_step * FORWARD_SHARE / budget.batch_size
    return fixed + to_test + (budget.steps * (of_a_step + to_load) if budget.steps else 60 * budget.minutes)
