"""Boundary figures against outlines whose distances are known, and against shapely by brute force."""

import json

import numpy as np
import pytest
import shapely
from pyproj import CRS
from shapely import box

from engine import boundary_distances as module
from engine.boundary_distances import BOUNDARY_FIGURES, boundary_distances, signed_by_section, summary
from engine.sections import sections
from engine.vectors import reproject

UTM45 = CRS.from_epsg(32645)
DEGREES = CRS.from_epsg(4326)
X, Y = 500_000, 4_000_000


def square(left, bottom, right, top):
    """A box given in metres from a corner of the map."""
    return box(left + X, bottom + Y, right + X, top + Y)


def figures(predicted, reference, pixel_size=10.0, crs=UTM45):
    """The figures of one pair."""
    found = boundary_distances(np.array([predicted], dtype=object), np.array([reference], dtype=object), crs, pixel_size)
    return {name: float(values[0]) for name, values in found.items()}


def lobed(seed, radius=300.0, vertices=40):
    """A star-shaped polygon at random."""
    rng = np.random.default_rng(seed)
    turn = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    away = radius * rng.uniform(0.7, 1.1, vertices)
    return shapely.Polygon(np.column_stack([X + away * np.cos(turn), Y + away * np.sin(turn)]))


def test_the_same_outline_has_no_distance():
    found = figures(lobed(1), lobed(1))
    for name in BOUNDARY_FIGURES:
        assert found[name] == pytest.approx(1 if name.startswith("boundary_iou") else 0, abs=1e-6), name


@pytest.mark.parametrize(("margin", "sign"), [(10, 1), (-10, -1)], ids=["too large", "too small"])
def test_a_margin_all_around(margin, sign):
    inner, outer = square(0, 0, 400, 400), square(-10, -10, 410, 410)
    found = figures(*((outer, inner) if sign > 0 else (inner, outer)), pixel_size=5)
    assert found["signed_median_m"] == pytest.approx(sign * 10)
    assert found["median_m"] == found["hd95_m"] == pytest.approx(10)
    assert found["signed_mean_m"] == pytest.approx(sign * 10, rel=0.01)
    assert found["hausdorff_m"] == pytest.approx(10 * np.sqrt(2))
    assert found["boundary_iou_10m"] == pytest.approx(0, abs=1e-9)
    assert found["boundary_iou_5px"] == pytest.approx((400**2 - 370**2) / (420**2 - 350**2), rel=0.03)


def test_a_shift_has_no_sign():
    found = figures(square(30, 0, 430, 400), square(0, 0, 400, 400), pixel_size=10)
    assert found["hausdorff_m"] == pytest.approx(30)
    assert found["signed_median_m"] == pytest.approx(0, abs=1e-9)
    # of each: an end without and an end within the other one, where the way to a side is shorter near the corners, and what juts out
    assert found["mean_m"] == pytest.approx((30 * 400 + (30 * 400 - 30**2) + 2 * 30**2 / 2) / 1600)


def test_boundary_iou_is_that_of_strips_inside_the_boundaries():
    predicted, reference = lobed(2), lobed(3)
    found = figures(predicted, reference, pixel_size=8)
    for name, width in (("1px", 8), ("2px", 16), ("5px", 40), ("10m", 10)):
        ours, theirs = (outline - shapely.buffer(outline, -width) for outline in (predicted, reference))
        assert found[f"boundary_iou_{name}"] == pytest.approx((ours & theirs).area / (ours | theirs).area, rel=1e-6), name


def test_a_strip_wider_than_the_outlines_is_all_of_them():
    predicted, reference = square(0, 0, 60, 60), square(20, 0, 80, 60)
    assert figures(predicted, reference)["boundary_iou_5px"] == pytest.approx(0.5)


def points_along(boundary, spacing):
    """Points at most that far apart, and the length that each stands for."""
    count = int(boundary.length / spacing) + 1
    return shapely.line_interpolate_point(boundary, (np.arange(count) + 0.5) * boundary.length / count)


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_many_points(seed):
    predicted, reference = lobed(seed), shapely.transform(lobed(seed + 10), lambda places: places + [25, -10])
    found = figures(predicted, reference, pixel_size=2)
    there = shapely.distance(points_along(predicted.exterior, 0.1), reference.exterior)
    back = shapely.distance(points_along(reference.exterior, 0.1), predicted.exterior)
    signed = np.where(shapely.contains(reference, points_along(predicted.exterior, 0.1)), -there, there)
    # each direction's points stand for its own boundary's length
    both = np.concatenate([there, back])
    assert found["mean_m"] == pytest.approx(both.mean(), abs=0.05)
    assert found["median_m"] == pytest.approx(np.median(both), abs=0.3)
    assert found["hd95_m"] == pytest.approx(max(np.quantile(there, 0.95), np.quantile(back, 0.95)), abs=0.3)
    assert found["signed_mean_m"] == pytest.approx(signed.mean(), abs=0.05)
    assert found["signed_median_m"] == pytest.approx(np.median(signed), abs=0.3)
    exact = shapely.hausdorff_distance(predicted.exterior, reference.exterior, densify=0.001)
    assert exact - 1 <= found["hausdorff_m"] <= exact + 1e-6


def test_polis_is_its_formula_on_densified_vertices():
    predicted, reference = lobed(5), lobed(6)
    directions = []
    for one, other in ((predicted, reference), (reference, predicted)):
        vertices = shapely.points(shapely.get_coordinates(shapely.segmentize(one.exterior, 10))[:-1])
        directions.append(sum(vertex.distance(other.exterior) for vertex in vertices) / (2 * len(vertices)))
    assert figures(predicted, reference, pixel_size=10)["polis_m"] == pytest.approx(sum(directions))


def test_holes_and_parts_have_boundaries():
    reference = square(0, 0, 400, 400)
    with_hole = reference - square(190, 190, 210, 210)
    assert figures(with_hole, reference)["hausdorff_m"] == pytest.approx(190)
    assert figures(with_hole, with_hole)["hausdorff_m"] == 0
    in_two = shapely.MultiPolygon([square(0, 0, 195, 400), square(205, 0, 400, 400)])
    assert figures(in_two, reference)["hausdorff_m"] == pytest.approx(195)
    assert figures(in_two, reference)["signed_median_m"] == 0


def test_repeated_vertices_change_nothing():
    reference = square(0, 0, 400, 400)
    corners = shapely.get_coordinates(square(7, 0, 407, 400))
    doubled = shapely.Polygon(np.repeat(corners, 2, axis=0))
    assert figures(doubled, reference)["mean_m"] == pytest.approx(figures(shapely.Polygon(corners), reference)["mean_m"])


def test_large_outlines_go_by_a_search_tree_to_the_same_distances(monkeypatch):
    predicted, reference = lobed(7), lobed(8)
    by_trying_all = figures(predicted, reference)
    monkeypatch.setattr(module, "FEW", 0)
    assert figures(predicted, reference) == pytest.approx(by_trying_all)


def test_pairs_are_measured_one_by_one():
    pairs = [(lobed(seed), lobed(seed + 20)) for seed in range(250)]
    predicted, reference = (np.array(side, dtype=object) for side in zip(*pairs, strict=True))
    together = boundary_distances(predicted, reference, UTM45, 10.0)
    for index in (0, 99, 100, 249):
        assert figures(*pairs[index]) == pytest.approx({name: values[index] for name, values in together.items()})


def test_one_outline_in_many_pairs():
    reference = np.full(300, lobed(1), dtype=object)
    found = boundary_distances(np.full(300, lobed(2), dtype=object), reference, UTM45, 10.0)
    assert {name: len(np.unique(values)) for name, values in found.items()} == dict.fromkeys(found, 1)


@pytest.mark.parametrize(
    ("crs", "shift"),
    [
        pytest.param(DEGREES, 0, id="degrees"),
        pytest.param(CRS.from_epsg(3857), 0, id="Web Mercator"),
        pytest.param(DEGREES, 3.0, id="over two zones"),
        pytest.param(CRS.from_epsg(32644), 0, id="the neighbouring zone"),
    ],
)
def test_distances_are_metres_on_any_map(crs, shift):
    predicted, reference = lobed(3), lobed(4)
    in_metres = figures(predicted, reference)
    placed = reproject(np.array([predicted, reference], dtype=object), UTM45, crs)
    found = figures(*shapely.transform(placed, lambda places: places + [shift, 0.0]), crs=crs)
    for name, value in in_metres.items():
        assert found[name] == pytest.approx(value, rel=0.01, abs=0.03), name


def test_distances_beside_the_antimeridian():
    reference, predicted = box(179.995, 65.0, 180.005, 65.004), box(179.995, 65.0, 180.005, 65.0041)
    found = figures(predicted, reference, crs=DEGREES)
    assert found["hausdorff_m"] == pytest.approx(11.1, abs=0.1)


@pytest.mark.parametrize("crs", [UTM45, DEGREES], ids=["metres", "degrees"])
def test_signed_distance_by_section(crs):
    reference = square(0, 0, 200, 800)
    axis = shapely.LineString([(X + 100, Y + 790), (X + 100, Y + 10)])
    too_short_and_too_wide_on_the_left = square(0, 100, 230, 800)
    placed = reproject(np.array([too_short_and_too_wide_on_the_left, reference], dtype=object), UTM45, crs)
    ours, theirs = (np.array([outline, outline], dtype=object) for outline in placed)
    found = signed_by_section(ours, theirs, [sections(reference, axis), None], crs, 1.0)
    by_section = {name.split("_")[2]: values.tolist() for name, values in found.items()}
    assert {section: np.isnan(values[1]) for section, values in by_section.items()} == dict.fromkeys(by_section, True)
    assert by_section["front"][0] == pytest.approx(-100, rel=0.02)
    # looking downslope, to the south, left is the east: 30 m too far along 700 m of 800, then up to 100 m short
    assert by_section["left"][0] == pytest.approx((30 * 700 - 100**2 / 2) / 800, abs=3)
    assert by_section["right"][0] == pytest.approx(-(100**2) / 2 / 800, abs=1)
    assert by_section["upslope"][0] == pytest.approx(0, abs=0.5)
    assert summary(found)["signed_mean_front_m"]["n"] == 1


def test_no_pairs_no_figures():
    nothing = np.empty(0, dtype=object)
    found = boundary_distances(nothing, nothing, UTM45, 10.0)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(BOUNDARY_FIGURES, 0)
    over_all = summary(found)
    assert over_all["polis_m"] == {
        "n": 0, "mean": None, "q05": None, "q25": None, "median": None, "q75": None, "q95": None, "definition": BOUNDARY_FIGURES["polis_m"],
    }  # fmt: skip
    json.dumps(over_all, allow_nan=False)


def test_summary_over_all_pairs():
    found = summary({"mean_m": np.array([1.0, 2.0, 3.0, 4.0, np.nan])})["mean_m"]
    assert (found["n"], found["mean"], found["median"], found["q25"], found["q95"]) == pytest.approx((4, 2.5, 2.5, 1.75, 3.85))
