"""Unions counted in pixels are those that GEOS computes."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy.ndimage import gaussian_filter

from engine.pixel_union import unite_on_pixels

Polygons = NDArray[np.object_]


def outlined(mask: NDArray[np.bool_], transform: Affine) -> list[shapely.Polygon]:
    outlines = shapes(mask.astype(np.uint8), mask=mask, transform=transform, connectivity=4)
    return [shapely.Polygon(outline["coordinates"][0], outline["coordinates"][1:]) for outline, _ in outlines]


def boxes(*corners: tuple[float, float, float, float]) -> Polygons:
    return np.array([shapely.box(*corner) for corner in corners], dtype=object)


def united(polygons: Polygons, *groups: int) -> Polygons:
    found = unite_on_pixels(polygons, np.array(groups or [0] * len(polygons)))
    assert found is not None
    return found


def test_two_that_overlap() -> None:
    (found,) = united(boxes((0, 0, 3, 3), (2, 1, 4, 4)))
    assert found.normalize() == shapely.from_wkt("POLYGON ((0 0, 3 0, 3 1, 4 1, 4 4, 2 4, 2 3, 0 3, 0 0))").normalize()


def test_two_that_share_an_edge_have_no_corners_left_on_it() -> None:
    (found,) = united(boxes((0, 0, 1, 2), (1, 0, 3, 2)))
    assert found.normalize() == shapely.box(0, 0, 3, 2).normalize()


def test_one_in_the_other() -> None:
    (found,) = united(boxes((0, 0, 9, 9), (2, 3, 3, 4)))
    assert found.normalize() == shapely.box(0, 0, 9, 9).normalize()


def test_holes_that_stay_and_holes_that_the_union_encloses() -> None:
    frame = shapely.difference(shapely.box(0, 0, 9, 9), shapely.box(1, 1, 8, 8))
    polygons = np.array([frame, shapely.box(4, 0, 5, 9), shapely.box(0, 0, 1, 1)], dtype=object)
    (found,) = united(polygons)
    assert shapely.equals(found, shapely.union_all(polygons))
    assert shapely.get_num_interior_rings(found) == 2


def test_groups_do_not_unite_with_each_other() -> None:
    found = united(boxes((0, 0, 3, 3), (1, 1, 5, 5), (2, 2, 6, 6), (4, 5, 7, 7)), 0, 1, 0, 1)
    assert [shape.area for shape in found] == [9 + 16 - 1, 16 + 6]


@pytest.mark.parametrize(
    "polygons",
    [
        boxes((0, 0, 1, 1), (1, 1, 2, 2)),
        boxes((0, 0, 1, 3), (0, 2, 3, 3), (1, 0, 2, 1), (2, 1, 3, 3)),
        boxes((0, 0, 4, 1), (0, 0, 1, 4), (3, 0, 4, 4), (0, 3, 4, 4), (1, 1, 2, 2), (2, 2, 3, 3)),
        boxes((0, 0, 1, 1), (2, 0, 3, 1)),
    ],
    ids=["two squares that meet in a corner", "closed by a corner alone", "holes that meet in a corner", "two parts"],
)
def test_a_union_that_touches_itself_or_is_in_parts_is_left_to_others(polygons: Polygons) -> None:
    (found,) = united(polygons)
    assert found is None
    also = np.append(polygons, boxes((5, 5, 6, 6), (6, 5, 7, 6)))
    assert united(also, *([0] * len(polygons)), 1, 1)[1].normalize() == shapely.box(5, 5, 7, 6).normalize()


@pytest.mark.parametrize(
    "polygons",
    [
        np.array([shapely.box(0, 0, 2, 2), shapely.from_wkt("POLYGON ((0 0, 2 0, 1 2, 0 0))")], dtype=object),
        boxes((0, 0, 3, 3), (1.5, 1.7, 4.1, 4)),
        np.array([shapely.affinity.rotate(shapely.box(0, 0, 3, 3), 30), shapely.box(0, 0, 1, 1)], dtype=object),
    ],
    ids=["slanted", "of other pixels", "rotated"],
)
def test_polygons_off_the_grid_are_left_to_others(polygons: Polygons) -> None:
    assert unite_on_pixels(polygons, np.zeros(len(polygons), dtype=np.intp)) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("pixel", "corner", "decimals"),
    [
        ((10.0, -10.0), (619093.7953, 3082129.2486), 4),
        ((9.999999734, -10.0000003), (619093.7953, 3082129.2486), 4),
        ((8.983e-5, -8.3e-5), (99.1, 38.2), 9),
    ],
    ids=["10 m", "nearly 10 m", "degrees"],
)
def test_objects_drawn_by_tiles_are_united_as_geos_does(
    seed: int, pixel: tuple[float, float], corner: tuple[float, float], decimals: int
) -> None:
    """Four tiles draw each object, each with a boundary of its own and cut at its edges."""
    rng = np.random.default_rng(seed)
    transform = Affine(pixel[0], 0, corner[0], 0, pixel[1], corner[1])
    drawn: list[shapely.Geometry] = []
    group: list[int] = []
    for number in range(40):
        rows, columns = np.mgrid[:30, :30]
        distance = np.hypot(rows - 15, (columns - 15) * rng.uniform(0.7, 1.5))
        place = transform @ Affine.translation(*rng.integers(0, 500, 2))
        for tile in (np.s_[:20, :20], np.s_[:20, 10:], np.s_[10:, :20], np.s_[10:, 10:]):
            mask = np.zeros((30, 30), dtype=bool)
            mask[tile] = (distance + gaussian_filter(rng.normal(0, 12, (30, 30)), 2) < 10)[tile]
            objects = outlined(mask, place)
            drawn += objects
            group += [number] * len(objects)
    polygons = np.array(drawn, dtype=object)
    polygons = shapely.set_coordinates(polygons, np.round(shapely.get_coordinates(polygons), decimals))
    found, groups = united(polygons, *group), np.array(group)
    alone = 0
    for number, union in enumerate(found):
        expected = shapely.union_all(polygons[groups == number])
        if union is None:
            alone += 1
            continue
        assert union.is_valid
        assert shapely.hausdorff_distance(union.boundary, expected.boundary) < 1e-4 * abs(pixel[0])
        assert shapely.get_num_coordinates(union) <= shapely.get_num_coordinates(expected)
    assert alone < len(found) / 2
