"""Front, left, right and upslope section of outlines whose sections are plain to see."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.features import rasterize, shapes
from shapely import affinity

from engine.sections import FRONT, LEFT, RIGHT, SECTIONS, UPSLOPE, sections

BOX = shapely.box(0, 0, 600, 200).segmentize(10)
EASTWARD = shapely.LineString([(20, 100), (580, 100)])
TONGUE = shapely.union_all([shapely.box(0, 0, 800, 200), shapely.Point(800, 100).buffer(100, 32)])


def middles(outline: shapely.Polygon) -> np.ndarray:
    places = shapely.get_coordinates(outline.exterior)
    return (places[1:] + places[:-1]) / 2


def lengths(outline: shapely.Polygon, axis: shapely.LineString) -> dict[str, float]:
    each = np.linalg.norm(np.diff(shapely.get_coordinates(outline.exterior), axis=0), axis=1)
    return dict(zip(SECTIONS, np.bincount(sections(outline, axis), each, minlength=4), strict=True))


def in_pixels(polygon: shapely.Polygon, pixel: float = 10.0) -> shapely.Polygon:
    left, _, _, top = polygon.bounds
    transform = Affine(pixel, 0, left - pixel, 0, -pixel, top + pixel)
    mask = rasterize([polygon], out_shape=(150, 150), transform=transform, dtype="uint8")
    rings = next(rings for rings, value in shapes(mask, mask=mask > 0, transform=transform))
    return shapely.Polygon(rings["coordinates"][0])


@pytest.mark.parametrize("ring", [BOX, BOX.reverse()], ids=["anticlockwise", "clockwise"])
def test_a_box_that_creeps_east(ring: shapely.Polygon) -> None:
    x, y = middles(ring).T
    expected = np.select([x == 600, y == 200, y == 0], [FRONT, LEFT, RIGHT], UPSLOPE)
    found = sections(ring, EASTWARD)
    corner = np.min([np.hypot(x - a, y - b) for a in (0, 600) for b in (0, 200)], axis=0) < 30
    np.testing.assert_array_equal(found[~corner], expected[~corner])


def test_left_is_left_when_one_looks_downslope() -> None:
    """A rock glacier that creeps south has its left side in the east."""
    south = affinity.rotate(BOX, -90, origin=(0, 0))
    axis = affinity.rotate(EASTWARD, -90, origin=(0, 0))
    found, x = sections(south, axis), middles(south)[:, 0]
    assert (x[found == LEFT] > x[found == RIGHT].max()).all()


@pytest.mark.parametrize("turned", [0, 30, 45, 110, 200, 305])
@pytest.mark.parametrize("drawn", ["smooth", "in pixels"])
def test_a_tongue_has_a_rounded_front(turned: float, drawn: str) -> None:
    """Its snout is a half circle of 100 m: 45 degrees to both sides of the axis are front."""
    outline, axis = (affinity.rotate(part, turned, origin=(0, 0)) for part in (TONGUE, shapely.LineString([(20, 100), (880, 100)])))
    outline = in_pixels(outline) if drawn == "in pixels" else outline.segmentize(10)
    places = shapely.get_coordinates(affinity.rotate(shapely.MultiPoint(middles(outline)), -turned, origin=(0, 0)))
    found = sections(outline, axis)
    angle = np.degrees(np.arctan2(places[:, 1] - 100, places[:, 0] - 800))
    assert (found[np.abs(angle) < 25] == FRONT).all()
    assert (found[(places[:, 0] > 100) & (angle > 65)] == LEFT).all()
    assert (found[(places[:, 0] > 100) & (angle < -65)] == RIGHT).all()
    assert (found[(places[:, 0] < 15) & (np.abs(places[:, 1] - 100) < 60)] == UPSLOPE).all()


@pytest.mark.parametrize("turned", [0, 30, 90, 200])
def test_each_section_is_one_run(turned: float) -> None:
    rng = np.random.default_rng(1)
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    radius = 1 + 0.03 * rng.standard_normal(200)
    ragged = shapely.Polygon(np.column_stack([500 * radius * np.cos(angle), 200 * radius * np.sin(angle)])).buffer(0)
    axis = affinity.rotate(shapely.LineString([(-400, 20), (0, -20), (450, 10)]), turned, origin=(0, 0))
    found = sections(affinity.rotate(ragged, turned, origin=(0, 0)), axis)
    assert np.count_nonzero(np.diff(np.append(found, found[0]))) == 4
    assert set(found) == {FRONT, LEFT, RIGHT, UPSLOPE}


def test_a_lobe_is_wider_than_long() -> None:
    found = lengths(shapely.box(0, 0, 200, 600).segmentize(10), shapely.LineString([(10, 300), (190, 300)]))
    assert found["front"] == pytest.approx(600, abs=60)
    assert found["upslope"] == pytest.approx(600, abs=60)
    assert found["left"] == pytest.approx(found["right"], abs=30)


def test_sides_follow_a_bend() -> None:
    """A quarter of a ring around the origin: it starts eastward and ends southward."""
    ring = shapely.Point(0, 0).buffer(700, 64).difference(shapely.Point(0, 0).buffer(500, 64))
    outline = ring.intersection(shapely.box(0, 0, 800, 800)).segmentize(10)
    angle = np.radians(np.linspace(88, 2, 40))
    axis = shapely.LineString(600 * np.column_stack([np.cos(angle), np.sin(angle)]))
    found, places = sections(outline, axis), middles(outline)
    radius = np.hypot(*places.T)
    away = (places > 50).all(axis=1)
    assert (found[away & (radius > 690)] == LEFT).all()
    assert (found[away & (radius < 510)] == RIGHT).all()
    assert (found[(places[:, 1] < 1) & (abs(radius - 600) < 60)] == FRONT).all()
    assert (found[(places[:, 0] < 1) & (abs(radius - 600) < 60)] == UPSLOPE).all()


def test_an_axis_that_ends_within_is_followed_to_the_boundary() -> None:
    found = lengths(BOX, shapely.LineString([(200, 90), (400, 90)]))
    assert found["front"] == pytest.approx(200, abs=40)
    assert found["upslope"] == pytest.approx(200, abs=40)


def test_a_pointed_front_is_a_front() -> None:
    wedge = shapely.Polygon([(0, 0), (0, 200), (800, 100)]).segmentize(5)
    found = lengths(wedge, shapely.LineString([(20, 100), (780, 100)]))
    assert found["front"] == pytest.approx(2 * 100 / 4, abs=15)
    assert found["left"] == pytest.approx(found["right"], abs=20)
