"""Scores on masks small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from model.scores import (
    chip_scores,
    class_scores,
    confusion,
    mean_scores,
    objects_found,
    outlines,
)


def mask(text: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in text.split()])


def pixels(tp: int, fp: int, fn: int, tn: int) -> dict[str, float | None]:
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def test_confusion_counts_pixels() -> None:
    assert confusion(mask("##..# ##..."), mask(".##.# .##..")) == pixels(tp=3, fp=2, fn=2, tn=3)


def test_class_scores_by_hand() -> None:
    scores = class_scores(pixels(tp=6, fp=2, fn=4, tn=88))
    assert scores["rock_glacier"] == {"iou": 0.5, "precision": 0.75, "recall": 0.6, "f1": 0.6667}
    assert scores["background"] == {"iou": 0.9362, "precision": 0.9565, "recall": 0.9778, "f1": 0.967}
    assert scores["macro"]["iou"] == pytest.approx((0.5 + 0.9362) / 2, abs=1e-4)


def test_scores_without_rock_glaciers_are_undefined_not_zero() -> None:
    scores = class_scores(pixels(tp=0, fp=0, fn=0, tn=9))
    assert scores["rock_glacier"]["iou"] is None
    assert scores["macro"]["iou"] is None
    assert scores["background"]["iou"] == 1.0


def test_mean_leaves_out_what_is_undefined() -> None:
    tables = [class_scores(pixels(1, 0, 0, 1)), class_scores(pixels(1, 1, 0, 1)), class_scores(pixels(0, 0, 0, 1))]
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


def test_chip_scores_keep_snow_apart() -> None:
    probability = np.array([[[0.9, 0.1]], [[0.9, 0.9]]], np.float32)
    truth = np.array([[[True, False]], [[True, False]]])
    scores = chip_scores(probability, truth, np.array([0.0, 0.5]), threshold=0.5, low_snow=0.1)
    assert scores["low_snow_chips"]["chips"] == 1
    assert scores["low_snow_chips"]["macro"]["iou"] == 1.0
    assert scores["all_chips"]["rock_glacier"]["iou"] == pytest.approx(2 / 3, abs=1e-4)
    assert scores["low_snow_chips"]["expected_calibration_error"] == pytest.approx(0.1)
    assert scores["all_chips"]["expected_calibration_error"] == pytest.approx((3 * 0.9 - 2 + 0.1) / 4)
