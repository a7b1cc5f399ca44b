"""Rock glaciers: where they lie, how they creep, how they stand above their surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage
from shapely.strtree import STRtree

from model.simulator.flows import STEP, Frame, flow_lines, frame, largest, plan_form
from model.simulator.noise import Array, fractal, gaussian, smoothstep

MIN_AREA = 22000.0
"""Square metres; the smallest rock glacier mapped by Lin et al. 2024, Remote Sensing 16, 2603."""


@dataclass(frozen=True)
class Body:
    """A rock glacier in the making: plan in metres from the scene's upper left corner (x down the rows, y along the columns)."""

    activity: str
    form: str
    outline: shapely.Polygon
    line: NDArray[np.float64]
    width: float


@dataclass(frozen=True)
class Traces:
    """What rock glaciers leave for the painter, each (rows, cols) float32 0-1.

    ``front``: fresh steep front and sides. ``ridge``: -1 in furrows to 1 on ridges. ``inner``: 0 at the margins and outside to 1 inside.
    """

    front: Array
    ridge: Array
    inner: Array


def place_rock_glaciers(
    rng: np.random.Generator,
    ground: Array,
    cell: float,
    origin: float,
    extent: tuple[float, float],
    permafrost: Array,
    share: float,
    occupied: Sequence[shapely.Polygon],
) -> list[Body]:
    """Rock glaciers rooted below rock walls, along the fall line, until they cover ``share`` of the scene or no place is left.

    Parameters
    ----------
    ground, permafrost : (cell rows, cell cols) float32
        Elevation in metres, smoothed, and permafrost probability on cells of ``cell`` metres.
    origin : float
        Place of the first cell's centre, metres from the scene's upper left corner along both axes (negative: outside).
    extent : (float, float)
        Height and width of the scene in metres.
    share : float
        Share of the scene to cover, 0-1.
    occupied : sequence of Polygon
        Glaciers and lakes to keep clear of.
    """
    if share <= 0:
        return []
    scene_area = extent[0] * extent[1]
    scene = shapely.box(0, 0, *extent)
    candidates = int(np.clip(scene_area / 1e6 * 60, 200, 60000))
    starts = rng.uniform((0, 0), extent, (candidates, 2))
    at = ((starts - origin) / cell).T
    gradient = np.hypot(*np.gradient(ground, np.float32(cell)))
    steepest_near = ndimage.maximum_filter(gradient, size=max(3, int(320 / cell) | 1))
    slope, wall, frozen = (ndimage.map_coordinates(field, at, order=1, mode="nearest") for field in (gradient, steepest_near, permafrost))
    rooted = (slope < np.tan(np.radians(30))) & (wall > np.tan(np.radians(29)))
    starts = starts[rooted]
    lines, lengths = flow_lines(ground, cell, starts - origin, 1900, 4)
    lines += origin
    middle = lines[np.clip(lengths // 3, 0, 15), np.arange(len(starts))]
    frozen = ndimage.map_coordinates(permafrost, ((middle - origin) / cell).T, order=1, mode="nearest")
    fall = _fall(ground, cell, lines, lengths, origin)
    creeping = (lengths > 6) & (fall > np.tan(np.radians(8))) & (fall < np.tan(np.radians(29)))
    bodies: list[Body] = []
    taken = list(occupied)
    covered = 0.0
    order = np.argsort(-lengths * rng.uniform(0.3, 1, len(lengths)), kind="stable")
    for index in order[creeping[order]]:
        if covered >= share * scene_area:
            break
        activity = _activity(rng, float(frozen[index]))
        if activity is None:
            continue
        body = _shape(rng, lines[: lengths[index], index], activity, scene)
        if body is None or _too_close(body, taken):
            continue
        bodies.append(body)
        taken.append(body.outline)
        covered += body.outline.area
        if rng.random() < 0.5:
            neighbour = _neighbour(rng, body, lines, lengths, taken, scene)
            if neighbour is not None:
                bodies.append(neighbour)
                taken.append(neighbour.outline)
                covered += neighbour.outline.area
    return bodies


def _fall(
    ground: Array, cell: float, lines: NDArray[np.float64], lengths: NDArray[np.int64], origin: float, within: float = 500
) -> NDArray[np.float64]:
    """Mean slope (tangent) of flow lines over their first ``within`` metres."""
    last = np.minimum(lengths, int(within / STEP)) - 1
    ends = lines[np.maximum(last, 0), np.arange(lines.shape[1])]
    top, bottom = (ndimage.map_coordinates(ground, ((p - origin) / cell).T, order=1, mode="nearest") for p in (lines[0], ends))
    return (top - bottom) / np.maximum(last * STEP, 1.0)


def _activity(rng: np.random.Generator, frozen: float) -> str | None:
    """Active in permafrost, transitional near its limit, relict from its lower part to some 400 m below; None where none would be."""
    active = float(np.clip((frozen - 0.4) / 0.3, 0, 1))
    transitional = frozen * (2.45 - 2.2 * frozen)
    relict = (1 - frozen) ** 1.5 if frozen > 0.002 else 0.0
    weights = np.array([active, transitional, relict])
    if rng.random() > weights.sum():
        return None
    return str(rng.choice(["active", "transitional", "relict"], p=weights / weights.sum()))


def _shape(rng: np.random.Generator, line: NDArray[np.float64], activity: str, scene: shapely.Polygon) -> Body | None:
    reach = (len(line) - 1) * STEP
    if rng.random() < 0.62:
        form = "tongue"
        length = min(float(np.clip(rng.lognormal(np.log(820), 0.45), 320, 1800)), reach)
        width = float(np.clip(length / rng.uniform(1.6, 3.4), 130, 450))
        if length < 260:
            return None
    else:
        form = "lobe"
        length = min(float(rng.uniform(180, 480)), reach)
        width = min(length * float(rng.uniform(1.15, 2.2)), 700.0)
        if length < 120:
            return None
    part = line[: int(length / STEP) + 1]
    root, snout = (rng.uniform(0.7, 1.05), rng.uniform(0.55, 0.85)) if form == "tongue" else (rng.uniform(0.85, 1.1), rng.uniform(0.3, 0.6))
    outline = plan_form(rng, part, width, root, snout, float(rng.uniform(0.04, 0.12)))
    if outline is None:
        return None
    outline = largest(outline.intersection(scene))
    if outline is None or outline.area < 1.1 * MIN_AREA:
        return None
    return Body(activity, form, outline, part, width)


def _too_close(body: Body, taken: list[shapely.Polygon], gap: float = 30.0) -> bool:
    return bool(taken) and len(STRtree(taken).query(body.outline, predicate="dwithin", distance=gap)) > 0


def _neighbour(
    rng: np.random.Generator,
    body: Body,
    lines: NDArray[np.float64],
    lengths: NDArray[np.int64],
    taken: list[shapely.Polygon],
    scene: shapely.Polygon,
) -> Body | None:
    """A second rock glacier that leans on the first, without the ground they would share."""
    distance = np.linalg.norm(lines[0] - body.line[0], axis=1)
    near = np.flatnonzero((distance > 0.5 * body.width) & (distance < 1.3 * body.width))
    for index in rng.permutation(near)[:12]:
        other = _shape(rng, lines[: lengths[index], index], body.activity, scene)
        if other is None or not other.outline.intersects(body.outline):
            continue
        rest = largest(other.outline.difference(body.outline))
        if rest is None or rest.intersection(body.outline).area > 1 or rest.area < max(1.1 * MIN_AREA, 0.7 * other.outline.area):
            continue
        trial = Body(other.activity, other.form, rest, other.line, other.width)
        if not _too_close(trial, [polygon for polygon in taken if polygon is not body.outline]):
            return trial
    return None


def build(rng: np.random.Generator, bodies: Sequence[Body], elevation: Array, resolution: float) -> tuple[NDArray[np.int32], Traces]:
    """Raise rock glaciers above the ground; ``elevation`` (rows, cols) in metres is changed in place.

    Returns
    -------
    labels : (rows, cols) int32
        Position in ``bodies`` from 1, 0 elsewhere.
    traces : Traces
    """
    shape = elevation.shape
    labels = np.zeros(shape, dtype=np.int32)
    traces = Traces(*(np.zeros(shape, dtype=np.float32) for _ in range(3)))
    for body in bodies:
        own = frame(body.outline, body.line, shape, resolution)
        if own is None:
            continue
        _raise(rng, body, own, elevation, resolution, traces)
    if bodies:
        pixels = [shapely.transform(body.outline, lambda points: points[:, ::-1] / resolution) for body in bodies]
        rasterize(zip(pixels, range(1, len(bodies) + 1), strict=True), out=labels)
    return labels, traces


def _raise(rng: np.random.Generator, body: Body, own: Frame, elevation: Array, resolution: float, traces: Traces) -> None:
    window = (own.rows, own.columns)
    relict = body.activity == "relict"
    thickness = {"active": rng.uniform(15, 40), "transitional": rng.uniform(12, 28), "relict": rng.uniform(8, 18)}[body.activity]
    thickness = min(float(thickness), 0.12 * body.width)
    clarity = float(rng.uniform(0.3, 1.1))
    edge = thickness / np.tan(np.radians(24 if relict else 33))
    rooting = smoothstep(own.share, 0.0, 0.35)
    half = max(body.width / 2, 1.0)
    shoulder = smoothstep(own.depth, 0.0, edge)
    lateral = np.clip(np.abs(own.across) / half, 0, 1)
    crown = 1 + (-0.35 if relict else 0.25) * (1 - lateral**2) * shoulder
    ridges = _ridges(rng, body, own) * smoothstep(own.depth, 0.5 * edge, 1.6 * edge)
    body_height = thickness * rooting * shoulder * crown
    ridge_height = {"active": rng.uniform(2.5, 5), "transitional": rng.uniform(1.5, 4), "relict": rng.uniform(0.8, 2.2)}[body.activity]
    blocks = fractal(rng, own.inside.shape, 40 / own.size, gain=0.75) * shoulder * (0.35 if relict else 0.6)
    levelled = gaussian(elevation[window], max(0.3 * half, 25) / resolution)
    weight = own.to_pixels(smoothstep(own.depth, 0.0, 1.5 * edge + 20))
    elevation[window] += weight * (levelled - elevation[window])
    elevation[window] += own.to_pixels(body_height + np.float32(clarity * ridge_height) * ridges + blocks)
    steep = own.inside * (1 - smoothstep(own.depth, 0.8 * edge, 1.3 * edge)) * smoothstep(own.share, 0.15, 0.5)
    traces.front[window] = np.maximum(traces.front[window], own.to_pixels(steep))
    traces.ridge[window] += own.to_pixels(clarity * ridges)
    traces.inner[window] = np.maximum(traces.inner[window], own.to_pixels(shoulder))


def _ridges(rng: np.random.Generator, body: Body, own: Frame) -> Array:
    """Arcs convex downslope that strengthen towards the front, lines along the flow near the root; about -1 to 1."""
    half = max(body.width / 2, 1.0)
    wave_length = float(rng.uniform(28, 62))
    bend = float(rng.uniform(0.5, 1.3)) * half
    warp = fractal(rng, own.inside.shape, 160 / own.size, 40 / own.size)
    arc = own.along + bend * np.clip(own.across / half, -1, 1) ** 2 + 0.35 * wave_length * warp
    towards_front = 0.3 + 0.7 * smoothstep(own.share, 0.1, 0.8)
    phase = np.float32(2 * np.pi / wave_length) * arc
    transverse = (0.8 * np.sin(phase) + 0.2 * np.sin(2 * phase + 1)) * towards_front
    lines_apart = float(rng.uniform(30, 60))
    lengthwise = np.sin(np.float32(2 * np.pi / lines_apart) * own.across + 1.2 * warp) * (1 - smoothstep(own.share, 0.15, 0.65))
    patchy = np.clip(1 + 0.4 * fractal(rng, own.inside.shape, 220 / own.size, 60 / own.size), 0.2, 1.6)
    return ((transverse + 0.6 * lengthwise) * patchy * own.inside).astype(np.float32)
