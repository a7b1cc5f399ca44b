"""A job's values are checked here, all of them, before any work begins."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from jobs import (
    ALLOCATIONS,
    BOUNDARIES,
    DEVICES,
    EVALUATED_SPLITS,
    INVENTORY_FORMS,
    MATCH_RULES,
    MODEL_PRECISIONS,
    PERMAFROST_ACTIONS,
    PERMAFROST_PRESETS,
    SAMPLE_RECIPES,
    SENSORS,
    TRAINING_LOSSES,
    TRAINING_PRECISIONS,
    TRAINING_RECIPES,
    TRAINING_STARTS,
    AdaptJob,
    AssessJob,
    AttributesJob,
    CompareInventoriesJob,
    CompareNetworksJob,
    DesignSampleJob,
    DetectJob,
    EstimateAreaJob,
    EvaluateNetworkJob,
    ExportInventoryJob,
    ExportNetworkJob,
    FallLinesJob,
    FinishReviewJob,
    ImportInventoryJob,
    Job,
    MergeReviewsJob,
    MineHardNegativesJob,
    PostprocessJob,
    PrepareJob,
    SamplesJob,
    SplitJob,
    StartReviewJob,
    TrainJob,
    UpdateReviewJob,
)

SMALLEST_CROP = 32
"""Pixels that a network sees of a training sample, at least."""
TYPE_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of texts"}


def check_job(job: Job) -> None:
    """Hold every value of a job against its type and range, and its outputs against its inputs.

    Raises
    ------
    EngineError
        ``parameter`` for a value of the wrong type or out of its range, ``output_is_input`` for an output that would
        replace an input, ``output_format`` for a file ending that is not written, ``map_classes`` from
        :func:`engine.class_maps.parse_classes`.
    """
    _check_types(job)
    if type(job) in CHECKS:
        CHECKS[type(job)](job)


def _check_types(job: Job) -> None:
    hints = typing.get_type_hints(type(job))
    for field in dataclasses.fields(job):
        value, hint = getattr(job, field.name), hints[field.name]
        allowed = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        if not any(_is_of(value, kind) for kind in allowed):
            wanted = TYPE_NAMES[typing.get_origin(allowed[0]) or allowed[0]]
            raise _wrong(field.name, value, f"must be {wanted}")


def _is_of(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _check_prepare(job: PrepareJob) -> None:
    for name in ("red", "green", "blue"):
        _hold(job, name, getattr(job, name) >= 1, "must be a band number, 1 or more")
    _hold(job, "nir", job.nir >= 0, "must be a band number, or 0 where the scene has no near-infrared band")
    _hold(job, "sensor", job.sensor in SENSORS, f"must be one of {', '.join(SENSORS)}")
    _hold(job, "scale", job.scale > 0, "must be more than 0")
    _hold(job, "resolution", job.resolution >= 0, "must be a pixel size in metres, or 0 to keep the scene's own")
    numbers = [number for number in (job.red, job.green, job.blue, job.nir) if number]
    if len(set(numbers)) < len(numbers):
        raise EngineError(
            "parameter", f"red, green, blue and nir are bands {job.red}, {job.green}, {job.blue}, {job.nir}: one is named twice."
        )
    _check_files(job.input, {"output": job.output})
    _check_geotiff(job.output)


def _check_detect(job: DetectJob) -> None:
    _hold(job, "threshold", job.threshold is None or 0 < job.threshold <= 1, "must be more than 0 and at most 1")
    _hold(job, "overlap", job.overlap is None or 0 <= job.overlap <= 90, "must be 0 to 90 percent of a tile")
    _hold(job, "device", job.device in DEVICES, f"must be one of {', '.join(DEVICES)}")
    _hold(job, "batch_size", job.batch_size >= 0, "must be a number of tiles, or 0 to let the engine choose")
    _check_files(job.input, {"output": job.output, "probability": job.probability}, job.mask)
    _check_polygon_files(job.output)
    if job.probability is not None:
        _check_geotiff(job.probability)


def _check_postprocess(job: PostprocessJob) -> None:
    _hold(job, "min_area", job.min_area >= 0, "must be an area in square metres, 0 or more")
    _hold(job, "permafrost_min_fraction", 0 <= job.permafrost_min_fraction <= 1, "must lie between 0 and 1")
    _hold(job, "permafrost_action", job.permafrost_action in PERMAFROST_ACTIONS, f"must be one of {', '.join(PERMAFROST_ACTIONS)}")
    _hold(job, "permafrost_preset", job.permafrost_preset in PERMAFROST_PRESETS, f"must be one of {', '.join(PERMAFROST_PRESETS)}")
    _hold(job, "permafrost_buffer", job.permafrost_buffer >= 0, "must be a number of cells, 0 or more")
    _hold(job, "boundary", job.boundary in BOUNDARIES, f"must be one of {', '.join(BOUNDARIES)}")
    known = job.boundary == "tiles" or job.probability is not None
    _hold(job, "boundary", known, "needs the blended probability raster: give probability too")
    _hold(job, "smoothing", job.smoothing is None or job.smoothing >= 0, "must be a distance in metres, 0 or more")
    _hold(job, "area_lo_level", 0 < job.area_lo_level < 1, "must be a probability between 0 and 1")
    _hold(job, "area_hi_level", 0 < job.area_hi_level < job.area_lo_level, "must be a probability above 0, below area_lo_level")
    _hold(job, "restricted", job.restricted is None or job.dem is not None, "needs an elevation model: give dem too")
    from engine.class_maps import parse_classes  # noqa: PLC0415 heavy, and not needed before the first message

    if job.permafrost and job.permafrost_preset == "custom":
        parse_classes(job.permafrost_classes)
    if job.not_assessable:
        parse_classes(job.not_assessable_classes)
    outputs = {"output": job.output, "report": job.report, "raw": job.raw, "restricted": job.restricted}
    _check_files(job.input, outputs, job.permafrost, job.probability, job.dem, job.not_assessable)
    _check_polygon_files(job.output, job.raw, job.restricted)
    _check_table_file(job.report)


def _check_split(job: SplitJob) -> None:
    _hold(job, "min_area", job.min_area >= 0, "must be an area in square metres, 0 or more")
    _hold(job, "min_score", 0 <= job.min_score <= 1, "must lie between 0 and 1")
    _check_files(job.input, {"output": job.output, "systems": job.systems, "cuts": job.cuts}, job.probability, job.dem)
    _check_polygon_files(job.output, job.systems, job.cuts)


def _check_fall_lines(job: FallLinesJob) -> None:
    _check_files(job.input, {"output": job.output}, job.dem)
    _check_polygon_files(job.output)


def _check_attributes(job: AttributesJob) -> None:
    months = re.fullmatch(r"(\d{1,2})-(\d{1,2})", job.solar_months)
    good_months = not job.solar_months or (months is not None and 1 <= int(months[1]) <= 12 and 1 <= int(months[2]) <= 12)
    _hold(job, "solar_months", good_months, "must be the first and the last month, such as 1-12 or 6-9, or empty")
    good_rasters = all(re.fullmatch(r"\w+=[^|]+(\|[^|]*){0,2}", entry) for entry in job.rasters)
    _hold(job, "rasters", good_rasters, "must be entries of the form FIELD=PATH or FIELD=PATH|SOURCE|PERIOD")
    rasters = (entry.partition("=")[2].split("|")[0] for entry in job.rasters)
    _check_files(job.input, {"output": job.output}, job.dem, *rasters)
    _check_polygon_files(job.output)


def _check_export_inventory(job: ExportInventoryJob) -> None:
    _hold(job, "form", job.form in INVENTORY_FORMS, f"must be one of {', '.join(INVENTORY_FORMS)}")
    _check_field_mapping(job)
    _check_files(job.input, {"output": job.output}, job.restricted, job.area_of_interest, job.markers)
    _check_ending(job.output, (".gpkg", ".geojson", ".shp"), "inventories are written as")


def _check_import_inventory(job: ImportInventoryJob) -> None:
    _check_field_mapping(job)
    _check_files(job.input, {"output": job.output, "restricted": job.restricted, "markers": job.markers})
    _check_polygon_files(job.output, job.restricted, job.markers)


def _check_field_mapping(job: ExportInventoryJob | ImportInventoryJob) -> None:
    good = all(re.fullmatch(r"[^=]+=[^=]+", entry) for entry in job.field_mapping)
    _hold(job, "field_mapping", good, "must be entries of the form TO=FROM")


def _check_assess(job: AssessJob) -> None:
    _hold(job, "match_rule", job.match_rule in MATCH_RULES, f"must be one of {', '.join(MATCH_RULES)}")
    for name in ("min_overlap", "min_iou"):
        _hold(job, name, 0 < getattr(job, name) <= 1, "must be more than 0 and at most 1")
    _hold(job, "sliver", 0 <= job.sliver < 1, "must be a share of 0 or more, below 1")
    _hold(job, "pixel_size", job.pixel_size > 0, "must be a size in metres, more than 0")
    outputs = {"output": job.output, "table": job.table, "json": job.json, "report": job.report, "figures": job.figures}
    _check_files(job.predicted, outputs, job.reference, job.area_of_interest, job.probability, job.dem)
    _check_polygon_files(job.output)
    _check_table_file(job.table)
    _check_ending(job.json, (".json",), "the numbers are written as")
    _check_ending(job.report, (".html", ".htm"), "the report is written as")


def _check_compare_inventories(job: CompareInventoriesJob) -> None:
    _hold(job, "inventories", len(job.inventories) >= 2, "must name two inventories or more")
    for name in ("names", "inventory_layers"):
        _hold(job, name, len(getattr(job, name)) in (0, len(job.inventories)), "must have one for each inventory, or none")
    _hold(job, "sliver", 0 <= job.sliver < 1, "must be a share of 0 or more, below 1")
    _hold(job, "changed_iou", 0 <= job.changed_iou <= 1, "must lie between 0 and 1")
    _hold(job, "resolution", job.resolution > 0, "must be a pixel size in metres, more than 0")
    names = ("output", "agreement", "disagreements", "consensus", "operators")
    _check_files(job.inventories[0], {name: getattr(job, name) for name in names}, *job.inventories[1:], job.area_of_interest)
    _check_polygon_files(job.output, job.disagreements, job.consensus)
    _check_table_file(job.operators)
    if job.agreement is not None:
        _check_geotiff(job.agreement)


def _check_design_sample(job: DesignSampleJob) -> None:
    _hold(job, "ring_width", job.ring_width >= 0, "must be a distance in metres, 0 or more")
    _hold(job, "high_probability", 0 < job.high_probability < 1, "must be a probability between 0 and 1")
    _hold(job, "size", job.size >= 0, "must be a number of points, or 0 to have it worked out")
    _hold(job, "standard_error", 0 < job.standard_error < 1, "must lie between 0 and 1")
    _hold(job, "allocation", job.allocation in ALLOCATIONS, f"must be one of {', '.join(ALLOCATIONS)}")
    for name in ("anticipated_predicted", "anticipated_ring", "anticipated_probable", "anticipated_rest"):
        _hold(job, name, 0 <= getattr(job, name) <= 1, "must be a share between 0 and 1")
    _hold(job, "min_per_stratum", job.min_per_stratum >= 2, "must be 2 or more: with one point there is no confidence interval")
    _check_files(job.predicted, {"output": job.output}, job.area_of_interest, job.probability)
    _check_polygon_files(job.output)


def _check_estimate_area(job: EstimateAreaJob) -> None:
    _check_files(job.sample, {"table": job.table, "json": job.json})
    _check_table_file(job.table)
    _check_ending(job.json, (".json",), "the numbers are written as")


def _check_start_review(job: StartReviewJob) -> None:
    _hold(job, "tile_size", job.tile_size > 0, "must be a size in metres, more than 0")
    _hold(job, "sliver", 0 <= job.sliver < 1, "must be a share of 0 or more, below 1")
    others = (job.manual, job.restricted, job.area_of_interest, job.imagery, job.probability, job.dem)
    _check_files(job.predicted, {"output": job.output}, *others)
    _check_session(job.output)


def _check_update_review(job: UpdateReviewJob) -> None:
    _hold(job, "session", bool(job.session), "must name a review session")
    _hold(
        job, "area_of_interest", not job.area_of_interest or bool(job.predicted), "says where the new detection looked: give predicted too"
    )
    for path in (job.predicted, job.manual, job.probability, job.area_of_interest):
        if path:
            _check_files(path, {"output": job.output})
    _check_session(job.output)


def _check_merge_reviews(job: MergeReviewsJob) -> None:
    _hold(job, "sessions", len(job.sessions) >= 2, "must name two review sessions or more")
    for number, path in enumerate(job.sessions):
        again = any(_is_same_file(path, other) for other in job.sessions[:number])
        _hold(job, "sessions", not again, f"must name different sessions, but names {path} twice")
    _hold(job, "same_iou", 0 < job.same_iou <= 1, "must be more than 0 and at most 1")
    _check_files(job.sessions[0], {"output": job.output}, *job.sessions[1:])
    _check_session(job.output)


def _check_finish_review(job: FinishReviewJob) -> None:
    _hold(job, "session", bool(job.session), "must name a review session")
    _hold(job, "form", job.form in INVENTORY_FORMS, f"must be one of {', '.join(INVENTORY_FORMS)}")
    _hold(job, "folder", bool(job.folder), "must name a folder")
    inventory = str(Path(job.folder) / "inventory.gpkg")
    _check_files(job.session, {"inventory": inventory}, job.area_of_interest, *job.stacks)


def _check_session(path: str) -> None:
    _check_ending(path, (".gpkg",), "a review session is written as")


def _check_samples(job: SamplesJob) -> None:
    _hold(job, "recipe", job.recipe in SAMPLE_RECIPES, f"must be one of {', '.join(SAMPLE_RECIPES)}")
    _hold(job, "resolution", job.resolution is None or job.resolution > 0, "must be a pixel size in metres, more than 0")
    _hold(job, "size", job.size is None or 16 <= job.size <= 4096, "must be 16 to 4096 pixels")
    _hold(job, "seed", job.seed >= 0, "must be a whole number of 0 or more")
    share = job.validation_share
    _hold(job, "validation_share", share is None or 0 <= share < 1, "must be a share of 0 or more, below 1")
    _hold(job, "background", job.background is None or job.background >= 0, "must be a number of samples for each positive one, 0 or more")
    if job.images is None:
        _hold(job, "stacks", bool(job.stacks), "must name one spectral stack or more")
        _hold(job, "outlines", bool(job.outlines), "must name the outlines")
    else:
        _hold(job, "images", not job.stacks and not job.outlines, "cannot go together with stacks and outlines: give one or the other")
        _hold(job, "resolution", job.resolution is None, "cannot be chosen for chips: the size of their pixels is unknown")
        _hold(job, "size", job.size is None, "cannot be chosen for chips: each is a sample")
        _hold(job, "background", job.background is None, "cannot be chosen for chips: all that are given are taken")
        _hold(job, "masks", bool(job.masks), "must name the folder of the masks of the chips")
    inputs = [*job.stacks, job.outlines, job.negatives, job.images, job.masks]
    _check_files(inputs[0] or str(job.images), {"output": job.output, "contact_sheet": job.contact_sheet}, *inputs)
    _check_ending(job.contact_sheet, (".png",), "the contact sheet is written as")


def _check_evaluate(job: EvaluateNetworkJob) -> None:
    _hold(job, "threshold", job.threshold is None or 0 < job.threshold <= 1, "must be more than 0 and at most 1")
    _hold(job, "low_snow", 0 <= job.low_snow <= 1, "must be a share between 0 and 1")
    _hold(job, "split", job.split in EVALUATED_SPLITS, f"must be one of {', '.join(EVALUATED_SPLITS)}")
    _hold(job, "device", job.device in DEVICES, f"must be one of {', '.join(DEVICES)}")
    _hold(job, "batch_size", job.batch_size >= 0, "must be a number of tiles, or 0 to let the engine choose")
    if job.images is None:
        _hold(job, "samples", bool(job.samples), "must name a folder of training samples; or give images and masks")
        _hold(job, "masks", job.masks is None, "goes with images: give images too")
        _hold(job, "negatives", job.negatives is None, "goes with images: give images too")
    else:
        _hold(job, "images", not job.samples, "cannot go together with samples: give one or the other")
        _hold(job, "masks", bool(job.masks), "must name the folder of the masks of the chips")
    outputs = {name: getattr(job, name) for name in ("json", "table", "report", "worst", "best")}
    _check_files(str(job.samples or job.images), outputs, job.masks, job.negatives)
    _check_table_file(job.table)
    _check_ending(job.json, (".json",), "the numbers are written as")
    _check_ending(job.report, (".html", ".htm"), "the report is written as")
    for picture in (job.worst, job.best):
        _check_ending(picture, (".png",), "pictures are written as")


def _check_train(job: TrainJob) -> None:
    _hold(job, "samples", bool(job.samples), "must name a folder of training samples")
    _hold(job, "recipe", job.recipe in TRAINING_RECIPES, f"must be one of {', '.join(TRAINING_RECIPES)}")
    known = f"must be {' or '.join(TRAINING_STARTS)}, or a checkpoint, the folder of a training or a model folder"
    _hold(job, "start", job.start in TRAINING_STARTS or (bool(job.start) and Path(job.start).exists()), known)
    for option in job.network_options:
        _hold(job, "network_options", bool(re.match(r"\s*\w+\s*=", option)), "must be given as NAME=JSON, such as output_stride=16")
    for name in ("epochs", "batch_size", "accumulate"):
        _hold(job, name, getattr(job, name) is None or getattr(job, name) >= 1, "must be 1 or more")
    _hold(job, "crop", job.crop is None or job.crop >= SMALLEST_CROP, f"must be a number of pixels, {SMALLEST_CROP} or more")
    _hold(job, "learning_rate", job.learning_rate is None or 0 < job.learning_rate <= 1, "must be more than 0 and at most 1")
    _hold(job, "loss", job.loss is None or job.loss in TRAINING_LOSSES, f"must be one of {', '.join(TRAINING_LOSSES)}")
    _hold(job, "patience", job.patience is None or job.patience >= 0, "must be a number of epochs, or 0 for no end before the last")
    _hold(job, "precision", job.precision in TRAINING_PRECISIONS, f"must be one of {', '.join(TRAINING_PRECISIONS)}")
    _hold(job, "device", job.device in DEVICES, f"must be one of {', '.join(DEVICES)}")
    _hold(job, "gpus", job.gpus >= 0, "must be a number of GPUs, or 0 for all there are")
    _hold(job, "minutes", job.minutes is None or job.minutes > 0, "must be more than 0")
    _hold(job, "seed", job.seed >= 0, "must be a whole number of 0 or more")
    _hold(job, "workers", job.workers >= 0, "must be a number of processes, or 0 to let the training choose")
    start = None if job.start in TRAINING_STARTS else job.start
    _check_files(job.samples, {"output": job.output, "model": job.model}, start)


def _check_export(job: ExportNetworkJob) -> None:
    known = "must name a checkpoint, the folder of a training or a model folder"
    _hold(job, "checkpoint", bool(job.checkpoint), known)
    _hold(job, "output", bool(job.output), "must name the model folder to write")
    _hold(job, "precision", job.precision in MODEL_PRECISIONS, f"must be one of {', '.join(MODEL_PRECISIONS)}")
    _hold(job, "threshold", job.threshold is None or 0 < job.threshold < 1, "must lie between 0 and 1")
    _hold(job, "version", bool(job.version), "must be a text, such as 1.0")
    if job.precision == "int8":
        _hold(job, "samples", bool(job.samples), "must name a folder of training samples: int8 is calibrated on them")
    _check_files(job.checkpoint, {"output": job.output}, job.samples)


def _check_mine_hard_negatives(job: MineHardNegativesJob) -> None:
    _hold(job, "samples", bool(job.samples), "must name a folder of training samples")
    _hold(job, "stacks", bool(job.stacks), "must name one spectral stack or more to search")
    _hold(job, "margin", job.margin >= 0, "must be a distance in metres, 0 or more")
    _hold(job, "min_area", job.min_area >= 0, "must be an area in square metres, 0 or more")
    _hold(job, "per_round", job.per_round is None or job.per_round >= 1, "must be a number of samples, 1 or more")
    _hold(job, "target_iou", 0 < job.target_iou <= 1, "must be more than 0 and at most 1")
    _hold(job, "rounds", job.rounds >= 1, "must be 1 or more")
    _hold(job, "recipe", job.recipe in TRAINING_RECIPES, f"must be one of {', '.join(TRAINING_RECIPES)}")
    _hold(job, "epochs", job.epochs is None or job.epochs >= 1, "must be 1 or more")
    _hold(job, "minutes", job.minutes is None or job.minutes > 0, "must be more than 0")
    _hold(job, "device", job.device in DEVICES, f"must be one of {', '.join(DEVICES)}")
    _hold(job, "seed", job.seed >= 0, "must be a whole number of 0 or more")
    outputs = {"output": job.output, "the folder of the grown samples": str(Path(job.output) / "samples") if job.output else None}
    _check_files(job.samples, outputs, *job.stacks, job.areas, job.outlines, job.model)


def _check_compare_networks(job: CompareNetworksJob) -> None:
    _hold(job, "config", Path(job.config).suffix.lower() == ".toml", "must name a file (.toml) with the list of networks")
    _check_files(job.config, {"output": job.output})


def _check_adapt(job: AdaptJob) -> None:
    _hold(job, "minutes", job.minutes > 0, "must be more than 0")
    _hold(job, "device", job.device in DEVICES, f"must be one of {', '.join(DEVICES)}")
    _hold(job, "seed", job.seed >= 0, "must be a whole number of 0 or more")
    if job.images is None:
        _hold(job, "stacks", bool(job.stacks), "must name one spectral stack or more; or give images and masks")
        _hold(job, "outlines", bool(job.outlines), "must name your outlines on the stacks")
        _hold(job, "masks", job.masks is None, "goes with images: give images too")
        _hold(job, "negatives", job.negatives is None, "goes with images: give images too")
    else:
        _hold(job, "images", not job.stacks and not job.outlines, "cannot go together with stacks and outlines: give one or the other")
        _hold(job, "masks", bool(job.masks), "must name the folder of the masks of the chips")
    inputs = [*job.stacks, job.outlines, job.images, job.masks, job.negatives, job.model]
    _check_files(job.stacks[0] if job.stacks else str(job.images), {"output": job.output, "json": job.json}, *inputs)
    _check_ending(job.json, (".json",), "the numbers are written as")


CHECKS: dict[type, Callable[[Any], None]] = {
    PrepareJob: _check_prepare,
    DetectJob: _check_detect,
    PostprocessJob: _check_postprocess,
    SplitJob: _check_split,
    FallLinesJob: _check_fall_lines,
    AttributesJob: _check_attributes,
    ExportInventoryJob: _check_export_inventory,
    ImportInventoryJob: _check_import_inventory,
    AssessJob: _check_assess,
    CompareInventoriesJob: _check_compare_inventories,
    DesignSampleJob: _check_design_sample,
    EstimateAreaJob: _check_estimate_area,
    SamplesJob: _check_samples,
    EvaluateNetworkJob: _check_evaluate,
    TrainJob: _check_train,
    ExportNetworkJob: _check_export,
    MineHardNegativesJob: _check_mine_hard_negatives,
    AdaptJob: _check_adapt,
    CompareNetworksJob: _check_compare_networks,
    FinishReviewJob: _check_finish_review,
    MergeReviewsJob: _check_merge_reviews,
    StartReviewJob: _check_start_review,
    UpdateReviewJob: _check_update_review,
}


def _hold(job: Job, name: str, holds: bool, rule: str) -> None:
    if not holds:
        raise _wrong(name, getattr(job, name), rule)


def _wrong(name: str, value: object, rule: str) -> EngineError:
    return EngineError("parameter", f"{name} is {value!r}; it {rule}.")


def _check_files(source: str, outputs: dict[str, str | None], *further: str | None) -> None:
    if not source:
        raise EngineError("parameter", "input is empty; name a file.")
    seen: dict[str, str] = {}
    for name, output in outputs.items():
        if output is None:
            continue
        if not output:
            raise EngineError("parameter", f"{name} is empty; name a file.")
        for file in (source, *further):
            if file and _is_same_file(file, output):
                raise EngineError("output_is_input", f"{name} {output} is also an input; it would be replaced. Give it another name.")
        place = os.path.normcase(Path(output).absolute())
        if place in seen:
            raise EngineError("parameter", f"{seen[place]} and {name} both name {output}. Give each its own file.")
        seen[place] = name


def _is_same_file(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return os.path.normcase(Path(one).absolute()) == os.path.normcase(Path(other).absolute())


def _check_geotiff(path: str) -> None:
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        raise EngineError("output_format", f"{path}: rasters are written as GeoTIFF; give the file the ending .tif.")


def _check_polygon_files(*paths: str | None) -> None:
    from engine.vectors import driver_for  # noqa: PLC0415 heavy, and not needed before the first message

    for path in paths:
        if path is not None:
            driver_for(path)


def _check_table_file(path: str | None) -> None:
    _check_ending(path, (".csv", ".gpkg"), "tables are written as")


def _check_ending(path: str | None, endings: tuple[str, ...], rule: str) -> None:
    if path is not None and Path(path).suffix.lower() not in endings:
        raise EngineError("output_format", f"{path}: {rule} {', '.join(endings)}; give the file such an ending.")
