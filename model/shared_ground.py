"""Which chips show the same ground, told from their masks: chips say nothing of where they lie, and may be turned or mirrored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

SIDE = 64
"""Pixels to which masks are reduced."""
LEAST_OVERLAP, LEAST_ROCK_GLACIER, LEAST_AGREEMENT = 0.3, 0.06, 0.97
"""Of a mask: the share that two have in common, the rock glacier in it, and twice the common rock glacier over that of both."""
MOST = 300
"""Masks that are compared; it takes half a minute."""


def shared_ground(masks: Sequence[NDArray[np.bool_]]) -> set[tuple[int, int]]:
    """Pairs (i < j) of masks (rows, cols) that show the same outline under one of the eight symmetries, shifted.

    Two masks that look alike by chance count, too: for keeping samples apart, that is the safe side.
    """
    small = [_reduced(mask) for mask in masks[:MOST]]
    shape = (2 * SIDE, 2 * SIDE)
    everywhere = fft.rfft2(np.ones((SIDE, SIDE), np.float32), shape)
    area = fft.irfft2(np.abs(everywhere) ** 2, shape)
    spectra = [fft.rfft2(mask, shape) for mask in small]
    within = [fft.irfft2(spectrum * everywhere.conj(), shape) for spectrum in spectra]
    pairs = set()
    for j, mask in enumerate(small):
        turned = np.stack([np.rot90(way, turns) for way in (mask, mask[:, ::-1]) for turns in range(4)])
        others = fft.rfft2(turned, shape).conj()
        within_other = fft.irfft2(everywhere * others, shape)
        for i in range(j):
            rock_glacier = within[i] + within_other
            common = 2 * fft.irfft2(spectra[i] * others, shape)
            informative = (
                (area >= LEAST_OVERLAP * SIDE**2) & (rock_glacier >= 2 * LEAST_ROCK_GLACIER * SIDE**2) & (rock_glacier < 1.8 * area)
            )
            if (informative & (common >= LEAST_AGREEMENT * rock_glacier)).any():
                pairs.add((i, j))
    return pairs


def _reduced(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    zoom = [SIDE / size for size in mask.shape]
    return np.asarray(ndimage.zoom(mask.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest") > 0.5, dtype=np.float32)
