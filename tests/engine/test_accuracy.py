"""Accuracy figures against the paper's arithmetic, scikit-learn and brute force."""

import json
import math

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import CRS
from shapely import box
from sklearn import metrics

from engine import accuracy
from engine.geodesy import geodesic_area
from engine.local_maps import on_one_map
from engine.matching import Correspondences, Ground, components, ground, overlaps
from engine.vectors import PolygonLayer, read_polygons, reproject, write_polygons

UTM45 = CRS.from_epsg(32645)
DEGREES = CRS.from_epsg(4326)
X, Y = 500_000, 4_000_000
NOTHING = np.empty(0, dtype=object)


def outlines(*boxes):
    """Boxes given as left, bottom, right, top in metres from a corner of the map."""
    return np.array([box(left + X, bottom + Y, right + X, top + Y) for left, bottom, right, top in boxes], dtype=object)


def blobs(count, seed, spread=3000):
    """Round polygons at random that overlap now and then, (count,)."""
    rng = np.random.default_rng(seed)
    middles = rng.uniform(0, spread, (count, 2)) + [X, Y]
    return shapely.buffer(shapely.points(middles), rng.uniform(100, 400, count), quad_segs=4)


def one_to_one(reference_km2, predicted_km2):
    """Correspondences 1-1 of given areas; an area of 0 stands for no outline."""
    reference, predicted = np.array(reference_km2, dtype=float) * 1e6, np.array(predicted_km2, dtype=float) * 1e6
    there = (predicted > 0).astype(int), (reference > 0).astype(int)
    kind = np.select([there[0] == 0, there[1] == 0], ["missed", "false"], "1-1")
    links = Correspondences(np.flatnonzero(there[0]), np.flatnonzero(there[1]), kind, *there)
    nothing = np.full(len(reference), None, dtype=object)
    return links, Ground(nothing, nothing, predicted, reference, np.minimum(reference, predicted))


class TestThePapersArithmetic:
    """Lin et al. (2024), sections 4.1, 4.2, 5.3 and Table 2."""

    def test_table_2(self):
        figures = accuracy.object_accuracy(matched_reference=178, reference=190, matched_predicted=178, predicted=189)
        assert (figures["matched_reference"], figures["false"], figures["missed"]) == (178, 11, 12)
        assert round(figures["producers_accuracy"], 4) == 0.9368
        assert round(figures["users_accuracy"], 4) == 0.9418
        assert [round(end, 3) for end in figures["producers_accuracy_interval"]] == [0.893, 0.964]
        assert [round(end, 3) for end in figures["users_accuracy_interval"]] == [0.899, 0.967]
        results = [row["result"] for row in accuracy.confusion_table(figures)]
        assert results[:4] == [178, 178, 11, 12]
        assert results[4:] == pytest.approx([0.9368, 0.9418], abs=5e-5)

    def test_181_predicted_outlines_for_178_count_on_their_own_side(self):
        figures = accuracy.object_accuracy(matched_reference=178, reference=190, matched_predicted=181, predicted=192)
        assert round(figures["users_accuracy"], 4) == 0.9427

    @pytest.mark.parametrize(
        ("found", "there", "low", "high"),
        [pytest.param(50, 54, 0.82, 0.97, id="northern Tien Shan"), pytest.param(35, 38, 0.79, 0.97, id="Daxue Shan")],
    )
    def test_wilson_intervals_of_the_transfer_areas(self, found, there, low, high):
        interval = accuracy.object_accuracy(found, there, 0, 0)["producers_accuracy_interval"]
        share, z2 = found / there, 3.8415
        middle = (share + z2 / 2 / there) / (1 + z2 / there)
        half = math.sqrt(z2) * math.sqrt(share * (1 - share) / there + z2 / 4 / there**2) / (1 + z2 / there)
        assert interval == pytest.approx([middle - half, middle + half], abs=1e-5)
        assert [round(end, 2) for end in interval] == [low, high]

    @pytest.mark.parametrize(
        ("reference", "predicted", "percent"),
        [pytest.param(70.14, 67.38, -3.94, id="test area"), pytest.param(155.07, 174.27, 12.38, id="visual interpretation areas")],
    )
    def test_total_areas(self, reference, predicted, percent):
        figures = accuracy.areas(*one_to_one([reference], [predicted]))
        rounding = 100 * 2 * 0.005 / reference  # the published sums have two decimals
        for which in ("total", "matched"):
            assert figures[which]["deviation_percent"] == pytest.approx(percent, abs=rounding)

    def test_means_of_size_classes(self):
        deviations = {"small": -20.73, "medium_s": -13.57, "medium_l": -2.51, "large": 1.81}
        reference = np.array([[0.04, 0.09], [0.12, 0.45], [0.5, 0.99], [1.01, 3.0]])
        percent = np.array([[mean - 5, mean + 5] for mean in deviations.values()])
        figures = accuracy.areas(*one_to_one(reference.ravel(), (reference * (1 + percent / 100)).ravel()))
        for name, mean in deviations.items():
            of_class = figures["by_size_class"][name]
            assert of_class["n"] == 2
            assert of_class["signed_percent"]["mean"] == pytest.approx(mean)
            assert of_class["absolute_percent"]["mean"] == pytest.approx(max(abs(mean), 5))
            assert of_class["signed_percent"]["q75"] == pytest.approx(mean + 2.5)
        assert figures["by_size_class"]["all"]["n"] == 8

    def test_miou_cannot_exceed_what_the_accuracy_allows(self):
        rng = np.random.default_rng(1)
        for tp, fp, fn, tn in rng.integers(1, 1000, (500, 4)):
            overall = accuracy.pixels({"tp": tp, "fp": fp, "fn": fn, "tn": tn}, "pixels")["overall"]
            assert overall["miou"] <= overall["accuracy"] / (2 - overall["accuracy"]) + 1e-12
        balanced = accuracy.pixels({"tp": 9131, "fp": 500, "fn": 1238, "tn": 9131}, "pixels")["overall"]
        assert balanced["accuracy"] == pytest.approx(0.9131, abs=1e-5)
        assert balanced["miou"] == pytest.approx(0.840, abs=5e-4)  # 0.8601 is published

    def test_the_published_scores_are_those_of_macro_averages(self):
        rock_glacier, precision, recall = 0.04, 0.832, 0.861
        tp = rock_glacier * recall
        fp = tp / precision - tp
        figures = accuracy.pixels({"tp": tp, "fp": fp, "fn": rock_glacier - tp, "tn": 1 - rock_glacier - fp}, "pixels")
        assert figures["rock_glacier"]["iou"] == pytest.approx(0.734, abs=1e-3)
        assert figures["macro"]["iou"] == figures["overall"]["miou"] == pytest.approx(0.8601, abs=5e-4)
        assert figures["macro"]["precision"] == pytest.approx(0.9130, abs=1e-3)
        assert figures["macro"]["recall"] == pytest.approx(0.9270, abs=1e-3)


def test_pixel_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    truth = rng.random(5000) < 0.1
    guess = np.where(rng.random(5000) < 0.85, truth, rng.random(5000) < 0.2)
    tn, fp, fn, tp = (int(count) for count in metrics.confusion_matrix(truth, guess).ravel())
    figures = accuracy.pixels({"tp": tp, "fp": fp, "fn": fn, "tn": tn}, "pixels")
    assert figures["overall"] == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, guess),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, guess),
            "mcc": metrics.matthews_corrcoef(truth, guess),
            "miou": metrics.jaccard_score(truth, guess, average="macro"),
        }
    )
    functions = {
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "f1": metrics.f1_score,
        "iou": metrics.jaccard_score,
    }
    for column, choice in (("rock_glacier", {"pos_label": 1}), ("background", {"pos_label": 0}), ("macro", {"average": "macro"})):
        for name, function in functions.items():
            assert figures[column][name] == pytest.approx(function(truth, guess, **choice)), (column, name)
    assert figures["rock_glacier"]["specificity"] == pytest.approx(metrics.recall_score(truth, guess, pos_label=0))
    assert figures["reason"] is None


def test_without_true_negatives_what_needs_them_is_not_known():
    figures = accuracy.pixels({"tp": 6.0, "fp": 2.0, "fn": 4.0, "tn": None}, "m2")
    assert figures["rock_glacier"] == {"precision": 0.75, "recall": 0.6, "specificity": None, "f1": 12 / 18, "iou": 0.5}
    assert set(figures["overall"].values()) == set(figures["macro"].values()) == {None}
    assert "area of interest" in figures["reason"]


def test_a_class_that_is_absent_gives_no_figure_but_a_reason():
    figures = accuracy.pixels({"tp": 0, "fp": 0, "fn": 0, "tn": 100}, "pixels")
    assert figures["overall"] == {"accuracy": 1.0, "balanced_accuracy": None, "mcc": None, "miou": None}
    assert figures["rock_glacier"]["precision"] is None
    assert figures["background"]["iou"] == 1.0
    assert "absent" in figures["reason"]


def test_mcc_of_areas_in_square_metres_does_not_overflow():
    figures = accuracy.pixels({"tp": 1e90, "fp": 0.0, "fn": 0.0, "tn": 1e90}, "m2")
    assert figures["overall"]["mcc"] == pytest.approx(1)


class TestObjects:
    PREDICTED = ((0, 0, 500, 100), (1000, 0, 1300, 300), (2000, 0, 2100, 100), (3000, 0, 4100, 1000))
    REFERENCE = (
        (0, 0, 100, 100),
        (200, 0, 300, 100),
        (400, 0, 500, 100),
        (1000, 0, 1300, 290),
        (5000, 0, 5800, 1000),
        (3000, 0, 4500, 1000),
    )

    def figures(self):
        return accuracy.objects(overlaps(outlines(*self.PREDICTED), outlines(*self.REFERENCE), UTM45))

    @pytest.mark.parametrize(
        ("rule", "reference", "predicted"),
        [pytest.param("intersection", 5, 3, id="any"), pytest.param("overlap", 5, 3, id="overlap"), pytest.param("iou", 2, 2, id="iou")],
    )
    def test_each_side_is_counted_on_its_own(self, rule, reference, predicted):
        figures = self.figures()[rule]
        assert (figures["matched_reference"], figures["missed"]) == (reference, 6 - reference)
        assert (figures["matched_predicted"], figures["false"]) == (predicted, 4 - predicted)
        assert figures["producers_accuracy"] == reference / 6
        assert figures["users_accuracy"] == predicted / 4

    def test_panoptic_quality(self):
        figures = self.figures()["iou"]
        segmentation, recognition = (290 / 300 + 1100 / 1500) / 2, 2 / (2 + 2 / 2 + 4 / 2)
        assert figures["segmentation_quality"] == pytest.approx(segmentation, rel=1e-6)
        assert figures["recognition_quality"] == pytest.approx(recognition)
        assert figures["panoptic_quality"] == pytest.approx(segmentation * recognition, rel=1e-6)
        assert self.figures()["overlap"]["panoptic_quality"] is None

    def test_size_classes_are_those_of_the_own_side(self):
        by_class = self.figures()["overlap"]["by_size_class"]
        counts = {
            name: [figures[count] for count in ("reference", "matched_reference", "predicted", "matched_predicted")]
            for name, figures in by_class.items()
        }
        assert counts == {"small": [4, 4, 3, 2], "medium_s": [0, 0, 0, 0], "medium_l": [1, 0, 0, 0], "large": [1, 1, 1, 1]}
        assert by_class["medium_s"]["users_accuracy"] is None
        assert by_class["medium_l"]["producers_accuracy"] == 0

    @pytest.mark.parametrize(
        ("predicted", "reference", "producers", "users", "quality"),
        [
            pytest.param(NOTHING, outlines((0, 0, 9, 9)), 0.0, None, 0.0, id="nothing predicted"),
            pytest.param(outlines((0, 0, 9, 9)), NOTHING, None, 0.0, 0.0, id="no reference"),
            pytest.param(NOTHING, NOTHING, None, None, None, id="neither"),
            pytest.param(outlines((0, 0, 9, 9)), outlines((50, 0, 59, 9)), 0.0, 0.0, 0.0, id="elsewhere"),
        ],
    )
    def test_empty_layers_give_no_rate_but_a_reason(self, predicted, reference, producers, users, quality):
        graph = overlaps(predicted, reference, UTM45)
        links = components(graph)
        figures = accuracy.objects(graph)
        for rule in ("intersection", "overlap", "iou"):
            assert figures[rule]["producers_accuracy"] == producers
            assert (figures[rule]["producers_accuracy_interval"] is None) == (producers is None)
            assert figures[rule]["users_accuracy"] == users
        assert figures["iou"]["panoptic_quality"] == quality
        assert (figures["reason"] is None) == bool(len(predicted) and len(reference))
        areas = accuracy.areas(links, ground(graph, links, predicted, reference, UTM45))
        assert areas["matched"]["n"] == areas["regression"]["n"] == 0
        assert areas["by_size_class"]["all"]["signed_percent"]["mean"] is None
        assert areas["reason"]
        pixels = accuracy.pixels(accuracy.confusion_of_areas(predicted, reference, UTM45, outlines((0, 0, 100, 100))), "m2")
        assert pixels["overall"]["accuracy"] is not None
        for document in (figures, areas, pixels):
            json.dumps(document, allow_nan=False)


class TestAreas:
    def test_totals_cancel_errors_their_absolute_sum_does_not(self):
        figures = accuracy.areas(*one_to_one([1, 1, 0.5, 0], [1.5, 0.5, 0, 0.2]))
        assert figures["total"] == pytest.approx(
            {"reference_km2": 2.5, "predicted_km2": 2.2, "deviation_km2": -0.3, "deviation_percent": -12.0}
        )
        assert figures["matched"]["deviation_km2"] == pytest.approx(0)
        assert figures["matched"]["sum_absolute_deviation_km2"] == pytest.approx(1)
        assert figures["matched"]["sum_absolute_deviation_percent"] == pytest.approx(50)
        assert figures["by_kind"] == {"1-1": 2, "n-1": 0, "1-n": 0, "n-m": 0, "missed": 1, "false": 1}

    def test_regression_is_that_of_predicted_on_reference(self):
        reference = np.array([0.1, 0.2, 0.4, 0.8, 1.6])
        predicted = 0.05 + 0.9 * reference + np.array([0.01, -0.01, 0, 0.01, -0.01])
        slope, intercept = np.polyfit(reference, predicted, 1)
        figures = accuracy.areas(*one_to_one(reference, predicted))["regression"]
        assert figures["slope"] == pytest.approx(slope)
        assert figures["intercept_km2"] == pytest.approx(intercept)
        assert figures["r2"] == pytest.approx(metrics.r2_score(predicted, intercept + slope * reference))

    @pytest.mark.parametrize("reference", [[0.3], [0.3, 0.3]], ids=["one", "all of one area"])
    def test_no_line_through_one_area(self, reference):
        figures = accuracy.areas(*one_to_one(reference, [0.31, 0.35][: len(reference)]))["regression"]
        assert figures == {"n": len(reference), "slope": None, "intercept_km2": None, "r2": None}

    def test_table_of_correspondences(self):
        predicted, reference = (
            outlines((0, 0, 500, 200), (1000, 0, 1100, 100)),
            outlines((0, 0, 200, 200), (300, 0, 500, 200), (2000, 0, 2100, 100)),
        )
        graph = overlaps(predicted, reference, UTM45)
        links = components(graph)
        table = accuracy.correspondence_table(links, ground(graph, links, predicted, reference, UTM45), ["p1", "p2"], ["r1", "r2", "r3"])
        assert table["kind"].tolist() == ["n-1", "missed", "false"]
        assert table["predicted"].tolist() == ["p1", None, "p2"]
        assert table["reference"].tolist() == ["r1, r2", "r3", None]
        assert table["size_class"].tolist() == ["small", "small", "small"]
        np.testing.assert_allclose(table["deviation_km2"], [0.02, np.nan, np.nan], rtol=1e-3)
        np.testing.assert_allclose(table["deviation_percent"], [25, np.nan, np.nan], rtol=1e-6)
        np.testing.assert_allclose(table["iou"], [0.8, np.nan, np.nan], rtol=1e-6)
        np.testing.assert_allclose(table["overlap_km2"], [0.08, 0, 0], rtol=1e-3)

    @pytest.mark.parametrize(
        ("km2", "name"), [(0.0999, "small"), (0.1, "medium_s"), (0.4999, "medium_s"), (0.5, "medium_l"), (1.01, "large")]
    )
    def test_size_classes(self, km2, name):
        assert accuracy.size_class(np.array([km2])).tolist() == [name]


def brute_confusion(predicted, reference, within):
    """From unions of whole layers."""
    ours, theirs = shapely.union_all(predicted), shapely.union_all(reference)
    if within is not None:
        ours, theirs = ours & within, theirs & within
    pieces = [ours & theirs, ours - theirs, theirs - ours]
    if within is not None:
        pieces.append(within - ours - theirs)
    return dict(zip(("tp", "fp", "fn", "tn"), geodesic_area(np.array(pieces, dtype=object), UTM45), strict=False))


class TestConfusionOfAreas:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("within", [None, box(X + 500, Y + 500, X + 2500, Y + 2600)], ids=["everywhere", "area of interest"])
    def test_overlay_of_layers_that_overlap_themselves(self, within, seed):
        predicted, reference = blobs(30, seed), blobs(25, seed + 100)
        area = None if within is None else np.array([within])
        for graph in (None, overlaps(predicted, reference, UTM45)):
            found = accuracy.confusion_of_areas(predicted, reference, UTM45, area, graph)
            assert (found["tn"] is None) == (within is None)
            for name, expected in brute_confusion(predicted, reference, within).items():
                assert found[name] == pytest.approx(expected, rel=1e-6), name

    def test_slivers_are_ground_all_the_same(self):
        found = accuracy.confusion_of_areas(outlines((0, 0, 100, 100)), outlines((98, 0, 198, 100)), UTM45)
        assert found["tp"] == pytest.approx(200, rel=1e-3)
        assert [found["fp"], found["fn"]] == pytest.approx([9800, 9800], rel=1e-3)

    def test_an_area_of_interest_has_straight_edges_on_its_map(self):
        area = box(80, 40, 90, 50)
        found = accuracy.confusion_of_areas(NOTHING, NOTHING, DEGREES, np.array([area]))
        exact = geodesic_area(np.array([shapely.segmentize(area, 0.0005)]), DEGREES)[0]
        assert found["tn"] == pytest.approx(exact, rel=1e-6)
        assert abs(found["tn"] / geodesic_area(np.array([area]), DEGREES)[0] - 1) > 1e-3


def write_raster(path, values, transform, crs="EPSG:32645"):
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": "float32", "nodata": np.nan}
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform) as dataset:
        dataset.write(values.astype("float32"), 1)
    return path


class TestConfusionOfPixels:
    @pytest.mark.parametrize(
        "transform", [Affine(10, 0, X, 0, -10, Y + 3000), Affine(8, 6, X + 100, 6, -8, Y + 900)], ids=["north up", "rotated"]
    )
    def test_pixels_whose_centre_an_outline_holds(self, tmp_path, transform):
        predicted, reference = blobs(20, 3), blobs(20, 4)
        values = np.full((300, 280), 0.1)
        values[:40] = np.nan
        area = shapely.buffer(shapely.Point(X + 1500, Y + 1500), 1200)
        with rasterio.open(write_raster(tmp_path / "probability.tif", values, transform)) as raster:
            found = accuracy.confusion_of_pixels(predicted, reference, UTM45, raster, np.array([area]))
        rows, columns = np.mgrid[:300, :280]
        x, y = transform @ (columns + 0.5, rows + 0.5)
        held = [shapely.contains_xy(shapely.union_all(layer), x, y) for layer in (reference, predicted)]
        counted = np.isfinite(values) & shapely.contains_xy(area, x, y)
        tn, fp, fn, tp = metrics.confusion_matrix(*(side[counted] for side in held)).ravel()
        assert found == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}

    def test_windows_add_up(self, tmp_path, monkeypatch):
        predicted, reference = blobs(20, 3), blobs(20, 4)
        with rasterio.open(write_raster(tmp_path / "p.tif", np.ones((300, 300)), Affine(10, 0, X, 0, -10, Y + 3000))) as raster:
            whole = accuracy.confusion_of_pixels(predicted, reference, UTM45, raster)
            monkeypatch.setattr(accuracy, "WINDOW", 64)
            assert accuracy.confusion_of_pixels(predicted, reference, UTM45, raster) == whole
        assert min(whole.values()) > 0

    def test_outlines_in_another_system_than_the_raster(self, tmp_path):
        predicted, reference = outlines((0, 0, 500, 500)), outlines((0, 0, 500, 400))
        in_degrees = [reproject(side, UTM45, DEGREES) for side in (predicted, reference)]
        with rasterio.open(write_raster(tmp_path / "p.tif", np.ones((100, 100)), Affine(10, 0, X, 0, -10, Y + 1000))) as raster:
            expected = {"tp": 2000, "fp": 500, "fn": 0, "tn": 7500}
            assert accuracy.confusion_of_pixels(predicted, reference, UTM45, raster) == expected
            assert accuracy.confusion_of_pixels(*in_degrees, DEGREES, raster) == expected

    def test_a_raster_beyond_the_antimeridian(self, tmp_path):
        transform = Affine(0.001, 0, -180, 0, -0.001, 65.05)
        predicted, reference = np.array([box(179.99, 65.01, 180.02, 65.03)]), np.array([box(-180.01, 65.01, -179.99, 65.03)])
        placed = on_one_map([PolygonLayer(side, DEGREES) for side in (predicted, reference)])
        with rasterio.open(write_raster(tmp_path / "p.tif", np.ones((50, 50)), transform, "EPSG:4326")) as raster:
            assert accuracy.confusion_of_pixels(*placed, DEGREES, raster) == {"tp": 200, "fp": 200, "fn": 0, "tn": 2100}


def test_crossed_and_double_outlines_of_a_file_are_assessed(tmp_path):
    crossed = shapely.Polygon([(X, Y), (X + 200, Y + 100), (X + 200, Y), (X, Y + 100)])
    layer = PolygonLayer(np.array([crossed, crossed], dtype=object), UTM45, {"id": np.array([1, 1])})
    write_polygons(tmp_path / "crossed.gpkg", layer, "outlines", "MultiPolygon")
    read = read_polygons(tmp_path / "crossed.gpkg")
    assert (len(read), read.repaired) == (2, 2)
    reference = outlines((0, 0, 200, 100))
    graph = overlaps(read.geometries, reference, UTM45)
    links = components(graph)
    figures = accuracy.areas(links, ground(graph, links, read.geometries, reference, UTM45))
    assert links.kind.tolist() == ["1-n"]
    assert figures["matched"]["deviation_percent"] == pytest.approx(-50, abs=0.01)
    assert accuracy.objects(graph)["iou"]["matched_predicted"] == 1
