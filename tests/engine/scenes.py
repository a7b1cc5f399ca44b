"""Small scenes with answers known by construction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

UTM45N = "EPSG:32645"
PIXEL_10M = Affine(10, 0, 600000, 0, -10, 3080000)


def write_raster(
    path: Path,
    pixels: NDArray[Any],
    *,
    crs: str | None = UTM45N,
    transform: Affine = PIXEL_10M,
    names: Sequence[str] = (),
    tags: dict[str, str] | None = None,
    scales: Sequence[float] = (),
    offsets: Sequence[float] = (),
    mask: NDArray[np.bool_] | None = None,
    colours: Sequence[Any] = (),
    **options: Any,
) -> str:
    """Write (bands, rows, cols) pixels; further keywords go to rasterio.open. Returns the path."""
    count, height, width = pixels.shape
    options = {"driver": "GTiff", "dtype": pixels.dtype, "crs": crs, "transform": transform} | options
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", count=count, height=height, width=width, **options) as raster:
        if colours:
            raster.colorinterp = colours
        raster.update_tags(**(tags or {}))
        for band, text in enumerate(names, 1):
            raster.set_band_description(band, text)
        if scales:
            raster.scales, raster.offsets = scales, offsets
        raster.write(pixels)
        if mask is not None:
            raster.write_mask(mask)
    return str(path)


def mountains(rows: int = 60, columns: int = 80, seed: int = 1) -> NDArray[np.float32]:
    """Reflectance (4, rows, cols) 0.03-0.6 of red, green, blue, nir: dark and bright ground, nothing else."""
    random = np.random.default_rng(seed)
    brightness = random.uniform(0.03, 0.6, (rows, columns))
    return (brightness * np.array([1.0, 0.95, 0.9, 0.98])[:, None, None]).astype(np.float32)


def read_stack(path: str | Path) -> NDArray[np.float32]:
    with rasterio.open(path) as stack:
        return stack.read()
