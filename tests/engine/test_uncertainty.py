"""Areas between contours and sharpness of boundaries, on probabilities whose contours are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.io import DatasetReader

from engine.errors import Cancelled, EngineError
from engine.geodesy import geodesic_area
from engine.rasters import PASSPORT
from engine.reporting import SilentReporter
from engine.sections import FRONT, LEFT, RIGHT, UPSLOPE
from engine.sections import sections as sections_of
from engine.uncertainty import levels_around_threshold, uncertainty
from engine.vectors import reproject
from tests.engine.scenes import PIXEL_10M, write_raster

UTM = CRS.from_epsg(32645)
LEFT_EDGE, TOP = PIXEL_10M.c, PIXEL_10M.f
LEVELS = (0.7, 0.3)
RELIABILITY = ("reliability_front", "reliability_left", "reliability_right", "reliability_upslope")


@contextmanager
def raster_of(folder: Path, probability: NDArray[np.floating], **more) -> Iterator[DatasetReader]:
    with rasterio.open(write_raster(folder / "probability.tif", probability[None].astype(np.float32), **more)) as dataset:
        yield dataset


def field(of: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]], rows: int = 100, columns: int = 100):
    """Values at the centres of pixels, from their column and row."""
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    return of(column, row)


def on_map(polygon: shapely.Polygon) -> shapely.Polygon:
    """From columns and rows to the map."""
    return shapely.transform(polygon, lambda places: places * [10, -10] + [LEFT_EDGE, TOP])


def cone(radius: float, fall: float, column: float = 50, row: float = 50) -> Callable[..., NDArray[np.float64]]:
    """0.5 on a circle, ``fall`` less for each pixel outward."""
    return lambda x, y: np.clip(0.5 - fall * (np.hypot(x - column, y - row) - radius), 0, 1)


def circle(radius: float, column: float = 50, row: float = 50) -> shapely.Polygon:
    return on_map(shapely.Point(column, row).buffer(radius, 32))


def measure(outlines, dataset, crs=UTM, sections=None, reporter=None) -> dict[str, NDArray[np.float64]]:
    given = [None] * len(outlines) if sections is None else sections
    return uncertainty(np.array(outlines, dtype=object), crs, dataset, LEVELS, given, reporter or SilentReporter())


def quarters(outline: shapely.Polygon) -> NDArray[np.int8]:
    """Sections of an outline that creeps east."""
    west, south, east, north = outline.bounds
    middle = (south + north) / 2
    return sections_of(outline, shapely.LineString([(west + 1, middle), (east - 1, middle)]))


def test_contours_of_a_cone(tmp_path: Path) -> None:
    """At 0.05 a pixel, 0.7 lies 4 pixels inside the circle of 30 pixels, 0.3 lies 4 outside."""
    with raster_of(tmp_path, field(cone(30, 0.05))) as dataset:
        found = measure([circle(30)], dataset)
    area = geodesic_area(np.array([circle(30)]), UTM)[0] / 1e6
    assert found["area_lo_km2"][0] / area == pytest.approx((26 / 30) ** 2, rel=0.01)
    assert found["area_hi_km2"][0] / area == pytest.approx((34 / 30) ** 2, rel=0.01)


def test_mean_and_spread_are_those_of_the_pixels_inside(tmp_path: Path) -> None:
    values = np.random.default_rng(1).uniform(size=(20, 20))
    values[5, 7] = math.nan
    with raster_of(tmp_path, values) as dataset:
        found = measure([on_map(shapely.box(4, 3, 12, 9))], dataset)
    inside = values[3:9, 4:12]
    assert found["probability_mean"][0] == pytest.approx(np.nanmean(inside))
    assert found["probability_sd"][0] == pytest.approx(np.nanstd(inside))


@pytest.mark.parametrize(("fall", "expected"), [(0.4, 2), (0.1, 1), (0.05, 0)], ids=["1 pixel", "4 pixels", "8 pixels"])
def test_reliability_from_the_width_between_the_contours(tmp_path: Path, fall: float, expected: int) -> None:
    with raster_of(tmp_path, field(cone(30, fall))) as dataset:
        found = measure([circle(30)], dataset, sections=[quarters(circle(30))])
    assert [found[name][0] for name in RELIABILITY] == [expected] * 4


def test_reliability_is_told_section_by_section(tmp_path: Path) -> None:
    """Sharp in the east (front), fading within 4 pixels in the north (left), within 8 in the south, nowhere in the west."""

    def faces(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        east, north, south = np.where(x < 70, 1.0, 0.0), 0.5 + 0.1 * (y - 30), 0.5 - 0.05 * (y - 70)
        return np.clip(np.minimum(np.minimum(east, north), south), 0, 1)

    outline = on_map(shapely.box(20, 30, 70, 70).segmentize(1))
    with raster_of(tmp_path, field(faces)) as dataset:
        found = measure([outline], dataset, sections=[quarters(outline)])
    assert [found[name][0] for name in RELIABILITY] == [2, 1, 0, 0]


def test_a_boundary_that_no_one_observed_has_no_reliability(tmp_path: Path) -> None:
    values = field(cone(30, 0.4))
    values[:, 76:] = math.nan
    with raster_of(tmp_path, values) as dataset:
        found = measure([circle(30)], dataset, sections=[quarters(circle(30))])
    np.testing.assert_array_equal([found[name][0] for name in RELIABILITY], [math.nan, 2, 2, 2])


def test_without_an_axis_sections_are_unknown_but_areas_known(tmp_path: Path) -> None:
    with raster_of(tmp_path, field(cone(30, 0.05))) as dataset:
        found = measure([circle(30)], dataset)
    assert all(math.isnan(found[name][0]) for name in RELIABILITY)
    assert found["area_hi_km2"][0] > 0


def test_neighbours_share_the_ground_between_them(tmp_path: Path) -> None:
    """Two boxes 20 pixels apart on one belt of 0.4: each gets the half that is nearer, and nothing counts twice."""
    values = np.full((60, 100), 0.1)
    values[20:40, 10:90] = 0.4
    first, second = on_map(shapely.box(20, 20, 40, 40)), on_map(shapely.box(60, 20, 80, 40))
    with raster_of(tmp_path, values) as dataset:
        found = measure([first, second], dataset)
        alone = measure([first], dataset)
    pixels = found["area_hi_km2"] * 1e6 / 100
    belt = 20 * (80 - 40)
    np.testing.assert_allclose(pixels - 400, [belt / 2, belt / 2], rtol=0.01)
    # without the neighbour it reaches to the radius of a circle of its area, 11 pixels
    assert alone["area_hi_km2"][0] * 1e4 == pytest.approx(400 + 20 * (10 + 11), rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_counts_twice_and_bounds_hold(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    outlines = [circle(draw.uniform(2, 7), 10 + 20 * (k % 5) + draw.uniform(-2, 2), 10 + 20 * (k // 5)) for k in range(25)]
    with raster_of(tmp_path, draw.uniform(0.25, 1, (100, 100))) as dataset:
        found = measure(outlines, dataset)
    area = geodesic_area(np.array(outlines), UTM) / 1e6
    assert (found["area_lo_km2"] <= area).all()
    assert (found["area_hi_km2"] >= area).all()
    assert found["area_hi_km2"].sum() < 1.0 * 1.01  # the raster measures a square kilometre


def test_only_what_hangs_together_with_the_outline_counts(tmp_path: Path) -> None:
    values = np.full((60, 60), 0.1)
    values[20:40, 20:40] = 0.9
    values[20:40, 42:46] = 0.6
    with raster_of(tmp_path, values) as dataset:
        found = measure([on_map(shapely.box(20, 20, 40, 40))], dataset)
    assert found["area_hi_km2"][0] == pytest.approx(0.04, rel=1e-2)
    assert found["area_lo_km2"][0] == found["area_hi_km2"][0]


def test_the_larger_area_does_not_run_away(tmp_path: Path) -> None:
    """Where everything is likely, it ends at the radius of a circle of the outline's area: four times the area for a circle."""
    with raster_of(tmp_path, np.full((100, 100), 0.5)) as dataset:
        found = measure([circle(15)], dataset)
    assert found["area_hi_km2"][0] == pytest.approx(math.pi * 0.3**2, rel=0.03)
    assert found["area_lo_km2"][0] == 0


@pytest.mark.parametrize("nodata", [math.nan, -1.0])
def test_what_was_not_observed_is_unknown(tmp_path: Path, nodata: float) -> None:
    """Half of the first outline is not observed, all of the second; the third lies outside the raster."""
    values = np.full((60, 100), 0.9)
    values[:, 50:] = nodata
    outlines = [on_map(shapely.box(40, 10, 60, 30)), on_map(shapely.box(70, 10, 80, 20)), on_map(shapely.box(300, 300, 320, 320))]
    with raster_of(tmp_path, values, nodata=nodata) as dataset:
        found = measure(outlines, dataset)
    assert found["probability_mean"][0] == pytest.approx(0.9)
    assert found["area_lo_km2"][0] == pytest.approx(0.04, rel=1e-2)
    assert all(np.isnan(values[1:]).all() for values in found.values())


def test_an_outline_smaller_than_a_pixel(tmp_path: Path) -> None:
    values = np.full((20, 20), 0.2)
    values[5, 5] = 0.8
    with raster_of(tmp_path, values) as dataset:
        found = measure([on_map(shapely.box(5.1, 5.1, 5.3, 5.3))], dataset)
    assert found["probability_mean"][0] == pytest.approx(0.8)
    assert found["area_lo_km2"][0] == pytest.approx(4e-6, rel=0.01)


def test_outlines_in_degrees_on_a_raster_in_metres(tmp_path: Path) -> None:
    degrees = reproject(np.array([circle(30)], dtype=object), UTM, CRS.from_epsg(4326))
    with raster_of(tmp_path, field(cone(30, 0.1))) as dataset:
        metric = measure([circle(30)], dataset, sections=[quarters(circle(30))])
        geographic = measure(degrees, dataset, CRS.from_epsg(4326), sections=[quarters(circle(30))])
    for name, values in metric.items():
        assert geographic[name][0] == pytest.approx(values[0], rel=1e-3)


def test_a_raster_in_degrees_over_the_antimeridian(tmp_path: Path) -> None:
    """It counts longitudes beyond 180, the outline from -180; pixels at 60 N are half as wide as high."""
    pixel = 1e-3
    place = Affine(pixel, 0, 179.98, 0, -pixel, 60.05)
    middle = (180.03, 60.0)
    values = field(lambda x, y: np.clip(0.5 - 0.02 * (np.hypot(0.5 * (x - 50), y - 50) - 15), 0, 1))
    ring = shapely.affinity.scale(shapely.Point(middle).buffer(1, 32), 30 * pixel, 15 * pixel)
    west = shapely.transform(ring, lambda places: places - [360, 0])
    with raster_of(tmp_path, values, crs="EPSG:4326", transform=place) as dataset:
        found = measure([west], dataset, CRS.from_epsg(4326))
    area = geodesic_area(np.array([west]), CRS.from_epsg(4326))[0] / 1e6
    assert found["area_lo_km2"][0] / area == pytest.approx((5 / 15) ** 2, rel=0.02)
    assert found["area_hi_km2"][0] / area == pytest.approx((25 / 15) ** 2, rel=0.02)


def test_a_raster_with_south_up(tmp_path: Path) -> None:
    values = field(cone(30, 0.1))
    values[:30] = np.clip(values[:30], 0, 0.2)  # in the south of this raster
    upturned = Affine(10, 0, LEFT_EDGE, 0, 10, TOP - 1000)
    with raster_of(tmp_path, values, transform=upturned) as dataset:
        found = measure([circle(30)], dataset, sections=[quarters(circle(30))])
    assert found["reliability_right"][0] == 0
    assert found["reliability_left"][0] == 1


def test_no_outlines(tmp_path: Path) -> None:
    with raster_of(tmp_path, np.full((20, 20), 0.5)) as dataset:
        assert all(len(values) == 0 for values in measure([], dataset).values())


def test_cancel(tmp_path: Path) -> None:
    with raster_of(tmp_path, np.full((20, 20), 0.5)) as dataset, pytest.raises(Cancelled):
        measure([circle(3, 10, 10)], dataset, reporter=SilentReporter(cancel_after=0))


@pytest.mark.parametrize(
    ("threshold", "expected", "told"),
    [
        pytest.param(None, LEVELS, 0, id="no passport"),
        pytest.param("0.5", LEVELS, 0, id="the threshold that the levels are meant for"),
        pytest.param("0.1", (7 / 34, 1 / 22), 1, id="the bundled model's: odds 7/3 and 3/7 times 1/9"),
        pytest.param("half", LEVELS, 0, id="not a number"),
    ],
)
def test_levels_move_with_the_threshold(tmp_path: Path, threshold: str | None, expected: tuple[float, float], told: int) -> None:
    path = write_raster(tmp_path / "p.tif", np.full((1, 4, 4), 0.5, np.float32))
    with rasterio.open(path, "r+") as dataset:
        if threshold:
            dataset.update_tags(ns=PASSPORT, THRESHOLD=threshold)
    reporter = SilentReporter()
    with rasterio.open(path) as dataset:
        assert levels_around_threshold(dataset, *LEVELS, reporter) == pytest.approx(expected)
    assert len(reporter.infos) == told


@pytest.mark.parametrize(("lo", "hi"), [(0.3, 0.7), (0.5, 0.5), (1.0, 0.3), (0.7, 0.0)])
def test_levels_that_bound_nothing(tmp_path: Path, lo: float, hi: float) -> None:
    with raster_of(tmp_path, np.full((4, 4), 0.5)) as dataset, pytest.raises(EngineError) as error:
        levels_around_threshold(dataset, lo, hi, SilentReporter())
    assert error.value.code == "uncertainty_levels"


def test_sections_are_numbered_as_the_fields_are() -> None:
    assert (FRONT, LEFT, RIGHT, UPSLOPE) == (0, 1, 2, 3)
