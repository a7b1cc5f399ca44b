"""A job's values are checked here, all of them, before any work begins."""

from __future__ import annotations

import dataclasses
import math
import os
import types
import typing
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from jobs import DEVICES, PERMAFROST_ACTIONS, SENSORS, DetectJob, Job, PostprocessJob, PrepareJob

TYPE_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of texts"}


def check_job(job: Job) -> None:
    """Hold every value of a job against its type and range, and its outputs against its inputs.

    Raises
    ------
    EngineError
        ``parameter`` for a value of the wrong type or out of its range, ``output_is_input`` for an output that would
        replace an input, ``output_format`` for a file ending that is not written, ``permafrost_classes`` from
        :func:`engine.permafrost.parse_classes`.
    """
    _check_types(job)
    if isinstance(job, PrepareJob):
        _check_prepare(job)
    elif isinstance(job, DetectJob):
        _check_detect(job)
    elif isinstance(job, PostprocessJob):
        _check_postprocess(job)


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
    _check_polygon_file(job.output)
    if job.probability is not None:
        _check_geotiff(job.probability)


def _check_postprocess(job: PostprocessJob) -> None:
    _hold(job, "min_area", job.min_area >= 0, "must be an area in square metres, 0 or more")
    _hold(job, "permafrost_min_fraction", 0 <= job.permafrost_min_fraction <= 1, "must lie between 0 and 1")
    _hold(job, "permafrost_action", job.permafrost_action in PERMAFROST_ACTIONS, f"must be one of {', '.join(PERMAFROST_ACTIONS)}")
    if job.permafrost:
        from engine.permafrost import parse_classes  # noqa: PLC0415 heavy, and not needed before the first message

        parse_classes(job.permafrost_classes)
    _check_files(job.input, {"output": job.output}, job.permafrost)
    _check_polygon_file(job.output)


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


def _check_polygon_file(path: str) -> None:
    from engine.vectors import driver_for  # noqa: PLC0415 heavy, and not needed before the first message

    driver_for(path)
