"""Where the tiles of a raster lie, and how their probabilities become one: arrays only.

Two adjacent tiles overlap, by half in Lin et al. (2024, section 3.4.1), so that the network sees every object from
several perspectives. Everything here is kept for a few rows of tiles at a time: memory grows with the width of a
raster, not with its height.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError

LARGEST_OVERLAP = 90.0
SMALLEST_WEIGHT = 1e-3
"""Blending weight at the rim of a tile: where one tile alone looked, its probability is the answer to its very edge."""


@dataclass(frozen=True)
class TilePlan:
    """Square tiles that cover a raster, in row-major order.

    ``rows``, ``columns`` of the raster and ``tile``, a tile's side, in pixels; ``row_starts``, ``column_starts`` the
    first pixel of each row and column of tiles. A raster smaller than a tile has one tile that reaches beyond it.
    """

    rows: int
    columns: int
    tile: int
    row_starts: tuple[int, ...]
    column_starts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.row_starts) * len(self.column_starts)

    @property
    def padded_columns(self) -> int:
        """Columns that the tiles reach over: at least one tile."""
        return max(self.columns, self.tile)

    def number(self, tile_row: int, tile_column: int) -> int:
        """A tile's number in row-major order, from 1."""
        return tile_row * len(self.column_starts) + tile_column + 1


def plan_tiles(rows: int, columns: int, tile: int, overlap: float) -> TilePlan:
    """Tiles of one size at one stride; the last row and column are shifted back to end with the raster.

    Parameters
    ----------
    rows, columns : of the raster, >= 1
    tile : side of a tile in pixels
    overlap : of neighbouring tiles, percent of a tile's side, 0-90

    Raises
    ------
    EngineError
        ``overlap`` when it is not 0-90 percent.

    Source
    ------
    Lin et al. (2024), section 3.4.1: adjacent samples overlap by half.
    """
    if not 0 <= overlap <= LARGEST_OVERLAP:
        raise EngineError("overlap", f"The overlap of tiles is {overlap:g} %; it must lie between 0 and {LARGEST_OVERLAP:.0f} %.")
    stride = max(1, round(tile * (1 - overlap / 100)))
    return TilePlan(rows, columns, tile, _starts(rows, tile, stride), _starts(columns, tile, stride))


def _starts(length: int, tile: int, stride: int) -> tuple[int, ...]:
    last = max(0, length - tile)
    return (*range(0, last, stride), last)


def blending_weights(tile: int) -> NDArray[np.float32]:
    """(tile, tile) weights of a tile's pixels, from 1 in the middle to 1e-3 at the rim: a Hann window.

    At 50 % overlap the weights of the four tiles over a pixel sum to 1.
    """
    hann = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
    return np.maximum(np.outer(hann, hann), SMALLEST_WEIGHT).astype(np.float32)


class BlendedRows:
    """Mean of the tiles' probabilities weighted by :func:`blending_weights`, of the rows that one row of tiles covers.

    The sums run over the tiles in row-major order whatever the batches were, so the result does not depend on them.
    """

    def __init__(self, columns: int, tile: int) -> None:
        self._weights = blending_weights(tile)
        self._weighted = np.zeros((tile, columns), np.float32)
        self._weight = np.zeros((tile, columns), np.float32)

    def add(self, column: int, probability: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Add a tile that starts at ``column``: (tile, tile) probability 0-1, taken where ``valid``."""
        weights = np.where(valid, self._weights, np.float32(0))
        here = slice(column, column + probability.shape[1])
        self._weight[:, here] += weights
        self._weighted[:, here] += weights * probability

    def finish(self, rows: int) -> NDArray[np.float32]:
        """The uppermost rows, (rows, columns) probability 0-1, NaN where no tile looked; the rest moves up by as much."""
        weight = self._weight[:rows]
        with np.errstate(invalid="ignore"):
            blended = self._weighted[:rows] / weight
        for sums in (self._weight, self._weighted):
            sums[:-rows] = sums[rows:]
            sums[-rows:] = 0
        return np.clip(blended, 0, 1)


class LookedTiles:
    """How many tiles looked at a pixel, of the rows of tiles that still matter."""

    def __init__(self, plan: TilePlan) -> None:
        self._plan = plan
        self._rows: dict[int, NDArray[np.int64]] = {}

    def add_row(self, row_start: int, looked: NDArray[np.bool_]) -> None:
        """Take in a row of tiles: (tile columns,) True where the network looked."""
        starts = np.asarray(self._plan.column_starts)[looked]
        steps = np.zeros(self._plan.padded_columns + 1, np.int64)
        steps[starts] += 1
        steps[starts + self._plan.tile] -= 1
        self._rows[row_start] = np.cumsum(steps)[:-1]

    def counts(self, row: int, column: int) -> NDArray[np.int64]:
        """(tile, tile) number of looked tiles at the pixels of the tile that starts at ``row``, ``column``."""
        tile = self._plan.tile
        total = np.zeros((tile, tile), np.int64)
        for start, per_column in self._rows.items():
            shift = start - row
            if abs(shift) < tile:
                total[max(0, shift) : tile + min(0, shift)] += per_column[column : column + tile]
        return total

    def forget_before(self, row: int) -> None:
        """Drop the rows of tiles that end at or above a pixel row."""
        self._rows = {start: counts for start, counts in self._rows.items() if start + self._plan.tile > row}


def tiles_with_any(valid: NDArray[np.bool_], plan: TilePlan) -> NDArray[np.bool_]:
    """(tile columns,) True for the tiles of a strip, (tile, padded columns), in which any pixel is valid."""
    before = np.concatenate(([0], np.cumsum(valid.any(axis=0))))
    starts = np.asarray(plan.column_starts)
    return np.asarray(before[starts + plan.tile] > before[starts])


def pad_to_tile(array: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
    """(bands, rows, cols) mirrored beyond its last row and column until it holds a tile.

    Mirrored ground keeps a network's pooled features those of a landscape, as in training; those pixels are never valid.
    """
    _, rows, columns = array.shape
    if rows >= tile and columns >= tile:
        return array
    return np.pad(array, ((0, 0), (0, max(0, tile - rows)), (0, max(0, tile - columns))), mode="symmetric")


def blended_probability(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    stack: NDArray[np.float32],
    valid: NDArray[np.bool_],
    tile: int,
    overlap: float,
) -> NDArray[np.float32]:
    """Probability of an array in memory from overlapping tiles, blended as Detect does.

    Parameters
    ----------
    run : (n, channels, tile, tile) -> (n, tile, tile) probability 0-1
    stack : (channels, rows, cols), NaN where not observed; may be smaller than a tile
    valid : (rows, cols) where to look
    tile : side of a tile in pixels
    overlap : of neighbouring tiles, percent

    Returns
    -------
    (rows, cols) 0-1, NaN where not ``valid``
    """
    rows, columns = valid.shape
    plan = plan_tiles(rows, columns, tile, overlap)
    padded = pad_to_tile(stack, tile)
    inside = np.zeros(padded.shape[1:], bool)
    inside[:rows, :columns] = valid
    blended = BlendedRows(plan.padded_columns, tile)
    finished = []
    for start, end in zip(plan.row_starts, (*plan.row_starts[1:], rows), strict=True):
        strip, seen = padded[:, start : start + tile], inside[start : start + tile]
        starts = np.asarray(plan.column_starts)[tiles_with_any(seen, plan)].tolist()
        if starts:
            answers = run(np.stack([strip[:, :, column : column + tile] for column in starts]))
            for column, probability in zip(starts, answers, strict=True):
                blended.add(column, probability, seen[:, column : column + tile])
        finished.append(blended.finish(end - start))
    return np.concatenate(finished)[:, :columns]
