"""Accuracy figures: objects, areas, pixels. Pure functions; plain nested dicts out, ready for JSON, None where a figure is not known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import DatasetReader

from engine.matching import Correspondences, Ground, OverlapGraph

SIZE_CLASSES = ("small", "medium_s", "medium_l", "large")
SIZE_LIMITS_KM2 = (0.10, 0.50, 1.00)
"""Limits between the size classes of Lin et al. (2024), Figures 9 and 11; an outline on a limit is in the upper class."""


def objects(graph: OverlapGraph, min_overlap: float = 0.5, min_iou: float = 0.5) -> dict[str, Any]:
    """Object accuracy under the three matching rules, each side counted on its own.

    Returns
    -------
    ``{"intersection": {...}, "overlap": {...}, "iou": {...}}``; each rule has ``definition``, ``minimum`` (None for
    intersection), ``reference``, ``matched_reference``, ``missed``, ``predicted``, ``matched_predicted``, ``false`` (counts),
    ``producers_accuracy``, ``users_accuracy`` (0-1 or None), ``producers_accuracy_interval``, ``users_accuracy_interval``
    ([low, high] or None, Wilson 95 %), ``recognition_quality``, ``segmentation_quality``, ``panoptic_quality`` (None but
    under ``iou``, whose partners are unique), ``by_size_class``: class -> the counts and accuracies, each side by its own areas.

    Source
    ------
    Lin et al. (2024), section 3.4.3 and Table 2; Wilson (1927); Kirillov et al. (2019), Panoptic Segmentation.
    """


def areas(correspondences: Correspondences, covered: Ground) -> dict[str, Any]:
    """Area deviation of the correspondences.

    Returns
    -------
    ``total``: ``reference_km2``, ``predicted_km2``, ``deviation_km2``, ``deviation_percent`` of all outlines; ``matched``: the
    same of correspondences with both sides, and ``sum_absolute_deviation_km2``, ``sum_absolute_deviation_percent``;
    ``regression``: ``slope``, ``intercept_km2``, ``r2``, ``n`` of predicted on reference areas; ``by_kind``: count of each kind;
    ``by_size_class``: class of the reference area -> ``n``, ``signed_percent``, ``absolute_percent``, ``signed_km2``,
    ``absolute_km2``: each ``mean``, ``median``, ``q25``, ``q75``, ``min``, ``max``; and ``all`` beside the classes.

    Source
    ------
    Lin et al. (2024), section 3.4.3, Figures 6, 9, 11.
    """


def pixels(confusion: Mapping[str, float | None], unit: str) -> dict[str, Any]:
    """Metrics of a pixel confusion, class-wise and macro side by side.

    Parameters
    ----------
    confusion : ``tp``, ``fp``, ``fn``, ``tn`` from :func:`confusion_of_pixels` or :func:`confusion_of_areas`; ``tn`` None where
        nobody said how far the background reaches
    unit : ``pixels`` or ``m2``

    Returns
    -------
    ``unit``, ``confusion``, ``overall``: ``accuracy``, ``balanced_accuracy``, ``mcc``, ``miou``; ``rock_glacier``, ``background``,
    ``macro``: each ``precision``, ``recall``, ``specificity``, ``f1``, ``iou``; ``definitions``: name -> text; ``reason``: why figures are None.
    """


def confusion_of_areas(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    area_of_interest: NDArray[np.object_] | None = None,
    graph: OverlapGraph | None = None,
) -> dict[str, float | None]:
    """``tp``, ``fp``, ``fn``, ``tn`` in square metres from the overlay of the outlines, exact; ``tn`` None without an area of interest.

    ``graph`` of the same outlines saves measuring again.
    """


def confusion_of_pixels(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    raster: DatasetReader,
    area_of_interest: NDArray[np.object_] | None = None,
) -> dict[str, float | None]:
    """``tp``, ``fp``, ``fn``, ``tn`` counted in pixels of a raster's grid where it has data (and within the area of interest).

    A pixel belongs to an outline that holds its centre. The raster's values play no role, only where it has data.
    """


def size_class(area_km2: NDArray[np.float64]) -> NDArray[np.str_]:
    """The size class of each area, (n,)."""
    return np.array(SIZE_CLASSES)[np.digitize(area_km2, SIZE_LIMITS_KM2)]
