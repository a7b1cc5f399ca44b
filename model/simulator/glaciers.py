"""Glaciers, clean and covered with debris, and their moraines: what is easily taken for rock glaciers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from model.simulator.flows import STEP, flow_lines, frame, largest, plan_form
from model.simulator.noise import Array, fractal, gaussian, smoothstep


@dataclass(frozen=True)
class Glacier:
    """Plan in metres from the scene's upper left corner (x down the rows), flow line, width in metres, where debris begins (0-1)."""

    outline: shapely.Polygon
    line: NDArray[np.float64]
    width: float
    debris_from: float


@dataclass(frozen=True)
class IceCover:
    """Shares of the pixels, each (rows, cols) float32 0-1; ``crevasse`` and ``cliff`` darken or lay bare."""

    ice: Array
    debris: Array
    crevasse: Array
    cliff: Array
    pond: Array

    @classmethod
    def none(cls, shape: tuple[int, int]) -> IceCover:
        """No ice anywhere."""
        return cls(*(np.zeros(shape, dtype=np.float32) for _ in range(5)))


def place_glaciers(
    rng: np.random.Generator, ground: Array, cell: float, origin: float, extent: tuple[float, float], snow_line: float, amount: float
) -> list[Glacier]:
    """Glaciers that start above ``snow_line`` (metres) until they cover ``amount`` (0-1) of the scene or no place is left."""
    if amount <= 0:
        return []
    scene = shapely.box(0, 0, *extent)
    scene_area = extent[0] * extent[1]
    starts = rng.uniform((0, 0), extent, (int(np.clip(scene_area / 1e6 * 25, 100, 20000)), 2))
    at = ((starts - origin) / cell).T
    slope = ndimage.map_coordinates(np.hypot(*np.gradient(ground, np.float32(cell))), at, order=1, mode="nearest")
    height = ndimage.map_coordinates(ground, at, order=1, mode="nearest")
    starts = starts[(height > snow_line) & (slope < np.tan(np.radians(32)))]
    if not len(starts):
        return []
    lines, lengths = flow_lines(ground, cell, starts - origin, 5000, 4)
    lines += origin
    head = ndimage.map_coordinates(ground, ((starts - origin) / cell).T, order=1, mode="nearest")
    glaciers: list[Glacier] = []
    covered = 0.0
    for index in np.argsort(-head + rng.uniform(0, 200, len(head)), kind="stable"):
        if covered >= amount * scene_area:
            break
        reach = (lengths[index] - 1) * STEP
        length = min(reach, float(np.clip(rng.lognormal(np.log(1300), 0.5), 500, 5000)))
        if length < 450:
            continue
        width = float(np.clip(length / rng.uniform(2.0, 4.5), 180, 900))
        line = lines[: int(length / STEP) + 1, index]
        outline = plan_form(rng, line, width, rng.uniform(1.0, 1.6), rng.uniform(0.75, 0.9), 0.12)
        outline = largest(outline.intersection(scene)) if outline is not None else None
        if outline is None or outline.area < 60000 or any(outline.distance(other.outline) < 60 for other in glaciers):
            continue
        debris_from = float(rng.choice([1.1, rng.uniform(0.3, 0.8), rng.uniform(0.05, 0.3)], p=[0.4, 0.4, 0.2]))
        glaciers.append(Glacier(outline, line, width, debris_from))
        covered += outline.area
    return glaciers


def build_glaciers(rng: np.random.Generator, glaciers: Sequence[Glacier], elevation: Array, resolution: float) -> IceCover:
    """Lay ice on the ground; ``elevation`` (rows, cols) in metres is changed in place."""
    cover = IceCover.none(elevation.shape)
    for glacier in glaciers:
        _ice(rng, glacier, elevation, resolution, cover)
    return cover


def _ice(rng: np.random.Generator, glacier: Glacier, elevation: Array, resolution: float, cover: IceCover) -> None:
    own = frame(glacier.outline, glacier.line, elevation.shape, resolution, finest=resolution)
    if own is None:
        return
    window = (own.rows, own.columns)
    shape = own.inside.shape
    bed = ndimage.map_coordinates(elevation, (glacier.line / resolution - 0.5).T, order=1, mode="nearest")
    above_bed = elevation[window] - np.interp(own.along, np.arange(len(bed)) * STEP, bed)
    inside = own.inside * (1 - smoothstep(above_bed.astype(np.float32), 35, 65))
    weight = smoothstep(own.depth, 0.0, 0.3 * glacier.width) * inside
    level = gaussian(elevation[window], 0.4 * glacier.width / resolution)
    elevation[window] += weight * (level - elevation[window])
    elevation[window] += inside * smoothstep(own.depth, 0.0, 0.35 * glacier.width) * np.float32(rng.uniform(8, 25))
    ragged = 0.12 * fractal(rng, shape, 300 / resolution, 20 / resolution) - 0.25 * np.exp(-own.depth / 60)
    debris = inside * smoothstep(own.share + ragged * -1, glacier.debris_from - 0.06, glacier.debris_from + 0.06)
    medial = np.exp(-(((own.across - rng.uniform(-0.2, 0.2) * glacier.width) / 18) ** 2)) * smoothstep(own.share, 0.3, 0.6)
    debris = np.maximum(debris, inside * medial * 0.8 * (rng.random() < 0.5))
    hummocks = fractal(rng, shape, rng.uniform(70, 140) / resolution, gain=0.6)
    elevation[window] += debris * hummocks * np.float32(rng.uniform(2, 5)) * weight
    rough = fractal(rng, shape, 90 / resolution, 30 / resolution)
    cover.ice[window] = np.maximum(cover.ice[window], inside * (1 - debris))
    cover.debris[window] = np.maximum(cover.debris[window], debris)
    steepness = np.hypot(*np.gradient(level, np.float32(resolution)))
    wave = np.sin(2 * np.pi * own.along / rng.uniform(35, 60) + 3 * rough + (own.across / (0.4 * glacier.width)) ** 2)
    broken = smoothstep(steepness + 0.08 * rough, 0.25, 0.6) * inside
    cover.crevasse[window] = np.maximum(cover.crevasse[window], broken * np.clip(wave, 0, 1))
    hollow = smoothstep(-hummocks, 1.3, 1.7) * debris * weight
    cover.pond[window] = np.maximum(cover.pond[window], hollow * (fractal(rng, shape, 400 / resolution) > 0.3))
    cliffs = np.exp(-(((hummocks + 1.1) / 0.12) ** 2)) * debris * weight * (rough > 0.6)
    cover.cliff[window] = np.maximum(cover.cliff[window], cliffs)
