"""Rasters at the edge: opened with errors that say what to do, and read on the grid one asks for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from rasterio.crs import CRS as RasterioCRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform
from rasterio.windows import Window

from engine.errors import EngineError

SCALE_TOLERANCE = 0.02
"""A map whose pixel differs by more than this from its size on the ground is not measured in metres."""

WGS84 = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Grid:
    """A north-up or any affine pixel grid: ``crs``, ``transform`` (pixel corner to map), ``width``, ``height`` in pixels."""

    crs: RasterioCRS
    transform: Affine
    width: int
    height: int

    @classmethod
    def of(cls, dataset: DatasetReader) -> Grid:
        """The grid of an open raster."""
        return cls(dataset.crs, dataset.transform, dataset.width, dataset.height)

    @property
    def is_north_up_square(self) -> bool:
        """True when rows run east, columns south, and pixels are as wide as high."""
        t = self.transform
        return t.b == 0 and t.d == 0 and t.a > 0 and t.e < 0 and math.isclose(t.a, -t.e, rel_tol=1e-6)

    @property
    def resolution(self) -> float:
        """Pixel width in map units."""
        return math.hypot(self.transform.a, self.transform.d)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """left, bottom, right, top of the grid's corners in map units."""
        corners = [self.transform @ corner for corner in ((0, 0), (self.width, 0), (0, self.height), (self.width, self.height))]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


@contextmanager
def open_raster(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """An open raster with a coordinate reference system.

    Raises
    ------
    EngineError
        ``file_missing``, ``not_a_raster``, ``no_crs``, ``no_georeference``.
    """
    text = os.fspath(path)
    is_plain_path = not text.startswith("/vsi") and ":" not in text[2:]
    if is_plain_path and not Path(text).exists():
        raise EngineError("file_missing", f"There is no file {text}.")
    try:
        dataset = rasterio.open(text)
    except rasterio.errors.RasterioIOError as error:
        raise EngineError(
            "not_a_raster", f"{text} could not be opened as a raster: it is damaged, incomplete or of an unknown format. ({error})"
        ) from error
    with dataset:
        if dataset.crs is None:
            raise EngineError(
                "no_crs",
                f"{text} has no coordinate reference system. Assign one first (in QGIS: Raster > Projections > Assign Projection).",
            )
        if dataset.transform.is_identity:
            raise EngineError(
                "no_georeference", f"{text} is not georeferenced: its pixels have no place on the map. Georeference it first."
            )
        yield dataset


def read(dataset: DatasetReader | WarpedVRT, bands: list[int], window: Window | None = None) -> NDArray[np.generic]:
    """Pixels of some bands (numbers from 1), (bands, rows, cols) in the raster's own type and units.

    Raises
    ------
    EngineError
        ``truncated_file`` when pixels that the file promises cannot be read.
    """
    try:
        return dataset.read(bands, window=window)
    except rasterio.errors.RasterioError as error:
        raise EngineError(
            "truncated_file", f"{dataset.name} cannot be read to its end: it is truncated or damaged. Copy or download it again. ({error})"
        ) from error


def ground_pixel_size(grid: Grid) -> tuple[float, float]:
    """Width and height of the middle pixel on the ground, in metres along the WGS84 ellipsoid."""
    to_degrees = Transformer.from_crs(CRS.from_wkt(grid.crs.to_wkt()), 4326, always_xy=True)
    column, row = grid.width / 2, grid.height / 2
    steps = [(column - 0.5, row), (column + 0.5, row), (column, row - 0.5), (column, row + 0.5)]
    places = [grid.transform @ step for step in steps]
    lons, lats = to_degrees.transform([x for x, _ in places], [y for _, y in places])
    if not np.all(np.isfinite(lons)):
        raise EngineError(
            "crs_place", "The raster lies outside the area where its coordinate reference system is defined. Check the CRS assigned to it."
        )
    width = WGS84.inv(lons[0], lats[0], lons[1], lats[1])[2]
    height = WGS84.inv(lons[2], lats[2], lons[3], lats[3])[2]
    return width, height


def local_utm(grid: Grid) -> RasterioCRS:
    """The UTM zone (WGS84) of the grid's middle; polar stereographic beyond 84 N and 80 S."""
    to_degrees = Transformer.from_crs(CRS.from_wkt(grid.crs.to_wkt()), 4326, always_xy=True)
    lon, lat = to_degrees.transform(*(grid.transform @ (grid.width / 2, grid.height / 2)))
    if lat >= 84:
        return RasterioCRS.from_epsg(5041)
    if lat <= -80:
        return RasterioCRS.from_epsg(5042)
    zone = int((lon + 180) // 6) % 60 + 1
    return RasterioCRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def is_measured_in_metres(grid: Grid) -> bool:
    """True when a map unit is a metre on the ground within 2 % (not degrees, feet or Web Mercator)."""
    if not grid.crs.is_projected:
        return False
    width, height = ground_pixel_size(grid)
    map_width = math.hypot(grid.transform.a, grid.transform.d)
    map_height = math.hypot(grid.transform.b, grid.transform.e)
    return abs(width / map_width - 1) < SCALE_TOLERANCE and abs(height / map_height - 1) < SCALE_TOLERANCE


def working_grid(grid: Grid, resolution: float = 0.0) -> tuple[Grid, str]:
    """The north-up grid of square pixels in metres that covers ``grid``, and why it differs from it.

    Parameters
    ----------
    grid : the raster's own grid
    resolution : pixel size in metres, 0 = as the raster has it on the ground

    Returns
    -------
    the grid itself where it already is what is asked for, else one in the same CRS or the local UTM zone,
    and the reason in words for the person (empty when nothing changed)
    """
    in_metres = is_measured_in_metres(grid)
    if in_metres and grid.is_north_up_square:
        if not resolution or math.isclose(resolution, grid.resolution, rel_tol=1e-6):
            return grid, ""
        left, _, _, top = grid.bounds
        width = max(1, math.ceil(grid.width * grid.resolution / resolution - 1e-6))
        height = max(1, math.ceil(grid.height * grid.resolution / resolution - 1e-6))
        transform = Affine(resolution, 0, left, 0, -resolution, top)
        return Grid(grid.crs, transform, width, height), f"resampled from {grid.resolution:g} m to {resolution:g} m"
    crs = grid.crs if in_metres else local_utm(grid)
    pixel = resolution or min(ground_pixel_size(grid))
    left, bottom, right, top = grid.bounds
    if grid.is_north_up_square or not (grid.transform.b or grid.transform.d):
        transform, width, height = calculate_default_transform(
            grid.crs, crs, grid.width, grid.height, left, bottom, right, top, resolution=pixel
        )
    else:
        transform, width, height = calculate_default_transform(
            grid.crs,
            crs,
            max(1, round((right - left) / grid.resolution)),
            max(1, round((top - bottom) / grid.resolution)),
            left,
            bottom,
            right,
            top,
            resolution=pixel,
        )
    reason = "pixels are rotated or not square" if in_metres else f"{grid.crs.to_string()} is not measured in metres"
    return Grid(crs, transform, width, height), f"{reason}: working in {crs.to_string()} at {pixel:.4g} m"


@contextmanager
def on_grid(dataset: DatasetReader, grid: Grid) -> Iterator[DatasetReader | WarpedVRT]:
    """The raster as float32 on another grid, read window by window; NaN where it has no data.

    Coarser grids take the mean of the pixels they cover, finer and rotated ones interpolate bilinearly.
    A raster already on the grid is handed back as it is.
    """
    own = Grid.of(dataset)
    if own == grid:
        yield dataset
        return
    ground = math.sqrt(math.prod(ground_pixel_size(own)))
    resampling = Resampling.average if grid.resolution > 1.5 * ground else Resampling.bilinear
    src_nodata = dataset.nodata
    if src_nodata is None and np.issubdtype(np.dtype(dataset.dtypes[0]), np.floating):
        src_nodata = math.nan
    with WarpedVRT(
        dataset,
        crs=grid.crs,
        transform=grid.transform,
        width=grid.width,
        height=grid.height,
        resampling=resampling,
        src_nodata=src_nodata,
        nodata=math.nan,
        dtype="float32",
    ) as warped:
        yield warped
