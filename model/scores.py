"""How good a model is: per class, per object, and how much of what is no rock glacier it marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engine import accuracy

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


def best_threshold(probabilities: list[tuple[Array, Mask]], weights: list[float], candidates: Iterable[float]) -> float:
    """The candidate with the highest weighted mean of rock glacier F2 over several sets of pixels.

    F2 minds what is missed more than what is marked wrongly: a reviewer strikes out a false outline sooner than she
    finds a missed rock glacier.

    Parameters
    ----------
    probabilities : probability and truth of each set, of the same shape
    weights : of each set
    """

    def f2(probability: Array, truth: Mask, threshold: float) -> float:
        tp, fp, fn, _ = (value or 0 for value in confusion(probability >= threshold, truth).values())
        return 5 * tp / max(1, 5 * tp + 4 * fn + fp)

    def quality(threshold: float) -> float:
        return float(np.average([f2(*pixels, threshold) for pixels in probabilities], weights=weights))

    return max(candidates, key=quality)


def chip_scores(probability: Array, truth: Mask, snow: NDArray[np.floating], threshold: float, low_snow: float) -> dict[str, Any]:
    """Class scores of (n, rows, cols) chips of one region: all chips, and those with little snow."""
    marked = probability >= threshold
    low = snow < low_snow
    return {
        "all_chips": {"chips": len(snow), **class_scores(confusion(marked, truth))},
        "low_snow_chips": {"chips": int(low.sum()), **class_scores(confusion(marked[low], truth[low]))},
    }
