"""Vegetation indices of the spectral stack, from surface reflectance.

A soil-adjusted and an enhanced index tell relict rock glaciers, which carry vegetation, from bare debris
(Lin et al. 2024, section 2.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reflectance = NDArray[np.float32]

EVI_SMALLEST_DENOMINATOR = 0.05


def savi(red: Reflectance, nir: Reflectance, soil_adjustment: float = 0.5) -> Reflectance:
    """Soil-adjusted vegetation index, clipped to [-1, 1].

    Parameters
    ----------
    red, nir : (rows, cols) reflectance 0-1, NaN where not observed
    soil_adjustment : L, 0-1; 0.5 for intermediate cover

    Returns
    -------
    (rows, cols) float32, NaN where not observed

    Source
    ------
    Huete (1988), Remote Sensing of Environment 25, 295-309: (1 + L)(N - R) / (N + R + L).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        index = (1.0 + soil_adjustment) * (nir - red) / (nir + red + soil_adjustment)
    return np.clip(np.where(np.isfinite(index), index, np.nan), -1.0, 1.0).astype(np.float32)


def evi(red: Reflectance, blue: Reflectance, nir: Reflectance) -> Reflectance:
    """Enhanced vegetation index, clipped to [-1, 1].

    The denominator N + 6R - 7.5B + 1 passes through zero over snow and cloud, where the index means nothing and a
    single pixel would ruin a min-max normalisation: there, |denominator| < 0.05, the result is NaN.

    Parameters
    ----------
    red, blue, nir : (rows, cols) reflectance 0-1, NaN where not observed

    Returns
    -------
    (rows, cols) float32, NaN where not observed or undefined

    Source
    ------
    Huete et al. (2002), Remote Sensing of Environment 83, 195-213: G = 2.5, C1 = 6, C2 = 7.5, L = 1.
    """
    denominator = nir + 6.0 * red - 7.5 * blue + 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        index = 2.5 * (nir - red) / denominator
    defined = np.isfinite(index) & np.isfinite(denominator) & (np.abs(denominator) >= EVI_SMALLEST_DENOMINATOR)
    return np.clip(np.where(defined, index, np.nan), -1.0, 1.0).astype(np.float32)
