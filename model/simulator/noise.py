"""Random textures of the ground: fractal noise and streaks that follow the fall line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.floating]
"""Real numbers on a grid; float32 in scenes, float64 where drainage is carved."""


def smoothstep(values: Array, low: float | Array, high: float | Array) -> Array:
    """0 up to ``low``, 1 from ``high`` on, an S-shaped ramp between (``low > high`` ramps downwards)."""
    low, high = np.asarray(low, dtype=np.float32), np.asarray(high, dtype=np.float32)
    ramp = np.clip((values - low) / (high - low), 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def gaussian(values: Array, sigma: float) -> Array:
    """Gaussian blur with ``sigma`` in pixels, the edge repeated outwards."""
    return ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3.0)


def fractal(rng: np.random.Generator, shape: tuple[int, int], longest: float, shortest: float = 2.0, gain: float = 0.55) -> Array:
    """Fractal noise of mean 0 and standard deviation 1.

    White noise is laid on a coarse lattice and refined by quadratic B-spline subdivision; each octave adds noise of half the
    wavelength and ``gain`` times the amplitude. Cost and memory are linear in pixels.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : (int, int)
        rows, columns.
    longest, shortest : float
        Wavelengths in pixels between which octaves are laid.
    gain : float
        Amplitude of an octave over that of the one before; near 0.35 smooth, near 0.8 rough.

    Returns
    -------
    (rows, cols) float32
    """
    rows, columns = shape
    halvings = max(0, int(np.ceil(np.log2(max(longest / 2, 1)))))
    octaves = max(1, round(np.log2(max(longest, 2.0) / shortest)) + 1)
    lattice = (rows // 2**halvings + 3, columns // 2**halvings + 3)
    field = rng.standard_normal(lattice, dtype=np.float32)
    amplitude = 1.0
    for octave in range(1, halvings + 1):
        field = _subdivide(field)
        needed = (rows // 2 ** (halvings - octave) + 3, columns // 2 ** (halvings - octave) + 3)
        field = field[: needed[0], : needed[1]]
        amplitude *= gain
        if octave < octaves:
            field = field + np.float32(amplitude) * rng.standard_normal(field.shape, dtype=np.float32)
    field = field[:rows, :columns]
    spread = float(field.std())
    return (field - field.mean()) / np.float32(spread if spread > 0 else 1)


def _subdivide(field: Array) -> Array:
    """Twice as many rows and columns, less the rim, by Chaikin's corner cutting along both axes."""
    for axis in (0, 1):
        a = np.moveaxis(field, axis, 0)
        fine = np.empty((2 * a.shape[0] - 2, *a.shape[1:]), dtype=np.float32)
        fine[0::2] = 0.75 * a[:-1] + 0.25 * a[1:]
        fine[1::2] = 0.25 * a[:-1] + 0.75 * a[1:]
        field = np.moveaxis(fine, 0, axis)
    return field


def streaks(noise: Array, down_rows: Array, down_columns: Array, length: float) -> Array:
    """Noise smeared along the fall line, as gullies and talus chutes are; mean 0, standard deviation 1.

    Parameters
    ----------
    noise : (rows, cols) float32
    down_rows, down_columns : (rows, cols) float32
        Unit vector downslope, in pixels.
    length : float
        Length of the streaks in pixels.
    """
    rows, columns = np.indices(noise.shape, dtype=np.float32)
    smeared = noise
    step = 1.0
    while step < length:
        places = np.stack([rows + np.float32(step) * down_rows, columns + np.float32(step) * down_columns])
        smeared = 0.5 * (smeared + ndimage.map_coordinates(smeared, places, order=1, mode="nearest"))
        step *= 2
    spread = float(smeared.std())
    return (smeared - smeared.mean()) / np.float32(spread if spread > 0 else 1)


def downslope(elevation: Array, sigma: float) -> tuple[Array, Array]:
    """Unit vector of the fall line (rows, columns) on the surface blurred with ``sigma`` pixels; 0 where level."""
    rows, columns = np.gradient(gaussian(elevation, sigma))
    steepness = np.hypot(rows, columns)
    steepness = np.where(steepness > 1e-6, steepness, np.float32(np.inf))
    return -rows / steepness, -columns / steepness


def slope_degrees(elevation: Array, resolution: float) -> Array:
    """Slope angle in degrees, (rows, cols), of a surface in metres on pixels of ``resolution`` metres."""
    rows, columns = np.gradient(elevation, np.float32(resolution))
    return np.degrees(np.arctan(np.hypot(rows, columns)))
