"""Shared ground, correspondences and objects matched by the three rules."""

import itertools

import numpy as np
import pytest
import shapely
from pyproj import CRS
from scipy.optimize import linear_sum_assignment
from shapely import box

from engine.geodesy import geodesic_area
from engine.local_maps import on_one_map
from engine.matching import components, counted_in, ground, link_table, match_objects, overlaps
from engine.vectors import PolygonLayer, read_polygons, reproject, write_polygons

UTM45 = CRS.from_epsg(32645)
DEGREES = CRS.from_epsg(4326)
X, Y = 500_000, 4_000_000


def outlines(*boxes):
    """Boxes given as left, bottom, right, top in metres from a corner of the map."""
    return np.array([box(left + X, bottom + Y, right + X, top + Y) for left, bottom, right, top in boxes], dtype=object)


def blobs(count, seed, spread=4000, size=400):
    """Round polygons at random that overlap now and then, (count,)."""
    rng = np.random.default_rng(seed)
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = size * rng.uniform(0.5, 1, (count, 1)) * (1 + 0.2 * np.sin(3 * turn + rng.uniform(0, 6, (count, 1))))
    middle = rng.uniform(0, spread, (count, 1, 2)) + [X, Y]
    return shapely.polygons(middle + radius[..., None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1))


def test_shared_ground_is_what_every_pair_shares_by_brute_force():
    predicted, reference = blobs(30, 1), blobs(25, 2)
    graph = overlaps(predicted, reference, UTM45, sliver=0)
    expected = {}
    for first, second in itertools.product(range(30), range(25)):
        common = predicted[first].intersection(reference[second])
        if common.area > 0:
            expected[first, second] = geodesic_area(np.array([common]), UTM45)[0]
    assert [tuple(pair) for pair in graph.pairs] == list(expected)
    np.testing.assert_allclose(graph.shared_m2, list(expected.values()))
    np.testing.assert_allclose(graph.predicted_m2, geodesic_area(predicted, UTM45))
    np.testing.assert_allclose(graph.reference_m2, geodesic_area(reference, UTM45))
    joint = [predicted[first].union(reference[second]).area for first, second in expected]
    planar = [predicted[first].intersection(reference[second]).area for first, second in expected]
    np.testing.assert_allclose(graph.iou, np.divide(planar, joint), rtol=1e-6)


@pytest.mark.parametrize(
    ("sliver", "linked"),
    [
        pytest.param(0.05, 1, id="share of the smaller one is 6 %: kept"),
        pytest.param(0.07, 0, id="below 7 % of both: left out"),
        pytest.param(0.0, 1, id="all that share ground"),
    ],
)
def test_slivers_are_below_the_share_of_both_outlines(sliver, linked):
    graph = overlaps(outlines((0, 0, 100, 100)), outlines((94, 0, 294, 100)), UTM45, sliver)
    assert (len(graph.pairs), len(graph.slivers)) == (linked, 1 - linked)
    assert np.append(graph.shared_m2, graph.sliver_m2) == pytest.approx(600, rel=1e-3)


def test_a_common_border_is_no_common_ground():
    graph = overlaps(outlines((0, 0, 100, 100)), outlines((100, 0, 200, 100), (100, 100, 200, 200)), UTM45, 0)
    assert len(graph.pairs) == len(graph.slivers) == 0


def test_an_overlay_of_ground_and_a_line_counts_its_ground():
    comb = shapely.union_all([box(X, Y, X + 100, Y + 50), box(X, Y, X + 50, Y + 100)])
    touching = shapely.union_all(
        [box(X + 50, Y + 50, X + 100, Y + 100), box(X + 60, Y - 50, X + 100, Y + 10), box(X + 100, Y, X + 120, Y + 90)]
    )
    assert comb.intersection(touching).geom_type == "GeometryCollection"
    graph = overlaps(np.array([comb]), np.array([touching]), UTM45, 0)
    assert graph.shared_m2 == pytest.approx(400, rel=1e-3)


ROW = [(left, 0, left + 100, 100) for left in range(0, 800, 200)]

KIND_CASES = [
    pytest.param(ROW[:1], ROW[:1], ["1-1"], [0], [0], id="1-1"),
    pytest.param([(0, 0, 300, 100)], ROW[:2], ["n-1"], [0], [0, 0], id="n-1: two reference outlines in one predicted"),
    pytest.param(ROW[:2], [(0, 0, 300, 100)], ["1-n"], [0, 0], [0], id="1-n: one reference outline in two predicted"),
    pytest.param([(0, 0, 300, 100), (350, 0, 500, 100)], [(0, 0, 100, 100), (200, 0, 480, 100)], ["n-m"], [0, 0], [0, 0], id="a chain"),
    pytest.param([], ROW[:2], ["missed", "missed"], [], [0, 1], id="missed"),
    pytest.param(ROW[:2], [], ["false", "false"], [0, 1], [], id="false"),
    pytest.param([ROW[3], ROW[0], ROW[2]], [ROW[1], ROW[2], ROW[0]], ["missed", "1-1", "1-1", "false"], [3, 2, 1], [0, 1, 2], id="all"),
    pytest.param([], [], [], [], [], id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("predicted", "reference", "kinds", "of_predicted", "of_reference"), KIND_CASES)
def test_correspondences_are_connected_components(predicted, reference, kinds, of_predicted, of_reference):
    found = components(overlaps(outlines(*predicted), outlines(*reference), UTM45))
    assert found.kind.tolist() == kinds
    assert found.predicted_component.tolist() == of_predicted
    assert found.reference_component.tolist() == of_reference
    assert found.n_predicted.tolist() == [of_predicted.count(index) for index in range(len(kinds))]
    assert found.n_reference.tolist() == [of_reference.count(index) for index in range(len(kinds))]
    assert found.matched.tolist() == [kind not in ("missed", "false") for kind in kinds]


def test_a_sliver_does_not_join_neighbours():
    predicted = outlines((0, 0, 100, 100), (98, 0, 200, 100))
    reference = outlines((0, 0, 99, 100), (99, 0, 200, 100))
    assert components(overlaps(predicted, reference, UTM45)).kind.tolist() == ["1-1", "1-1"]
    assert components(overlaps(predicted, reference, UTM45, sliver=0)).kind.tolist() == ["n-m"]


RULE_CASES = [
    pytest.param((0, 0, 100, 100), (0, 0, 100, 100), (True, True, True), id="the same"),
    pytest.param((0, 0, 100, 100), (0, 0, 100, 300), (True, True, False), id="inside a larger one: overlap 1, IoU 1/3"),
    pytest.param((0, 0, 100, 100), (80, 0, 180, 100), (True, False, False), id="a fifth shared"),
    pytest.param((0, 0, 100, 100), (97, 0, 197, 100), (False, False, False), id="a sliver shared"),
    pytest.param((0, 0, 100, 100), (200, 0, 300, 100), (False, False, False), id="apart"),
]


@pytest.mark.parametrize(("predicted", "reference", "matched"), RULE_CASES)
def test_the_three_rules(predicted, reference, matched):
    graph = overlaps(outlines(predicted), outlines(reference), UTM45)
    for rule, expected in zip(("intersection", "overlap", "iou"), matched, strict=True):
        match = match_objects(graph, rule, 0.5)
        assert match.predicted.tolist() == match.reference.tolist() == [expected], rule


def test_sides_are_counted_on_their_own_when_one_outline_holds_three():
    graph = overlaps(outlines((0, 0, 500, 100)), outlines(*ROW[:3]), UTM45)
    for rule, found in (("intersection", 3), ("overlap", 3), ("iou", 0)):
        match = match_objects(graph, rule, 0.5)
        assert (match.reference.sum(), match.predicted.sum()) == (found, min(found, 1))


def test_iou_gives_an_outline_drawn_twice_one_partner():
    graph = overlaps(outlines((0, 0, 100, 90), (0, 0, 100, 100)), outlines((0, 0, 100, 100)), UTM45)
    match = match_objects(graph, "iou", 0.5)
    assert match.predicted.tolist() == [False, True]
    assert match_objects(graph, "overlap", 0.5).predicted.tolist() == [True, True]


@pytest.mark.parametrize("seed", range(5))
def test_iou_partners_have_the_largest_sum_of_iou(seed):
    graph = overlaps(blobs(14, seed, 1500), blobs(11, seed + 50, 1500), UTM45, sliver=0)
    match = match_objects(graph, "iou", 0.02)
    worth = np.zeros((14, 11))
    worth[tuple(graph.pairs.T)] = np.where(graph.iou >= 0.02, graph.iou, 0)
    best = worth[linear_sum_assignment(worth, maximize=True)].sum()
    pairs = graph.pairs[match.links]
    assert graph.iou[match.links].sum() == pytest.approx(best)
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs) == match.predicted.sum() == match.reference.sum()


def test_ground_counts_once_where_outlines_of_one_layer_overlap():
    predicted = outlines((0, 0, 300, 100), (100, 0, 400, 100))
    reference = outlines((0, 0, 200, 100), (200, 0, 300, 100), (0, 0, 250, 50))
    graph = overlaps(predicted, reference, UTM45)
    found = components(graph)
    covered = ground(graph, found, predicted, reference, UTM45)
    assert found.kind.tolist() == ["n-m"]
    assert covered.predicted_m2 == pytest.approx(40_000, rel=1e-3)
    assert covered.reference_m2 == pytest.approx(30_000, rel=1e-3)
    assert covered.shared_m2 == pytest.approx(30_000, rel=1e-3)


def test_ground_of_correspondences_by_brute_force():
    predicted, reference = blobs(30, 5), blobs(25, 6)
    graph = overlaps(predicted, reference, UTM45)
    found = components(graph)
    covered = ground(graph, found, predicted, reference, UTM45)
    assert {"1-1", "n-m", "missed", "false"} <= set(found.kind)
    for index in range(len(found)):
        ours = shapely.union_all(predicted[found.predicted_component == index])
        theirs = shapely.union_all(reference[found.reference_component == index])
        assert covered.predicted_m2[index] == pytest.approx(geodesic_area(np.array([ours]), UTM45)[0])
        assert covered.reference_m2[index] == pytest.approx(geodesic_area(np.array([theirs]), UTM45)[0])
        assert covered.shared_m2[index] == pytest.approx(geodesic_area(np.array([ours & theirs]), UTM45)[0])
        assert (covered.predicted[index] is None) == (found.n_predicted[index] == 0)
        assert (covered.reference[index] is None) == (found.n_reference[index] == 0)


def test_an_outline_counts_with_half_of_it_in_the_area_of_interest_or_with_its_partner():
    predicted = outlines((0, 0, 100, 100), (160, 0, 260, 100), (140, 200, 240, 300), (160, 400, 260, 500))
    reference = outlines((0, 0, 100, 100), (140, 0, 240, 100), (500, 500, 600, 600))
    graph = overlaps(predicted, reference, UTM45)
    counted = counted_in(graph, predicted, reference, outlines((-50, -50, 200, 600)))
    assert counted[0].tolist() == [True, True, True, False]
    assert counted[1].tolist() == [True, True, False]
    inside = graph.where(*counted)
    assert inside.pairs.tolist() == [[0, 0], [1, 1]]
    assert (len(inside.predicted_m2), len(inside.reference_m2)) == (3, 2)
    np.testing.assert_allclose(inside.iou, graph.iou)


def test_the_table_has_a_row_for_each_link_and_for_each_outline_without_one():
    predicted, reference = outlines((0, 0, 300, 100), (1000, 0, 1100, 100)), outlines((2000, 0, 2100, 100), *ROW[:2])
    graph = overlaps(predicted, reference, UTM45)
    table = link_table(graph, components(graph), ["a", "b"], [7, 7, 9])
    assert table["component"].tolist() == [1, 2, 2, 3]
    assert table["kind"].tolist() == ["missed", "n-1", "n-1", "false"]
    assert table["predicted"].tolist() == [None, "a", "a", "b"]
    assert table["reference"].tolist() == ["7", "7", "9", None]
    km2 = [[np.nan, 0.03, 0.03, 0.01], [0.01, 0.01, 0.01, np.nan], [np.nan, 0.01, 0.01, np.nan]]
    for name, expected in zip(("predicted_km2", "reference_km2", "overlap_km2"), km2, strict=True):
        np.testing.assert_allclose(table[name], expected, rtol=1e-3)
    np.testing.assert_allclose(table["predicted_share"], [np.nan, 1 / 3, 1 / 3, np.nan], rtol=1e-6)
    np.testing.assert_allclose(table["reference_share"], [np.nan, 1, 1, np.nan], rtol=1e-6)
    np.testing.assert_allclose(table["iou"], [np.nan, 1 / 3, 1 / 3, np.nan], rtol=1e-6)


def test_layers_in_degrees_and_in_metres_are_told_the_same():
    predicted, reference = blobs(20, 8), blobs(20, 9)
    layers = [PolygonLayer(reproject(predicted, UTM45, DEGREES), DEGREES), PolygonLayer(reference, UTM45)]
    on_map = overlaps(*on_one_map(layers), DEGREES)
    in_metres = overlaps(predicted, reference, UTM45)
    np.testing.assert_array_equal(on_map.pairs, in_metres.pairs)
    np.testing.assert_allclose(on_map.shared_m2, in_metres.shared_m2, rtol=1e-4)


def test_outlines_at_the_antimeridian_meet():
    whole = box(179.99, 65.0, 180.01, 65.01)
    cut = shapely.MultiPolygon([box(179.99, 65.0, 180, 65.01), box(-180, 65.0, -179.99, 65.01)])
    layers = [PolygonLayer(np.array([shape], dtype=object), DEGREES) for shape in (whole, cut)]
    graph = overlaps(*on_one_map(layers), DEGREES)
    assert graph.iou == pytest.approx(1)
    assert graph.shared_m2 == pytest.approx(geodesic_area(np.array([whole]), DEGREES))


def test_outlines_over_two_utm_zones_keep_their_areas():
    across = np.array([box(83.99, 40.0, 84.01, 40.01)])
    half = np.array([box(84.0, 40.0, 84.01, 40.01)])
    graph = overlaps(across, half, DEGREES)
    assert graph.predicted_share == pytest.approx(0.5, rel=1e-6)
    in_zone = [reproject(side, DEGREES, CRS.from_epsg(32644)) for side in (across, half)]
    np.testing.assert_allclose(overlaps(*in_zone, CRS.from_epsg(32644)).shared_m2, graph.shared_m2, rtol=1e-4)


def test_crossed_outlines_are_matched_as_repaired(tmp_path):
    crossed = shapely.Polygon([(X, Y), (X + 200, Y + 100), (X + 200, Y), (X, Y + 100)])
    write_polygons(tmp_path / "crossed.gpkg", PolygonLayer(np.array([crossed], dtype=object), UTM45), "outlines", "MultiPolygon")
    layer = read_polygons(tmp_path / "crossed.gpkg")
    assert layer.repaired == 1
    graph = overlaps(layer.geometries, outlines((0, 0, 100, 100)), UTM45)
    assert graph.predicted_share == pytest.approx(0.5)


def test_checks_between_pieces_of_work_can_stop_it():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        overlaps(blobs(5, 1), blobs(5, 2), UTM45, check=stop)
