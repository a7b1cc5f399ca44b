"""Sunlight on the ground and what atmosphere and sensor make of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.simulator.noise import Array, gaussian


@dataclass(frozen=True)
class Sun:
    """Azimuth clockwise from north and elevation above the horizon, degrees."""

    azimuth: float
    elevation: float

    @property
    def towards(self) -> tuple[float, float]:
        """Unit vector on the map that points to the sun: rows (down), columns (right)."""
        angle = np.radians(self.azimuth)
        return -float(np.cos(angle)), float(np.sin(angle))


def sunlight(elevation: Array, resolution: float, sun: Sun) -> Array:
    """Direct light on the ground relative to level ground, (rows, cols), 0 in cast and self-shadow."""
    rows, columns = np.gradient(elevation, np.float32(resolution))
    towards_row, towards_column = sun.towards
    height = np.radians(sun.elevation)
    facing = np.sin(height) - np.cos(height) * (rows * towards_row + columns * towards_column)
    facing /= np.sqrt(1 + rows * rows + columns * columns)
    return np.clip(facing / np.sin(height), 0, 4) * (1 - _shadow(elevation, resolution, sun))


def _shadow(elevation: Array, resolution: float, sun: Sun) -> Array:
    """Cast shadow 0-1: how far the highest sight line to the sun passes above the ground.

    The sight lines are compared by doubling: after k rounds each pixel knows the terrain 2^k pixels towards the sun.
    """
    fall = resolution * np.tan(np.radians(sun.elevation))
    reach = float(elevation.max() - elevation.min()) / fall
    horizon = elevation
    step = 1.0
    while step <= max(reach, 1) and step < max(elevation.shape):
        shifted = _shift(horizon, step * sun.towards[0], step * sun.towards[1]) - np.float32(step * fall)
        horizon = np.maximum(horizon, shifted)
        step *= 2
    return np.clip((horizon - elevation) / np.float32(0.6 * fall), 0, 1)


def _shift(field: Array, rows: float, columns: float) -> Array:
    """The field sampled ``rows`` and ``columns`` pixels further on, bilinear; its lowest value beyond the edge."""
    whole = int(np.floor(rows)), int(np.floor(columns))
    part = np.float32(rows - whole[0]), np.float32(columns - whole[1])
    out = np.zeros_like(field)
    height, width = field.shape
    for down, right, weight in (
        (0, 0, (1 - part[0]) * (1 - part[1])),
        (0, 1, (1 - part[0]) * part[1]),
        (1, 0, part[0] * (1 - part[1])),
        (1, 1, part[0] * part[1]),
    ):
        r = np.clip(np.arange(height) + whole[0] + down, 0, height - 1)
        c = np.clip(np.arange(width) + whole[1] + right, 0, width - 1)
        out += weight * field[r][:, c]
    return out


def sky_view(elevation: Array, resolution: float) -> Array:
    """Share of the sky that is seen, roughly 0.3-1.1: less in hollows and on steep ground, more on ridges."""
    broad = np.clip((elevation - gaussian(elevation, 250 / resolution)) / 120, -1, 1)
    rows, columns = np.gradient(elevation, np.float32(resolution))
    tilt = 1 / np.sqrt(1 + rows * rows + columns * columns)
    return np.clip(0.5 * (1 + tilt) + 0.15 * broad, 0.3, 1.1)
