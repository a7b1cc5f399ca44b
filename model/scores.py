"""How good a model is: per class, per object, and how much of what is no rock glacier it marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engine import accuracy
from engine.probability_accuracy import Tally, figures, sweep_thresholds
from engine.sample_files import ROCK_GLACIER

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Predict = Callable[[Array], Array]
"""(N, 6, rows, cols) stack -> (N, 1, rows, cols) probability."""

SMALLEST_OBJECT_M2 = 22000.0
"""Rock glaciers smaller than this are not mapped (Lin et al. 2024, section 3.4.2)."""


def confusion(marked: Mask, truth: Mask) -> dict[str, float | None]:
    """``tp``, ``fp``, ``fn``, ``tn`` of two masks of the same shape, in pixels."""
    tn, fn, fp, tp = np.bincount((2 * marked + truth).ravel(), minlength=4).tolist()
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def class_scores(pixels: Mapping[str, float | None]) -> dict[str, dict[str, float | None]]:
    """IoU, precision, recall and F1 of both classes and their means (macro), 0-1; None where undefined (0/0).

    Source
    ------
    Lin et al. (2024), section 3.3.3; their mIoU is ``macro`` ``iou``, their specificity the background's recall.
    """
    found = accuracy.pixels(pixels, "pixels")

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return {
        kind: {score: rounded(found[kind][score]) for score in ("iou", "precision", "recall", "f1")}
        for kind in ("rock_glacier", "background", "macro")
    }


def mean_scores(tables: Iterable[dict[str, dict[str, float | None]]]) -> dict[str, dict[str, float | None]]:
    """Mean of several tables of :func:`class_scores`, undefined values left out."""
    tables = list(tables)
    means: dict[str, dict[str, float | None]] = {}
    for kind in tables[0]:
        means[kind] = {}
        for score in tables[0][kind]:
            values = [value for table in tables if (value := table[kind][score]) is not None]
            means[kind][score] = round(float(np.mean(values)), 4) if values else None
    return means


def outlines(marked: Mask, pixel_area: float, smallest: float = SMALLEST_OBJECT_M2) -> Mask:
    """Marked pixels as post-processing leaves them: objects below ``smallest`` m2 dropped, holes filled.

    Parameters
    ----------
    pixel_area : m2
    """
    labels, _ = ndimage.label(marked)
    sizes = np.bincount(labels.ravel()) * pixel_area
    sizes[0] = 0
    return ndimage.binary_fill_holes(sizes[labels] >= smallest)


def objects_found(
    marked: Mask, objects: NDArray[np.integer], pixel_area: float, smallest: float = SMALLEST_OBJECT_M2, share: float = 0.5
) -> tuple[int, int]:
    """How many true rock glaciers are found, and how many there are.

    A true rock glacier of at least ``smallest`` m2 is found when detected outlines cover at least ``share`` of it.

    Parameters
    ----------
    marked : (rows, cols) detected outlines
    objects : (rows, cols) number of the true rock glacier, 0 background
    """
    sizes = np.bincount(objects.ravel())
    covered = np.bincount(objects.ravel(), weights=marked.ravel(), minlength=len(sizes))
    counts = sizes * pixel_area >= smallest
    counts[0] = False
    return int(np.count_nonzero(counts & (covered >= share * sizes))), int(np.count_nonzero(counts))


def chip_scores(probability: Array, truth: Mask, snow: NDArray[np.floating], threshold: float, low_snow: float) -> dict[str, Any]:
    """Class scores and calibration error of (n, rows, cols) chips of one region: all chips, and those with little snow."""

    def of(chosen: Mask) -> dict[str, Any]:
        found = figures(tally(probability[chosen], truth[chosen], threshold), threshold)
        error = found["expected_calibration_error"]
        return {
            "chips": int(chosen.sum()),
            **class_scores(found["confusion"]),
            "expected_calibration_error": None if error is None else round(error, 4),
        }

    return {"all_chips": of(np.ones(len(snow), bool)), "low_snow_chips": of(snow < low_snow)}


def tally(probability: Array, truth: Mask, threshold: float = 0.5) -> Tally:
    """What ``rock-glacier evaluate`` counts, of arrays of the same shape."""
    return Tally.of(probability, truth.astype(np.uint8) * ROCK_GLACIER, np.ones(truth.shape, bool), sweep_thresholds(threshold))
