"""What a network wrongly marks: which ground becomes negative samples, what their masks say, and when to stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.crs import CRS as RasterioCRS

from engine.hard_negatives import (
    NO_ERRORS,
    NO_GAIN,
    ROUNDS,
    TARGET,
    Error,
    KnownGround,
    OccupiedGround,
    Round,
    best_round,
    choose_windows,
    copy_samples,
    find_errors,
    ground_of,
    reason_to_stop,
    with_margin,
    write_grown_tables,
    write_negatives,
)
from engine.prepare import spectral_stack
from engine.rasters import Grid
from engine.reporting import SilentReporter
from engine.sample_cutter import Stack, look_at_stacks
from engine.sample_files import MinedSample, SampleSet, read_samples
from engine.sample_layout import windows_for
from engine.samples import samples
from engine.vectors import PolygonLayer, read_polygons, write_polygons
from jobs import STACK_BANDS, SamplesJob
from tests.engine.scenes import PIXEL_10M, UTM45N, mountains, write_raster

LEFT, TOP = 600000.0, 3080000.0
UTM = CRS.from_user_input(UTM45N)
ZONE_44 = CRS.from_epsg(32644)


def box(row: int, column: int, rows: int, columns: int) -> shapely.Polygon:
    """Ground in pixels of 10 m."""
    return shapely.box(LEFT + column * 10, TOP - (row + rows) * 10, LEFT + (column + columns) * 10, TOP - row * 10)


def layer(*polygons: shapely.Polygon, crs: CRS = UTM) -> PolygonLayer:
    return PolygonLayer(np.array([*polygons, None], dtype=object)[:-1], UTM).in_crs(crs)


NOWHERE = layer()


def stack_of(folder: Path, rows: int = 100, columns: int = 120, name: str = "stack.tif", transform: Affine = PIXEL_10M) -> Stack:
    pixels = spectral_stack(mountains(rows, columns))
    path = write_raster(folder / name, pixels, names=STACK_BANDS, transform=transform, nodata=np.nan)
    return look_at_stacks([path], 10.0, SilentReporter())[0][0]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return stack_of(tmp_path)


def error(stack: Stack, row: int, column: int, rows: int = 4, columns: int = 4, probability: float = 0.8) -> Error:
    return Error(stack.path, box(row, column, rows, columns), probability)


def windows(stack: Stack, errors: list[Error], size: int = 20, occupied: OccupiedGround | None = None, most: int = 99) -> list[tuple]:
    chosen = choose_windows(errors, [stack], size, occupied or OccupiedGround([], [stack.crs]), most)
    return [(mined.place.row, mined.place.column, mined.place.rows, mined.place.columns) for mined in chosen]


class TestWindows:
    def test_an_error_lies_in_the_middle(self, stack: Stack) -> None:
        assert windows(stack, [error(stack, 50, 60)]) == [(42, 52, 20, 20)]

    @pytest.mark.parametrize(("row", "column", "expected"), [(0, 0, (0, 0)), (96, 116, (80, 100)), (0, 60, (0, 52))])
    def test_at_the_edge_the_window_stays_within_the_stack(self, stack: Stack, row: int, column: int, expected: tuple[int, int]) -> None:
        assert windows(stack, [error(stack, row, column)]) == [(*expected, 20, 20)]

    def test_a_stack_smaller_than_a_window_is_one(self, stack: Stack) -> None:
        assert windows(stack, [error(stack, 50, 60)], size=480) == [(0, 0, 100, 120)]

    def test_an_error_larger_than_a_window_gets_several(self, stack: Stack) -> None:
        found = windows(stack, [error(stack, 10, 20, rows=10, columns=40)])
        assert [(row, column) for row, column, _, _ in found] == [(5, 20), (5, 40)]

    def test_windows_without_a_part_of_a_large_error_are_not_cut(self, stack: Stack) -> None:
        corner = shapely.union(box(0, 0, 4, 40), box(0, 0, 40, 4))
        pieces = windows_for(stack.grid, corner, 20, "", 0)
        assert [(places[0].row, places[0].column) for places in pieces] == [(0, 0), (0, 20), (20, 0)]

    def test_the_most_wrong_come_first(self, stack: Stack) -> None:
        small, faint, sure = error(stack, 10, 10, 2, 2), error(stack, 50, 10, probability=0.5), error(stack, 50, 80, probability=0.9)
        assert [row[1] for row in windows(stack, [small, faint, sure], most=2)] == [72, 2]

    def test_no_two_share_ground(self, stack: Stack) -> None:
        errors = [error(stack, row, column) for row in range(0, 96, 9) for column in range(0, 116, 7)]
        grounds = [box(*place) for place in windows(stack, errors)]
        assert len(grounds) > 10
        assert shapely.union_all(grounds).area == sum(ground.area for ground in grounds)

    def test_an_error_within_another_ones_window_is_in_that_sample(self, stack: Stack) -> None:
        worse, other = error(stack, 50, 60), error(stack, 46, 54, 2, 2)
        (mined,) = choose_windows([other, worse], [stack], 20, OccupiedGround([], [stack.crs]), 99)
        assert mined.error == worse and set(mined.errors) == {worse, other}

    @pytest.mark.parametrize("crs", [UTM, ZONE_44], ids=["same CRS", "another zone"])
    def test_a_window_gives_way_to_validation_ground(self, stack: Stack, crs: CRS) -> None:
        validation = layer(box(40, 40, 20, 15)).in_crs(crs).geometries[0]
        (found,) = windows(stack, [error(stack, 50, 60)], occupied=OccupiedGround([(validation, crs)], [stack.crs]))
        assert found[1] == 60 and not box(*found).buffer(-1).intersects(box(40, 40, 20, 15))

    def test_an_error_amidst_validation_ground_is_not_mined(self, stack: Stack) -> None:
        around = [(box(30, 40, 15, 50), UTM), (box(60, 40, 15, 50), UTM)]
        assert windows(stack, [error(stack, 50, 60)], occupied=OccupiedGround(around, [stack.crs])) == []


class TestErrors:
    def found(self, stack: Stack, folder: Path, known: KnownGround, smallest: float = 0.0) -> tuple[list[Error], int, int]:
        """Marked: 10 x 10 pixels of 0.9, 5 x 5 of 0.7, one of 0.6; 0.4 elsewhere, not observed in the last ten rows."""
        values = np.full((1, 100, 120), 0.4, np.float32)
        values[0, 10:20, 10:20], values[0, 50:55, 60:65], values[0, 70, 100] = 0.9, 0.7, 0.6
        values[0, 90:] = np.nan
        path = write_raster(folder / "probability.tif", values, nodata=np.nan)
        return find_errors(stack, Path(path), 0.5, known, smallest, folder, SilentReporter())

    def test_objects_with_area_and_probability(self, stack: Stack, tmp_path: Path) -> None:
        errors, marked, searched = self.found(stack, tmp_path, KnownGround(None, NOWHERE, NOWHERE))
        assert [(one.area_m2, round(one.probability, 4)) for one in errors] == [(10000, 0.9), (2500, 0.7), (100, 0.6)]
        assert errors[0].geometry.equals(box(10, 10, 10, 10)) and errors[0].wrongness == pytest.approx(9000)
        assert (marked, searched) == (126, 90 * 120)
        assert not list(tmp_path.glob("marked*"))

    def test_small_ones_count_as_marked_but_are_no_errors(self, stack: Stack, tmp_path: Path) -> None:
        errors, marked, _ = self.found(stack, tmp_path, KnownGround(None, NOWHERE, NOWHERE), smallest=2500)
        assert len(errors) == 2 and marked == 126

    @pytest.mark.parametrize("crs", [UTM, CRS.from_epsg(4326)], ids=["same CRS", "degrees"])
    def test_only_within_areas(self, stack: Stack, tmp_path: Path, crs: CRS) -> None:
        known = KnownGround(layer(box(0, 0, 100, 15), crs=crs), NOWHERE, NOWHERE)
        errors, marked, searched = self.found(stack, tmp_path, known)
        assert [one.area_m2 for one in errors] == [5000] and (marked, searched) == (50, 90 * 15)

    @pytest.mark.parametrize(("margin", "left"), [(0, 126), (40, 126), (60, 106), (800, 1)])
    def test_known_outlines_have_a_margin(self, stack: Stack, tmp_path: Path, margin: float, left: int) -> None:
        outline = layer(box(10, 24, 10, 4), crs=CRS.from_epsg(4326))  # 40 m to the right of the largest error
        known = KnownGround(None, with_margin(outline, margin, UTM), NOWHERE)
        assert self.found(stack, tmp_path, known)[1] == left

    def test_not_on_validation_ground(self, stack: Stack, tmp_path: Path) -> None:
        errors, marked, searched = self.found(stack, tmp_path, KnownGround(None, NOWHERE, layer(box(0, 0, 30, 30))))
        assert (len(errors), marked, searched) == (2, 26, 90 * 120 - 900)

    def test_a_probability_on_other_pixels_comes_to_those_of_the_samples(self, tmp_path: Path) -> None:
        stack = stack_of(tmp_path, 50, 60, "coarse.tif", Affine(20, 0, LEFT, 0, -20, TOP))
        assert (stack.grid.width, stack.grid.resolution) == (120, 10.0)
        values = np.zeros((1, 50, 60), np.float32)
        values[0, 10:20, 10:20] = 1.0
        path = write_raster(tmp_path / "p.tif", values, transform=Affine(20, 0, LEFT, 0, -20, TOP), nodata=np.nan)
        (one,), marked, _ = find_errors(stack, Path(path), 0.5, KnownGround(None, NOWHERE, NOWHERE), 0, tmp_path, SilentReporter())
        assert one.area_m2 == pytest.approx(40000, rel=0.05) and marked * 100 == one.area_m2


def test_a_margin_on_another_map_leaves_out_what_has_no_place_there() -> None:
    far = layer(shapely.box(LEFT, 9_990_000, LEFT + 10, 9_990_010))
    assert len(with_margin(NOWHERE, 100, UTM)) == 0
    assert with_margin(layer(box(0, 0, 10, 10), crs=ZONE_44), 50, UTM).geometries[0].area == pytest.approx(200**2, rel=0.06)
    assert len(with_margin(far, 100, CRS.from_epsg(32710))) in (0, 1)


def test_a_mask_says_background_only_where_no_rock_glacier_is() -> None:
    known = KnownGround(layer(box(0, 0, 20, 15)), with_margin(layer(box(4, 4, 2, 2)), 10, UTM), layer(box(10, 0, 5, 5)))
    mask = known.mask(Grid(RasterioCRS.from_user_input(UTM45N), PIXEL_10M, 20, 20))
    expected = np.zeros((20, 20), np.uint8)
    expected[:, 15:] = 255
    expected[3:7, 3:7] = 255  # the margin is round: the corners' centres are 7 m from the outline
    assert np.array_equal(mask, expected)


OUTLINES = [box(5 + 31 * (i // 4), 8 + 28 * (i % 4), 7, 7) for i in range(8)]


@pytest.fixture
def original(stack: Stack, tmp_path: Path) -> SampleSet:
    write_polygons(tmp_path / "outlines.gpkg", layer(*OUTLINES), "outlines")
    job = SamplesJob(str(tmp_path / "original"), (stack.path,), str(tmp_path / "outlines.gpkg"), size=20, background=0.0)
    samples(job, SilentReporter())
    return read_samples(job.output)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


class TestGrowing:
    KNOWN = KnownGround(None, NOWHERE, NOWHERE)

    def grown(
        self, original: SampleSet, stack: Stack, folder: Path, known: KnownGround = KNOWN, without: tuple[str, ...] = ()
    ) -> SampleSet:
        copy_samples(original, folder)
        chosen = choose_windows([error(stack, 80, 100), error(stack, 82, 20)], [stack], 20, OccupiedGround([], [stack.crs]), 9)
        added = write_negatives(folder, chosen, {stack.crs: known}, 3, 500, without)
        write_grown_tables(folder, original, added)
        return read_samples(folder, MinedSample)

    def test_negatives_are_samples_like_the_others(self, original: SampleSet, stack: Stack, tmp_path: Path) -> None:
        found = self.grown(original, stack, tmp_path / "grown")
        mined = [sample for sample in found.samples if sample.made_for == "hard negative"]
        assert [(one.sample, one.split, one.kind, one.round, one.wrongness) for one in mined] == [
            ("000500", "train", "negative", 3, 1280.0),
            ("000501", "train", "negative", 3, 1280.0),
        ]
        image, mask = found.read(mined[0])
        assert np.array_equal(image, spectral_stack(mountains(100, 120))[:, 72:92, 92:112]) and not mask.any()
        assert ground_of(mined[0])[0].equals(box(72, 92, 20, 20))
        assert len(found.samples) == len(original.samples) + 2
        assert len(read_polygons(tmp_path / "grown" / "samples.gpkg")) == len(found.samples)
        assert found.document["counts"]["train"]["negative"] == original.document["counts"]["train"]["negative"] + 2
        assert found.document["hard_negatives"]["samples"] == 2

    def test_statistics_are_those_of_all_samples(self, original: SampleSet, stack: Stack, tmp_path: Path) -> None:
        found = self.grown(original, stack, tmp_path / "grown")
        for name, chosen in (("bands", found.samples), ("bands_of_train", found.of_split("train"))):
            images = [found.read(sample)[0].reshape(6, -1) for sample in chosen]
            together = np.concatenate(images, axis=1).astype(np.float64)
            for index, band in enumerate(STACK_BANDS):
                told = found.document[name][band]
                assert told["minimum"] == together[index].min() and told["maximum"] == together[index].max()
                assert told["mean"] == pytest.approx(together[index].mean(), rel=1e-6) and told["pixels"] == together[index].size

    def test_the_original_stays_as_it_is(self, original: SampleSet, stack: Stack, tmp_path: Path) -> None:
        before = contents(original.folder)
        self.grown(original, stack, tmp_path / "grown")
        assert contents(original.folder) == before

    def test_the_same_negatives_again_change_nothing(self, original: SampleSet, stack: Stack, tmp_path: Path) -> None:
        self.grown(original, stack, tmp_path / "grown")
        before = contents(tmp_path / "grown")
        chosen = choose_windows([error(stack, 80, 100), error(stack, 82, 20)], [stack], 20, OccupiedGround([], [stack.crs]), 9)
        write_grown_tables(tmp_path / "grown", original, write_negatives(tmp_path / "grown", chosen, {stack.crs: self.KNOWN}, 3, 500, ()))
        after = contents(tmp_path / "grown")
        assert {name for name in after if after[name] != before.get(name)} <= {"samples.gpkg"}  # it holds the time

    def test_an_outline_that_reaches_in_is_unknown(self, original: SampleSet, stack: Stack, tmp_path: Path) -> None:
        known = KnownGround(None, with_margin(layer(box(74, 94, 4, 4)), 0, UTM), NOWHERE)
        found = self.grown(original, stack, tmp_path / "grown", known)
        mask = found.read(found.samples[-2])[1]
        assert (mask[2:6, 2:6] == 255).all() and (mask == 255).sum() == 16 and found.samples[-2].kind == "negative"

    def test_bands_that_the_others_do_not_show_stay_unobserved(self, original: SampleSet, stack: Stack, tmp_path: Path) -> None:
        found = self.grown(original, stack, tmp_path / "grown", without=("nir", "evi", "savi"))
        image, mask = found.read(found.samples[-1])
        assert np.isnan(image[3:]).all() and np.isfinite(image[:3]).all() and not mask.any()

    def test_what_the_stack_does_not_show_is_unknown(self, original: SampleSet, stack: Stack, tmp_path: Path) -> None:
        pixels = spectral_stack(mountains(100, 120))
        pixels[:, 80:84] = np.nan
        path = write_raster(tmp_path / "gap.tif", pixels, names=STACK_BANDS, nodata=np.nan)
        found = self.grown(original, replace(stack, path=path), tmp_path / "grown")
        assert (found.read(found.samples[-2])[1][8:12] == 255).all() and found.samples[-2].unknown == 0.2


def rounds(*ious: float, errors: int = 5) -> list[Round]:
    return [Round(i, 3 * i, errors, 0.1 / (i + 1), 100.0, iou, 0.5, 0.5, 0.5) for i, iou in enumerate(ious)]


@pytest.mark.parametrize(
    ("ious", "errors", "reason"),
    [
        ((0.8,), 5, TARGET),
        ((0.5, 0.9), 0, TARGET),
        ((0.5,), 0, NO_ERRORS),
        ((0.5,), 5, None),
        ((0.5, 0.5), 5, None),
        ((0.5, 0.5, 0.5), 5, NO_GAIN),
        ((0.5, 0.4, 0.5005), 5, NO_GAIN),
        ((0.5, 0.4, 0.51), 5, None),
        ((0.5, 0.6, 0.55), 5, None),
        ((0.5, 0.6, 0.55, 0.6), 5, NO_GAIN),
        ((0.1, 0.2, 0.3, 0.4), 5, None),
        ((0.1, 0.2, 0.3, 0.4, 0.5), 5, ROUNDS),
    ],
)
def test_it_stops(ious: tuple[float, ...], errors: int, reason: str | None) -> None:
    assert reason_to_stop(rounds(*ious, errors=errors), 0.8, 4) == reason


def test_the_best_round_is_that_of_the_highest_iou_and_of_equal_ones_that_marks_least() -> None:
    assert best_round(rounds(0.5, 0.7, 0.6)).round == 1
    assert best_round(rounds(0.5, 0.7, 0.7)).round == 2
    assert best_round(rounds(0.0, 0.0)).round == 1
