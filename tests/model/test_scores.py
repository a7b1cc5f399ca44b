"""Scores on masks small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from model.scores import (
    Confusion,
    best_threshold,
    blended_probability,
    chip_scores,
    class_scores,
    confusion,
    mean_scores,
    objects_found,
    outlines,
)


def mask(text: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in text.split()])


def test_confusion_counts_observed_pixels() -> None:
    marked, truth = mask("##.. ##.."), mask(".##. .##.")
    assert confusion(marked, truth) == Confusion(hit=2, false=2, miss=2, rejected=2)
    assert confusion(marked, truth, mask("##.. ....")) == Confusion(hit=1, false=1, miss=0, rejected=0)
    assert Confusion(1, 2, 3, 4) + Confusion(1, 1, 1, 1) == Confusion(2, 3, 4, 5)


def test_class_scores_by_hand() -> None:
    scores = class_scores(Confusion(hit=6, false=2, miss=4, rejected=88))
    assert scores["rock_glacier"] == {"iou": 0.5, "precision": 0.75, "recall": 0.6, "f1": 0.6667}
    assert scores["background"] == {"iou": 0.9362, "precision": 0.9565, "recall": 0.9778, "f1": 0.967}
    assert scores["macro"]["iou"] == pytest.approx((0.5 + 0.9362) / 2, abs=1e-4)


def test_scores_without_rock_glaciers_are_undefined_not_zero() -> None:
    scores = class_scores(Confusion(hit=0, false=0, miss=0, rejected=9))
    assert scores["rock_glacier"]["iou"] is None
    assert scores["macro"]["iou"] is None
    assert scores["background"]["iou"] == 1.0


def test_mean_leaves_out_what_is_undefined() -> None:
    tables = [class_scores(Confusion(1, 0, 0, 1)), class_scores(Confusion(1, 1, 0, 1)), class_scores(Confusion(0, 0, 0, 1))]
    assert mean_scores(tables)["rock_glacier"]["iou"] == pytest.approx(0.75)


def test_outlines_drop_the_small_and_fill_holes() -> None:
    marked = mask("####. #..#. ####. ....#")
    assert np.array_equal(outlines(marked, pixel_area=100.0, smallest=1000.0), mask("####. ####. ####. ....."))


def test_an_object_is_found_when_half_of_it_is_covered() -> None:
    objects = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2, 0, 3]])
    marked = mask("##...#....#")
    assert objects_found(marked, objects, pixel_area=1.0, smallest=2.0) == (1, 2)
    assert objects_found(marked, objects, pixel_area=1.0, smallest=1.0) == (2, 3)
    assert objects_found(mask("..........."), np.zeros((1, 11), int), pixel_area=1.0) == (0, 0)


@pytest.mark.parametrize("shape", [(40, 56), (16, 16), (9, 30)])
def test_blended_tiles_give_back_a_picture(shape) -> None:
    stack = np.random.default_rng(1).random((6, *shape), dtype=np.float32)
    seen: list[tuple[int, ...]] = []

    def red(tiles: np.ndarray) -> np.ndarray:
        seen.append(tiles.shape[2:])
        return tiles[:, :1]

    assert np.allclose(blended_probability(red, stack, tile=16, overlap=50.0), stack[0], atol=1e-6)
    assert set(seen) == {(16, 16)}


def test_threshold_with_the_highest_f2() -> None:
    probability = np.array([[0.1, 0.3, 0.6, 0.9]], np.float32)
    sets = [(probability, mask("..##")), (probability, mask("...#"))]
    assert best_threshold(sets, [1.0, 0.0], (0.2, 0.5, 0.8)) == 0.5
    assert best_threshold(sets, [0.0, 1.0], (0.2, 0.5, 0.8)) == 0.8


def test_chip_scores_keep_snow_apart() -> None:
    probability = np.array([[[0.9, 0.1]], [[0.9, 0.9]]], np.float32)
    truth = np.array([[[True, False]], [[True, False]]])
    scores = chip_scores(probability, truth, np.array([0.0, 0.5]), threshold=0.5, low_snow=0.1)
    assert scores["low_snow_chips"]["chips"] == 1
    assert scores["low_snow_chips"]["macro"]["iou"] == 1.0
    assert scores["all_chips"]["rock_glacier"]["iou"] == pytest.approx(2 / 3, abs=1e-4)
