"""Training samples: what the masks say, and that nothing of one side of the split is on the other."""

from __future__ import annotations

import csv
import errno
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from engine.errors import Cancelled, EngineError
from engine.outputs import whole_folder
from engine.prepare import spectral_stack
from engine.rasters import Grid
from engine.reporting import SilentReporter
from engine.sample_files import Sample, SampleSet, opened
from engine.sample_layout import LEFT_OUT, TRAIN, VALIDATION, Lattice, choose_groups, samples_per_block, shared_ground, split_apart
from engine.samples import read_samples, samples
from engine.vectors import PolygonLayer, write_polygons
from jobs import STACK_BANDS, SamplesJob
from tests.engine.scenes import PIXEL_10M, UTM45N, mountains, write_raster

LEFT, TOP = 600000.0, 3080000.0


def stack(
    path: Path, rows: int = 100, columns: int = 120, transform: Affine = PIXEL_10M, crs: str = UTM45N, seed: int = 1, **how: Any
) -> str:
    return write_raster(
        path, spectral_stack(mountains(rows, columns, seed)), names=STACK_BANDS, transform=transform, crs=crs, nodata=np.nan, **how
    )


def square(column: float, row: float, side: float, pixel: float = 10.0) -> shapely.Polygon:
    """A square whose upper left corner and side are told in pixels of the stack."""
    x, y = LEFT + column * pixel, TOP - row * pixel
    return shapely.box(x, y - side * pixel, x + side * pixel, y)


def outlines(path: Path, shapes: list[shapely.Polygon], crs: str = UTM45N, **fields: list[Any]) -> str:
    columns = {name: np.array(values, dtype=object) for name, values in fields.items()}
    write_polygons(path, PolygonLayer(np.array(shapes, dtype=object), CRS.from_user_input(crs), columns), "outlines")
    return str(path)


def make(job: SamplesJob) -> tuple[SampleSet, dict[str, Any], SilentReporter]:
    reporter = SilentReporter()
    result = samples(job, reporter)
    return read_samples(job.output), result, reporter


def leaks(found: SampleSet, rock_glaciers: list[shapely.Polygon]) -> list[str]:
    """Pixel by pixel: ground that is on both sides, and outlines labelled on both sides."""
    ground: dict[str, set[tuple[int, int]]] = {"train": set(), "validation": set()}
    labelled: dict[str, set[int]] = {"train": set(), "validation": set()}
    for sample in found.samples:
        with rasterio.open(found.folder / sample.mask) as mask:
            values, transform = mask.read(1), mask.transform
        rows, columns = np.mgrid[: sample.rows, : sample.columns] + 0.5
        xs, ys = transform @ (columns, rows)
        ground[sample.split] |= set(zip(xs.astype(int).ravel().tolist(), ys.astype(int).ravel().tolist(), strict=True))
        points = shapely.points(xs[values == 1], ys[values == 1])
        labelled[sample.split] |= {i for i, shape in enumerate(rock_glaciers) if shapely.contains(shape, points).any()}
    shared = ground["train"] & ground["validation"]
    return [f"{len(shared)} pixels"] * bool(shared) + [f"outlines {labelled['train'] & labelled['validation']}"] * bool(
        labelled["train"] & labelled["validation"]
    )


SCATTERED = [square(8 + 31 * i + 3 * j, 6 + 29 * j, 7) for i in range(4) for j in range(3)]
"""Twelve rock glaciers of 70 m, 230 m apart."""


@pytest.fixture
def job(tmp_path: Path) -> SamplesJob:
    return SamplesJob(str(tmp_path / "samples"), (stack(tmp_path / "stack.tif"),), outlines(tmp_path / "outlines.gpkg", SCATTERED), size=20)


@pytest.mark.parametrize(
    ("recipe", "size", "seed"), [("blocks", 20, 1), ("blocks", 16, 2), ("paper", 20, 1), ("paper", 40, 2), ("hu", 480, 1), ("hu", 25, 2)]
)
def test_no_ground_and_no_outline_is_on_both_sides(tmp_path: Path, recipe: str, size: int, seed: int) -> None:
    hundred_metres = Affine(100, 0, LEFT, 0, -100, TOP)
    shapes = [square(8 + 31 * i + 3 * j, 6 + 29 * j, 7, 100.0) for i in range(4) for j in range(3)]
    path = stack(tmp_path / "stack.tif", transform=hundred_metres)
    job = SamplesJob(str(tmp_path / "samples"), (path,), outlines(tmp_path / "outlines.gpkg", shapes), recipe=recipe, size=size)
    found, result, _ = make(replace(job, seed=seed, validation_share=0.25, resolution=100.0, background=0.5))
    assert any(sample.kind == "positive" for sample in found.of_split("validation"))
    assert sum(sample.kind == "positive" for sample in found.of_split("train")) >= 6
    assert leaks(found, shapes) == []


def test_an_outline_that_the_split_runs_through_is_unknown_in_training(tmp_path: Path) -> None:
    long = shapely.box(LEFT, TOP - 100, LEFT + 1200, TOP - 60)
    shapes = [long, square(6, 1, 3), square(26, 1, 3), square(46, 1, 3), square(66, 1, 3), square(86, 1, 3), square(106, 1, 3)]
    job = SamplesJob(str(tmp_path / "samples"), (stack(tmp_path / "stack.tif", 20),), outlines(tmp_path / "o.gpkg", shapes), size=20)
    found, _, _ = make(replace(job, validation_share=0.3))
    assert found.document["outlines"]["on_both_sides"] == 1
    assert leaks(found, shapes) == []
    for sample in found.samples:
        mask = found.read(sample)[1]
        assert (mask[6:10] == (1 if sample.split == "validation" else 255)).all()
        assert (mask[1:4] == 1).sum() == 9
        assert sample.unknown == (0.2 if sample.split == "train" else 0.0)


def test_masks_hold_the_pixels_whose_centres_lie_inside(tmp_path: Path) -> None:
    shape = shapely.box(LEFT + 44.9, TOP - 85.1, LEFT + 75.1, TOP - 54.9)  # centres at 45, 55, 65, 75
    job = SamplesJob(str(tmp_path / "samples"), (stack(tmp_path / "stack.tif", 20, 20),), outlines(tmp_path / "o.gpkg", [shape]), size=20)
    found, _, _ = make(job)
    (sample,) = found.samples
    image, mask = found.read(sample)
    expected = np.zeros((20, 20), np.uint8)
    expected[5:9, 4:8] = 1
    assert np.array_equal(mask, expected)
    assert np.array_equal(image, spectral_stack(mountains(20, 20)))
    assert sample.rock_glacier == 16 / 400
    assert (sample.x, sample.y, sample.crs, sample.pixel_size_m) == (LEFT + 100, TOP - 100, UTM45N, 10.0)


def test_resampled_pixels_are_means_and_masks_follow_the_outline(tmp_path: Path) -> None:
    fine = Affine(2, 0, LEFT, 0, -2, TOP)
    shape = shapely.box(LEFT + 8, TOP - 20, LEFT + 28, TOP - 4)
    path = stack(tmp_path / "stack.tif", 40, 40, transform=fine)
    found, _, _ = make(SamplesJob(str(tmp_path / "s"), (path,), outlines(tmp_path / "o.gpkg", [shape]), resolution=4.0, size=20))
    (sample,) = found.samples
    image, mask = found.read(sample)
    expected = np.zeros((20, 20), np.uint8)
    expected[1:5, 2:7] = 1
    assert np.array_equal(mask, expected)
    assert image[0] == pytest.approx(mountains(40, 40)[0].reshape(20, 2, 20, 2).mean(axis=(1, 3)), rel=1e-5)
    assert sample.pixel_size_m == 4.0


def test_a_box_of_the_paper_is_2_km_of_4_m_around_the_centroid(tmp_path: Path) -> None:
    coarse = Affine(40, 0, LEFT, 0, -40, TOP)
    path = stack(tmp_path / "stack.tif", 80, 80, transform=coarse)
    shape = shapely.box(LEFT + 1000, TOP - 1400, LEFT + 1400, TOP - 1000)
    found, result, reporter = make(SamplesJob(str(tmp_path / "s"), (path,), outlines(tmp_path / "o.gpkg", [shape]), recipe="paper"))
    (sample,) = (sample for sample in found.samples if sample.kind == "positive")
    assert (sample.rows, sample.columns, sample.pixel_size_m) == (500, 500, 4.0)
    assert (sample.x, sample.y) == (LEFT + 1200, TOP - 1200)
    assert found.read(sample)[1].sum() == 100 * 100
    assert "finer_than_stack" in [code for code, _ in reporter.warnings]


def test_beyond_the_stack_a_box_is_not_observed_and_unknown(tmp_path: Path) -> None:
    path = stack(tmp_path / "stack.tif", 40, 40)
    job = SamplesJob(
        str(tmp_path / "s"), (path,), outlines(tmp_path / "o.gpkg", [square(0, 0, 4)]), recipe="paper", resolution=10.0, size=20
    )
    found, _, _ = make(replace(job, background=0.0))
    (sample,) = found.samples
    image, mask = found.read(sample)
    assert (mask[:8] == 255).all() and (mask[:, :8] == 255).all() and np.isnan(image[:, :8]).all()
    assert (mask[8:12, 8:12] == 1).all() and (mask[12:, 8:] == 0).all()


def test_patches_of_hu_cover_the_ground_within_1500_m(tmp_path: Path) -> None:
    path = stack(tmp_path / "stack.tif", 340, 700)
    found, _, _ = make(
        SamplesJob(str(tmp_path / "s"), (path,), outlines(tmp_path / "o.gpkg", [square(200, 160, 20), square(600, 160, 20)]), recipe="hu")
    )
    boxes = sorted((sample.columns, sample.rows, sample.x, sample.y) for sample in found.samples if sample.made_for == "outline")
    assert boxes == [(250, 320, LEFT + 5750, TOP - 1700), (320, 320, LEFT + 2100, TOP - 1700)]


STATUSES = ["accepted", "edited", "added", "rejected", "unreviewed", "uncertain", "replaced", None]


def test_a_review_says_what_is_rock_glacier_background_and_unknown(tmp_path: Path) -> None:
    shapes = [square(2 + 12 * i, 5, 6) for i in range(len(STATUSES))]
    shapes.append(square(50, 5, 3))  # accepted, on a part of the unreviewed one
    path = outlines(tmp_path / "o.gpkg", shapes, status=[*STATUSES, "accepted"], uid=[f"u{i}" for i in range(9)])
    job = SamplesJob(str(tmp_path / "s"), (stack(tmp_path / "stack.tif", 20, 100),), path, size=100, background=0.0)
    found, _, _ = make(job)
    (sample,) = found.samples
    mask = found.read(sample)[1]
    seen = [set(np.unique(mask[5:11, 2 + 12 * i : 8 + 12 * i]).tolist()) for i in range(len(STATUSES))]
    assert seen == [{1}, {1}, {1}, {0}, {1, 255}, {255}, {255}, {255}]
    assert (mask[5:8, 50:53] == 1).all() and (mask == 1).sum() == 3 * 36 + 9
    assert found.document["outlines"]["rejected"] == 1 and found.document["outlines"]["unknown"] == 4


def test_a_rejected_outline_is_the_middle_of_a_negative_sample(tmp_path: Path) -> None:
    path = outlines(tmp_path / "o.gpkg", [square(20, 20, 6), square(80, 60, 6)], status=["accepted", "rejected"], uid=["a", "b"])
    job = SamplesJob(str(tmp_path / "s"), (stack(tmp_path / "stack.tif"),), path, recipe="paper", resolution=10.0, size=20, background=0.0)
    found, _, _ = make(job)
    assert [(sample.kind, sample.made_for, sample.outline, sample.status) for sample in found.samples] == [
        ("positive", "outline", "a", "accepted"),
        ("negative", "rejected", "b", "rejected"),
    ]
    negative = found.samples[1]
    assert (negative.x, negative.y) == (LEFT + 830, TOP - 630)
    assert not found.read(negative)[1].any()


def test_a_status_of_something_else_is_ignored(tmp_path: Path) -> None:
    path = outlines(tmp_path / "o.gpkg", [square(4, 4, 6)], status=["active"])
    found, _, reporter = make(SamplesJob(str(tmp_path / "s"), (stack(tmp_path / "stack.tif", 20, 20),), path, size=20))
    assert found.samples[0].kind == "positive" and found.samples[0].status == ""
    assert any("status" in text for text in reporter.infos)


def test_look_alikes_and_random_background(job: SamplesJob, tmp_path: Path) -> None:
    look_alike = outlines(tmp_path / "n.gpkg", [square(23, 20, 3)])
    found, result, _ = make(replace(job, recipe="paper", resolution=10.0, size=16, negatives=look_alike, background=0.25))
    made_for = [sample.made_for for sample in found.samples]
    assert (made_for.count("outline"), made_for.count("look-alike"), made_for.count("background")) == (12, 1, 2)
    for sample in found.samples:
        if sample.made_for == "background":
            assert found.read(sample)[1].max() == 0 and sample.kind == "negative"


def test_outlines_in_another_crs_are_brought_to_the_stack(job: SamplesJob, tmp_path: Path) -> None:
    shapes = shapely.buffer(np.array(SCATTERED, dtype=object), -1.0)
    job = replace(job, outlines=outlines(tmp_path / "metres.gpkg", list(shapes)))
    layer = PolygonLayer(shapes, CRS.from_user_input(UTM45N)).in_crs("EPSG:4326")
    there = outlines(tmp_path / "degrees.geojson", list(layer.geometries), crs="EPSG:4326")
    one, _, _ = make(job)
    other, _, _ = make(replace(job, outlines=there, output=str(tmp_path / "other")))
    assert len(one.samples) == len(other.samples)
    for a, b in zip(one.samples, other.samples, strict=True):
        assert np.array_equal(one.read(a)[1], other.read(b)[1])


def test_a_stack_in_degrees_gives_samples_in_metres(tmp_path: Path) -> None:
    path = stack(tmp_path / "stack.tif", 60, 60, transform=Affine(1e-4, 0, 88.0, 0, -1e-4, 27.8), crs="EPSG:4326")
    shape = shapely.box(88.001, 27.7952, 88.005, 27.7992)
    job = SamplesJob(str(tmp_path / "s"), (path,), outlines(tmp_path / "o.gpkg", [shape], crs="EPSG:4326"), resolution=10.0, background=0.0)
    found, _, _ = make(job)
    area = sum((found.read(sample)[1] == 1).sum() * 100 for sample in found.samples)
    assert {sample.crs for sample in found.samples} == {UTM45N}
    assert area == pytest.approx(4e-3 * 98_500 * 4e-3 * 110_800, rel=0.03)  # metres of a degree at 27.8 N


def test_two_dates_of_one_place_are_on_one_side(job: SamplesJob, tmp_path: Path) -> None:
    again = stack(tmp_path / "S2_20230815.tif", seed=5)
    for recipe in ("blocks", "paper"):
        found, result, _ = make(replace(job, stacks=(*job.stacks, again), recipe=recipe, resolution=10.0, validation_share=0.25))
        assert leaks(found, SCATTERED) == [] and result["validation"]
        assert {sample.date for sample in found.samples if sample.source == again} == {"2023-08-15"}
        assert {sample.date for sample in found.samples if sample.source != again} == {""}


def test_stacks_of_two_zones_share_no_ground(tmp_path: Path) -> None:
    shapes = [square(8 + 25 * i, 5, 7) for i in range(4)]
    first = stack(tmp_path / "a.tif", 20, 100)
    corner = (
        PolygonLayer(np.array([square(0, 0, 100)], dtype=object), CRS.from_user_input(UTM45N)).in_crs("EPSG:32644").geometries[0].bounds
    )
    second = stack(tmp_path / "b.tif", 60, 110, transform=Affine(10, 0, corner[0], 0, -10, corner[3] - 550), crs="EPSG:32644")
    job = SamplesJob(str(tmp_path / "s"), (first, second), outlines(tmp_path / "o.gpkg", shapes), size=20, validation_share=0.3)
    found, _, _ = make(job)
    grounds = []
    for sample in found.samples:
        with rasterio.open(found.folder / sample.mask) as mask:
            box = PolygonLayer(np.array([shapely.box(*mask.bounds)], dtype=object), CRS.from_user_input(sample.crs))
        grounds.append((sample.split, box.in_crs(UTM45N).geometries[0]))
    between = [a[1].intersection(b[1]).area for a in grounds for b in grounds if a[0] == "train" and b[0] == "validation"]
    assert between and max(between) < 100 and len({sample.crs for sample in found.samples}) == 2


def test_the_figures_are_of_all_samples(job: SamplesJob) -> None:
    found, _, _ = make(job)
    images = [found.read(sample)[0].reshape(6, -1) for sample in found.samples]
    every = np.concatenate(images, axis=1)
    assert found.minimum == pytest.approx(np.nanmin(every, axis=1))
    assert found.maximum == pytest.approx(np.nanmax(every, axis=1))
    assert found.mean == pytest.approx(np.nanmean(every, axis=1), rel=1e-5)


def test_the_same_seed_gives_the_same_samples(job: SamplesJob, tmp_path: Path) -> None:
    one, _, _ = make(job)
    other, _, _ = make(replace(job, output=str(tmp_path / "other")))
    assert one.samples == other.samples
    third, _, _ = make(replace(job, output=str(tmp_path / "third"), seed=2))
    assert one.samples != third.samples


def test_a_stack_without_near_infrared(tmp_path: Path) -> None:
    bare = write_raster(tmp_path / "rgb.tif", mountains(40, 40)[:3], names=STACK_BANDS[:3])
    path = outlines(tmp_path / "o.gpkg", [square(4, 4, 6), square(24, 24, 6)])
    found, _, _ = make(SamplesJob(str(tmp_path / "s"), (bare,), path, size=20))
    assert np.isnan(found.minimum[3:]).all() and np.isfinite(found.minimum[:3]).all()
    _, _, reporter = make(SamplesJob(str(tmp_path / "s"), (bare, stack(tmp_path / "stack.tif")), path, size=20))
    assert "bands_differ" in [code for code, _ in reporter.warnings]


def test_stacks_of_two_resolutions_get_the_coarser(tmp_path: Path) -> None:
    fine = stack(tmp_path / "fine.tif", 80, 80, transform=Affine(5, 0, LEFT, 0, -5, TOP))
    coarse = stack(tmp_path / "coarse.tif", 40, 40)
    job = SamplesJob(str(tmp_path / "s"), (fine, coarse), outlines(tmp_path / "o.gpkg", [square(4, 4, 6), square(24, 24, 6)]), size=20)
    found, _, reporter = make(job)
    assert {sample.pixel_size_m for sample in found.samples} == {10.0}
    assert "resolutions_differ" in [code for code, _ in reporter.warnings]


def test_one_sample_is_for_training(tmp_path: Path) -> None:
    path = outlines(tmp_path / "o.gpkg", [square(4, 4, 6)])
    for recipe in ("blocks", "paper", "hu"):
        found, _, reporter = make(
            SamplesJob(str(tmp_path / "s"), (stack(tmp_path / "stack.tif", 20, 20),), path, size=20, resolution=10.0, recipe=recipe)
        )
        assert [sample.split for sample in found.samples] == ["train"]
        assert [code for code, _ in reporter.warnings] == ["no_validation", "all_positive"]


def test_outlines_beyond_the_stacks_are_told(job: SamplesJob, tmp_path: Path) -> None:
    path = outlines(tmp_path / "o.gpkg", [SCATTERED[0], square(5000, 0, 5)])
    found, _, reporter = make(replace(job, outlines=path))
    assert ("outside_imagery", "1 of 2 outlines lie outside the stacks and were left out.") in reporter.warnings
    assert found.document["outlines"]["outside"] == 1


def test_what_is_not_observed_is_left_out(tmp_path: Path) -> None:
    pixels = spectral_stack(mountains(20, 60))
    pixels[:, :, 20:40] = np.nan
    path = write_raster(tmp_path / "stack.tif", pixels, names=STACK_BANDS, nodata=np.nan)
    shapes = [square(5, 5, 6), square(26, 5, 6), square(45, 5, 6)]
    found, result, _ = make(SamplesJob(str(tmp_path / "s"), (path,), outlines(tmp_path / "o.gpkg", shapes), size=20))
    assert result["positive"] == 2 and result["left_out"] == {"not observed": 1}


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("far", "outside_imagery"),
        ("raw", "not_a_stack"),
        ("counts", "not_reflectance"),
        ("rejected", "no_rock_glaciers"),
        ("empty", "no_rock_glaciers"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tmp_path: Path, case: str, code: str) -> None:
    scene = stack(tmp_path / "stack.tif")
    path = outlines(tmp_path / "o.gpkg", [square(10, 10, 5)], status=["rejected" if case == "rejected" else "accepted"])
    if case == "far":
        path = outlines(tmp_path / "o.gpkg", [square(9000, 10, 5)])
    if case == "empty":
        path = outlines(tmp_path / "o.gpkg", [])
    if case == "raw":
        scene = write_raster(tmp_path / "raw.tif", mountains())
    if case == "counts":
        scene = write_raster(tmp_path / "counts.tif", mountains() * 10000, names=STACK_BANDS[:4])
    with pytest.raises(EngineError) as raised:
        samples(SamplesJob(str(tmp_path / "s"), (scene,), path), SilentReporter())
    assert raised.value.code == code
    if case == "raw":
        assert "Prepare spectral stack" in raised.value.text
    assert not any(entry.name.startswith((".s", "s/")) or entry.name == "s" for entry in tmp_path.iterdir())


@pytest.mark.parametrize("after", [1, 4, 12])
def test_cancelled_it_leaves_nothing(job: SamplesJob, after: int) -> None:
    with pytest.raises(Cancelled):
        samples(replace(job, contact_sheet=f"{job.output}.png"), SilentReporter(cancel_after=after))
    assert sorted(entry.name for entry in Path(job.output).parent.iterdir()) == ["outlines.gpkg", "stack.tif"]


def test_an_earlier_set_is_replaced_and_nothing_else(job: SamplesJob, tmp_path: Path) -> None:
    make(job)
    found, _, _ = make(replace(job, contact_sheet=str(Path(job.output) / "sheet.png")))
    assert (found.folder / "sheet.png").is_file()
    (found.folder / "notes.txt").write_text("mine")
    with pytest.raises(EngineError, match="notes.txt") as raised:
        samples(job, SilentReporter())
    assert raised.value.code == "output_folder"
    assert (found.folder / "notes.txt").read_text() == "mine"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "a", ("b",)) as place:
        (place / "b").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for text in ("one", "two"):
        with whole_folder(tmp_path / "a", ("b",)) as place:
            (place / "b").write_text(text)
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
        assert (tmp_path / "a" / "b").read_text() == text


def test_a_full_disk_leaves_nothing(job: SamplesJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.sample_cutter.write_sample", full)
    with pytest.raises(EngineError) as raised:
        samples(job, SilentReporter())
    assert raised.value.code == "disk_full"
    assert sorted(entry.name for entry in Path(job.output).parent.iterdir()) == ["outlines.gpkg", "stack.tif"]


def test_samples_too_large_for_memory_are_refused(job: SamplesJob) -> None:
    with pytest.raises(EngineError, match="coarser"):
        samples(replace(job, recipe="paper", resolution=0.2, size=None), SilentReporter())


def test_outlines_of_the_other_side_of_the_earth(job: SamplesJob, tmp_path: Path) -> None:
    near = PolygonLayer(np.array(SCATTERED[:2], dtype=object), CRS.from_user_input(UTM45N)).in_crs("EPSG:4326").geometries
    far = [shapely.box(lon, lat, lon + 0.1, lat + 0.1) for lon in (-178.0, -93.0, -4.0, 2.0) for lat in (-60.0, 0.0, 89.9)]
    there = outlines(tmp_path / "degrees.gpkg", [*near, *far], crs="EPSG:4326")
    found, result, _ = make(replace(job, outlines=there))
    assert found.document["outlines"]["outside"] == len(far) and result["positive"] >= 2


def test_the_tables_agree(job: SamplesJob) -> None:
    found, result, _ = make(job)
    import pyogrio  # noqa: PLC0415

    meta, _, footprints, values = pyogrio.raw.read(found.folder / "samples.gpkg")
    shown = dict(zip(meta["fields"], values, strict=True))
    assert shown["sample"].tolist() == [sample.sample for sample in found.samples]
    assert shown["split"].tolist() == [sample.split for sample in found.samples]
    for sample, footprint in zip(found.samples, shapely.from_wkb(footprints), strict=True):
        with rasterio.open(found.folder / sample.image) as image:
            assert footprint.equals(shapely.box(*image.bounds))
            assert image.descriptions == STACK_BANDS and np.isnan(image.nodata)
    document = json.loads((found.folder / "samples.json").read_text())
    assert sum(sum(kinds.values()) for kinds in document["counts"].values()) == result["count"]
    assert document["recipe"] == "blocks" and document["seed"] == 1


def test_a_folder_of_something_else_is_no_set(tmp_path: Path, job: SamplesJob) -> None:
    with pytest.raises(EngineError) as raised:
        read_samples(tmp_path)
    assert raised.value.code == "not_samples"
    found, _, _ = make(job)
    (found.folder / found.samples[0].mask).unlink()
    with pytest.raises(EngineError, match="missing"):
        read_samples(job.output)


def test_groups_that_hang_together_stay_together() -> None:
    pairs = {(0, 1), (1, 2), (3, 4)}
    positive = np.ones(10, dtype=bool)
    for seed in range(20):
        sides = split_apart(pairs, positive, 0.2, np.random.default_rng(seed))
        assert (sides == VALIDATION).sum() == 2
        assert set(np.flatnonzero(sides == VALIDATION)) <= {5, 6, 7, 8, 9}


def test_where_all_hangs_together_a_piece_is_cut_out() -> None:
    pairs = {(i, i + 1) for i in range(19)}
    for seed in range(10):
        sides = split_apart(pairs, np.ones(20, dtype=bool), 0.2, np.random.default_rng(seed))
        assert (sides == VALIDATION).sum() == 4 and 1 <= (sides == LEFT_OUT).sum() <= 2
        assert not [(i, j) for i, j in pairs if {sides[i], sides[j]} == {TRAIN, VALIDATION}]


def test_a_piece_is_smaller_where_training_would_lose_half() -> None:
    side = range(4)
    pairs = {
        (4 * i + j, 4 * k + m)
        for i, j, k, m in itertools.product(side, repeat=4)
        if (i, j) < (k, m) and abs(i - k) <= 1 and abs(j - m) <= 1
    }
    for seed in range(5):
        sides = split_apart(pairs, np.ones(16, dtype=bool), 0.4, np.random.default_rng(seed))
        assert 1 <= (sides == VALIDATION).sum() < 6 and (sides == TRAIN).sum() > 8
        assert not [(i, j) for i, j in pairs if {sides[i], sides[j]} == {TRAIN, VALIDATION}]


def test_no_validation_where_none_is_wanted(job: SamplesJob) -> None:
    assert (split_apart({(0, 1)}, np.ones(3, dtype=bool), 0.0, np.random.default_rng(1)) == TRAIN).all()
    found, result, reporter = make(replace(job, validation_share=0.0))
    assert result["validation"] == 0 and result["train"] == len(found.samples)
    assert "no_validation" not in [code for code, _ in reporter.warnings]


def test_samples_that_all_overlap_are_not_split() -> None:
    pairs = set(itertools.combinations(range(4), 2))
    assert (split_apart(pairs, np.ones(4, dtype=bool), 0.2, np.random.default_rng(1)) == TRAIN).all()


def test_whole_blocks_are_shared_out() -> None:
    group = np.repeat(np.arange(20), 5)
    sides = choose_groups(group, np.tile([True, False, False, False, False], 20), 0.2, np.random.default_rng(1))
    assert all(len(set(sides[group == number])) == 1 for number in range(20))
    assert (sides == VALIDATION).sum() == 20


def test_blocks_are_as_large_as_leaves_enough_of_them() -> None:
    cells = np.array([(0, row, column) for row in range(16) for column in range(16)])
    assert samples_per_block(cells, np.ones(256, dtype=bool), 0.2) == 4
    assert samples_per_block(cells[:9], np.ones(9, dtype=bool), 0.2) == 1


def test_squares_are_half_as_wide_in_a_small_area(tmp_path: Path) -> None:
    path = stack(tmp_path / "stack.tif", 300, 300)
    few, many = [square(10, 10, 5), square(200, 200, 5)], [square(20 + 60 * i, 20 + 60 * j, 4) for i in range(5) for j in range(5)]
    job = SamplesJob(str(tmp_path / "s"), (path,), outlines(tmp_path / "o.gpkg", few), background=0.0)
    assert make(job)[0].document["size"] == 128
    wide = stack(tmp_path / "wide.tif", 300, 3000)
    along = [square(20 + 260 * i, 20, 4) for i in range(11)]
    assert make(replace(job, stacks=(wide,), outlines=outlines(tmp_path / "o.gpkg", along)))[0].document["size"] == 256
    assert make(replace(job, outlines=outlines(tmp_path / "o.gpkg", many), size=200))[0].document["size"] == 200


def test_squares_lie_the_same_on_shifted_grids() -> None:
    crs = rasterio.CRS.from_epsg(32645)
    one, other = Grid(crs, PIXEL_10M, 50, 50), Grid(crs, PIXEL_10M @ Affine.translation(-33, 17), 90, 90)
    first, second = (Lattice.of(grid, (LEFT, TOP), 20) for grid in (one, other))
    assert first.place((1, 1), "", -1).footprint(one).equals(second.place((1, 1), "", -1).footprint(other))
    assert set(first.cells()) <= set(second.cells()) and len(list(first.cells())) == 9
    assert second.cells_of(square(25, 25, 2)) == [(1, 1)] and second.cells_of(square(500, 0, 2)) == []


def test_neighbours_share_an_edge_but_no_ground() -> None:
    crs = CRS.from_user_input(UTM45N)
    grounds = [(square(0, 0, 10), crs), (square(10, 0, 10), crs), (square(19, 0, 10), crs), None]
    assert shared_ground(grounds, 100.0) == {(1, 2)}


pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def chip(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(exist_ok=True)
    with rasterio.open(path, "w", driver="PNG", count=len(pixels), height=pixels.shape[1], width=pixels.shape[2], dtype="uint8") as picture:
        picture.write(pixels)


@pytest.fixture
def chips(tmp_path: Path) -> SamplesJob:
    random = np.random.default_rng(1)
    for number in range(10):
        chip(tmp_path / "images" / f"{number:03d}.png", random.integers(1, 255, (3, 16, 16), dtype=np.uint8))
        mask = np.zeros((1, 16, 16), np.uint8)
        mask[0, 4:8, number % 4 : 8] = 255
        chip(tmp_path / "masks" / f"{number:03d}.png", mask)
        chip(tmp_path / "without" / f"{number:03d}.png", random.integers(1, 255, (3, 16, 16), dtype=np.uint8))
    return SamplesJob(
        str(tmp_path / "s"), images=str(tmp_path / "images"), masks=str(tmp_path / "masks"), negatives=str(tmp_path / "without")
    )


def test_chips_become_samples_without_a_place(chips: SamplesJob, tmp_path: Path) -> None:
    found, result, reporter = make(chips)
    assert (result["count"], result["positive"], result["validation"], result["resolution_m"]) == (20, 10, 4, None)
    first = found.samples[0]
    image, mask = found.read(next(sample for sample in found.samples if sample.sample == "000001"))
    with opened(tmp_path / "images" / "000.png") as picture:
        assert image[:3] == pytest.approx(picture.read() / 255 * 0.3558, rel=1e-5)
    assert np.isnan(image[3:]).all()
    assert mask.sum() == 32 and set(np.unique(mask)) == {0, 1}
    assert (first.crs, first.pixel_size_m, first.x) == ("", None, None)
    assert [code for code, _ in reporter.warnings] == ["places_unknown"]
    assert not (found.folder / "samples.gpkg").exists()


def test_overlaps_keep_chips_of_one_place_on_one_side(chips: SamplesJob, tmp_path: Path) -> None:
    with open(tmp_path / "overlaps.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("chip_a", "chip_b"), *((f"{i:03d}", f"{i + 1:03d}") for i in (0, 1, 2, 4, 5, 7, 8))])
    for seed in range(4):
        found, _, reporter = make(replace(chips, seed=seed, validation_share=0.3))
        side = {Path(sample.source).stem: sample.split for sample in found.samples if sample.made_for == "chip"}
        for place in (range(4), range(4, 7), range(7, 10)):
            assert len({side[f"{i:03d}"] for i in place}) == 1
        assert "validation" in side.values() and reporter.warnings == []


def test_bad_chips_are_named(chips: SamplesJob, tmp_path: Path) -> None:
    def code() -> str:
        with pytest.raises(EngineError) as raised:
            samples(chips, SilentReporter())
        assert not (tmp_path / "s").exists()
        return raised.value.code

    chip(tmp_path / "images" / "010.png", np.ones((3, 16, 16), np.uint8))
    assert code() == "mask_missing"
    chip(tmp_path / "masks" / "010.png", np.ones((1, 16, 12), np.uint8))
    assert code() == "mask_size"
    chip(tmp_path / "masks" / "010.png", np.ones((1, 16, 16), np.uint8))
    chip(tmp_path / "images" / "010.png", np.ones((1, 16, 16), np.uint8))
    assert code() == "not_a_chip"
    (tmp_path / "images" / "010.png").write_bytes(b"no picture")
    assert code() == "truncated_file"


def test_the_contact_sheet_shows_every_sample(job: SamplesJob, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    _, result, _ = make(replace(job, contact_sheet=str(sheet), size=40))
    with opened(sheet) as picture:
        pixels = picture.read()[:3].reshape(3, -1).T
    yellow = (np.abs(pixels.astype(int) - (0xF0, 0xE4, 0x42)) < 25).all(axis=1).sum()
    blue, orange = ((np.abs(pixels.astype(int) - colour) < 10).all(axis=1).sum() for colour in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)))
    assert yellow > 100 and blue > orange > 100
    assert result["contact_sheet"] == str(sheet)


def test_real_imagery(data: Path, tmp_path: Path) -> None:
    from engine.prepare import prepare  # noqa: PLC0415
    from jobs import PrepareJob  # noqa: PLC0415

    there = str(tmp_path / "stack.tif")
    prepare(PrepareJob(str(data / "sikkim" / "sikkim_s2_rgbn_10m.tif"), there, sensor="sentinel2_l2a"), SilentReporter())
    job = SamplesJob(str(tmp_path / "s"), (there,), str(data / "sikkim" / "rock_glaciers_manual.geojson"), size=64)
    found, result, _ = make(job)
    assert result["positive"] and result["negative"]
    area = sum((found.read(sample)[1] == 1).sum() for sample in found.samples) * 100
    assert result["validation"] and area == pytest.approx(59417 + 355000 + 23000, rel=0.05)


def test_a_row_holds_every_field() -> None:
    assert list(Sample.__dataclass_fields__)[:5] == ["sample", "image", "mask", "split", "kind"]
