"""Random changes of training samples: place, scale, light, sensor, and what was observed.

All work on one sample: reflectance (4, rows, cols) of red, green, blue, nir, NaN where not observed, and truth
(rows, cols). The random generator is given, so that a seed and a step number make a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from engine.sample_chips import TRUE_COLOUR_SATURATION

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """How strong the random changes are.

    Parameters
    ----------
    largest_zoom : ground sampling distance changes by up to this factor, both ways
    largest_turn : degrees, on top of a random one of the eight symmetries
    strength : multiplies what follows but for ``grey`` and ``blur``
    gain, gamma, band_gain, contrast, colour : standard deviation of the logarithm of each factor; ``band_gain`` is one per band
    light_field : the same, of a factor that changes smoothly over the sample, for half of the samples
    haze : largest reflectance added to (or half of it taken from) all bands
    grey : largest share of colour that is taken away, for half of the samples
    blur : largest standard deviation in pixels, for a quarter of the samples
    sharpen : by how much of the difference to a blurred one others are changed, at most, for a quarter of the samples
    noise : largest standard deviation in reflectance
    nir_absent : share of four-band samples that lose their NIR
    saturated : share of samples that saturate as true-colour images do
    holes : share of samples with a hole or a collar that was not observed
    cutmix : share of samples that get a rectangle of another one of their batch, see :func:`mixed`
    """

    largest_zoom: float = 1.4
    largest_turn: float = 20.0
    strength: float = 1.0
    gain: float = 0.35
    gamma: float = 0.2
    band_gain: float = 0.05
    contrast: float = 0.2
    colour: float = 0.0
    light_field: float = 0.0
    haze: float = 0.05
    grey: float = 0.7
    blur: float = 1.0
    sharpen: float = 0.0
    noise: float = 0.008
    nir_absent: float = 0.5
    saturated: float = 0.3
    holes: float = 0.15
    cutmix: float = 0.0

    def __call__(self, reflectance: Array, truth: NDArray[np.uint8], side: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """See :func:`augmented`."""
        return augmented(reflectance, truth, side, self, rng)


def augmented(reflectance: Array, truth: NDArray[np.uint8], side: int, how: Augmentation, rng: np.random.Generator) -> tuple[Array, Array]:
    """A randomly changed sample of ``side`` x ``side`` pixels.

    Parameters
    ----------
    reflectance : (4, rows, cols) red, green, blue, nir, 0-1, NaN where not observed
    truth : (rows, cols), 1 rock glacier
    """
    reflectance, label = placed(reflectance, truth, side, how, rng)
    if rng.random() < how.nir_absent:
        reflectance[3] = np.nan
    reflectance = relit(reflectance, how, rng)
    if rng.random() < how.holes:
        reflectance[:, hole(side, rng)] = np.nan
    return reflectance, label


def placed(reflectance: Array, truth: NDArray[np.uint8], side: int, how: Augmentation, rng: np.random.Generator) -> tuple[Array, Array]:
    """Mirror, turn and zoom about the middle, cut ``side`` x ``side`` pixels; ground beyond the sample is mirrored."""
    rows, cols = truth.shape
    zoom = math.exp(rng.uniform(-1, 1) * math.log(how.largest_zoom))
    angle = math.radians(rng.integers(4) * 90 + rng.uniform(-1, 1) * how.largest_turn)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = math.cos(angle) * zoom, math.sin(angle) * zoom
    play_x, play_y = max(0, 1 - side / cols), max(0, 1 - side / rows)
    matrix = torch.tensor(
        [
            [mirror * cos * side / cols, -sin * side / cols, rng.uniform(-1, 1) * play_x],
            [mirror * sin * side / rows, cos * side / rows, rng.uniform(-1, 1) * play_y],
        ],
        dtype=torch.float32,
    )
    grid = functional.affine_grid(matrix[None], [1, 1, side, side], align_corners=False)
    bands = functional.grid_sample(
        torch.from_numpy(reflectance)[None], grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    label = torch.from_numpy(truth.astype(np.float32))[None, None]
    label = functional.grid_sample(label, grid, mode="nearest", padding_mode="reflection", align_corners=False)
    return bands[0].numpy(), label[0, 0].numpy()


def relit(reflectance: Array, how: Augmentation, rng: np.random.Generator) -> Array:
    """Other light, haze, sensor and processing: gain, gamma, contrast, colour, blur, noise, saturation."""
    bands, strength = len(reflectance), how.strength
    level = 0.2
    gamma = math.exp(strength * rng.normal(0, how.gamma))
    changed = level * (np.clip(reflectance, 1e-4, None) / level) ** gamma
    changed *= np.exp(strength * (rng.normal(0, how.gain) + rng.normal(0, how.band_gain, (bands, 1, 1))))
    middle = np.nanmean(changed[:3])
    changed = middle + (changed - middle) * math.exp(strength * rng.normal(0, how.contrast))
    grey = rng.uniform(0, how.grey) * (rng.random() < 0.5)
    changed[:3] += grey * (changed[:3].mean(axis=0) - changed[:3])
    if how.colour:
        mean = changed[:3].mean(axis=0)
        changed[:3] = mean + (changed[:3] - mean) * math.exp(strength * rng.normal(0, how.colour))
    changed += strength * rng.uniform(-how.haze / 2, how.haze)
    if how.light_field and rng.random() < 0.5:
        changed *= np.exp(strength * how.light_field * smooth_field(reflectance.shape[1:], rng))
    chance = rng.random()
    if chance < 0.25:
        changed = blurred(changed, rng.uniform(0.3, how.blur))
    elif how.sharpen and chance < 0.5:
        changed += strength * rng.uniform(0, how.sharpen) * (changed - blurred(changed, 1.0))
    changed += strength * rng.normal(0, rng.uniform(0, how.noise), changed.shape)
    if rng.random() < how.saturated:
        changed = np.minimum(changed, TRUE_COLOUR_SATURATION)
    return np.clip(changed, 0.0, 1.2).astype(np.float32)


def smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """(rows, cols) smooth values about 0 with a standard deviation of about 1."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, 4, 4)).astype(np.float32))
    return functional.interpolate(coarse, size=shape, mode="bicubic", align_corners=True)[0, 0].numpy()


def mixed(samples: Sequence[tuple[Array, Array]], share: float, rng: np.random.Generator) -> Sequence[tuple[Array, Array]]:
    """A batch in which a ``share`` of the samples have a rectangle of another one, with its truth.

    Parameters
    ----------
    samples : reflectance (4, rows, cols) and truth (rows, cols), all of the same size

    Source
    ------
    Yun et al. (2019), CutMix.
    """
    if not share:
        return samples
    changed = []
    for (reflectance, truth), other in zip(samples, rng.permutation(len(samples)), strict=True):
        if rng.random() < share:
            height, width = (int(rng.integers(size // 4, max(size // 4, 3 * size // 4) + 1)) for size in truth.shape)
            row, column = int(rng.integers(truth.shape[0] - height + 1)), int(rng.integers(truth.shape[1] - width + 1))
            place = (slice(row, row + height), slice(column, column + width))
            reflectance, truth = reflectance.copy(), truth.copy()  # noqa: PLW2901
            reflectance[:, *place], truth[place] = samples[other][0][:, *place], samples[other][1][place]
        changed.append((reflectance, truth))
    return changed


def blurred(reflectance: Array, sigma: float) -> Array:
    """Gaussian blur, ``sigma`` in pixels (3 x 3 weights do for up to a pixel)."""
    side = math.exp(-0.5 / sigma**2)
    weights = torch.tensor([side, 1.0, side], dtype=torch.float32) / (1 + 2 * side)
    kernel = (weights[:, None] * weights[None, :])[None, None]
    bands = functional.pad(torch.from_numpy(reflectance.astype(np.float32))[:, None], (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(bands, kernel)[:, 0].numpy()


def hole(side: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(side, side) True where nothing was observed: an edge of the scene (a half plane) or a masked cloud (an ellipse)."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    along = np.cos(angle) * (x - side / 2) + np.sin(angle) * (y - side / 2)
    if rng.random() < 0.5:
        return along > rng.uniform(0.1, 0.5) * side
    across = np.cos(angle) * (y - side / 2) - np.sin(angle) * (x - side / 2)
    shift_x, shift_y = rng.uniform(-0.5, 0.5, 2) * side
    wide, high = rng.uniform(0.04, 0.3, 2) * side
    return ((along - shift_x) / wide) ** 2 + ((across - shift_y) / high) ** 2 < 1


@dataclass(frozen=True)
class ScaleAndCrop:
    """Samples as the public DeepLabV3+ code changes them, whose names for it the paper uses.

    Trained on: the shorter side is resized to ``smallest`` to ``largest`` times ``base`` pixels, then a random ``side`` x ``side`` pixels
    are cut; what lies outside the sample is not observed. Mirrored both ways at random (ours). Validated on: the shorter side is resized
    to ``side``, the middle is cut.

    Source
    ------
    Lin et al. (2024), section 3.3.2; RandomScaleCrop and FixScaleCrop of jfzhang95/pytorch-deeplab-xception (MIT).
    """

    base: int = 500
    smallest: float = 0.5
    largest: float = 2.0
    cutmix: ClassVar[float] = 0.0

    def __call__(self, reflectance: Array, truth: NDArray[np.uint8], side: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """A random ``side`` x ``side`` pixels of reflectance (4, rows, cols) and truth (rows, cols)."""
        shorter = rng.integers(round(self.smallest * self.base), round(self.largest * self.base) + 1)
        window = max(2, round(side * min(truth.shape) / shorter))
        top, left = (int(rng.integers(0, max(0, size - window) + 1)) for size in truth.shape)
        for axis in (-1, -2):
            if rng.random() < 0.5:
                reflectance, truth = np.flip(reflectance, axis), np.flip(truth, axis)
        return cut_and_resized(reflectance, truth, (top, left), window, side)

    def middle(self, reflectance: Array, truth: NDArray[np.uint8], side: int) -> tuple[Array, Array]:
        """The middle of a sample, to validate on."""
        window = min(truth.shape)
        top, left = ((size - window) // 2 for size in truth.shape)
        return cut_and_resized(reflectance, truth, (top, left), window, side)


def cut_and_resized(reflectance: Array, truth: NDArray[np.uint8], corner: tuple[int, int], window: int, side: int) -> tuple[Array, Array]:
    """``window`` x ``window`` pixels from ``corner`` on, resized to ``side`` x ``side``; what lies beyond the sample is not observed."""
    place = (slice(corner[0], corner[0] + window), slice(corner[1], corner[1] + window))
    bands = np.full((len(reflectance), window, window), np.nan, np.float32)
    label = np.zeros((window, window), np.float32)
    inside = truth[place].shape
    bands[:, : inside[0], : inside[1]] = reflectance[:, *place]
    label[: inside[0], : inside[1]] = truth[place]
    if window == side:
        return bands, label
    resized = functional.interpolate(torch.from_numpy(bands)[None], size=(side, side), mode="bilinear", antialias=True)[0].numpy()
    return resized, functional.interpolate(torch.from_numpy(label)[None, None], size=(side, side), mode="nearest-exact")[0, 0].numpy()
