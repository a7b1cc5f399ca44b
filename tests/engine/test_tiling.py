from __future__ import annotations

import numpy as np
import pytest

from engine.errors import EngineError
from engine.tiling import BlendedRows, LookedTiles, blended_probability, blending_weights, pad_to_tile, plan_tiles, tiles_with_any


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "starts"),
    [
        pytest.param(8, 8, 50, (0,), id="equal to a tile"),
        pytest.param(5, 8, 50, (0,), id="smaller than a tile"),
        pytest.param(9, 8, 50, (0, 1), id="one pixel more than a tile"),
        pytest.param(16, 8, 50, (0, 4, 8), id="whole strides"),
        pytest.param(18, 8, 50, (0, 4, 8, 10), id="last tile shifted back"),
        pytest.param(16, 8, 0, (0, 8), id="no overlap"),
        pytest.param(17, 8, 0, (0, 8, 9), id="no overlap, last tile shifted back"),
        pytest.param(10, 8, 90, (0, 1, 2), id="largest overlap"),
        pytest.param(18, 4, 90, tuple(range(15)), id="stride of less than a pixel is one pixel"),
    ],
)
def test_tiles_cover_the_raster_and_end_with_it(length, tile, overlap, starts):
    plan = plan_tiles(length, length, tile, overlap)
    assert plan.row_starts == plan.column_starts == starts
    assert plan.count == len(starts) ** 2


@pytest.mark.parametrize("overlap", [-1, 91, float("nan")])
def test_impossible_overlap_is_refused(overlap):
    with pytest.raises(EngineError) as caught:
        plan_tiles(10, 10, 8, overlap)
    assert caught.value.code == "overlap"


def test_tiles_are_numbered_row_by_row_from_1():
    plan = plan_tiles(16, 24, 8, 50)
    numbers = [plan.number(row, column) for row in range(3) for column in range(5)]
    assert numbers == list(range(1, 16))


def test_weights_of_overlapping_tiles_sum_to_one():
    weights = blending_weights(8)
    four = weights[:4, :4] + weights[4:, :4] + weights[:4, 4:] + weights[4:, 4:]
    assert four == pytest.approx(1, abs=4e-3)
    assert blending_weights(128).min() == np.float32(1e-3)


def blend(plan, probability_of_tile, valid=None):
    """(rows, cols) of a whole raster, tile by tile as detect does it."""
    blended = BlendedRows(plan.padded_columns, plan.tile)
    valid = np.ones((plan.rows, plan.columns), bool) if valid is None else valid
    everywhere = np.zeros((max(plan.rows, plan.tile), plan.padded_columns), bool)
    everywhere[: plan.rows, : plan.columns] = valid
    finished = []
    for row, following in zip(plan.row_starts, (*plan.row_starts[1:], plan.rows), strict=True):
        for column in plan.column_starts:
            place = slice(row, row + plan.tile), slice(column, column + plan.tile)
            blended.add(column, probability_of_tile(row, column), everywhere[place])
        finished.append(blended.finish(following - row)[:, : plan.columns])
    return np.concatenate(finished)


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (5, 3), (16, 24), (19, 11), (3, 30)])
@pytest.mark.parametrize("overlap", [0, 25, 50, 75])
def test_blend_of_equal_tiles_is_that_value_to_the_edge(rows, columns, overlap):
    result = blend(plan_tiles(rows, columns, 8, overlap), lambda row, column: np.full((8, 8), 0.7, np.float32))
    assert result.shape == (rows, columns)
    assert result == pytest.approx(0.7, abs=1e-6)


def test_blend_of_a_pointwise_answer_is_that_answer():
    truth = np.random.default_rng(1).random((21, 30)).astype(np.float32)
    result = blend(plan_tiles(21, 30, 8, 60), lambda row, column: truth[row : row + 8, column : column + 8])
    assert result == pytest.approx(truth, abs=1e-6)


def test_blend_of_two_tiles_is_their_weighted_mean():
    plan = plan_tiles(8, 12, 8, 50)
    result = blend(plan, lambda row, column: np.full((8, 8), 1.0 if column == 4 else 0.0, np.float32))
    weights = blending_weights(8)
    expected = weights[:, :4] / (weights[:, :4] + weights[:, 4:])
    assert (result[:, :4] == 0).all()
    assert result[:, 4:8] == pytest.approx(expected, abs=1e-6)
    assert result[:, 8:] == pytest.approx(1, abs=1e-6)


def test_blend_is_unknown_where_nothing_is_valid():
    valid = np.ones((16, 16), bool)
    valid[3:9, 5:7] = False
    result = blend(plan_tiles(16, 16, 8, 50), lambda row, column: np.full((8, 8), 0.5, np.float32), valid)
    assert np.array_equal(np.isnan(result), ~valid)


@pytest.mark.parametrize("overlap", [0, 30, 50, 80])
def test_looked_tiles_are_counted_at_every_pixel(overlap):
    plan = plan_tiles(21, 30, 8, overlap)
    rng = np.random.default_rng(3)
    flags = rng.random((len(plan.row_starts), len(plan.column_starts))) < 0.6
    truth = np.zeros((21, 30), int)
    looked = LookedTiles(plan)
    for row, flags_of_row in zip(plan.row_starts, flags, strict=True):
        looked.add_row(row, flags_of_row)
        for column in np.array(plan.column_starts)[flags_of_row]:
            truth[row : row + 8, column : column + 8] += 1
    for row in plan.row_starts:
        for column in plan.column_starts:
            assert np.array_equal(looked.counts(row, column), truth[row : row + 8, column : column + 8])


def test_rows_of_tiles_that_end_above_are_forgotten():
    plan = plan_tiles(16, 8, 8, 50)
    looked = LookedTiles(plan)
    for row in plan.row_starts:
        looked.add_row(row, np.array([True]))
    looked.forget_before(8)
    assert looked.counts(4, 0)[:, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_tiles_with_any_finds_the_tiles_over_a_pixel():
    plan = plan_tiles(8, 20, 8, 50)
    valid = np.zeros((8, 20), bool)
    valid[7, 9] = True
    assert tiles_with_any(valid, plan).tolist() == [False, True, True, False]


def test_padding_mirrors_the_ground():
    stack = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    assert pad_to_tile(stack, 4)[0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [0, 1, 2, 2]]
    assert pad_to_tile(stack, 2) is stack


@pytest.mark.parametrize("shape", [(40, 56), (16, 16), (9, 30), (17, 16)])
def test_blended_tiles_give_back_a_picture(shape):
    stack = np.random.default_rng(1).random((6, *shape), dtype=np.float32)
    valid = np.ones(shape, bool)
    valid[2:5, 3:8] = False
    seen = []

    def red(tiles):
        seen.append(tiles.shape[1:])
        return tiles[:, 0]

    blended = blended_probability(red, stack, valid, 16, 50.0)
    assert np.allclose(blended[valid], stack[0][valid], atol=1e-6) and np.isnan(blended[~valid]).all()
    assert set(seen) == {(6, 16, 16)}


def test_tiles_without_anything_valid_are_not_looked_at():
    looked = []

    def nothing(tiles):
        looked.append(len(tiles))
        return tiles[:, 0] * 0

    valid = np.zeros((32, 64), bool)
    valid[:16, :16] = True
    blended = blended_probability(nothing, np.ones((1, 32, 64), np.float32), valid, 16, 0.0)
    assert looked == [1] and np.isnan(blended[~valid]).all() and (blended[valid] == 0).all()
