"""Lakes, stream beds and roads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.simulator.noise import Array, fractal, gaussian
from model.simulator.relief import Relief


def fill_lakes(rng: np.random.Generator, elevation: Array, blocked: NDArray[np.bool_], resolution: float, count: int) -> NDArray[np.int32]:
    """Dam hollows and flats: ``elevation`` (rows, cols) is levelled in place; returns lake numbers from 1, 0 on land."""
    lakes = np.zeros(elevation.shape, dtype=np.int32)
    rows, columns = elevation.shape
    gradient = np.hypot(*np.gradient(ndimage.uniform_filter(elevation, max(3, int(150 / resolution))), np.float32(resolution)))
    tries = rng.integers((0, 0), (rows, columns), (200 * max(count, 1), 2))
    tries = tries[np.argsort(gradient[tries[:, 0], tries[:, 1]], kind="stable")][: 25 * max(count, 1)]
    tries = tries[rng.permutation(len(tries))]
    made = 0
    for row, column in tries:
        if made >= count:
            break
        radius = int(np.clip(rng.lognormal(np.log(150), 0.5), 60, 450) / resolution) + 1
        window = (
            slice(max(0, row - radius), min(rows, row + radius + 1)),
            slice(max(0, column - radius), min(columns, column + radius + 1)),
        )
        height = elevation[window]
        grid_rows, grid_columns = np.ogrid[window]
        near = np.hypot(grid_rows - row, grid_columns - column) / radius + 0.22 * fractal(rng, height.shape, 1.2 * radius) < 0.7
        level = elevation[row, column] + rng.uniform(1, 5)
        parts, _ = ndimage.label(near & (height < level) & (height > level - 14) & ~blocked[window] & (lakes[window] == 0))
        own = parts[row - window[0].start, column - window[1].start]
        if not own:
            continue
        lake = ndimage.binary_fill_holes(gaussian((parts == own).astype(np.float32), 15 / resolution) > 0.5) & ~blocked[window]
        area = lake.sum() * resolution**2
        if area < 4000 or area < 0.1 * np.pi * (radius * resolution) ** 2:
            continue
        made += 1
        lakes[window][lake] = made
        height[lake] = level
    return lakes


def channels(
    relief: Relief, rows: int, columns: int, resolution: float, least: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Smoothed river lines with more than ``least`` square metres of catchment.

    Returns
    -------
    list of (line, catchment)
        line (n, 2): metres from the scene's upper left corner along rows and columns; catchment (n,) in square metres.
    """
    width = relief.elevation.shape[1]
    catchment = relief.catchment.ravel()
    order = np.argsort(-catchment, kind="stable")
    used = np.zeros(catchment.size, dtype=bool)
    rivers = np.flatnonzero(catchment > least)
    has_upstream = np.zeros(catchment.size, dtype=bool)
    has_upstream[relief.receivers[rivers]] = True
    sources = [cell for cell in order[::-1] if catchment[cell] > least and not has_upstream[cell]]
    lines = []
    for source in reversed(sources):
        chain = [source]
        while not used[chain[-1]] and relief.receivers[chain[-1]] != chain[-1]:
            used[chain[-1]] = True
            chain.append(relief.receivers[chain[-1]])
        if len(chain) < 4:
            continue
        cells = np.array(chain)
        line = (np.stack([cells // width, cells % width], axis=1) - relief.rim + 0.5) * relief.cell
        line = ndimage.gaussian_filter1d(line, 1.5, axis=0, mode="nearest")
        inside = ((line > -200) & (line < np.array([rows, columns]) * resolution + 200)).all(axis=1)
        if inside.sum() >= 4:
            lines.append((line, catchment[cells]))
    return lines


def draw_line(cover: Array, line: NDArray[np.float64], width: NDArray[np.float64] | float, resolution: float) -> None:
    """Add a strip of ``width`` metres along a line to ``cover``, the share of each pixel, 0-1 (rows, cols), in place."""
    step = resolution / 4
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(0, lengths[-1], step)
    if not len(at):
        return
    place = np.stack([np.interp(at, lengths, line[:, axis]) for axis in (0, 1)])
    tangent = np.gradient(place, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=0), 1e-9)
    widths = np.interp(at, lengths, np.broadcast_to(width, len(line)))
    lanes = max(1, int(np.ceil(np.max(widths) / step)))
    for lane in (np.arange(lanes) + 0.5) / lanes - 0.5:
        rows = (place[0] - lane * widths * tangent[1]) / resolution - 0.5
        columns = (place[1] + lane * widths * tangent[0]) / resolution - 0.5
        share = widths / lanes * step / resolution**2
        first_row, first_column = np.floor(rows).astype(int), np.floor(columns).astype(int)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            r, c = first_row + down, first_column + right
            weight = (1 - np.abs(rows - r)) * (1 - np.abs(columns - c)) * share
            ok = (r >= 0) & (c >= 0) & (r < cover.shape[0]) & (c < cover.shape[1])
            np.add.at(cover, (r[ok], c[ok]), weight[ok].astype(np.float32))
