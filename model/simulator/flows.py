"""What flows down a valley, rock glaciers and glaciers alike: where it starts, its path, its plan form and its surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage
from scipy.spatial import cKDTree

from model.simulator.noise import Array, smoothstep

STEP = 20.0
"""Distance between the points of a flow line in metres."""


def flow_lines(
    elevation: Array, cell: float, starts: NDArray[np.float64], longest: float, flattest: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Lines down the fall line with the inertia of viscous flow.

    Parameters
    ----------
    elevation : (rows, cols) float32
        Metres, on cells of ``cell`` metres.
    starts : (n, 2) float64
        Starting points, metres from the array's first cell centre along rows and columns.
    longest : float
        Length in metres at which lines end.
    flattest : float
        Slope in degrees below which a line ends.

    Returns
    -------
    lines : (steps, n, 2) float64
        Points every ``STEP`` metres.
    lengths : (n,) int64
        How many points of each line are valid.
    """
    gradient_rows, gradient_columns = np.gradient(elevation, np.float32(cell))
    count = max(2, int(longest / STEP) + 1)
    lines = np.empty((count, len(starts), 2))
    lengths = np.full(len(starts), count)
    place, heading = starts.astype(np.float64), np.zeros((len(starts), 2))
    extent = (np.array(elevation.shape) - 1) * cell
    for step in range(count):
        lines[step] = place
        at = (place / cell).T
        fall = -np.stack([ndimage.map_coordinates(g, at, order=1, mode="nearest") for g in (gradient_rows, gradient_columns)], axis=1)
        steepness = np.linalg.norm(fall, axis=1)
        outside = ((place < 0) | (place > extent)).any(axis=1)
        ended = outside | (steepness < np.tan(np.radians(flattest)))
        lengths[ended] = np.minimum(lengths[ended], step)
        down = fall / np.maximum(steepness, 1e-6)[:, None]
        heading = 0.75 * heading + 0.25 * down if step else down
        heading /= np.maximum(np.linalg.norm(heading, axis=1), 1e-6)[:, None]
        place = place + STEP * heading
    return lines, lengths


def plan_form(
    rng: np.random.Generator, line: NDArray[np.float64], width: float, root: float = 0.85, snout: float = 0.75, raggedness: float = 0.1
) -> shapely.Polygon | None:
    """The plan of a tongue or lobe along a flow line, or None where the line bends too sharply for the width.

    Parameters
    ----------
    line : (n, 2) float64
        Flow line from root to front, metres.
    width : float
        Greatest width in metres.
    root : float
        Width at the root over the greatest width.
    snout : float
        Share of the length at which the rounded front begins.
    raggedness : float
        Standard deviation of the outline, share of the half width.
    """
    along = np.linspace(0, 1, max(24, 2 * len(line)))
    source = np.linspace(0, 1, len(line))
    middle = np.stack([np.interp(along, source, line[:, 0]), np.interp(along, source, line[:, 1])], axis=1)
    middle = ndimage.gaussian_filter1d(middle, 0.06 * len(along), axis=0, mode="nearest")
    tangent = np.gradient(middle, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    waist = root + (1 - root) * smoothstep(along.astype(np.float32), 0.0, snout).astype(np.float64)
    waist *= 1 - rng.uniform(0, 0.25) * np.exp(-(((along - rng.uniform(0.3, 0.6)) / 0.15) ** 2))
    cap = np.clip((along - snout) / (1 - snout), 0, 1)
    waist *= np.sqrt(np.clip(1 - cap**2.2, 0, 1))
    sides = []
    for sign in (1, -1):
        rough = ndimage.gaussian_filter1d(rng.standard_normal(len(along)), 0.05 * len(along), mode="nearest")
        rough /= max(rough.std(), 1e-9)
        half = width / 2 * waist * np.clip(1 + raggedness * rough, 0.6, 1.4)
        sides.append(middle + sign * half[:, None] * normal)
    notch = middle[0] + rng.uniform(0.05, 0.25) * width * tangent[0]
    outline = shapely.Polygon(np.concatenate([sides[0], sides[1][::-1], notch[None]]))
    if not outline.is_valid:
        outline = largest(outline.buffer(0))
    if outline is None or outline.is_empty:
        return None
    rounding = 0.13 * width
    return largest(outline.buffer(-rounding).buffer(2 * rounding).buffer(-rounding).simplify(1.0))


def largest(geometry: shapely.Geometry) -> shapely.Polygon | None:
    """The largest polygon of a geometry without its holes, None when it holds none."""
    polygons = [part for part in shapely.get_parts(geometry) if isinstance(part, shapely.Polygon) and not part.is_empty]
    return shapely.Polygon(max(polygons, key=lambda part: part.area).exterior) if polygons else None


@dataclass(frozen=True)
class Frame:
    """A landform in its own coordinates, on sub-pixels of the window it lies in.

    ``rows`` and ``columns`` are the window's slices in the scene, ``factor`` the sub-pixels per pixel side, ``size`` their width in
    metres. ``inside`` bool; ``depth`` metres from the nearest margin (0 outside); ``along`` metres from the root down the flow line;
    ``share`` the same over the length, 0-1; ``across`` metres left of it (signed); all (sub-rows, sub-columns).
    """

    rows: slice
    columns: slice
    factor: int
    size: float
    inside: NDArray[np.bool_]
    depth: Array
    along: Array
    share: Array
    across: Array

    def to_pixels(self, field: Array) -> Array:
        """Block means over the sub-pixels of every pixel."""
        rows, columns = field.shape
        return field.reshape(rows // self.factor, self.factor, columns // self.factor, self.factor).mean(axis=(1, 3))


def frame(
    outline: shapely.Polygon, line: NDArray[np.float64], shape: tuple[int, int], resolution: float, finest: float = 5.0
) -> Frame | None:
    """Where the sub-pixels around an outline lie in the landform's coordinates; None when it misses the scene.

    Parameters
    ----------
    outline : Polygon
        x = metres along rows (down), y = metres along columns, from the scene's upper left corner.
    line : (n, 2) float64
        Flow line in the same metres.
    shape : (int, int)
        rows, columns of the scene.
    resolution : float
        Pixel width in metres.
    finest : float
        Sub-pixels are no wider than this, unless the pixel itself is narrower.
    """
    margin = 2
    first_row, first_column = (max(0, int(low / resolution) - margin) for low in outline.bounds[:2])
    last_row, last_column = (min(end, int(high / resolution) + 1 + margin) for high, end in zip(outline.bounds[2:], shape, strict=True))
    if last_row <= first_row or last_column <= first_column:
        return None
    factor = max(1, int(np.ceil(resolution / finest)))
    size = resolution / factor
    sub_shape = ((last_row - first_row) * factor, (last_column - first_column) * factor)
    origin = np.array([first_row, first_column]) * resolution
    local = shapely.transform(outline, lambda points: ((points - origin) / size)[:, ::-1])
    inside = rasterize([local], out_shape=sub_shape, dtype="uint8").astype(bool)
    padded = np.pad(inside, 1)
    depth = (ndimage.distance_transform_edt(padded)[1:-1, 1:-1] * size).astype(np.float32)
    dense_at = np.linspace(0, len(line) - 1, max(2, int(len(line) * STEP / 5)))
    dense = np.stack([np.interp(dense_at, np.arange(len(line)), line[:, axis]) for axis in (0, 1)], axis=1)
    tangent = np.gradient(dense, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1), 1e-9)[:, None]
    travelled = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    sub_rows, sub_columns = np.nonzero(inside)
    points = origin + (np.stack([sub_rows, sub_columns], axis=1) + 0.5) * size
    _, nearest = cKDTree(dense).query(points)
    offset = points - dense[nearest]
    fields = []
    for values in (
        travelled[nearest] + (offset * tangent[nearest]).sum(axis=1),
        travelled[nearest] / travelled[-1],
        offset[:, 0] * -tangent[nearest, 1] + offset[:, 1] * tangent[nearest, 0],
    ):
        field = np.zeros(sub_shape, dtype=np.float32)
        field[sub_rows, sub_columns] = values
        fields.append(field)
    return Frame(slice(first_row, last_row), slice(first_column, last_column), factor, size, inside, depth, *fields)


def pixel_mask(
    outline: shapely.Polygon, margin: float, shape: tuple[int, int], resolution: float
) -> tuple[NDArray[np.bool_], tuple[slice, slice]]:
    """Pixels whose centre lies in an outline, and the window of the scene, ``margin`` metres wider, that they are given for."""
    low, high = (
        [int(np.clip((value + sign * margin) / resolution, 0, end)) for value, end in zip(corner, shape, strict=True)]
        for corner, sign in ((outline.bounds[:2], -1), (outline.bounds[2:], 1))
    )
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    size = (high[0] - low[0], high[1] - low[1])
    if min(size) <= 0:
        return np.zeros((0, 0), dtype=bool), window
    local = shapely.transform(outline, lambda points: (points / resolution - low)[:, ::-1])
    return rasterize([local], out_shape=size, dtype="uint8").astype(bool), window
