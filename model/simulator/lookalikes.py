"""Moraines, landslides and debris fans: lobes and ridges that are no rock glaciers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from model.simulator.flows import STEP, flow_lines, frame, pixel_mask, plan_form
from model.simulator.noise import Array, fractal, gaussian, smoothstep


@dataclass(frozen=True)
class Lookalike:
    """``kind`` moraine, landslide or fan; plan and flow line in metres from the scene's upper left corner (x down the rows)."""

    kind: str
    outline: shapely.Polygon
    line: NDArray[np.float64]
    width: float


def place_lookalikes(
    rng: np.random.Generator,
    ground: Array,
    cell: float,
    origin: float,
    extent: tuple[float, float],
    count: int,
    occupied: Sequence[shapely.Polygon],
) -> list[Lookalike]:
    """Up to ``count`` landforms along the fall line, clear of the ``occupied`` polygons and of each other."""
    starts = rng.uniform((0, 0), extent, (20 * count, 2))
    lines, lengths = flow_lines(ground, cell, starts - origin, 1300, 3)
    lines += origin
    placed: list[Lookalike] = []
    taken = list(occupied)
    for index in np.flatnonzero(lengths * STEP > 350):
        if len(placed) >= count:
            break
        kind = str(rng.choice(["moraine", "landslide", "fan"]))
        line = lines[: int(rng.uniform(16, lengths[index])) + 1, index]
        length = len(line) * STEP
        width, root, snout = {
            "moraine": (rng.uniform(150, 380), 0.8, 0.7),
            "landslide": (length * rng.uniform(0.35, 0.9), rng.uniform(0.5, 0.9), 0.6),
            "fan": (length * rng.uniform(0.6, 1.1), 0.1, 0.8),
        }[kind]
        outline = plan_form(rng, line, float(width), root, snout, 0.1)
        if outline is None or any(outline.distance(other) < 40 for other in taken):
            continue
        placed.append(Lookalike(kind, outline, line, float(width)))
        taken.append(outline)
    return placed


def build_lookalikes(
    rng: np.random.Generator, lookalikes: Sequence[Lookalike], glaciers: Sequence[shapely.Polygon], elevation: Array, resolution: float
) -> dict[str, Array]:
    """Lay moraines, landslides and fans on the ground; ``elevation`` (rows, cols) in metres is changed in place.

    Returns
    -------
    dict of str to (rows, cols) float32
        Share of the pixel by kind, and ``tone``, the brightness of their debris around 0.
    """
    shares = {name: np.zeros(elevation.shape, dtype=np.float32) for name in ("moraine", "landslide", "fan", "tone")}
    for outline in [*glaciers, *(form.outline for form in lookalikes if form.kind == "moraine")]:
        _moraine(rng, outline, elevation, resolution, shares["moraine"], float(rng.uniform(0.3, 1)))
    for form in lookalikes:
        if form.kind != "moraine":
            _debris(rng, form, elevation, resolution, shares)
    return shares


def _moraine(
    rng: np.random.Generator, outline: shapely.Polygon, elevation: Array, resolution: float, moraine: Array, strength: float
) -> None:
    """A ridge around the lower part of a glacier or of the hollow that it left."""
    away, broad = float(rng.uniform(15, 40)), float(rng.uniform(12, 25))
    inside, window = pixel_mask(outline, 2 * away + 2 * broad, elevation.shape, resolution)
    if not inside.any():
        return
    distance = (ndimage.distance_transform_edt(~inside) * resolution).astype(np.float32)
    heights = elevation[window]
    low = 1 - smoothstep(heights, *np.percentile(heights[inside], [50, 90]))
    ragged = np.clip(1 + 0.5 * fractal(rng, heights.shape, 250 / resolution, 30 / resolution), 0, 2)
    ridge = ~inside * low * ragged * np.exp(-(((distance - away) / broad) ** 2)) * np.float32(strength)
    elevation[window] += ridge * np.float32(rng.uniform(6, 18))
    moraine[window] = np.maximum(moraine[window], np.clip(1.5 * ridge, 0, 1))


def _debris(rng: np.random.Generator, form: Lookalike, elevation: Array, resolution: float, shares: dict[str, Array]) -> None:
    own = frame(form.outline, form.line, elevation.shape, resolution, finest=resolution)
    if own is None:
        return
    window = (own.rows, own.columns)
    shape = own.inside.shape
    if form.kind == "landslide":
        edge = smoothstep(own.depth, 0.0, rng.uniform(25, 60))
        hummocks = fractal(rng, shape, rng.uniform(90, 200) / resolution, gain=0.65)
        elevation[window] += edge * (
            np.float32(rng.uniform(3, 12)) * smoothstep(own.share, 0, 0.4) + np.float32(rng.uniform(1, 4)) * hummocks
        )
        tone = 0.4 * hummocks
    else:
        edge = smoothstep(own.depth, 0.0, 0.35 * form.width)
        bearing = own.across / np.maximum(own.along, 60)
        level = gaussian(elevation[window], 0.3 * form.width / resolution)
        elevation[window] += edge * (level - elevation[window] + np.float32(rng.uniform(2, 8)))
        threads = np.sin(bearing * rng.uniform(14, 30) + 1.5 * fractal(rng, shape, 300 / resolution, 40 / resolution))
        tone = threads + 0.5 * fractal(rng, shape, 100 / resolution)
    share = own.inside * smoothstep(own.depth, 0.0, 15.0)
    shares[form.kind][window] = np.maximum(shares[form.kind][window], share)
    shares["tone"][window] += share * (np.float32(rng.uniform(-1, 1)) + tone.astype(np.float32))
