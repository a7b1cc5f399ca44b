"""Accuracy figures: objects, areas, pixels. Pure functions; plain nested dicts out, ready for JSON, None where a figure is not known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import binomtest, linregress

from engine.local_maps import on_one_map
from engine.matching import KINDS, Correspondences, Ground, OverlapGraph, areas_m2, match_objects, overlaps, shared_ground
from engine.rasters import Grid, read_observed, windows
from engine.vectors import PolygonLayer

SIZE_CLASSES = ("small", "medium_s", "medium_l", "large")
SIZE_LIMITS_KM2 = (0.10, 0.50, 1.00)
"""Limits between the size classes of Lin et al. (2024), Figures 9 and 11; an outline on a limit is in the upper class."""

RULES = {
    "intersection": "An outline is matched when it shares any ground with an outline of the other layer, slivers left out.",
    "overlap": "An outline is matched when the ground shared with an outline of the other layer, over the smaller of the two areas, "
    "is at least the minimum.",
    "iou": "An outline is matched when the ground shared with its partner in the other layer, over the joint area of the two, is at least "
    "the minimum; each outline has one partner at most.",
}

OBJECT_FIGURES = {
    "producers_accuracy": "matched reference outlines / all reference outlines",
    "users_accuracy": "matched predicted outlines / all predicted outlines",
    "producers_accuracy_interval": "95 % confidence interval of the producer's accuracy (Wilson)",
    "users_accuracy_interval": "95 % confidence interval of the user's accuracy (Wilson)",
    "segmentation_quality": "SQ: mean IoU of the matched pairs",
    "recognition_quality": "RQ: TP / (TP + FP / 2 + FN / 2), TP the matched pairs",
    "panoptic_quality": "PQ: SQ x RQ (Kirillov et al. 2019; there with IoU > 0.5)",
}

AREA_FIGURES = {
    "correspondence": "reference and predicted outlines that overlap, directly or by way of others; areas are of their unions",
    "signed_km2": "predicted - reference area of a correspondence",
    "absolute_km2": "its absolute value",
    "signed_percent": "predicted - reference area in percent of the reference area",
    "absolute_percent": "its absolute value",
    "size_class": "by the reference area of the correspondence",
    "sum_absolute_deviation_km2": "sum of the absolute deviations: other than in totals, too much here and too little there do not cancel",
    "regression": "ordinary least squares of predicted on reference area in km2; r2 is the squared correlation",
    "total": "all outlines, matched or not; ground counts once where outlines of a correspondence overlap",
    "matched": "correspondences with outlines of both layers",
}

PIXEL_FIGURES = {
    "tp": "TP: rock glacier in both layers",
    "fp": "FP: rock glacier in the predicted layer alone",
    "fn": "FN: rock glacier in the reference layer alone",
    "tn": "TN: rock glacier in neither",
    "accuracy": "(TP + TN) / (TP + FP + FN + TN)",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "specificity": "TN / (TN + FP)",
    "f1": "2 TP / (2 TP + FP + FN)",
    "iou": "TP / (TP + FP + FN)",
    "miou": "mean IoU of rock glacier and background",
    "balanced_accuracy": "(recall + specificity) / 2",
    "mcc": "Matthews correlation: (TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN))",
    "rock_glacier": "rock glacier is the positive class",
    "background": "background is the positive class: TP and TN, FP and FN change places",
    "macro": "mean of the two columns",
}


def size_class(area_km2: NDArray[np.float64]) -> NDArray[np.str_]:
    """The size class of each area, (n,) of :data:`SIZE_CLASSES`."""
    return np.array(SIZE_CLASSES)[np.digitize(area_km2, SIZE_LIMITS_KM2)]


WINDOW = 2048
"""Rows and columns of a raster that are counted at a time."""


def object_accuracy(matched_reference: int, reference: int, matched_predicted: int, predicted: int) -> dict[str, Any]:
    """Producer's and user's accuracy from counts, each side its own, with Wilson 95 % intervals; None where there is nothing to count.

    Source
    ------
    Lin et al. (2024), section 3.4.3; Wilson (1927).
    """
    return {
        "reference": reference,
        "matched_reference": matched_reference,
        "missed": reference - matched_reference,
        "predicted": predicted,
        "matched_predicted": matched_predicted,
        "false": predicted - matched_predicted,
        "producers_accuracy": _ratio(matched_reference, reference),
        "producers_accuracy_interval": _wilson(matched_reference, reference),
        "users_accuracy": _ratio(matched_predicted, predicted),
        "users_accuracy_interval": _wilson(matched_predicted, predicted),
    }


def _wilson(successes: int, trials: int) -> list[float] | None:
    if not trials:
        return None
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else float(part / whole)


def objects(graph: OverlapGraph, min_overlap: float = 0.5, min_iou: float = 0.5) -> dict[str, Any]:
    """Object accuracy under the three matching rules, each side counted on its own.

    Returns
    -------
    ``intersection``, ``overlap``, ``iou``: each has ``definition``, ``minimum`` (None for intersection), the figures of
    :func:`object_accuracy`, ``segmentation_quality``, ``recognition_quality``, ``panoptic_quality`` (None but under ``iou``, whose
    partners are unique) and ``by_size_class``: class -> the figures of :func:`object_accuracy`, each side by its own areas;
    ``definitions``: figure -> text; ``reason``: why figures are None, None where all are known.

    Source
    ------
    Lin et al. (2024), section 3.4.3 and Table 2; Wilson (1927); Kirillov et al. (2019), Panoptic segmentation.
    """
    predicted_class, reference_class = size_class(graph.predicted_m2 / 1e6), size_class(graph.reference_m2 / 1e6)
    figures: dict[str, Any] = {}
    for rule, minimum in (("intersection", None), ("overlap", min_overlap), ("iou", min_iou)):
        match = match_objects(graph, rule, minimum or 0.0)

        def accuracy(of_predicted: NDArray[np.bool_], of_reference: NDArray[np.bool_], match: Any = match) -> dict[str, Any]:
            found, right = match.reference[of_reference], match.predicted[of_predicted]
            return object_accuracy(int(found.sum()), len(found), int(right.sum()), len(right))

        segmentation = recognition = None
        if rule == "iou":
            pairs = len(match.links)
            segmentation = float(graph.iou[match.links].mean()) if pairs else None
            recognition = _ratio(2 * pairs, len(graph.predicted_m2) + len(graph.reference_m2))
        everything = np.ones_like(match.predicted), np.ones_like(match.reference)
        figures[rule] = {
            "definition": RULES[rule],
            "minimum": minimum,
            **accuracy(*everything),
            "segmentation_quality": segmentation,
            "recognition_quality": recognition,
            "panoptic_quality": 0.0 if recognition == 0 else _product(segmentation, recognition),
            "by_size_class": {name: accuracy(predicted_class == name, reference_class == name) for name in SIZE_CLASSES},
        }
    return {**figures, "definitions": OBJECT_FIGURES, "reason": _why_none(len(graph.predicted_m2), len(graph.reference_m2))}


def _product(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first * second


def _why_none(predicted: int, reference: int) -> str | None:
    """Why accuracies of objects are not known."""
    if predicted and reference:
        return None
    if not predicted and not reference:
        return "There are neither predicted nor reference outlines: nothing can be right or wrong."
    if not reference:
        return "There are no reference outlines: how many of them were found (producer's accuracy) is not defined."
    return "There are no predicted outlines: how many of them are right (user's accuracy) is not defined."


def confusion_table(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows ``metric``, ``note``, ``result`` as in Table 2 of Lin et al. (2024), from the figures of :func:`object_accuracy`.

    True positives stand there twice, once for each side: they differ where outlines correspond n-1 or 1-n.
    """
    rows = (
        ("True positive (TP), reference", "Number of reference outlines found", "matched_reference"),
        ("True positive (TP), predicted", "Number of correct predicted outlines", "matched_predicted"),
        ("False positive (FP)", "Number of wrong predicted outlines", "false"),
        ("False negative (FN)", "Number of missed reference outlines", "missed"),
        ("Producer's accuracy", "TP / (TP + FN), reference outlines", "producers_accuracy"),
        ("User's accuracy", "TP / (TP + FP), predicted outlines", "users_accuracy"),
    )
    return [{"metric": metric, "note": note, "result": rule[name]} for metric, note, name in rows]


def deviations(covered: Ground) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted less reference area of each correspondence, (c,) km2 and (c,) percent of the reference area; NaN where one side is missing.

    Source
    ------
    Lin et al. (2024), section 3.4.3.
    """
    both = (covered.predicted_m2 > 0) & (covered.reference_m2 > 0)
    reference = np.where(both, covered.reference_m2, np.nan)
    signed = covered.predicted_m2 - reference
    return signed / 1e6, 100 * signed / reference


def correspondence_table(
    correspondences: Correspondences, covered: Ground, predicted_names: Iterable[Any], reference_names: Iterable[Any]
) -> dict[str, NDArray[np.generic]]:
    """One row for each correspondence, (c,) values each.

    Columns: ``component`` (from 1), ``kind``, ``n_predicted``, ``n_reference``, ``predicted``, ``reference`` (names, comma between),
    ``predicted_km2``, ``reference_km2`` (NaN where there is none), ``overlap_km2``, ``predicted_share``, ``reference_share`` (of the
    area that lies in the other), ``iou``, ``deviation_km2`` (predicted - reference), ``deviation_percent`` (of the reference area),
    ``size_class`` (of the reference area, of the predicted area where there is none).
    """
    predicted = np.where(covered.predicted_m2 > 0, covered.predicted_m2, np.nan)
    reference = np.where(covered.reference_m2 > 0, covered.reference_m2, np.nan)
    shared = covered.shared_m2
    deviation_km2, deviation_percent = deviations(covered)
    return {
        "component": np.arange(1, len(correspondences) + 1),
        "kind": correspondences.kind.astype(object),
        "n_predicted": correspondences.n_predicted,
        "n_reference": correspondences.n_reference,
        "predicted": _names_of(correspondences.predicted_component, predicted_names, len(correspondences)),
        "reference": _names_of(correspondences.reference_component, reference_names, len(correspondences)),
        "predicted_km2": predicted / 1e6,
        "reference_km2": reference / 1e6,
        "overlap_km2": shared / 1e6,
        "predicted_share": shared / predicted,
        "reference_share": shared / reference,
        "iou": shared / (predicted + reference - shared),
        "deviation_km2": deviation_km2,
        "deviation_percent": deviation_percent,
        "size_class": size_class(np.where(covered.reference_m2 > 0, covered.reference_m2, covered.predicted_m2) / 1e6).astype(object),
    }


def _names_of(component: NDArray[np.intp], names: Iterable[Any], count: int) -> NDArray[np.object_]:
    """The names of each component's outlines, comma between; None where it has none."""
    joined = np.full(count, None, dtype=object)
    for index, name in zip(component, names, strict=True):
        joined[index] = str(name) if joined[index] is None else f"{joined[index]}, {name}"
    return joined


def areas(correspondences: Correspondences, covered: Ground) -> dict[str, Any]:
    """Area deviation of the correspondences.

    Returns
    -------
    ``total``: ``reference_km2``, ``predicted_km2``, ``deviation_km2``, ``deviation_percent`` of all outlines; ``matched``: the
    same of correspondences with both sides, their number ``n``, and ``sum_absolute_deviation_km2``,
    ``sum_absolute_deviation_percent``; ``regression``: ``n``, ``slope``, ``intercept_km2``, ``r2`` of predicted on reference areas;
    ``by_kind``: number of each kind; ``by_size_class``: ``all`` and each class of the reference area -> ``n``, ``signed_percent``,
    ``absolute_percent``, ``signed_km2``, ``absolute_km2``: each ``mean``, ``median``, ``q25``, ``q75``, ``min``, ``max``;
    ``definitions``: name -> text; ``reason``: why figures are None, None where all are known.

    Source
    ------
    Lin et al. (2024), section 3.4.3, Figures 6, 9, 11.
    """
    both = correspondences.matched
    predicted, reference = covered.predicted_m2 / 1e6, covered.reference_m2 / 1e6
    signed_km2, signed_percent = deviations(covered)
    classes = size_class(reference)
    matched = _totals(predicted[both], reference[both])
    absolute = float(np.abs(signed_km2[both]).sum())

    def statistics(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            "n": int(chosen.sum()),
            "signed_percent": spread(signed_percent[chosen]),
            "absolute_percent": spread(np.abs(signed_percent[chosen])),
            "signed_km2": spread(signed_km2[chosen]),
            "absolute_km2": spread(np.abs(signed_km2[chosen])),
        }

    return {
        "total": _totals(predicted, reference),
        "matched": {
            "n": int(both.sum()),
            **matched,
            "sum_absolute_deviation_km2": absolute,
            "sum_absolute_deviation_percent": _ratio(100 * absolute, matched["reference_km2"]),
        },
        "regression": _regression(reference[both], predicted[both]),
        "by_kind": {kind: int(np.sum(correspondences.kind == kind)) for kind in KINDS},
        "by_size_class": {"all": statistics(both), **{name: statistics(both & (classes == name)) for name in SIZE_CLASSES}},
        "definitions": AREA_FIGURES,
        "reason": None if both.any() else "No predicted outline shares ground with a reference outline: there are no areas to compare.",
    }


def _totals(predicted_km2: NDArray[np.float64], reference_km2: NDArray[np.float64]) -> dict[str, Any]:
    predicted, reference = float(predicted_km2.sum()), float(reference_km2.sum())
    return {
        "reference_km2": reference,
        "predicted_km2": predicted,
        "deviation_km2": predicted - reference,
        "deviation_percent": _ratio(100 * (predicted - reference), reference),
    }


def _regression(reference_km2: NDArray[np.float64], predicted_km2: NDArray[np.float64]) -> dict[str, Any]:
    count = len(reference_km2)
    if count < 2 or np.ptp(reference_km2) == 0:
        return {"n": count, "slope": None, "intercept_km2": None, "r2": None}
    line = linregress(reference_km2, predicted_km2)
    return {"n": count, "slope": float(line.slope), "intercept_km2": float(line.intercept), "r2": float(line.rvalue**2)}


def spread(values: NDArray[np.float64]) -> dict[str, float | None]:
    """``mean``, ``median``, ``q25``, ``q75``, ``min``, ``max`` of the values that are known; None where none is."""
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("mean", "median", "q25", "q75", "min", "max"))
    low, middle, high = (float(value) for value in np.quantile(known, [0.25, 0.5, 0.75]))
    return {"mean": float(known.mean()), "median": middle, "q25": low, "q75": high, "min": float(known.min()), "max": float(known.max())}


def pixels(confusion: Mapping[str, float | None], unit: str) -> dict[str, Any]:
    """Metrics of a confusion of pixels or areas, class-wise and macro side by side.

    Parameters
    ----------
    confusion : ``tp``, ``fp``, ``fn``, ``tn`` from :func:`confusion_of_pixels` or :func:`confusion_of_areas`; ``tn`` None where
        nobody said how far the background reaches
    unit : ``pixels`` or ``m2``

    Returns
    -------
    ``unit``, ``confusion``; ``overall``: ``accuracy``, ``balanced_accuracy``, ``mcc``, ``miou``; ``rock_glacier``, ``background``,
    ``macro``: each ``precision``, ``recall``, ``specificity``, ``f1``, ``iou``; ``definitions``: name -> text; ``reason``: why figures
    are None, None where all are known.
    """
    tp, fp, fn, tn = (confusion[name] for name in ("tp", "fp", "fn", "tn"))
    rock_glacier, background = _class_metrics(tp, fp, fn, tn), _class_metrics(tn, fn, fp, tp)
    macro = {name: _mean(rock_glacier[name], background[name]) for name in rock_glacier}
    overall = {
        "accuracy": _ratio(_sum(tp, tn), _sum(tp, fp, fn, tn)),
        "balanced_accuracy": macro["recall"],
        "mcc": _mcc(tp, fp, fn, tn),
        "miou": macro["iou"],
    }
    reason = None
    if tn is None:
        reason = "Without an area of interest or a raster nobody knows how far the background reaches: figures that need TN are empty."
    elif None in [*overall.values(), *rock_glacier.values(), *background.values()]:
        reason = "A class is absent from a layer: figures that divide by its size are not defined."
    return {
        "unit": unit,
        "confusion": dict(confusion),
        "overall": overall,
        "rock_glacier": rock_glacier,
        "background": background,
        "macro": macro,
        "definitions": PIXEL_FIGURES,
        "reason": reason,
    }


def _class_metrics(tp: float | None, fp: float | None, fn: float | None, tn: float | None) -> dict[str, float | None]:
    return {
        "precision": _ratio(tp, _sum(tp, fp)),
        "recall": _ratio(tp, _sum(tp, fn)),
        "specificity": _ratio(tn, _sum(tn, fp)),
        "f1": _ratio(_sum(tp, tp), _sum(tp, tp, fp, fn)),
        "iou": _ratio(tp, _sum(tp, fp, fn)),
    }


def _sum(*terms: float | None) -> float | None:
    known = [term for term in terms if term is not None]
    return sum(known) if len(known) == len(terms) else None


def _mean(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else (first + second) / 2


def _mcc(tp: float | None, fp: float | None, fn: float | None, tn: float | None) -> float | None:
    if tp is None or fp is None or fn is None or tn is None:
        return None
    # root by root: the product of four areas in square metres is out of all bounds
    scale = math.sqrt(tp + fp) * math.sqrt(tp + fn) * math.sqrt(tn + fp) * math.sqrt(tn + fn)
    return _ratio(tp * tn - fp * fn, scale)


def confusion_of_areas(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    area_of_interest: NDArray[np.object_] | None = None,
    graph: OverlapGraph | None = None,
) -> dict[str, float | None]:
    """``tp``, ``fp``, ``fn``, ``tn`` in square metres from the overlay of the outlines, exact; ``tn`` None without an area of interest.

    Ground counts once where outlines of one layer overlap.

    Parameters
    ----------
    predicted, reference, area_of_interest : (p,), (r,), (k,) polygons on one map, ``crs`` its system
    graph : of the same outlines, where there is one already: it saves measuring again
    """
    graph = overlaps(predicted, reference, crs) if graph is None else graph
    within = None if area_of_interest is None else shapely.union_all(area_of_interest)
    whole_predicted, other_predicted = _apart(predicted, within)
    whole_reference, other_reference = _apart(reference, within)
    pairs, area = np.concatenate([graph.pairs, graph.slivers]), np.concatenate([graph.shared_m2, graph.sliver_m2])
    tp = float(area[whole_predicted[pairs[:, 0]] & whole_reference[pairs[:, 1]]].sum())
    all_reference = np.concatenate([reference[whole_reference], other_reference])
    for first, second in ((other_predicted, all_reference), (predicted[whole_predicted], other_reference)):
        tp += float(shared_ground(first, second, crs)[1].sum())
    of_predicted = float(graph.predicted_m2[whole_predicted].sum() + areas_m2(other_predicted, crs).sum())
    of_reference = float(graph.reference_m2[whole_reference].sum() + areas_m2(other_reference, crs).sum())
    fp, fn = max(0.0, of_predicted - tp), max(0.0, of_reference - tp)
    tn = None
    if within is not None:
        tn = max(0.0, _map_area_m2(within, crs) - tp - fp - fn)
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def _apart(outlines: NDArray[np.object_], within: shapely.Geometry | None) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
    """A layer as polygons that share no ground, within an area: which outlines (n,) stay as they are, and what becomes of the others."""
    pairs = shapely.STRtree(outlines).query(outlines)
    first, second = pairs[:, pairs[0] < pairs[1]]
    touch = shapely.intersects(outlines[first], outlines[second])
    first, second = first[touch], second[touch]
    meet = shapely.relate_pattern(outlines[first], outlines[second], "2********")
    first, second = first[meet], second[meet]
    whole = np.ones(len(outlines), dtype=bool)
    whole[first] = whole[second] = False
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(outlines), len(outlines)))
    group = connected_components(links, directed=False)[1]
    overlapping = np.flatnonzero(~whole)
    overlapping = overlapping[np.argsort(group[overlapping], kind="stable")]
    starts = np.flatnonzero(np.diff(group[overlapping], prepend=-1))
    others = np.array([shapely.union_all(outlines[members]) for members in np.split(overlapping, starts[1:]) if len(members)], dtype=object)
    if within is not None:
        shapely.prepare(within)
        cut = np.flatnonzero(whole & ~shapely.covers(within, outlines))
        whole[cut] = False
        others = shapely.intersection(np.concatenate([others, outlines[cut]]), within)
    return whole, others[shapely.area(others) > 0]


def _map_area_m2(area: shapely.Geometry, crs: CRS) -> float:
    """Area in square metres of a polygon whose edges are straight on the map, however long they are."""
    left, bottom, right, top = area.bounds
    return float(areas_m2(np.array([shapely.segmentize(area, max(right - left, top - bottom) / 1000)]), crs)[0])


def confusion_of_pixels(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    raster: DatasetReader,
    area_of_interest: NDArray[np.object_] | None = None,
) -> dict[str, float | None]:
    """``tp``, ``fp``, ``fn``, ``tn`` counted in pixels of a raster's grid where it has data (and within the area of interest).

    A pixel belongs to an outline that holds its centre. The raster's values play no role, only where it has data.

    Parameters
    ----------
    predicted, reference, area_of_interest : (p,), (r,), (k,) polygons in map units of ``crs``
    """
    grid = Grid.of(raster)
    extent = np.array([shapely.box(*grid.bounds)])
    layers = [predicted, reference] + ([] if area_of_interest is None else [area_of_interest])
    placed = on_one_map([PolygonLayer(extent, CRS.from_wkt(grid.crs.to_wkt())), *(PolygonLayer(layer, crs) for layer in layers)])
    turned = Affine.translation(shapely.bounds(placed[0])[0, 0] - grid.bounds[0], 0) @ grid.transform
    trees = [shapely.STRtree(layer) for layer in placed[1:]]
    counts = np.zeros(4, dtype=np.int64)
    for window in windows(grid, WINDOW, WINDOW):
        place = turned @ Affine.translation(window.col_off, window.row_off)
        shape = int(window.height), int(window.width)
        corners = [place @ corner for corner in ((0, 0), (shape[1], 0), (shape[1], shape[0]), (0, shape[0]))]
        counted = np.isfinite(read_observed(raster, [1], window)[0])
        held = [_held(tree, shapely.Polygon(corners), shape, place) for tree in trees]
        if area_of_interest is not None:
            counted &= held[2]
        counts += np.bincount((2 * held[0] + held[1])[counted], minlength=4)
    tn, fn, fp, tp = (int(count) for count in counts)
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def _held(tree: shapely.STRtree, window: shapely.Polygon, shape: tuple[int, int], place: Affine) -> NDArray[np.bool_]:
    """Pixels (rows, cols) of a window whose centre lies in a polygon."""
    found = tree.geometries[tree.query(window)]
    if not len(found):
        return np.zeros(shape, dtype=bool)
    burnt: NDArray[np.bool_] = rasterize(found, shape, transform=place, dtype="uint8") > 0
    return burnt
