"""Potential solar radiation against pvlib, horizons against walls of known height, and slopes of which a person knows the order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from pvlib import atmosphere, clearsky, irradiance, solarposition
from pyproj import CRS
from scipy.ndimage import gaussian_filter, map_coordinates

from engine import radiation as module
from engine.radiation import SECTORS, Surroundings, horizons, months_of, radiation, sky_view, sun
from engine.terrain import ElevationGrid, horn

YEAR = tuple(range(1, 13))
OPEN = np.zeros((SECTORS, 1), dtype=np.float32)


def grid(values: Any, cell: float = 30.0) -> ElevationGrid:
    return ElevationGrid(np.asarray(values, dtype=np.float64), Affine(cell, 0, 600_000, 0, -cell, 3_100_000), CRS.from_epsg(32645))


def looking(values: Any) -> Surroundings:
    return Surroundings.of(grid(values))


def on(slope: float, aspect: float, latitude: float = 28.0, months: tuple[int, ...] = YEAR, horizon: Any = OPEN) -> float:
    return float(radiation(np.array([slope]), np.array([aspect]), horizon, sun(latitude, 5000, months))[0])


@pytest.mark.parametrize(("text", "months"), [("1-12", YEAR), ("6-9", (6, 7, 8, 9)), ("11-2", (11, 12, 1, 2)), ("7-7", (7,)), ("", ())])
def test_months(text, months):
    assert months_of(text) == months


@pytest.mark.parametrize("latitude", [28.0, 46.5, -33.0])
@pytest.mark.parametrize("month", [6, 12])
def test_a_level_plain_gets_what_pvlib_says(latitude, month):
    times = pd.date_range(f"2025-{month:02}-01", periods=30 * 144, freq="10min", tz="UTC")
    position = solarposition.get_solarposition(times, latitude, 0.0, 5000)
    day = position[position["zenith"] < 90]
    sky = clearsky.bird(
        day["zenith"], atmosphere.get_relative_airmass(day["zenith"]), module.AEROSOL_380, module.AEROSOL_500, module.WATER_CM,
        pressure=atmosphere.alt2pres(5000), dni_extra=irradiance.get_extra_radiation(day.index),
    )  # fmt: skip
    days = 30 if month == 6 else 31
    expected = np.maximum(sky["ghi"], 0).sum() / 6 / 1000 / 30 * days
    assert on(0, np.nan, latitude, (month,)) == pytest.approx(expected, rel=0.015)


def test_a_tilted_surface_gets_what_pvlib_says():
    here = sun(46.5, 5000, (9,))
    falling = irradiance.get_total_irradiance(
        30,
        135,
        90 - here.altitude,
        here.azimuth,
        dni=here.direct,
        ghi=0 * here.direct,
        dhi=0 * here.direct + here.diffuse / len(here.direct),
    )
    assert on(30, 135, 46.5, (9,)) - here.diffuse * sky_view(np.radians([30]), np.radians([135]), OPEN)[0] == pytest.approx(
        falling["poa_direct"].sum(), rel=1e-5
    )


@pytest.mark.parametrize(("latitude", "sunny"), [(46.5, 180), (28.0, 180), (-33.0, 0)])
def test_slopes_to_the_sun_get_more(latitude, sunny):
    facing = [on(30, (sunny + turned) % 360, latitude) for turned in (0, 60, 120, 180)]
    assert facing == sorted(facing, reverse=True) and facing[0] > 1.2 * facing[3]
    assert on(30, (sunny + 90) % 360, latitude) == pytest.approx(on(30, (sunny - 90) % 360, latitude), rel=1e-3)


def test_no_sun_in_the_polar_night():
    assert on(10, 180, 80.0, (12,)) == 0


def test_higher_places_get_more():
    values = [radiation(np.zeros(1), np.zeros(1), OPEN, sun(28, height, YEAR))[0] for height in (0, 2500, 5000)]
    assert values == sorted(values)


@pytest.mark.parametrize("slope", [0, 20, 50, 90])
def test_the_sky_that_an_open_slope_sees(slope):
    # a plane slope without end hides the sky behind itself: (1 + cos slope) / 2
    direction = np.radians(np.arange(SECTORS) * 360 / SECTORS)[:, None]
    behind = np.maximum(-np.tan(np.radians(min(slope, 89.999))) * np.cos(direction), 0).astype(np.float32)
    assert sky_view(np.radians([slope]), np.zeros(1), behind)[0] == pytest.approx((1 + np.cos(np.radians(slope))) / 2, abs=2e-3)


def test_the_sky_over_a_pit():
    assert sky_view(np.zeros(1), np.zeros(1), np.full((SECTORS, 1), np.tan(np.radians(30)), np.float32))[0] == pytest.approx(
        np.cos(np.radians(30)) ** 2
    )


class TestHorizons:
    @pytest.mark.parametrize(("sector", "wall"), [(0, np.s_[:11, :]), (18, np.s_[50:, :]), (9, np.s_[:, 50:]), (27, np.s_[:, :11])])
    def test_a_wall_from_20_cells_on(self, sector, wall):
        values = np.full((61, 61), 4000.0)
        values[wall] += 600
        found = horizons(looking(values), np.array([30]), np.array([30]))[:, 0]
        assert found[sector] == pytest.approx(600 / (20 * 30), rel=0.08)  # the places looked at lie 7 % of the way apart
        assert found[(sector + 18) % SECTORS] == 0

    def test_a_slope_rises_to_its_own_horizon(self):
        rows, _ = np.mgrid[:61, :61]
        found = horizons(looking(5000 - 0.5 * 30 * rows), np.array([40]), np.array([30]))[:, 0]
        assert found[0] == pytest.approx(0.5) and found[18] == 0 and found[3] == pytest.approx(0.5 * np.cos(np.radians(30)), abs=0.025)

    def test_unknown_ground_hides_nothing(self):
        values = np.full((31, 31), np.nan)
        values[15, 15] = 4000
        assert (horizons(looking(values), np.array([15, 15]), np.array([15, 15])) == 0).all()

    def test_no_cells(self):
        assert horizons(looking(np.zeros((5, 5))), np.empty(0, np.intp), np.empty(0, np.intp)).shape == (SECTORS, 0)

    def test_shade_of_a_wall_to_the_south(self):
        values = np.full((61, 61), 4000.0)
        values[32:, :] += 100
        place = np.array([30]), np.array([30])
        shaded, sunny = (
            radiation(np.zeros(1), np.array([np.nan]), horizons(looking(z), *place), sun(46, 4000, YEAR))[0] for z in (values, 0 * values)
        )
        assert shaded < 0.6 * sunny
        behind = radiation(np.zeros(1), np.array([np.nan]), horizons(looking(values[::-1]), *place), sun(46, 4000, YEAR))[0]
        assert shaded < behind < sunny

    def test_against_looking_at_every_cell_of_the_way(self):
        # mountains; rays in 360 directions, a third of a cell a step
        noise = np.random.default_rng(5).normal(size=(400, 400))
        rough = sum(gaussian_filter(noise, size, mode="wrap") * size**1.9 for size in (4, 8, 16, 32)) * 30
        terrain = grid(rough)
        slope, aspect = horn(terrain)
        rows, columns = (part.ravel() for part in np.mgrid[150:250:20, 150:250:20])
        here = sun(40, 4000, YEAR)
        distance = np.arange(1, 450) / 3
        exact = []
        for row, column in zip(rows, columns, strict=True):
            angle = np.radians(np.arange(360))[:, None]
            z = map_coordinates(rough, (row - distance * np.cos(angle), column + distance * np.sin(angle)), order=1, cval=-1e6)
            tangent = np.maximum(((z - rough[row, column]) / (30 * distance)).max(axis=1), 0)
            shone = np.tan(np.radians(here.altitude)) >= np.interp(here.azimuth, np.arange(361), np.append(tangent, tangent[0]))
            s, a = np.radians(slope[row, column]), np.radians(aspect[row, column])
            h, z_ = np.radians(here.altitude), np.radians(here.azimuth)
            incidence = np.cos(s) * np.sin(h) + np.sin(s) * np.cos(h) * np.cos(z_ - a)
            every_tenth = tangent[::10, None].astype(np.float32)
            exact.append((here.direct * np.maximum(incidence, 0) * shone).sum() + here.diffuse * sky_view(s[None], a[None], every_tenth)[0])
        found = radiation(slope[rows, columns], aspect[rows, columns], horizons(looking(rough), rows, columns), here)
        assert np.degrees(np.arctan(horizons(looking(rough), rows, columns))).max() > 20 and 20 < np.nanmean(slope) < 35
        assert np.abs(found / exact - 1).max() < 0.1
        assert found.mean() == pytest.approx(np.mean(exact), rel=0.01)
