"""Potential incoming solar radiation: direct and diffuse, under a clear sky, on slopes that shade themselves and stand in others' shade."""

from __future__ import annotations

import calendar
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.terrain import ElevationGrid

REPRESENTATIVE_DAYS = (17, 47, 75, 105, 135, 162, 198, 228, 258, 288, 318, 344)
"""Days of the year whose declination is the mean of their month's (Klein 1977)."""
STEPS_PER_DAY = 48
SECTORS = 36
"""Directions that the horizon is looked for in, 10 degrees apart, clockwise from the grid's north."""
SEARCH_M = 10_000.0
"""How far the horizon is looked for, metres."""
STRIDE = 0.07
"""Distance between the places looked at on the way to the horizon, as a share of the way so far; at least a cell."""
AEROSOL_380, AEROSOL_500, WATER_CM = 0.08, 0.05, 0.5
"""Optical depth of the aerosol at 380 and 500 nm and precipitable water in cm: clean and dry mountain air."""


@dataclass(frozen=True)
class Sun:
    """The sun over some months: ``azimuth`` (t,) degrees clockwise from true north and ``altitude`` (t,) degrees of its stations,
    ``direct`` (t,) kWh/m2 that come from there on a surface that faces it, ``diffuse`` kWh/m2 from the sky on level open ground."""

    azimuth: NDArray[np.float64]
    altitude: NDArray[np.float64]
    direct: NDArray[np.float64]
    diffuse: float


def months_of(text: str) -> tuple[int, ...]:
    """``6-9`` as 6, 7, 8, 9; ``11-2`` as 11, 12, 1, 2; empty text as none."""
    if not text:
        return ()
    first, last = (int(part) for part in text.split("-"))
    return tuple((first - 1 + step) % 12 + 1 for step in range((last - first) % 12 + 1))


def sun(latitude: float, elevation: float, months: tuple[int, ...]) -> Sun:
    """The sun over some months (1-12) at a latitude (degrees) and elevation (m), rounded to 0.1 degrees and 100 m.

    Every month is represented by Klein's mean day, in steps of half an hour of solar time.

    Source
    ------
    Bird and Hulstrom (1981), A simplified clear sky model, SERI/TR-642-761, and Kasten and Young (1989), as pvlib has them;
    Klein (1977), Calculation of monthly average insolation on tilted surfaces.
    """
    return _sun(round(latitude, 1), round(elevation / 100) * 100.0, months)


@lru_cache(maxsize=4096)
def _sun(latitude: float, elevation: float, months: tuple[int, ...]) -> Sun:
    from pvlib import atmosphere, clearsky, irradiance, solarposition  # noqa: PLC0415 heavy, and only needed here

    day = np.array([REPRESENTATIVE_DAYS[month - 1] for month in months])[:, None]
    days = np.array([28.25 if month == 2 else calendar.monthrange(2001, month)[1] for month in months])[:, None]
    hour_angle = np.radians((np.arange(STEPS_PER_DAY) + 0.5) / STEPS_PER_DAY * 360 - 180)[None]
    place = math.radians(latitude)
    declination = solarposition.declination_spencer71(day)
    zenith = solarposition.solar_zenith_analytical(place, hour_angle, declination)
    azimuth = solarposition.solar_azimuth_analytical(place, hour_angle, declination, zenith)
    risen = zenith < math.pi / 2 - 1e-6
    hours = np.broadcast_to(days * 24 / STEPS_PER_DAY, zenith.shape)[risen]
    zenith_degrees = np.degrees(zenith[risen])
    sky = clearsky.bird(
        zenith_degrees,
        atmosphere.get_relative_airmass(zenith_degrees),
        AEROSOL_380,
        AEROSOL_500,
        WATER_CM,
        pressure=atmosphere.alt2pres(elevation),
        dni_extra=np.broadcast_to(irradiance.get_extra_radiation(day), zenith.shape)[risen],
    )
    direct, diffuse = (np.maximum(sky[part], 0) * hours / 1000 for part in ("dni", "dhi"))
    return Sun(np.degrees(azimuth[risen]), 90 - zenith_degrees, direct, float(diffuse.sum()))


@dataclass(frozen=True)
class Surroundings:
    """Elevation made ready for looking around: ``flat`` float32, rows of ``line`` cells end to end, ``reach`` cells more on each side."""

    flat: NDArray[np.float32]
    line: int
    reach: int
    cell: tuple[float, float]

    @classmethod
    def of(cls, elevation: ElevationGrid, search_m: float = SEARCH_M) -> Surroundings:
        """Elevation as far as it goes; ground that is unknown or beyond the grid hides nothing."""
        reach = min(math.ceil(search_m / min(elevation.cell)), max(elevation.values.shape))
        rows, columns = elevation.values.shape
        z = np.full((rows + 2 * reach, columns + 2 * reach), -1e6, dtype=np.float32)
        inner = z[reach : reach + rows, reach : reach + columns]
        np.copyto(inner, elevation.values, where=np.isfinite(elevation.values), casting="same_kind")
        return cls(z.ravel(), z.shape[1], reach, elevation.cell)


def horizons(surroundings: Surroundings, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Tangent of the angle between the horizontal and the horizon, (SECTORS, k) for k cells of the grid, one row a direction.

    0 where nothing rises above the cell. The places looked at lie ever farther apart with distance (:data:`STRIDE`).
    """
    width, height = surroundings.cell
    reach, line, flat = surroundings.reach, surroundings.line, surroundings.flat
    farthest = reach * line + reach
    cells = (rows + reach) * line + columns + reach - farthest
    here = flat[cells + farthest]
    highest = np.zeros((SECTORS, len(cells)), dtype=np.float32)
    there = np.empty(len(cells), dtype=np.float32)
    for sector, tangent in enumerate(highest):
        for row, column in _offsets(360 / SECTORS * sector, width, height, reach):
            # the array shifted instead of the indices: one pass over the cells less
            np.take(flat[farthest + row * line + column :], cells, out=there, mode="clip")
            there -= here
            there *= np.float32(1 / math.hypot(row * height, column * width))
            np.maximum(tangent, there, out=tangent)
    return highest


@lru_cache(maxsize=4 * SECTORS)
def _offsets(azimuth: float, width: float, height: float, reach: int) -> list[tuple[int, int]]:
    """Rows and columns to the cells looked at in a direction, near to far; cells that lie in another direction are passed over."""
    cell, angle = min(width, height), math.radians(azimuth)
    offsets: list[tuple[int, int]] = []
    distance = cell
    while distance <= reach * cell:
        row, column = round(-distance * math.cos(angle) / height), round(distance * math.sin(angle) / width)
        off = (math.degrees(math.atan2(column * width, -row * height)) - azimuth + 180) % 360 - 180
        if (row, column) not in ((0, 0), *offsets[-1:]) and abs(off) <= 180 / SECTORS:
            offsets.append((row, column))
        distance += max(cell, STRIDE * distance)
    return offsets


def radiation(
    slope: NDArray[np.float64], aspect: NDArray[np.float64], horizon: NDArray[np.float32], sun: Sun, convergence: float = 0.0
) -> NDArray[np.float64]:
    """Potential incoming solar radiation of cells, (k,) kWh per square metre of their surface, over the months of ``sun``.

    Direct radiation where the sun stands above the horizon and before the slope; diffuse radiation, taken as equal from all of
    the sky, from the part of it that the slope sees. What surrounding slopes reflect is left out, and so are clouds.

    Parameters
    ----------
    slope, aspect : (k,) degrees, aspect clockwise from the grid's north; NaN: unknown, NaN aspect alone: flat
    horizon : (SECTORS, k) from :func:`horizons`
    convergence : of the grid's north from true north, degrees clockwise

    Source
    ------
    View factor of the sky: Dozier and Frew (1990), Rapid calculation of terrain parameters for radiation modeling, equation 7b.
    """
    steepness, facing = np.radians(slope), np.radians(np.nan_to_num(aspect))
    normal = np.array([np.sin(steepness) * np.sin(facing), np.sin(steepness) * np.cos(facing), np.cos(steepness)], dtype=np.float32)
    azimuth, altitude = np.radians(sun.azimuth - convergence), np.radians(sun.altitude)
    towards = np.column_stack([np.cos(altitude) * np.sin(azimuth), np.cos(altitude) * np.cos(azimuth), np.sin(altitude)])
    incidence = np.maximum(towards.astype(np.float32) @ normal, 0)
    sector = np.round((sun.azimuth - convergence) / (360 / SECTORS)).astype(int) % SECTORS
    incidence *= np.tan(altitude)[:, None] >= horizon[sector]
    direct = sun.direct.astype(np.float32) @ incidence
    return np.asarray(direct + sun.diffuse * sky_view(steepness, facing, horizon), dtype=np.float64)


def sky_view(steepness: NDArray[np.float64], facing: NDArray[np.float64], horizon: NDArray[np.float32]) -> NDArray[np.float64]:
    """Diffuse radiation of cells (k,) as a share of that on level open ground; ``steepness`` and ``facing`` in radians."""
    direction = np.radians(360 / SECTORS * np.arange(SECTORS))[:, None]
    open_to = np.pi / 2 - np.arctan(horizon)
    sine = np.sin(open_to)
    seen = np.cos(steepness) * sine**2 + np.sin(steepness) * np.cos(direction - facing) * (open_to - sine * np.cos(open_to))
    return np.asarray(np.maximum(seen, 0).mean(axis=0), dtype=np.float64)
