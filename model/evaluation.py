"""Scores of a trained network on data it never saw: files and networks in, tables for the card out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from engine.probability_accuracy import THRESHOLDS, Tally
from engine.sample_chips import nominal_reflectance
from engine.tiling import blended_probability
from jobs import STACK_BANDS
from model.calibration import fit_temperature
from model.networks import Network
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
    chip_scores,
    class_scores,
    confusion,
    mean_scores,
    objects_found,
    outlines,
    tally,
)
from model.simulator import LAND_COVER
from model.views import seen

SENTINEL_2_SCALE = 1e-4
LEFT_ALONE = ("lake", "snow", "forest")
ANY_SHARE = 1e-9
"""Of an outline: a single pixel."""
MOST_NEGATIVES_MARKED = 0.005
"""Share of the pixels of chips without rock glaciers."""
WORTH_FEWER_NEGATIVES = 0.02
"""IoU that may be lost for it."""

DEFINITIONS = {
    "classes": "pixels at the card's threshold; iou, precision, recall, f1 of rock glacier and of background; macro is the mean of both "
    "classes (macro iou is the mIoU of Lin et al. 2024, background recall their specificity)",
    "threshold": "of 0.01 to 0.99, the one with the highest IoU, mean over the left-out regions of their low-snow chips, at which at most "
    "0.5 % of the held-out negatives are marked (mean over the same networks), when its IoU is at most 0.02 below the highest of all; else "
    "the one with the highest IoU. It was chosen on these chips, which flatters them slightly",
    "temperature": "the one with the lowest cross entropy of the low-snow chips of the left-out regions",
    "left_out_regions": "networks of the same kind, each trained like the one that ships without one region of the chips, scored on the "
    "chips of that region, which share no ground with those it was trained on; mean: over the regions. expected_calibration_error: as "
    "rock-glacier evaluate has it. spread: mean IoU of low-snow chips of such networks with other seeds",
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


def predictor(network: Network, views: int = 1, temperature: float = 1.0, batch: int = 16) -> Predict:
    """A network as a function on arrays of six bands, of which it takes its own; ``views`` as of :func:`model.views.seen`."""
    bands = [STACK_BANDS.index(name) for name in network.bands]

    @torch.no_grad()
    def predict(stack: Array) -> Array:
        stacks = (torch.from_numpy(np.ascontiguousarray(stack[i : i + batch, bands])) for i in range(0, len(stack), batch))
        return torch.cat([torch.sigmoid(seen(network, part, views) / temperature) for part in stacks]).numpy()

    return predict


@dataclass(frozen=True)
class ChipRegion:
    """What a network says of a region that it was not trained on.

    ``chips`` n of them; ``probability`` and ``truth`` (n, rows, cols); ``negatives`` (m, rows, cols) probability of held-out chips without
    rock glaciers; ``course`` how the network was trained.
    """

    chips: Sequence[Chip]
    probability: Array
    truth: Mask
    negatives: Array
    course: dict[str, Any]

    @property
    def snow(self) -> NDArray[np.float64]:
        """(n,) share of saturated pixels."""
        return np.array([chip.snow for chip in self.chips])

    @property
    def low_snow(self) -> Tally:
        """Counted over the chips with little snow."""
        low = self.snow < LOW_SNOW
        return tally(self.probability[low], self.truth[low])

    def cooled(self, temperature: float) -> ChipRegion:
        """With all logits divided by a temperature."""
        return replace(
            self,
            probability=_sigmoid(_logit(self.probability) / temperature),
            negatives=_sigmoid(_logit(self.negatives) / temperature),
        )


def _logit(probability: Array) -> Array:
    bounded = np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(bounded / (1 - bounded))


def _sigmoid(logit: Array) -> Array:
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def chip_stack(path: Path) -> Array:
    """The six bands of a chip."""
    return spectral_stack(nominal_reflectance(read_image(path).transpose(2, 0, 1)))


def scene_probability(predict: Predict, stack: Array, tile: int, overlap: float) -> Array:
    """Probability of a whole scene, (6, rows, cols) -> (rows, cols), tiles blended as the engine does."""
    everywhere = np.ones(stack.shape[1:], dtype=bool)
    return blended_probability(lambda tiles: predict(tiles)[:, 0], stack, everywhere, tile, overlap)


def chip_region(predict: Predict, folder: Path, chips: Sequence[Chip], negatives: Sequence[str], course: dict[str, Any]) -> ChipRegion:
    """What a network says about chips, and about ``negatives``, names of chips without rock glaciers."""
    truth = np.stack([read_mask(folder / "mask" / f"{chip.name}.png") for chip in chips]).astype(bool)
    probability = predict(np.stack([chip_stack(folder / "positive" / f"{chip.name}.png") for chip in chips]))[:, 0]
    without = predict(np.stack([chip_stack(folder / "negative" / f"{name}.png") for name in negatives]))[:, 0]
    return ChipRegion(chips, probability, truth, without, course)


def predicted_scene(predict: Predict, scene: SimulatedScene, tile: int, overlap: float, nir: bool) -> tuple[Array, Mask]:
    """Blended probability of a simulated scene, with or without its NIR, and its truth."""
    reflectance = scene.reflectance.astype(np.float32)
    if not nir:
        reflectance[3] = np.nan
    return scene_probability(predict, spectral_stack(reflectance), tile, overlap), scene.objects > 0


def choose_temperature(regions: Sequence[ChipRegion]) -> float:
    """The temperature of :func:`model.calibration.fit_temperature` for the low-snow chips of left-out regions, undivided."""
    low = [(region, region.snow < LOW_SNOW) for region in regions]
    batches = [(_logit(region.probability[chosen]), region.truth[chosen]) for region, chosen in low if chosen.any()]
    return fit_temperature(
        nn.Identity(), [(logit, truth.astype(np.float64), np.ones(truth.shape)) for logit, truth in batches]
    )  # fmt: skip


def choose_threshold(regions: Sequence[ChipRegion]) -> tuple[float, dict[str, Any]]:
    """The threshold as :data:`DEFINITIONS` has it, and what the card says of the choice."""
    counted = [(region.low_snow, tally(region.negatives, np.zeros(region.negatives.shape, bool))) for region in regions]

    def row(threshold: float) -> dict[str, float]:
        ious = [class_scores(chips.confusion(threshold))["rock_glacier"]["iou"] or 0.0 for chips, _ in counted]
        marked = [(negatives.confusion(threshold)["fp"] or 0) / max(1, negatives.pixels) for _, negatives in counted]
        return {"threshold": threshold, "iou": round(float(np.mean(ious)), 4), "negatives_marked": round(float(np.mean(marked)), 5)}

    rows = [row(threshold) for threshold in THRESHOLDS]
    highest = max(rows, key=lambda row: row["iou"])
    careful = max((row for row in rows if row["negatives_marked"] <= MOST_NEGATIVES_MARKED), key=lambda row: row["iou"], default=None)
    is_careful = careful is not None and careful["iou"] >= highest["iou"] - WORTH_FEWER_NEGATIVES
    chosen = careful if careful is not None and is_careful else highest
    return chosen["threshold"], {"chosen": chosen, "highest_iou": highest, "few_negatives_marked": careful}


def region_scores(regions: Mapping[str, ChipRegion], threshold: float) -> dict[str, Any]:
    """Table of the left-out regions and their mean."""
    tables = {name: chip_scores(region.probability, region.truth, region.snow, threshold, LOW_SNOW) for name, region in regions.items()}
    return {
        "mean": {kind: _mean([table[kind] for table in tables.values()]) for kind in ("all_chips", "low_snow_chips")},
        **{name: {"training": regions[name].course, **table} for name, table in tables.items()},
    }


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    errors = [error for row in rows if (error := row["expected_calibration_error"]) is not None]
    classes = [{name: scores for name, scores in row.items() if isinstance(scores, dict)} for row in rows]
    return {**mean_scores(classes), "expected_calibration_error": round(float(np.mean(errors)), 4) if errors else None}


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
