"""Scores of networks on scenes and chips; the network is a function that marks what one tells it to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.evaluation import (
    DEFINITIONS,
    ChipRegion,
    choose_temperature,
    choose_threshold,
    in_sight,
    predicted_scene,
    predictor,
    region_scores,
    scene_scores,
    sikkim_scores,
)
from model.samples import Chip, SimulatedScene
from model.simulator import LAND_COVER

SIKKIM = Path(__file__).resolve().parents[3] / "shared" / "data" / "sikkim"


def small_scene() -> SimulatedScene:
    """Two rock glaciers of 400 pixels, the second under snow, and a lake, a snow field and a forest."""
    landcover = np.full((64, 64), LAND_COVER["rock"], np.uint8)
    objects = np.zeros((64, 64), np.uint16)
    for number, (row, column) in enumerate([(4, 4), (4, 36)], start=1):
        objects[row : row + 20, column : column + 20] = number
    landcover[objects == 1] = LAND_COVER["rock_glacier"]
    landcover[objects == 2] = LAND_COVER["snow"]
    for name, column in (("lake", 0), ("snow", 20), ("forest", 40)):
        landcover[40:, column : column + 20] = LAND_COVER[name]
    reflectance = np.full((4, 64, 64), 0.2, np.float16)
    reflectance[0, objects > 0] = 0.5
    return SimulatedScene(reflectance, objects, landcover)


def red_is_rock_glacier(stack: np.ndarray) -> np.ndarray:
    return (stack[:, :1] > 0.4).astype(np.float32)


def test_rock_glaciers_under_snow_are_out_of_sight() -> None:
    assert np.unique(in_sight(small_scene())).tolist() == [0, 1]


def test_a_perfect_network_has_perfect_scores() -> None:
    scene = small_scene()
    scores = scene_scores([predicted_scene(red_is_rock_glacier, scene, 32, 50.0, nir=True)], [scene], 0.5, 100.0)
    assert scores["macro"] == {"iou": 1.0, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert scores["objects"] == {"true": 2, "found": 2, "found_share": 1.0}
    assert scores["objects_in_sight"] == {"true": 1, "found": 1, "found_share": 1.0}
    assert scores["false_outlines"] == 0
    assert scores["marked_share"] == {"lake": 0.0, "snow": 0.0, "forest": 0.0}


def test_marked_lakes_and_false_outlines_are_counted() -> None:
    scene = small_scene()
    probability = np.zeros((64, 64), np.float32)
    probability[40:, :20] = 1
    scores = scene_scores([(probability, scene.objects > 0)], [scene], 0.5, 100.0)
    assert scores["marked_share"] == {"lake": 1.0, "snow": 0.0, "forest": 0.0}
    assert scores["false_outlines"] == 1
    assert scores["objects"] == {"true": 2, "found": 0, "found_share": 0.0}
    assert scores["objects_touched"] == {"true": 2, "found": 0, "found_share": 0.0}


def test_a_corner_of_a_rock_glacier_is_touched_but_not_found() -> None:
    scene = small_scene()
    probability = np.zeros((64, 64), np.float32)
    probability[:8, :60] = 1
    scores = scene_scores([(probability, scene.objects > 0)], [scene], 0.5, 100.0)
    assert scores["objects"]["found"] == 0
    assert scores["objects_touched"]["found"] == 2


def test_rgb_only_hides_the_nir_and_both_indices() -> None:
    seen = []

    def spy(stack: np.ndarray) -> np.ndarray:
        seen.append(stack)
        return stack[:, :1]

    predicted_scene(spy, small_scene(), 32, 50.0, nir=False)
    assert np.isnan(seen[0][:, 3:]).all()
    assert np.isfinite(seen[0][:, :3]).all()


def region(probability: float, snow: list[float], background: float = 0.1, negatives: float = 0.0) -> ChipRegion:
    """Chips whose upper half is rock glacier, and two chips without any, of which a quarter is taken for some."""
    truth = np.zeros((len(snow), 2, 2), bool)
    truth[:, 0] = True
    without = np.zeros((2, 2, 2), np.float32)
    without[:, 0, 0] = negatives
    said = np.where(truth, probability, background).astype(np.float32)
    return ChipRegion([Chip(f"{i}", "A", share) for i, share in enumerate(snow)], said, truth, without, {"steps": 5})


def test_the_threshold_is_the_best_that_marks_few_negatives_when_that_costs_little() -> None:
    threshold, choice = choose_threshold([region(0.6, [0.0, 0.9], background=0.2, negatives=0.4), region(0.7, [0.0])])
    assert 0.4 < threshold <= 0.6
    assert choice["chosen"] == choice["few_negatives_marked"]
    assert choice["chosen"]["iou"] == 1.0
    assert choice["highest_iou"]["threshold"] <= 0.4
    assert choice["highest_iou"]["negatives_marked"] == pytest.approx(0.25 / 2)


def test_the_threshold_is_the_best_of_all_when_few_negatives_cost_much() -> None:
    threshold, choice = choose_threshold([region(0.6, [0.0], background=0.2, negatives=0.7)])
    assert 0.2 < threshold <= 0.6
    assert choice["chosen"] == choice["highest_iou"]
    assert choice["few_negatives_marked"]["iou"] == 0.0


def test_the_temperature_fits_what_has_little_snow() -> None:
    sure = region(0.99, [0.0, 0.5], background=0.01)
    sure.truth[0, 0, 0] = False
    temperature = choose_temperature([sure])
    assert temperature > 1.5
    cooled = sure.cooled(temperature)
    assert cooled.probability[0, 0, 0] < 0.95
    assert cooled.probability[0, 1, 0] > 0.05
    assert choose_temperature([cooled]) == pytest.approx(1.0, abs=0.01)


def test_a_network_takes_its_own_bands() -> None:
    class Red(torch.nn.Module):
        bands = ("green", "red")

        def forward(self, stack: torch.Tensor) -> torch.Tensor:
            assert stack.shape[1] == 2
            return stack[:, 1:]

    stack = np.arange(6, dtype=np.float32)[None, :, None, None] * np.ones((3, 6, 4, 4), np.float32) - 1
    assert predictor(Red(), views=8, batch=2)(stack) == pytest.approx(1 / (1 + np.exp(1)))
    stack[:, 0] = 2
    assert predictor(Red(), temperature=2.0)(stack) == pytest.approx(1 / (1 + np.exp(-1)))


def test_regions_are_averaged_each_with_its_training() -> None:
    scores = region_scores({"A": region(0.9, [0.0, 0.5]), "B": region(0.2, [0.0])}, 0.5)
    assert scores["mean"]["all_chips"]["rock_glacier"]["recall"] == 0.5
    assert scores["A"]["low_snow_chips"]["chips"] == 1
    assert scores["B"]["training"] == {"steps": 5}
    assert scores["mean"]["all_chips"]["expected_calibration_error"] == pytest.approx((0.1 + (0.1 + 0.8) / 2) / 2)


def test_every_score_is_defined() -> None:
    assert {"classes", "left_out_regions", "negatives", "simulated", "sikkim"} <= set(DEFINITIONS)


@pytest.mark.skipif(not SIKKIM.is_dir(), reason="the Sikkim chip is not here (../shared/data/sikkim)")
def test_sikkim_outlines_lie_on_the_chip() -> None:
    scores = sikkim_scores(lambda stack: np.ones_like(stack[:, :1]), SIKKIM, 128, 0.0, 0.5)
    assert [row["recall"] for row in scores["four_bands"]["outlines"]] == [1.0, 1.0, 1.0]
    assert scores["four_bands"]["outlines"][2]["iou"] == pytest.approx(354_804 / 100 / 500**2, rel=0.02)
