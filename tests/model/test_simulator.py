"""The simulated landscapes hold what the training, the tests and the benchmarks rely on."""

from __future__ import annotations

import dataclasses
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize
from scipy import ndimage

from model.simulator import LAND_COVER, Landscape, simulate
from model.simulator.flows import plan_form
from model.simulator.rock_glaciers import Body, build

SEEDS = tuple(range(4))


@cache
def scene(seed: int, share: float | None = None) -> Landscape:
    return simulate(seed, 224, 240, rock_glacier_share=share)


def all_rock_glaciers() -> list[tuple[Landscape, int]]:
    landscapes = [scene(seed, share) for seed in SEEDS for share in (None, 0.2)]
    return [(landscape, position) for landscape in landscapes for position in range(len(landscape.rock_glaciers))]


@pytest.mark.parametrize("arguments", [(3, 128, 160, 10.0), (4, 96, 64, 20.0)], ids=["10 m", "20 m"])
def test_the_same_arguments_give_the_same_bits(arguments: tuple[int, int, int, float]) -> None:
    first, second = simulate(*arguments), simulate(*arguments)
    for field in dataclasses.fields(Landscape):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if isinstance(a, np.ndarray):
            assert a.tobytes() == b.tobytes(), field.name
        else:
            assert a == b, field.name


def test_another_seed_gives_another_landscape() -> None:
    assert not np.array_equal(scene(0).elevation, scene(1).elevation)
    assert not np.array_equal(scene(0).reflectance, scene(1).reflectance)


@pytest.mark.parametrize(("rows", "columns", "resolution"), [(40, 130, 4.0), (96, 32, 30.0), (129, 127, 10.0)])
def test_shapes_types_and_ranges(rows: int, columns: int, resolution: float) -> None:
    landscape = simulate(11, rows, columns, resolution)
    assert landscape.reflectance.shape == (4, rows, columns)
    for array in (landscape.elevation, landscape.landcover, landscape.labels, landscape.permafrost):
        assert array.shape == (rows, columns)
    assert [landscape.reflectance.dtype, landscape.elevation.dtype, landscape.permafrost.dtype] == [np.float32] * 3
    assert (landscape.landcover.dtype, landscape.labels.dtype) == (np.uint8, np.int32)
    assert landscape.reflectance.min() >= 0 and landscape.reflectance.max() <= 1
    assert landscape.permafrost.min() >= 0 and landscape.permafrost.max() <= 1
    assert np.isfinite(landscape.elevation).all()
    assert set(np.unique(landscape.landcover)) <= set(LAND_COVER.values())
    assert landscape.transform.a == -landscape.transform.e == resolution
    assert landscape.crs.is_projected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [((1, 31, 64), "32 rows"), ((1, 64, 64, 1.0), "2 to 30 m"), ((1, 64, 64, 10.0, 1.5), "between 0 and 1")],
    ids=["too small", "too fine", "share above one"],
)
def test_what_cannot_be_simulated_is_refused(arguments: tuple[float, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        simulate(*arguments)


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_are_the_rasterised_outlines(seed: int) -> None:
    landscape = scene(seed)
    truth = np.zeros_like(landscape.labels)
    for record in landscape.rock_glaciers:
        rasterize([(record.outline, record.id)], out=truth, transform=landscape.transform)
    differing = truth != landscape.labels
    rim = ndimage.maximum_filter(landscape.labels, 3) != ndimage.minimum_filter(landscape.labels, 3)
    assert not (differing & ~rim).any()
    assert {record.id for record in landscape.rock_glaciers} == set(np.unique(landscape.labels)) - {0}


def test_records_are_valid_and_no_smaller_than_a_mapper_would_map() -> None:
    assert len(all_rock_glaciers()) >= 20
    for landscape, position in all_rock_glaciers():
        record = landscape.rock_glaciers[position]
        assert record.outline.is_valid and record.outline.geom_type == "Polygon"
        assert record.area == pytest.approx(record.outline.area) and record.area >= 22000
        assert record.area == pytest.approx((landscape.labels == record.id).sum() * 100, rel=0.05)
        assert record.activity in {"active", "transitional", "relict"} and record.form in {"tongue", "lobe"}


def test_outlines_do_not_overlap() -> None:
    for seed in SEEDS:
        outlines = [record.outline for record in scene(seed).rock_glaciers]
        assert shapely.union_all(outlines).area == pytest.approx(sum(outline.area for outline in outlines), rel=1e-6)


def test_touching_neighbours_keep_their_own_ids() -> None:
    pairs = [
        (crowded, first, second)
        for crowded in (scene(seed, 0.2) for seed in SEEDS)
        for first, second in combinations(crowded.rock_glaciers, 2)
        if first.outline.distance(second.outline) < 1
    ]
    assert pairs
    for crowded, first, second in pairs:
        assert first.id != second.id
        assert all((crowded.labels == record.id).sum() * 100 > 20000 for record in (first, second))


@pytest.mark.parametrize("activity", ["active", "transitional", "relict"])
@pytest.mark.parametrize("resolution", [5.0, 10.0])
def test_a_rock_glacier_stands_above_an_even_slope(activity: str, resolution: float) -> None:
    size = int(1200 / resolution)
    slope = np.tile((3000 - 0.3 * resolution * np.arange(size, dtype=np.float32))[:, None], (1, size))
    line = np.stack([np.arange(200.0, 801, 20), np.full(31, 600.0)], axis=1)
    outline = plan_form(np.random.default_rng(5), line, 300.0)
    assert outline is not None
    raised = slope.copy()
    labels, _ = build(np.random.default_rng(6), [Body(activity, "tongue", outline, line, 300.0)], raised, resolution)
    above = raised - slope
    near_front = above[int(700 / resolution) : int(730 / resolution), int(580 / resolution) : int(620 / resolution)]
    assert near_front.min() > 3 and above.max() < 60
    beyond = ndimage.binary_dilation(labels > 0, iterations=1)
    assert np.abs(above[~beyond]).max() < 0.1
    assert slope[labels > 0].min() - raised[labels > 0].min() < 1


def test_lakes_are_dark_in_the_near_infrared_and_snow_is_bright() -> None:
    lake, snow = [], []
    for seed in range(8):
        landscape = scene(seed)
        nir, red = landscape.reflectance[3], landscape.reflectance[0]
        lit = landscape.reflectance[2] > 0.5
        lake.append(nir[ndimage.binary_erosion(landscape.landcover == LAND_COVER["lake"], iterations=2)])
        snow.append(red[ndimage.binary_erosion(landscape.landcover == LAND_COVER["snow"], iterations=2) & lit])
    assert np.concatenate(lake).size and np.percentile(np.concatenate(lake), 99) < 0.09
    assert np.concatenate(snow).size and np.median(np.concatenate(snow)) > 0.55


def test_plants_are_brighter_in_the_near_infrared_than_in_red() -> None:
    for name in ("meadow", "forest"):
        nir, red = (np.concatenate([s.reflectance[band][s.landcover == LAND_COVER[name]] for s in map(scene, range(8))]) for band in (3, 0))
        assert nir.size > 100 and np.median(nir / np.maximum(red, 0.01)) > 1.7


@pytest.mark.parametrize("seed", SEEDS)
def test_a_share_of_nought_gives_the_same_mountains_without_rock_glaciers(seed: int) -> None:
    landscape = scene(seed, 0)
    assert landscape.rock_glaciers == () and not landscape.labels.any()
    assert not (landscape.landcover == LAND_COVER["rock_glacier"]).any()
    with_them = scene(seed)
    elsewhere = ndimage.binary_dilation(with_them.labels > 0, iterations=3) | (with_them.landcover != landscape.landcover)
    assert np.mean(np.abs(with_them.elevation - landscape.elevation)[~elsewhere] < 0.5) > 0.85


def test_the_share_of_rock_glaciers_is_what_is_asked_for() -> None:
    few, many = (np.mean([(scene(seed, share).labels > 0).mean() for seed in SEEDS]) for share in (0.02, 0.2))
    assert 0.01 < few < 0.07 < many < 0.25


def test_active_ones_lie_in_permafrost_and_some_relict_ones_do_not() -> None:
    frozen: dict[str, list[float]] = {"active": [], "transitional": [], "relict": []}
    for landscape in (scene(seed, share) for seed in SEEDS for share in (None, 0.2)):
        for record in landscape.rock_glaciers:
            frozen[record.activity].append(float(landscape.permafrost[landscape.labels == record.id].mean()))
    assert min(map(len, frozen.values())) > 3
    assert np.median(frozen["active"]) > 0.6 > np.median(frozen["relict"])
    assert min(frozen["relict"]) < 0.5


def test_no_rock_glacier_lies_in_a_lake() -> None:
    for seed in SEEDS:
        landscape = scene(seed)
        assert not ((landscape.labels > 0) & (landscape.landcover == LAND_COVER["lake"])).any()


def test_slopes_that_face_the_sun_are_brighter_than_those_that_do_not() -> None:
    gain = []
    for landscape in map(scene, SEEDS):
        bare = np.isin(landscape.landcover, [LAND_COVER[name] for name in ("rock", "talus", "debris")])
        rows, columns = np.gradient(landscape.elevation, 10.0)
        azimuth = np.radians(landscape.sun.azimuth)
        facing = rows * np.cos(azimuth) - columns * np.sin(azimuth)
        sunny, shady = (landscape.reflectance[0][bare & chosen].mean() for chosen in (facing > 0.2, facing < -0.2))
        gain.append(sunny / shady)
    assert min(gain) > 1 and np.median(gain) > 1.3
