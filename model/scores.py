"""How good a model is: per class, per object, and how much of what is no rock glacier it marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from engine.tiling import blending_weights, pad_to_tile, plan_tiles

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Predict = Callable[[Array], Array]
"""(N, 6, rows, cols) stack -> (N, 1, rows, cols) probability."""

SMALLEST_OBJECT_M2 = 22000.0
"""Rock glaciers smaller than this are not mapped (Lin et al. 2024, section 3.4.2)."""


@dataclass(frozen=True)
class Confusion:
    """Pixels: rock glacier found, background marked, rock glacier missed, background left alone."""

    hit: int = 0
    false: int = 0
    miss: int = 0
    rejected: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.hit + other.hit, self.false + other.false, self.miss + other.miss, self.rejected + other.rejected)


def confusion(marked: Mask, truth: Mask, observed: Mask | None = None) -> Confusion:
    """Compare two masks of the same shape where ``observed``."""
    known = np.ones_like(truth, dtype=bool) if observed is None else observed
    return Confusion(
        int(np.count_nonzero(marked & truth & known)),
        int(np.count_nonzero(marked & ~truth & known)),
        int(np.count_nonzero(~marked & truth & known)),
        int(np.count_nonzero(~marked & ~truth & known)),
    )


def class_scores(pixels: Confusion) -> dict[str, dict[str, float | None]]:
    """IoU, precision, recall and F1 of both classes and their means (macro), 0-1; None where undefined (0/0).

    Source
    ------
    Lin et al. (2024), section 3.3.3; their mIoU is ``macro`` ``iou``, their specificity the background's recall.
    """
    classes = {
        "rock_glacier": _scores(pixels.hit, pixels.false, pixels.miss),
        "background": _scores(pixels.rejected, pixels.miss, pixels.false),
    }
    macro: dict[str, float | None] = {}
    for score in ("iou", "precision", "recall", "f1"):
        both = [scores[score] for scores in classes.values()]
        macro[score] = None if None in both else round(float(np.mean([value for value in both if value is not None])), 4)
    return {**classes, "macro": macro}


def _scores(hit: int, false: int, miss: int) -> dict[str, float | None]:
    def ratio(part: float, whole: float) -> float | None:
        return round(part / whole, 4) if whole else None

    return {
        "iou": ratio(hit, hit + false + miss),
        "precision": ratio(hit, hit + false),
        "recall": ratio(hit, hit + miss),
        "f1": ratio(2 * hit, 2 * hit + false + miss),
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


def blended_probability(predict: Predict, stack: Array, tile: int, overlap: float, batch: int = 16) -> Array:
    """Probability of a whole scene from overlapping tiles, blended as the engine does.

    Parameters
    ----------
    stack : (6, rows, cols), NaN where not observed; may be smaller than a tile
    tile : tile side in pixels
    overlap : of neighbouring tiles, percent

    Returns
    -------
    (rows, cols) 0-1
    """
    _, rows, cols = stack.shape
    plan = plan_tiles(rows, cols, tile, overlap)
    padded = pad_to_tile(stack, tile)
    weight = blending_weights(tile)
    weighted, weights = np.zeros(padded.shape[1:], np.float32), np.zeros(padded.shape[1:], np.float32)
    corners = [(row, column) for row in plan.row_starts for column in plan.column_starts]
    for first in range(0, len(corners), batch):
        places = [np.s_[row : row + tile, column : column + tile] for row, column in corners[first : first + batch]]
        probabilities = predict(np.stack([padded[:, *place] for place in places]))
        for place, probability in zip(places, probabilities[:, 0], strict=True):
            weighted[place] += weight * probability
            weights[place] += weight
    return (weighted / weights)[:rows, :cols]


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
        pixels = confusion(probability >= threshold, truth)
        return 5 * pixels.hit / max(1, 5 * pixels.hit + 4 * pixels.miss + pixels.false)

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
