"""Samples: no shared ground between training and testing, known reflectance, batches that come again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.indices import evi, savi
from engine.prepare import spectral_stack
from engine.sample_chips import nominal_reflectance
from model.augmentation import Augmentation, augmented, blurred, hole, mixed, placed, relit, smooth_field
from model.samples import (
    UNKNOWN,
    Batches,
    Chip,
    ChipSource,
    SceneSource,
    SimulatedScene,
    band_statistics,
    chances,
    chip_statistics,
    cloud_share,
    hold_out,
    leave_region_out,
    simulated_scene,
)
from model.simulator import LAND_COVER, simulate

STILL = Augmentation(
    largest_zoom=1.0,
    largest_turn=0.0,
    gain=0.0,
    gamma=0.0,
    band_gain=0.0,
    contrast=0.0,
    haze=0.0,
    grey=0.0,
    blur=0.3,
    noise=0.0,
    nir_absent=0.0,
    saturated=0.0,
    holes=0.0,
)


def chips(**regions: str) -> list[Chip]:
    return [Chip(name, region, 0.0) for name, region in regions.items()]


@pytest.mark.parametrize(
    ("overlaps", "kept"),
    [
        pytest.param([], ["c", "d", "e"], id="nothing shared"),
        pytest.param([("a", "b"), ("c", "d")], ["c", "d", "e"], id="shared on one side"),
        pytest.param([("a", "c")], ["d", "e"], id="shared across regions"),
        pytest.param([("d", "b")], ["c", "e"], id="shared across, written the other way"),
        pytest.param([("a", "c"), ("c", "d"), ("d", "e")], [], id="shared over a chain"),
    ],
)
def test_no_ground_is_on_both_sides(overlaps, kept) -> None:
    training, left_out = leave_region_out(chips(a="A", b="A", c="B", d="B", e="C"), overlaps, "A")
    assert [chip.name for chip in left_out] == ["a", "b"]
    assert [chip.name for chip in training] == kept


def test_held_out_names_come_again_and_are_not_trained_on() -> None:
    names = [f"{i:03d}" for i in range(40)]
    training, held_out = hold_out(names, 0.25, seed=3)
    assert (len(training), len(held_out)) == (30, 10)
    assert sorted(training + held_out) == names
    assert hold_out(names[::-1], 0.25, seed=3) == (training, held_out)
    assert hold_out(names, 0.25, seed=4)[1] != held_out


def test_nominal_reflectance_of_a_true_colour_chip() -> None:
    image = np.zeros((3, 2, 3), np.uint8)
    image[0], image[1] = 255, 51
    reflectance = nominal_reflectance(image)
    assert reflectance.shape == (4, 2, 3)
    assert reflectance[:3, 0, 0] == pytest.approx([0.3558, 0.07116, 0.0])
    assert np.isnan(reflectance[3]).all()


def test_stack_has_indices_where_there_is_nir() -> None:
    reflectance = np.full((4, 1, 2), 0.2, np.float32)
    reflectance[3] = 0.4, np.nan
    stack = spectral_stack(reflectance)
    red, _, blue, nir = reflectance
    assert stack[4, 0, 0] == evi(red, blue, nir)[0, 0]
    assert stack[5, 0, 0] == savi(red, nir)[0, 0] == pytest.approx(1.5 * 0.2 / 1.1)
    assert np.isnan(stack[3:, 0, 1]).all()
    assert np.isfinite(stack[:3]).all()


def scene(side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = np.zeros((side, side), np.uint8)
    truth[:12, :12] = 1
    return rng.uniform(0.1, 0.4, (4, side, side)).astype(np.float16), truth


def test_scene_windows_lie_inside_and_most_reach_for_rock_glaciers() -> None:
    source = SceneSource([scene(64)], window=16)
    rng = np.random.default_rng(2)
    draws = [source.draw(rng) for _ in range(200)]
    assert {reflectance.shape for reflectance, _ in draws} == {(4, 16, 16)}
    assert np.mean([truth.any() for _, truth in draws]) > 0.6


def test_small_rock_glaciers_are_drawn_as_often_as_large_ones() -> None:
    reflectance, truth = scene(64)
    truth[:] = 0
    truth[:30, :30] = 1
    truth[60:, 60:] = 1
    reflectance[0, 60:, 60:] = 0.9
    source = SceneSource([(reflectance, truth)], window=8, around_rock_glaciers=1.0)
    rng = np.random.default_rng(2)
    assert 0.4 < np.mean([(source.draw(rng)[0][0] > 0.8).any() for _ in range(200)]) < 0.6


def test_chips_are_drawn_by_weight() -> None:
    images = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (0, 255)])
    source = ChipSource(images, np.zeros((2, 4, 4), np.uint8), [3.0, 1.0])
    rng = np.random.default_rng(1)
    bright = np.mean([source.draw(rng)[0][0, 0, 0] > 0 for _ in range(400)])
    assert 0.17 < bright < 0.33


def test_clouded_chips_are_drawn_seldom() -> None:
    cloud = np.full((8, 8, 3), (150, 155, 160), np.uint8)
    half = cloud.copy()
    half[:4] = (90, 80, 70)
    snow, ground = np.full_like(cloud, 255), np.full_like(cloud, (180, 140, 100))
    assert [cloud_share(image) for image in (cloud, half, snow, ground)] == [1.0, 0.5, 0.0, 0.0]
    clear, clouded = chances(chips(a="A", b="A"), [0.0, 0.5])
    assert clouded / clear == pytest.approx(1 / 5)
    assert chances(chips(a="A", b="A")) == [0.5, 0.5]


def test_statistics_of_chips_are_those_of_their_pictures() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[0] = (255, 102, 51)
    source = ChipSource(images, np.zeros((2, 4, 4), np.uint8), [1.0, 1.0])
    found = chip_statistics([source, source], ("blue", "red"))
    assert found.minimum == (0.0, 0.0)
    assert found.maximum == pytest.approx((0.07116, 0.3558))
    assert found.mean == pytest.approx((0.03558, 0.1779))
    with pytest.raises(ValueError, match="one value"):
        chip_statistics([ChipSource(images[:1], np.zeros((1, 4, 4), np.uint8), [1.0])], ("red",))


@pytest.mark.parametrize("change", [Augmentation(), Augmentation(colour=0.4, light_field=0.2, sharpen=0.7, cutmix=0.5)])
def test_a_batch_is_made_by_its_number_alone(change) -> None:
    batches = Batches([(SceneSource([scene()], 40), 3)], 32, change, seed=5)
    first, second = batches[7], Batches([(SceneSource([scene()], 40), 3)], 32, change, seed=5)[7]
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], batches[8][0], equal_nan=True)
    assert [array.shape for array in first] == [(3, 6, 32, 32), (3, 1, 32, 32), (3, 1, 32, 32)]
    assert {array.dtype for array in first} == {np.dtype(np.float32)}


def test_what_is_not_observed_or_unknown_has_no_weight() -> None:
    reflectance, truth = scene(32)
    truth[20:, 20:] = UNKNOWN
    reflectance[:, 0, :] = np.nan
    stack, label, weight = Batches([(SceneSource([(reflectance, truth)], 32), 1)], 32, STILL, seed=1)[0]
    assert weight.sum() == np.isfinite(stack[:, 0]).sum() - 12 * 12
    assert label.sum() == (truth == 1).sum()
    assert set(np.unique(label)) == {0.0, 1.0}


def test_statistics_are_those_of_the_samples() -> None:
    reflectance = np.full((4, 32, 32), 0.25, np.float32)
    reflectance[:, :16] = 0.75
    reflectance[3] = reflectance[3] * 2 - 0.25
    statistics = band_statistics(Batches([(SceneSource([(reflectance, np.zeros((32, 32), np.uint8))], 32), 2)], 32, STILL, seed=1), 2)
    assert statistics.minimum[:4] == pytest.approx((0.25,) * 4, abs=1e-5)
    assert statistics.maximum[:3] == pytest.approx((0.75,) * 3, abs=1e-5)
    assert statistics.mean[:3] == pytest.approx((0.5,) * 3, abs=1e-5)
    assert statistics.minimum[4] == pytest.approx(0.0, abs=1e-5)


def test_a_band_that_is_never_observed_cannot_be_normalised() -> None:
    source = ChipSource(np.random.default_rng(1).integers(0, 255, (1, 32, 32, 3), np.uint8), np.zeros((1, 32, 32), np.uint8), [1.0])
    with pytest.raises(ValueError, match="nowhere observed"):
        band_statistics(Batches([(source, 2)], 32, STILL, seed=1), 1)


def test_truth_moves_with_its_pixels() -> None:
    truth = (np.indices((48, 48)).sum(axis=0) // 12 % 2).astype(np.uint8)
    reflectance = np.repeat(truth[None].astype(np.float32), 4, axis=0)
    for seed in range(6):
        moved, label = placed(reflectance, truth, 32, Augmentation(), np.random.default_rng(seed))
        inside = np.abs(moved[0] - 0.5) > 0.49
        assert inside.mean() > 0.3
        assert np.array_equal(moved[0][inside] > 0.5, label[inside] > 0.5)


def test_without_any_change_a_sample_is_one_of_its_eight_symmetries() -> None:
    reflectance, truth = scene(32)
    reflectance = reflectance.astype(np.float32)
    moved, _ = augmented(reflectance, truth, 32, STILL, np.random.default_rng(4))
    symmetries = [np.rot90(view, turns, (1, 2)) for view in (reflectance, reflectance[:, :, ::-1]) for turns in range(4)]
    assert min(np.abs(moved - symmetry).max() for symmetry in symmetries) < 0.3
    assert min(np.abs(moved - symmetry).mean() for symmetry in symmetries) < 0.03


def test_other_light_leaves_absent_bands_absent_and_stays_in_range() -> None:
    reflectance, _ = scene(32)
    reflectance = reflectance.astype(np.float32)
    reflectance[3] = np.nan
    for seed in range(8):
        changed = relit(reflectance, Augmentation(), np.random.default_rng(seed))
        assert np.isnan(changed[3]).all()
        assert changed[:3].min() >= 0
        assert changed[:3].max() <= 1.2


STYLES = {"colour": 0.2, "light_field": 0.5, "sharpen": 0.9}


@pytest.mark.parametrize("name", STYLES)
def test_each_style_changes_what_it_is_named_after_and_nothing_when_its_strength_is_zero(name) -> None:
    reflectance, _ = scene(32)
    reflectance = np.clip(reflectance.astype(np.float32), 0.15, 0.35)
    changed = [relit(reflectance, replace(STILL, blur=0.3, **{name: STYLES[name]}), np.random.default_rng(seed)) for seed in range(12)]
    plain = [relit(reflectance, replace(STILL, strength=0.0, **{name: STYLES[name]}), np.random.default_rng(seed)) for seed in range(12)]
    apart = [float(np.abs(one - other).max()) for one, other in zip(changed, plain, strict=True)]
    assert max(apart) > 0.01
    if name == "colour":
        assert all(
            one[:3].mean(axis=0) == pytest.approx(other[:3].mean(axis=0), abs=0.02) for one, other in zip(changed, plain, strict=True)
        )
    if name == "light_field":
        assert 0.0 in apart
    if name == "sharpen":
        assert max(one.std() / other.std() for one, other in zip(changed, plain, strict=True)) > 1.05


def test_a_light_field_is_smooth() -> None:
    field = smooth_field((64, 48), np.random.default_rng(1))
    assert field.shape == (64, 48)
    assert field.std() > 0.3
    assert np.abs(np.diff(field, axis=0)).max() < 0.3


def test_mixed_samples_keep_their_truth() -> None:
    rng = np.random.default_rng(1)
    samples = [(np.full((4, 16, 12), value, np.float32), np.full((16, 12), value, np.float32)) for value in range(6)]
    found = mixed(samples, 0.5, rng)
    assert all(np.array_equal(reflectance[band], truth) for reflectance, truth in found for band in range(4))
    assert 0 < sum(len(np.unique(truth)) == 2 for _, truth in found) < 6
    assert all((truth == number).mean() > 0.3 for number, (_, truth) in enumerate(found))
    assert all(np.array_equal(truth, np.full((16, 12), value)) for value, (_, truth) in enumerate(samples))
    assert mixed(samples, 0.0, rng) is samples


def test_blur_keeps_the_sum_and_spreads_a_point() -> None:
    point = np.zeros((1, 9, 9), np.float32)
    point[0, 4, 4] = 1
    spread = blurred(point, 0.8)
    assert spread.sum() == pytest.approx(1)
    assert spread[0, 4, 4] < 1
    assert spread[0, 3, 4] == pytest.approx(spread[0, 4, 5])


def test_holes_leave_something_to_see() -> None:
    shares = [hole(64, np.random.default_rng(seed)).mean() for seed in range(40)]
    assert max(shares) < 0.6
    assert np.mean(shares) > 0.02


def test_snow_on_a_rock_glacier_is_unknown() -> None:
    landcover = np.array([[LAND_COVER["snow"], LAND_COVER["rock_glacier"], LAND_COVER["snow"]]], np.uint8)
    kept = SimulatedScene(np.zeros((4, 1, 3), np.float16), np.array([[1, 1, 0]], np.uint16), landcover)
    assert kept.truth.tolist() == [[UNKNOWN, 1, 0]]


def test_a_simulated_scene_is_made_once(tmp_path) -> None:
    first = simulated_scene(3, 48, 20.0, tmp_path)
    landscape = simulate(3, 48, 48, resolution=20.0)
    assert np.allclose(first.reflectance, landscape.reflectance, atol=1e-3)
    assert np.array_equal(first.objects, landscape.labels)
    (file,) = tmp_path.glob("*.npz")
    made = file.stat().st_mtime_ns
    assert np.array_equal(simulated_scene(3, 48, 20.0, tmp_path).landcover, landscape.landcover)
    assert file.stat().st_mtime_ns == made
