"""Scores of a trained network on data it never saw: files and networks in, tables for the card out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from scipy import ndimage
from torch import nn

from engine.prepare import spectral_stack
from engine.sample_chips import nominal_reflectance
from engine.tiling import blended_probability
from model.samples import (
    LOW_SNOW,
    UNKNOWN,
    Chip,
    SimulatedScene,
    read_image,
    read_mask,
)
from model.scores import (
    Array,
    Mask,
    Predict,
    best_threshold,
    chip_scores,
    class_scores,
    confusion,
    mean_scores,
    objects_found,
    outlines,
)
from model.simulator import LAND_COVER

SENTINEL_2_SCALE = 1e-4
LEFT_ALONE = ("lake", "snow", "forest")
ANY_SHARE = 1e-9
"""Of an outline: a single pixel."""

DEFINITIONS = {
    "classes": "pixels at the card's threshold; iou, precision, recall, f1 of rock glacier and of background; macro is the mean of both "
    "classes (macro iou is the mIoU of Lin et al. 2024, background recall their specificity)",
    "threshold": "the one with the highest mean rock glacier F2, simulated validation scenes (with and without NIR) and low-snow chips of "
    "left-out regions weighing the same",
    "left_out_regions": "four networks of the same kind, each trained without one region of the chips, more briefly than the one that "
    "ships and as its training says, scored on the chips of that region; mean: over the regions. The threshold (one number) was chosen "
    "on these chips and on simulated validation scenes together, which flatters them slightly",
    "low_snow_chips": "chips with less than 10 % saturated pixels",
    "negatives": "chips without rock glaciers that were kept out of training; their place is unknown, so they may show ground that "
    "training chips show too; marked_share: share of all their pixels that is marked",
    "simulated": "whole simulated scenes of seeds that neither training nor the threshold saw, overlapping tiles blended; rgb_only: the "
    "same scenes without NIR. objects: a true rock glacier of 0.022 km2 or more is found when detected outlines (0.022 km2 or more, holes "
    "filled) cover at least half of it; objects_in_sight: those of which snow hides less than half; objects_touched: found when a detected "
    "outline covers any of it, which is how many papers count; false_outlines: detected outlines "
    "of which less than a tenth is rock glacier; marked_share: share of the pixels of a land cover, rock glaciers apart, that is marked",
    "sikkim": "one Sentinel-2 chip, never trained on, three manual outlines of a larger inventory; what lies outside them is unknown, so "
    "only they are scored. recall: share of the outline that is marked; iou: with the detected outlines that touch it; "
    "scene_marked_share: share of the whole chip that is marked",
}


def predictor(network: nn.Module, batch: int = 16) -> Predict:
    """A network as a function on arrays."""

    @torch.no_grad()
    def predict(stack: Array) -> Array:
        parts = [torch.sigmoid(network(torch.from_numpy(stack[i : i + batch]))) for i in range(0, len(stack), batch)]
        return torch.cat(parts).numpy()

    return predict


@dataclass(frozen=True)
class ChipRegion:
    """Chips of one left-out region, (n, rows, cols) probability and truth, (n,) snow, and how the network was trained."""

    probability: Array
    truth: Mask
    snow: NDArray[np.float64]
    course: dict[str, Any]


def chip_stack(path: Path) -> Array:
    """The six bands of a chip."""
    return spectral_stack(nominal_reflectance(read_image(path).transpose(2, 0, 1)))


def scene_probability(predict: Predict, stack: Array, tile: int, overlap: float) -> Array:
    """Probability of a whole scene, (6, rows, cols) -> (rows, cols), tiles blended as the engine does."""
    everywhere = np.ones(stack.shape[1:], dtype=bool)
    return blended_probability(lambda tiles: predict(tiles)[:, 0], stack, everywhere, tile, overlap)


def chip_region(predict: Predict, folder: Path, chips: Sequence[Chip], course: dict[str, Any]) -> ChipRegion:
    """What a network says about chips."""
    stack = np.stack([chip_stack(folder / "positive" / f"{chip.name}.png") for chip in chips])
    truth = np.stack([read_mask(folder / "mask" / f"{chip.name}.png") for chip in chips]).astype(bool)
    return ChipRegion(predict(stack)[:, 0], truth, np.array([chip.snow for chip in chips]), course)


def predicted_scene(predict: Predict, scene: SimulatedScene, tile: int, overlap: float, nir: bool) -> tuple[Array, Mask]:
    """Blended probability of a simulated scene, with or without its NIR, and its truth."""
    reflectance = scene.reflectance.astype(np.float32)
    if not nir:
        reflectance[3] = np.nan
    return scene_probability(predict, spectral_stack(reflectance), tile, overlap), scene.objects > 0


def choose_threshold(scenes: Sequence[tuple[Array, Mask]], regions: Sequence[ChipRegion], candidates: Iterable[float]) -> float:
    """The threshold with the highest rock glacier F2, simulated scenes and low-snow chips of left-out regions weighing the same."""
    chips = [(region.probability[region.snow < LOW_SNOW], region.truth[region.snow < LOW_SNOW]) for region in regions]
    pooled = (np.stack([probability for probability, _ in scenes]), np.stack([truth for _, truth in scenes]))
    return best_threshold([pooled, *chips], [1.0, *([1 / max(1, len(chips))] * len(chips))], candidates)


def region_scores(regions: dict[str, ChipRegion], threshold: float) -> dict[str, Any]:
    """Table of the left-out regions and their mean."""
    tables = {name: chip_scores(region.probability, region.truth, region.snow, threshold, LOW_SNOW) for name, region in regions.items()}
    return {
        "mean": {
            kind: mean_scores([{name: row for name, row in table[kind].items() if name != "chips"} for table in tables.values()])
            for kind in ("all_chips", "low_snow_chips")
        },
        **{name: {"training": regions[name].course, **table} for name, table in tables.items()},
    }


def negative_scores(predict: Predict, folder: Path, names: Sequence[str], threshold: float) -> dict[str, Any]:
    """How much of chips without rock glaciers is marked."""
    marked = predict(np.stack([chip_stack(folder / "negative" / f"{name}.png") for name in names]))[:, 0] >= threshold
    return {
        "chips": len(names),
        "marked_share": round(float(marked.mean()), 4),
        "chips_with_an_outline": sum(bool(outlines(chip, 100.0).any()) for chip in marked),
    }


def scene_scores(
    predicted: Sequence[tuple[Array, Mask]], scenes: Sequence[SimulatedScene], threshold: float, pixel_area: float
) -> dict[str, Any]:
    """Pixels, objects and land covers of whole simulated scenes."""
    pixels: Counter[str] = Counter()
    false = 0
    counts = {name: np.zeros(2, int) for name in ("objects", "objects_in_sight", "objects_touched")}
    marked_of = dict.fromkeys(LEFT_ALONE, 0)
    total_of = dict.fromkeys(LEFT_ALONE, 0)
    for (probability, truth), scene in zip(predicted, scenes, strict=True):
        marked = probability >= threshold
        pixels.update(confusion(marked, truth))
        detected = outlines(marked, pixel_area)
        counts["objects"] += objects_found(detected, scene.objects, pixel_area)
        counts["objects_in_sight"] += objects_found(detected, in_sight(scene), pixel_area)
        counts["objects_touched"] += objects_found(detected, scene.objects, pixel_area, share=ANY_SHARE)
        numbers, last = ndimage.label(detected)
        right = ndimage.mean(truth, numbers, range(1, last + 1)) if last else []
        false += int(np.count_nonzero(np.asarray(right) < 0.1))
        for name in LEFT_ALONE:
            cover = (scene.landcover == LAND_COVER[name]) & ~truth
            marked_of[name] += int(np.count_nonzero(marked & cover))
            total_of[name] += int(np.count_nonzero(cover))
    return {
        "scenes": len(scenes),
        **class_scores(pixels),
        **{
            name: {"true": int(true), "found": int(found), "found_share": round(float(found / true), 4) if true else None}
            for name, (found, true) in counts.items()
        },
        "false_outlines": false,
        "marked_share": {name: round(marked_of[name] / total_of[name], 5) if total_of[name] else None for name in LEFT_ALONE},
    }


def in_sight(scene: SimulatedScene) -> NDArray[np.uint16]:
    """The scene's rock glaciers without those of which snow hides half or more."""
    hidden = scene.truth == UNKNOWN
    pixels = np.bincount(scene.objects.ravel())
    share = np.bincount(scene.objects.ravel(), weights=hidden.ravel()) / np.maximum(pixels, 1)
    return np.where(share[scene.objects] < 0.5, scene.objects, 0).astype(np.uint16)


def sikkim_scores(predict: Predict, folder: Path, tile: int, overlap: float, threshold: float) -> dict[str, Any]:
    """Overlap with the three manual outlines of the Sikkim chip, with and without its NIR."""
    with rasterio.open(folder / "sikkim_s2_rgbn_10m.tif") as dataset:
        reflectance = dataset.read().astype(np.float32) * SENTINEL_2_SCALE
        crs, transform = dataset.crs, dataset.transform
    features = json.loads((folder / "rock_glaciers_manual.geojson").read_text(encoding="utf-8"))["features"]
    shapes = [transform_geom("EPSG:4326", crs, feature["geometry"]) for feature in features]
    scores: dict[str, Any] = {}
    for name, nir in (("four_bands", True), ("rgb_only", False)):
        if not nir:
            reflectance[3] = np.nan
        marked = outlines(
            scene_probability(predict, spectral_stack(reflectance), tile, overlap) >= threshold, abs(transform.a * transform.e)
        )
        numbers, _ = ndimage.label(marked)
        rows = []
        for feature, shape in zip(features, shapes, strict=True):
            truth = rasterize([shape], out_shape=marked.shape, transform=transform).astype(bool)
            touching = np.isin(numbers, np.setdiff1d(numbers[truth], [0]))
            scored = class_scores(confusion(touching, truth))["rock_glacier"]
            rows.append({"outline": feature["properties"]["src_id"], "recall": scored["recall"], "iou": scored["iou"]})
        scores[name] = {"outlines": rows, "scene_marked_share": round(float(marked.mean()), 4)}
    return scores
