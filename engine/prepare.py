"""Scene to spectral stack: reflectance, indices, metres, and a passport that says how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from engine import __version__, indices, rasters, sensors
from engine.errors import EngineError
from engine.rasters import PASSPORT, Grid
from engine.reporting import Reporter, StagedReporter
from jobs import STACK_BANDS, PrepareJob

FINEST_DIVISION = 20
"""Of a scene's pixel; a slip of the keyboard would fill the disk."""
COLOURS = {
    "red": re.compile(r"\bred\b(?![ _-]?edge)|\bB0?4\b", re.IGNORECASE),
    "green": re.compile(r"\bgreen\b|\bB03\b", re.IGNORECASE),
    "blue": re.compile(r"\bblue\b|\bB02\b", re.IGNORECASE),
    "nir": re.compile(r"\bnir\b|near[ _-]?infrared|\bB0?8A?\b", re.IGNORECASE),
}


def prepare(job: PrepareJob, reporter: Reporter) -> dict[str, Any]:
    """Make the spectral stack of a scene.

    The stack is a GeoTIFF, float32, of six bands: red, green, blue and nir reflectance 0-1.5, EVI and SAVI -1 to 1, all
    NaN where not observed, on a north-up grid of square pixels in metres. Of a scene without near-infrared, nir, EVI and
    SAVI are NaN throughout. Indices are computed after any resampling. The scene is read and the stack written in
    pieces: memory does not grow with the scene.

    Parameters
    ----------
    job : the scene, its bands and its sensor; see :class:`jobs.PrepareJob`
    reporter : hears what was decided

    Returns
    -------
    ``output`` (path), ``sensor``, ``scale``, ``offset`` (reflectance = value * scale + offset), ``chain`` (the processing
    in words), ``resolution_m``, ``crs``, ``observed_fraction`` (of the stack's pixels, 0-1)

    Raises
    ------
    EngineError
        ``band_missing``, ``not_reflectance``, ``scales_differ``, ``parameter``; those of
        :func:`engine.rasters.open_raster`, :func:`engine.rasters.read` and :func:`engine.outputs.whole_file`; Cancelled.

    Source
    ------
    Lin et al. (2024), sections 2.2 and 3.1: true colour R, G, B and spectral NIR, EVI, SAVI.
    """
    with rasters.open_raster(job.input) as scene:
        bands = _bands(scene, job, reporter)
        reporter.progress(0.0, "Looking at the scene")
        scaling = _scaling(scene, bands, job, reporter)
        own = Grid.of(scene)
        grid, change = rasters.working_grid(own, job.resolution)
        if job.resolution and job.resolution < min(rasters.ground_pixel_size(own)) / FINEST_DIVISION:
            raise EngineError(
                "parameter",
                f"resolution is {job.resolution:g} m; it must not be finer than a {FINEST_DIVISION}th of the scene's own, "
                f"{min(rasters.ground_pixel_size(own)):.3g} m: interpolation adds no detail.",
            )
        if change:
            reporter.info(f"{Path(job.input).name}: {change}.")
        chain = "; ".join(filter(None, [f"{scaling.sensor}: {scaling.formula}", "clipped to 0-1.5", change, "EVI Huete 2002, SAVI L 0.5"]))

        def read_scene(window: Window) -> NDArray[np.float32]:
            return scaling.reflectance(rasters.read_observed(scene, bands, window))

        with rasters.new_geotiff(job.output, grid, STACK_BANDS) as stack:
            if grid == own:
                observed = _write_stack(stack, grid, read_scene, reporter)
            else:
                observed = _write_resampled(stack, grid, read_scene, own, STACK_BANDS[: len(bands)], reporter)
            stack.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue] + [ColorInterp.undefined] * 3
            stack.update_tags(
                ns=PASSPORT,
                SENSOR=scaling.sensor,
                SCALE=repr(scaling.scale),
                OFFSET=repr(scaling.offset),
                CHAIN=chain,
                SOFTWARE=f"Rock Glacier Mapper {__version__}",
                SOURCE=Path(job.input).name,
                CREATED=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            reporter.check_cancelled()  # the last chance: from here on the output is new
    if not observed:
        reporter.warning("nothing_observed", f"No pixel of {Path(job.input).name} was observed; the stack is empty.")
    reporter.progress(1.0, "Stack written")
    return {
        "output": job.output,
        "sensor": scaling.sensor,
        "scale": scaling.scale,
        "offset": scaling.offset,
        "chain": chain,
        "resolution_m": grid.resolution,
        "crs": rasters.crs_name(grid.crs),
        "observed_fraction": observed / (grid.width * grid.height),
    }


def spectral_stack(reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
    """The six bands of a stack, (6, rows, cols), from red, green, blue and, where there is one, nir reflectance.

    Parameters
    ----------
    reflectance : (3 or 4, rows, cols) reflectance 0-1, NaN where not observed

    Returns
    -------
    red, green, blue, nir, evi, savi; the last three NaN throughout where there is no nir
    """
    stack = np.full((len(STACK_BANDS), *reflectance.shape[1:]), np.nan, np.float32)
    stack[: len(reflectance)] = reflectance
    red, _, blue, nir = stack[:4]
    stack[4] = indices.evi(red, blue, nir)
    stack[5] = indices.savi(red, nir)
    return stack


def _bands(scene: DatasetReader, job: PrepareJob, reporter: Reporter) -> list[int]:
    """Band numbers of red, green, blue and, where there is one, nir."""
    name = Path(job.input).name
    described = [_description(scene, band) for band in scene.indexes]
    bands = {colour: getattr(job, colour) for colour in COLOURS if getattr(job, colour)}
    for colour, band in bands.items():
        if band > scene.count:
            listed = ", ".join(f"{number} {text}".strip() for number, text in enumerate(described, 1))
            remedy = " or, where the scene has no near-infrared, NIR 0" if colour == "nir" else ""
            raise EngineError(
                "band_missing",
                f"{name} has {scene.count} band{'s' * (scene.count > 1)} ({listed}); {colour} was given as band {band}. "
                f"Give the number of its {colour} band{remedy}.",
            )
        if scene.dtypes[band - 1].startswith("complex"):
            raise EngineError("not_reflectance", f"Band {band} of {name} holds complex numbers, not reflectance. Choose an optical scene.")
        others = [other for other, pattern in COLOURS.items() if pattern.search(described[band - 1])]
        if others and colour not in others:
            reporter.warning(
                "band_order",
                f"Band {band} of {name}, taken as {colour}, is named {described[band - 1]}. Check the numbers of the bands.",
            )
    return list(bands.values())


def _description(scene: DatasetReader, band: int) -> str:
    return scene.descriptions[band - 1] or scene.tags(band).get("DESCRIPTION", "")


def _scaling(scene: DatasetReader, bands: list[int], job: PrepareJob, reporter: Reporter) -> sensors.Scaling:
    tags = dict(scene.tags())
    for band in bands:
        tags |= {f"{key} of band {band}": value for key, value in scene.tags(band).items()}
        tags[f"description of band {band}"] = _description(scene, band)
    evidence = sensors.Evidence(
        name=Path(job.input).name,
        sample=_sample(scene, bands, reporter),
        is_float=np.issubdtype(scene.dtypes[bands[0] - 1], np.floating),
        tags=tags,
        scales=tuple(scene.scales[band - 1] for band in bands),
        offsets=tuple(scene.offsets[band - 1] for band in bands),
    )
    scaling = sensors.choose_scaling(job.sensor, evidence, job.scale, job.offset)
    reporter.info(f"Reflectance of {evidence.name} by {scaling.sensor}: {scaling.formula} ({scaling.why}).")
    for code, text in scaling.warnings:
        reporter.warning(code, text)
    return scaling


def _sample(scene: DatasetReader, bands: list[int], reporter: Reporter) -> NDArray[np.float32]:
    """Pixel values (bands, n) from windows spread evenly over the scene; from all of it where those saw nothing."""
    seen = [rasters.read_observed(scene, bands, window).reshape(len(bands), -1) for window in rasters.spread_windows(Grid.of(scene))]
    sample = np.concatenate(seen, axis=1)
    if _has_values(sample):
        return sample
    for window in rasters.windows(Grid.of(scene)):
        reporter.check_cancelled()
        piece = rasters.read_observed(scene, bands, window).reshape(len(bands), -1)
        if _has_values(piece):
            return piece
    return sample


def _has_values(sample: NDArray[np.float32]) -> bool:
    return bool((np.isfinite(sample) & (sample != 0)).any())


def _write_stack(stack: DatasetWriter, grid: Grid, read: Callable[[Window], NDArray[np.float32]], reporter: Reporter) -> int:
    """Write the stack window by window; the number of pixels where red, green and blue were observed."""
    observed = 0
    for window, done in _with_progress(grid):
        reporter.progress(done, "Writing the stack")
        pixels = spectral_stack(read(window))
        stack.write(pixels, window=window)
        observed += int(np.isfinite(pixels[:3]).all(axis=0).sum())
    return observed


def _write_resampled(
    stack: DatasetWriter,
    grid: Grid,
    read: Callable[[Window], NDArray[np.float32]],
    own: Grid,
    names: tuple[str, ...],
    reporter: Reporter,
) -> int:
    """As :func:`_write_stack`, by way of a file of reflectance on the scene's own grid beside the unfinished stack.

    Reflectance is resampled, not pixel values: there, "not observed" is NaN in every band whatever it was in the scene.
    """
    place = Path(stack.name).with_name("reflectance.tif")
    scaling_part = StagedReporter(reporter, 0.0, 0.4)
    with rasters.write_geotiff(place, own, names) as reflectance:
        for window, done in _with_progress(own):
            scaling_part.progress(done, "Scaling to reflectance")
            reflectance.write(read(window), window=window)
    with rasters.open_raster(place) as scene, rasters.on_grid(scene, grid) as warped:
        bands = list(range(1, len(names) + 1))
        return _write_stack(stack, grid, lambda window: rasters.read_observed(warped, bands, window), StagedReporter(reporter, 0.4, 1.0))


def _with_progress(grid: Grid) -> Iterator[tuple[Window, float]]:
    windows = list(rasters.windows(grid))
    for number, window in enumerate(windows):
        yield window, number / len(windows)
