"""Mountains: drainage carved by rivers into rising ground, widened to troughs by ice."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.simulator.noise import Array, fractal, gaussian, slope_degrees, smoothstep

CELL = 25.0
"""Width in metres of the cells on which drainage is carved; finer relief is added on the scene's own pixels."""
RIM = 40
"""Cells around the scene, so that its edge is not where the rivers end."""
LEVELS = ((6, 16), (3, 10), (1, 6))
"""Cells per cell side and steps of uplift and erosion, coarse to fine: broad valleys first, gullies last."""
NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True)
class Style:
    """What kind of mountains: wavelengths in metres, slopes in degrees, the rest without unit."""

    valley_spacing: float
    mean_slope: float
    erosion: float
    trough_width: float
    roughness: float
    tilt: float
    lowland: float
    creep: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Style:
        """A random style."""
        return cls(
            valley_spacing=float(rng.uniform(2200, 5500)),
            mean_slope=float(rng.uniform(22, 32)),
            erosion=float(rng.uniform(3.0, 8.0)),
            trough_width=float(rng.uniform(120, 420)),
            roughness=float(rng.uniform(0.4, 0.58)),
            tilt=float(rng.uniform(0, 1)),
            lowland=float(rng.uniform(0.1, 0.6)),
            creep=float(rng.uniform(0.15, 0.6)),
        )


@dataclass(frozen=True)
class Relief:
    """Carved ground on coarse cells, the scene in its middle.

    ``elevation`` in metres and ``catchment`` in square metres are (cell rows, cell columns), ``receivers`` holds for each cell the
    flat index of the cell it drains to. ``cell`` is the width of a cell and ``rim`` the number of cells around the scene.
    """

    elevation: Array
    catchment: Array
    receivers: NDArray[np.int64]
    cell: float
    rim: int

    def on_pixels(self, field: Array, rows: int, columns: int, resolution: float, order: int = 3) -> Array:
        """A field of the cells interpolated to the scene's pixels, (rows, cols)."""
        ratio = resolution / self.cell
        first = self.rim + ratio / 2 - 0.5
        return ndimage.affine_transform(
            field, (ratio, ratio), (first, first), output_shape=(rows, columns), output=np.float32, order=order, mode="nearest"
        )


def carve(rng: np.random.Generator, rows: int, columns: int, resolution: float, style: Style) -> Relief:
    """Mountains for a scene of rows x columns pixels of ``resolution`` metres, elevations from 0 m up.

    Ground of fractal shape rises and is cut by rivers (stream power law, solved implicitly downstream to upstream), slopes are
    cut back to the angle at which rock stands, and the valleys are widened to troughs.

    Source: Braun and Willett 2013, Geomorphology 180-181, the implicit solution of the stream power law.
    """
    cell = max(CELL, resolution)
    cells = (int(np.ceil(rows * resolution / cell)) + 2 * RIM, int(np.ceil(columns * resolution / cell)) + 2 * RIM)
    coarsest = max(LEVELS)[0]
    coarse_shape = (-(-cells[0] // coarsest), -(-cells[1] // coarsest))
    ground = _uneven_ground(rng, coarse_shape, cell * coarsest, style)
    low, high = np.percentile(ground, [20, 80])
    ranges = smoothstep(ground, low, high)
    elevation: Array = style.valley_spacing * 0.05 * ground.astype(np.float64)
    for coarseness, steps in LEVELS:
        shape, width = (-(-cells[0] // coarseness), -(-cells[1] // coarseness)), cell * coarseness
        if coarseness != coarsest:
            elevation = _bend(rng, _refine(elevation, shape)) + 0.04 * width * fractal(rng, shape, 6)
        uplift = 30 * (style.lowland + (1 - style.lowland) * _refine(ranges, shape))
        for step in range(steps):
            if step % 3 == 0 or coarseness > 1:
                elevation = _flood(elevation)
            receivers, catchment = _drainage(elevation, width, rng)
            elevation = _incise(elevation + uplift, elevation, receivers, catchment, style.erosion, width)
            elevation = _creep(elevation, catchment, width, style.creep)
    elevation = _flood(_bend(rng, elevation))
    receivers, catchment = _drainage(elevation, cell, rng)
    elevation = _widen_troughs(elevation, catchment, cell, style)
    for _ in range(3):
        elevation *= np.float32(np.tan(np.radians(style.mean_slope)) / np.tan(np.radians(slope_degrees(elevation, cell))).mean())
        elevation = _stand_at_angle(elevation, cell, 51 + 4 * fractal(rng, cells, 12))
    elevation = gaussian(elevation, 0.6)
    return Relief(elevation - elevation.min(), catchment, receivers, cell, RIM)


def _refine(elevation: Array, shape: tuple[int, ...]) -> Array:
    ratio = [(old - 1) / max(new - 1, 1) for old, new in zip(elevation.shape, shape, strict=True)]
    return ndimage.affine_transform(elevation, ratio, output_shape=shape, order=1, mode="nearest")


def _bend(rng: np.random.Generator, elevation: Array) -> Array:
    """Shift the ground sideways by about a cell, now this way, now that: valleys lose the grid's eight directions."""
    places = np.indices(elevation.shape, dtype=np.float32)
    shift = np.stack([fractal(rng, elevation.shape, 14, 6) for _ in range(2)])
    return ndimage.map_coordinates(elevation, places + 1.1 * shift, order=1, mode="nearest")


def _uneven_ground(rng: np.random.Generator, shape: tuple[int, int], cell: float, style: Style) -> Array:
    ridged = 1 - 2 * np.abs(fractal(rng, shape, style.valley_spacing / cell, gain=style.roughness))
    broad = fractal(rng, shape, 2 * style.valley_spacing / cell, gain=0.4)
    direction = rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices(shape, dtype=np.float32)
    plane = (np.cos(direction) * rows + np.sin(direction) * columns) * np.float32(cell / style.valley_spacing * style.tilt)
    return (ridged + broad + plane).astype(np.float32)


def _flood(ground: Array) -> Array:
    """The ground with its pits filled from the border inwards, rising 1 cm a cell (priority flood, Barnes et al. 2014)."""
    rows, columns = ground.shape
    width = columns + 2
    padded = np.full((rows + 2, width), -np.inf)
    padded[1:-1, 1:-1] = ground
    level = padded.ravel().tolist()
    closed = bytearray(b"\x01") * len(level)
    for row in range(1, rows + 1):
        closed[row * width + 1 : row * width + columns + 1] = bytes(columns)
    border = [r * width + c for r in (1, rows) for c in range(1, columns + 1)]
    border += [r * width + c for r in range(2, rows) for c in (1, columns)]
    queue = []
    for index in border:
        closed[index] = 1
        queue.append((level[index], index))
    heapq.heapify(queue)
    offsets = [r * width + c for r, c in NEIGHBOURS]
    while queue:
        height, index = heapq.heappop(queue)
        lowest = height + 0.01
        for offset in offsets:
            other = index + offset
            if not closed[other]:
                closed[other] = 1
                level[other] = max(level[other], lowest)
                heapq.heappush(queue, (level[other], other))
    return np.array(level).reshape(rows + 2, width)[1:-1, 1:-1]


def _drainage(elevation: Array, cell: float, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array]:
    """A steep lower neighbour of every cell (itself at outlets) and its catchment in square metres.

    Of the eight neighbours the one of the greatest drop wins, each drop times a random factor: without it, valleys run along the
    grid and its diagonals.
    """
    rows, columns = elevation.shape
    padded = np.pad(elevation, 1, constant_values=np.inf)
    best = np.zeros(elevation.shape)
    receivers = np.arange(rows * columns).reshape(rows, columns)
    own = receivers.copy()
    for r, c in NEIGHBOURS:
        drop = (elevation - padded[1 + r : 1 + r + rows, 1 + c : 1 + c + columns]) / np.hypot(r, c)
        drop *= rng.uniform(0.6, 1, elevation.shape)
        steeper = drop > best
        best[steeper] = drop[steeper]
        receivers[steeper] = own[steeper] + r * columns + c
    flat = receivers.ravel()
    catchment = np.full(flat.size, cell * cell)
    for cells in reversed(_upstream_levels(flat)):
        np.add.at(catchment, flat[cells], catchment[cells])
    return flat, catchment.reshape(elevation.shape).astype(np.float32)


def _upstream_levels(receivers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cells by the number of steps to their outlet, nearest first, outlets left out."""
    steps = (receivers != np.arange(receivers.size)).astype(np.int64)
    target = receivers
    while True:
        further = steps[target]
        if not further.any():
            break
        steps = steps + further
        target = target[target]
    order = np.argsort(steps, kind="stable")
    return np.split(order, np.searchsorted(steps[order], np.arange(1, steps.max() + 1)))[1:]


def _incise(risen: Array, before: Array, receivers: NDArray[np.int64], catchment: Array, erosion: float, cell: float) -> Array:
    level = risen.ravel()
    outlets = receivers == np.arange(receivers.size)
    on_border = np.zeros(risen.shape, dtype=bool)
    on_border[[0, -1]] = on_border[:, [0, -1]] = True
    held = outlets & on_border.ravel()
    level[held] = before.ravel()[held]
    strength = erosion * (catchment.ravel() / 1e6) ** 0.45 * (40 / cell)
    for cells in _upstream_levels(receivers):
        level[cells] = (level[cells] + strength[cells] * level[receivers[cells]]) / (1 + strength[cells])
    return level.reshape(risen.shape)


def _creep(elevation: Array, catchment: Array, cell: float, strength: float) -> Array:
    """Soil and scree creep on hillslopes, less on bare walls, not in channels: one Gaussian blur of ``strength`` cells squared."""
    crept = ndimage.gaussian_filter(elevation, np.sqrt(2 * strength), mode="nearest", truncate=4.0)
    hillslope = (1 - smoothstep(np.log10(catchment), 4.0, 5.2)) * (1 - 0.6 * smoothstep(slope_degrees(elevation, cell), 33, 45))
    return elevation + hillslope * (crept - elevation)


def _stand_at_angle(elevation: Array, cell: float, angle: Array, rounds: int = 6) -> Array:
    """Slopes steeper than ``angle`` degrees slide back."""
    limit = np.tan(np.radians(angle)) * np.float32(cell)
    for _ in range(rounds):
        padded = np.pad(elevation, 1, mode="edge")
        lowered = elevation
        for r, c in NEIGHBOURS:
            neighbour = padded[1 + r : 1 + r + elevation.shape[0], 1 + c : 1 + c + elevation.shape[1]]
            lowered = np.minimum(lowered, neighbour + limit * np.float32(np.hypot(r, c)))
        elevation = lowered
    return elevation


def _widen_troughs(elevation: Array, catchment: Array, cell: float, style: Style) -> Array:
    """Valleys with a flat floor and steep sides: the height above the nearest channel shrinks towards the channel."""
    height = elevation.astype(np.float32)
    for least, share in ((0.12e6, 0.55), (1.0e6, 1.0)):
        channel = catchment > least
        if not channel.any():
            continue
        distance, nearest = ndimage.distance_transform_edt(~channel, return_indices=True)
        floor = gaussian(height[nearest[0], nearest[1]], 1.5)
        half_width = style.trough_width * share * np.clip(gaussian((catchment / 1e6)[nearest[0], nearest[1]], 1.5), 0.1, 16) ** 0.2
        closeness = smoothstep((distance * cell / half_width).astype(np.float32), 0.0, 1.6)
        height = np.minimum(height, floor + np.maximum(height - floor, 0) * (0.12 + 0.88 * closeness))
    return gaussian(height.astype(np.float32), 0.5)
