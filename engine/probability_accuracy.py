"""How good probabilities of rock glacier are: pixels right and wrong at every threshold, and whether 0.7 means 70 %. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import accuracy
from engine.accuracy import PIXEL_FIGURES
from engine.sample_files import ROCK_GLACIER

THRESHOLDS = tuple(round(0.01 * i, 2) for i in range(1, 100))
"""Thresholds of the sweep."""
BINS = 10
"""Bins of equal width of the calibration."""

DEFINITIONS = {
    **PIXEL_FIGURES,
    "tp": "TP: rock glacier in the mask and marked (probability of the threshold or more)",
    "fp": "FP: marked, background in the mask",
    "fn": "FN: rock glacier in the mask, not marked",
    "tn": "TN: background in the mask, not marked",
    "pixels": "pixels that count: observed in the image, and not unknown (255) in the mask",
    "marked_share": "(TP + FP) / pixels",
    "expected_calibration_error": f"ECE: probabilities in {BINS} bins of equal width; the difference between the mean probability of a "
    "bin and its share of rock glacier pixels, without sign, averaged over the bins by their numbers of pixels",
    "brier_score": "mean of (probability - mask)², mask 1 for rock glacier and 0 for background",
}


@dataclass(frozen=True)
class Tally:
    """What was counted over the pixels of some samples; tallies add up.

    ``thresholds`` (k,) ascending; ``counts`` (2, k + 1) pixels of background and of rock glacier by how many thresholds their probability
    reaches; ``bins`` (3, BINS) number of pixels, sum of their probabilities, number of rock glacier pixels; ``squared_error`` the sum of
    (probability - mask)².
    """

    thresholds: NDArray[np.float32]
    counts: NDArray[np.int64]
    bins: NDArray[np.float64]
    squared_error: float

    @classmethod
    def of(
        cls, probability: NDArray[np.float32], mask: NDArray[np.uint8], counted: NDArray[np.bool_], thresholds: NDArray[np.float32]
    ) -> Tally:
        """Count a sample.

        Parameters
        ----------
        probability, mask, counted : (rows, cols) 0-1; 1 rock glacier, 0 background; where the pixels count
        """
        values, is_rock_glacier = probability[counted], mask[counted] == ROCK_GLACIER
        reached = np.searchsorted(thresholds, values, side="right")
        size = len(thresholds) + 1
        counts = np.bincount(is_rock_glacier * size + reached, minlength=2 * size).reshape(2, size)
        binned = np.minimum((values * BINS).astype(np.intp), BINS - 1)
        bins = [np.bincount(binned, weights, BINS) for weights in (None, values, is_rock_glacier)]
        error = np.square(values - is_rock_glacier, dtype=np.float64).sum()
        return cls(thresholds, counts, np.array(bins, dtype=np.float64), float(error))

    @classmethod
    def nothing(cls, thresholds: NDArray[np.float32]) -> Tally:
        """That of no pixel."""
        return cls(thresholds, np.zeros((2, len(thresholds) + 1), np.int64), np.zeros((3, BINS)), 0.0)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.thresholds, self.counts + other.counts, self.bins + other.bins, self.squared_error + other.squared_error
        )  # fmt: skip

    @property
    def pixels(self) -> int:
        """How many were counted."""
        return int(self.counts.sum())

    def confusion(self, threshold: float) -> dict[str, float | None]:
        """``tp``, ``fp``, ``fn``, ``tn`` at one of the thresholds."""
        reached = int(np.searchsorted(self.thresholds, np.float32(threshold), side="right"))
        (tn, fn), (fp, tp) = self.counts[:, :reached].sum(axis=1).tolist(), self.counts[:, reached:].sum(axis=1).tolist()
        return {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def sweep_thresholds(threshold: float) -> NDArray[np.float32]:
    """(k,) those of the sweep and the one that is used, ascending."""
    return np.unique(np.array([*THRESHOLDS, threshold], dtype=np.float32))


def figures(tally: Tally, threshold: float) -> dict[str, Any]:
    """All figures at a threshold; None where one is not defined.

    Returns
    -------
    ``pixels``, ``marked_share``, ``confusion``, ``overall``, ``rock_glacier``, ``background``, ``macro`` as
    :func:`engine.accuracy.pixels` has them, ``expected_calibration_error``, ``brier_score``. :data:`DEFINITIONS` says what they are.
    """
    confusion = tally.confusion(threshold)
    found = accuracy.pixels(confusion, "pixels")
    marked = (confusion["tp"] or 0) + (confusion["fp"] or 0)
    return {
        "pixels": tally.pixels,
        "marked_share": marked / tally.pixels if tally.pixels else None,
        **{name: found[name] for name in ("confusion", "overall", "rock_glacier", "background", "macro")},
        "expected_calibration_error": _calibration_error(tally.bins),
        "brier_score": tally.squared_error / tally.pixels if tally.pixels else None,
    }


def sweep(tally: Tally) -> list[dict[str, float | None]]:
    """One row for each threshold: rock glacier's precision, recall, F1 and IoU, specificity, mIoU, MCC, share of the pixels marked."""
    rows = []
    for threshold in tally.thresholds:
        found = figures(tally, threshold)
        of_class = {name: found["rock_glacier"][name] for name in ("precision", "recall", "specificity", "f1", "iou")}
        overall = {name: found["overall"][name] for name in ("miou", "mcc")}
        rows.append({"threshold": round(float(threshold), 6), **of_class, **overall, "marked_share": found["marked_share"]})
    return rows


def best(rows: list[dict[str, float | None]]) -> dict[str, float | None] | None:
    """The row of a sweep with the highest IoU of rock glacier (which has the highest F1, too), the lowest threshold of equal ones."""
    known = [row for row in rows if row["iou"] is not None]
    return max(known, key=lambda row: row["iou"] or 0.0) if known and max(row["iou"] or 0.0 for row in known) > 0 else None


def calibration(tally: Tally) -> list[dict[str, float | None]]:
    """One row for each bin: its bounds, ``pixels``, ``mean_probability`` and ``rock_glacier_share``, None where it is empty.

    Source
    ------
    Guo et al. (2017), On calibration of modern neural networks, section 2.
    """
    rows: list[dict[str, float | None]] = []
    for i, (pixels, probability, rock_glacier) in enumerate(tally.bins.T.tolist()):
        means = (probability / pixels, rock_glacier / pixels) if pixels else (None, None)
        rows.append(
            {
                "from": round(i / BINS, 6),
                "to": round((i + 1) / BINS, 6),
                "pixels": int(pixels),
                "mean_probability": means[0],
                "rock_glacier_share": means[1],
            }
        )
    return rows


def _calibration_error(bins: NDArray[np.float64]) -> float | None:
    pixels, probability, rock_glacier = bins
    return float(np.abs(probability - rock_glacier).sum() / pixels.sum()) if pixels.any() else None


def mean_of(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean over groups of the figures of each; a group where a figure is not defined is left out of its mean, None where all are."""
    means: dict[str, Any] = {"groups": len(groups)}
    for part in ("overall", "rock_glacier", "background", "macro"):
        means[part] = {name: _mean([group[part][name] for group in groups]) for name in groups[0][part]}
    for name in ("marked_share", "expected_calibration_error", "brier_score"):
        means[name] = _mean([group[name] for group in groups])
    return means


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
