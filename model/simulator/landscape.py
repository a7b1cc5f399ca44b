"""A simulated mountain landscape with rock glaciers whose outlines are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage

from model.simulator.glaciers import build_glaciers, place_glaciers
from model.simulator.light import Sun
from model.simulator.lookalikes import build_lookalikes, place_lookalikes
from model.simulator.noise import Array, downslope, fractal, gaussian, slope_degrees, smoothstep, streaks
from model.simulator.relief import Relief, Style, carve
from model.simulator.rock_glaciers import Body, build, place_rock_glaciers
from model.simulator.surface import Cover, draw_look, paint
from model.simulator.waters import channels, draw_line, fill_lakes

ACTIVITIES = ("active", "transitional", "relict")
PLACES = {"north": ("EPSG:32643", 540000.0, 4250000.0), "south": ("EPSG:32719", 400000.0, 6640000.0)}
"""CRS and upper left corner of simulated scenes by hemisphere: plausible mountains, no real place."""
STREAMS = (
    "style",
    "relief",
    "setting",
    "glaciers",
    "rock glaciers",
    "lookalikes",
    "roughness",
    "lakes",
    "roads",
    "chutes",
    "look",
    "paint",
)
"""Random numbers are drawn for each of these apart, so that a change to one leaves the others as they are."""


@dataclass(frozen=True)
class RockGlacier:
    """A simulated rock glacier: ``id`` as in ``Landscape.labels``; ``outline`` in map units, front and sides included; ``area`` in m2."""

    id: int
    activity: str
    form: str
    outline: shapely.Polygon
    area: float


@dataclass(frozen=True)
class Landscape:
    """A simulated scene and its truth.

    Attributes
    ----------
    reflectance : (4, rows, cols) float32
        Red, green, blue, near infrared, 0-1, as seen by the sensor: not corrected for topography.
    elevation : (rows, cols) float32
        Metres.
    landcover : (rows, cols) uint8
        Codes of ``LAND_COVER``.
    labels : (rows, cols) int32
        Id of the rock glacier, 0 elsewhere.
    permafrost : (rows, cols) float32
        Probability 0-1.
    rock_glaciers : tuple of RockGlacier
    sun : Sun
        Azimuth and elevation in degrees.
    transform : Affine
        Pixel corner to map units.
    crs : rasterio.crs.CRS
    """

    reflectance: Array
    elevation: Array
    landcover: NDArray[np.uint8]
    labels: NDArray[np.int32]
    permafrost: Array
    rock_glaciers: tuple[RockGlacier, ...]
    sun: Sun
    transform: Affine
    crs: CRS


def simulate(seed: int, rows: int, columns: int, resolution: float = 10.0, rock_glacier_share: float | None = None) -> Landscape:
    """A random mountain landscape; the same arguments give the same arrays, bit for bit.

    Parameters
    ----------
    seed : int
        Decides relief, rocks, plants, snow, light and every landform.
    rows, columns : int
        Size of the scene in pixels, 32 or more each.
    resolution : float
        Width of a pixel in metres, 2-30.
    rock_glacier_share : float or None
        Share of the scene's area in rock glaciers, 0-1, reached as far as there is room; 0 for none: the same mountains without
        them; None for a realistic share (2.5-6.5 %, some ten on 5 x 5 km).

    Returns
    -------
    Landscape

    Raises
    ------
    ValueError
        when the size, the resolution or the share lies outside these ranges.
    """
    if min(rows, columns) < 32:
        raise ValueError(f"a simulated scene has 32 rows and columns or more, not {rows} x {columns}")
    if not 2 <= resolution <= 30:
        raise ValueError(f"a simulated scene has pixels of 2 to 30 m, not {resolution} m")
    if rock_glacier_share is not None and not 0 <= rock_glacier_share <= 1:
        raise ValueError(f"the share of rock glaciers lies between 0 and 1, not at {rock_glacier_share}")
    draws = dict(zip(STREAMS, map(np.random.default_rng, np.random.SeedSequence(seed).spawn(len(STREAMS))), strict=True))
    shape, extent = (rows, columns), (rows * resolution, columns * resolution)
    relief = carve(draws["relief"], rows, columns, resolution, Style.draw(draws["style"]))
    elevation = relief.on_pixels(relief.elevation, rows, columns, resolution)
    setting = Setting.draw(draws["setting"], elevation)
    elevation += np.float32(setting.base)
    ground = gaussian(relief.elevation, 80 / relief.cell) + np.float32(setting.base)
    grid = (ground, relief.cell, (0.5 - relief.rim) * relief.cell, extent)

    glaciers = place_glaciers(draws["glaciers"], *grid, setting.firn_line, setting.ice_share)
    ice_outlines = [glacier.outline for glacier in glaciers]
    share = setting.rock_glacier_share if rock_glacier_share is None else rock_glacier_share
    frozen = _permafrost(ground, relief.cell, setting)
    bodies = place_rock_glaciers(draws["rock glaciers"], *grid, frozen, share, ice_outlines)
    occupied = [*ice_outlines, *(body.outline for body in bodies)]
    lookalikes = place_lookalikes(draws["lookalikes"], *grid, setting.count(extent, 2.5), occupied)

    _roughen(draws["roughness"], elevation, resolution)
    debris = build_lookalikes(draws["lookalikes"], lookalikes, ice_outlines, elevation, resolution)
    ice = build_glaciers(draws["glaciers"], glaciers, elevation, resolution)
    labels, traces = build(draws["rock glaciers"], bodies, elevation, resolution)
    lakes = fill_lakes(draws["lakes"], elevation, (labels > 0) | (ice.ice > 0.5), resolution, setting.count(extent, 5))
    stream, road = _lines(draws["roads"], relief, shape, resolution)
    stream[labels > 0] = 0
    road[(labels > 0) | (lakes > 0)] = 0

    activity = np.array([0] + [1 + ACTIVITIES.index(body.activity) for body in bodies], dtype=np.uint8)[labels]
    cover = Cover(labels, activity, traces, ice, debris, lakes, stream, road)
    look = draw_look(draws["look"], setting.sun, setting.tree_line, setting.meadow_line, setting.snow_line)
    ground_shape = _shape_of_ground(draws["chutes"], elevation, resolution, setting)
    reflectance, landcover = paint(draws["paint"], elevation, *ground_shape, cover, look, resolution)
    permafrost = _permafrost(gaussian(elevation, 60 / resolution), resolution, setting)
    crs, left, top = PLACES[setting.hemisphere]
    transform = Affine(resolution, 0, left, 0, -resolution, top)
    records = _records(bodies, transform)
    return Landscape(reflectance, elevation, landcover, labels, permafrost, records, setting.sun, transform, CRS.from_string(crs))


@dataclass(frozen=True)
class Setting:
    """Where the mountains stand: elevations in metres, shares of the scene's area, and a number for each count that is drawn."""

    hemisphere: str
    sun: Sun
    base: float
    frost_line: float
    firn_line: float
    snow_line: float
    tree_line: float
    meadow_line: float
    ice_share: float
    rock_glacier_share: float
    abundance: float

    @classmethod
    def draw(cls, rng: np.random.Generator, relief: Array) -> Setting:
        """A random setting for mountains of some relief (rows, cols), metres from 0 up."""
        hemisphere = str(rng.choice(["north", "south"]))
        azimuth = rng.uniform(100, 200) if hemisphere == "north" else rng.uniform(-20, 80)
        base = float(rng.uniform(1500, 4600))
        lowest, low, middle, high, highest = (base + float(level) for level in np.percentile(relief, [0, 35, 50, 60, 100]))
        return cls(
            hemisphere=hemisphere,
            sun=Sun(float(azimuth % 360), float(rng.uniform(25, 70))),
            base=base,
            frost_line=float(rng.uniform(low, high)),
            firn_line=high,
            snow_line=float(rng.uniform(low, highest + 100)),
            tree_line=float(rng.uniform(lowest, middle)),
            meadow_line=float(rng.uniform(low, highest)),
            ice_share=float(rng.choice([0, rng.uniform(0.01, 0.06), rng.uniform(0.06, 0.15)], p=[0.4, 0.4, 0.2])),
            rock_glacier_share=float(rng.uniform(0.025, 0.065)),
            abundance=float(rng.uniform(0.2, 2)),
        )

    @property
    def poleward_sign(self) -> int:
        """1 where slopes that face up the picture face the pole, else -1."""
        return 1 if self.hemisphere == "north" else -1

    def count(self, extent: tuple[float, float], square_kilometres: float) -> int:
        """How many of a landform that comes once in so many square kilometres, more or less abundant."""
        return round(self.abundance * extent[0] * extent[1] / 1e6 / square_kilometres)


def _shape_of_ground(rng: np.random.Generator, elevation: Array, resolution: float, setting: Setting) -> tuple[Array, Array, Array]:
    """Slope in degrees; how far it faces the pole, -1 to 1; streaks along the fall line, mean 0, standard deviation 1."""
    slope = slope_degrees(gaussian(elevation, max(0.5, 12 / resolution)), resolution)
    down_rows, down_columns = downslope(elevation, 30 / resolution)
    chutes = streaks(fractal(rng, elevation.shape, 60 / resolution), down_rows, down_columns, 250 / resolution)
    return slope, -setting.poleward_sign * down_rows * np.sin(np.radians(slope)), chutes


def _permafrost(ground: Array, cell: float, setting: Setting) -> Array:
    """Probability 0-1 from elevation and aspect: slopes that face the pole are frozen some 250 m lower at 30 degrees."""
    rows, columns = np.gradient(ground, np.float32(cell))
    poleward = setting.poleward_sign * rows / np.sqrt(1 + rows * rows + columns * columns)
    return (1 / (1 + np.exp(-(ground - np.float32(setting.frost_line) + 500 * poleward) / 70))).astype(np.float32)


def _roughen(rng: np.random.Generator, elevation: Array, resolution: float) -> None:
    """Gullies, ledges and buttresses on walls, chutes on scree, rough and smooth ground elsewhere; in place."""
    shape = elevation.shape
    slope = slope_degrees(gaussian(elevation, max(0.5, 20 / resolution)), resolution)
    wall = smoothstep(slope, 30, 42)
    scree = smoothstep(slope, 22, 28) * (1 - wall)
    down = downslope(elevation, 40 / resolution)
    gullies = streaks(fractal(rng, shape, rng.uniform(90, 160) / resolution, gain=0.7), *down, 200 / resolution)
    bumps = fractal(rng, shape, 250 / resolution, gain=rng.uniform(0.5, 0.75))
    rough = smoothstep(fractal(rng, shape, 1200 / resolution, 60 / resolution), rng.uniform(-1, 0.5), 1.5)
    ledges = rough * np.sin(elevation / np.float32(rng.uniform(4, 14)) + 2 * bumps)
    elevation += wall * (np.float32(rng.uniform(4, 12)) * gullies + np.float32(rng.uniform(2, 5)) * bumps)
    elevation += wall * np.float32(rng.uniform(0, 2)) * ledges
    elevation += (1 - wall) * (1 - 0.6 * scree) * (np.float32(rng.uniform(0.4, 1.2)) + np.float32(rng.uniform(0.5, 3)) * rough) * bumps
    elevation += scree * np.float32(rng.uniform(0.5, 1.6)) * gullies + (1 - wall) * rough * np.float32(rng.uniform(0, 1.2)) * gullies


def _lines(rng: np.random.Generator, relief: Relief, shape: tuple[int, int], resolution: float) -> tuple[Array, Array]:
    """Stream beds along the rivers, and a road beside the greatest one in most scenes."""
    stream, road = (np.zeros(shape, dtype=np.float32) for _ in range(2))
    rivers = channels(relief, *shape, resolution, 0.4e6)
    for line, catchment in rivers:
        draw_line(stream, line, np.clip(2 + 4 * np.sqrt(catchment / 1e6), 2, 30), resolution)
    if rivers and rng.random() < 0.7:
        line, _ = max(rivers, key=lambda river: river[1].max())
        beside = shapely.LineString(line).simplify(40).offset_curve(float(rng.choice([-1, 1]) * rng.uniform(50, 110)))
        width = float(rng.uniform(5, 9))
        for part in shapely.get_parts(beside):
            points = np.array(part.segmentize(20).coords)
            if len(points) > 15:
                draw_line(road, ndimage.gaussian_filter1d(points, 3, axis=0, mode="nearest"), width, resolution)
    return stream, road


def _records(bodies: list[Body], transform: Affine) -> tuple[RockGlacier, ...]:
    records = []
    for number, body in enumerate(bodies, start=1):
        outline = shapely.transform(body.outline, lambda points: points[:, ::-1] * (1, -1) + (transform.c, transform.f))
        records.append(RockGlacier(number, body.activity, body.form, outline, float(outline.area)))
    return tuple(records)
