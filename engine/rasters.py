"""Rasters at the edge: opened with errors that say what to do, and read on the grid one asks for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError
from rasterio.crs import CRS as RasterioCRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from engine.errors import EngineError
from engine.outputs import whole_file

SCALE_TOLERANCE = 0.02
"""A map whose pixel differs by more than this from its size on the ground is not measured in metres."""

LARGEST_EXTENT_M = 2_000_000
"""Beyond this, a UTM zone is no longer a map in metres."""

WGS84 = Geod(ellps="WGS84")

PASSPORT = "ROCK_GLACIER_MAPPER"
"""Namespace of the tags in which the rasters that the engine writes say how they came about."""


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
        if dataset.count == 0:
            inside = f" It holds several; name one of them: {', '.join(dataset.subdatasets[:12])}." if dataset.subdatasets else ""
            raise EngineError("not_a_raster", f"{text} is not one raster.{inside}")
        if dataset.crs is None and (dataset.rpcs is not None or dataset.gcps[0]):
            raise EngineError(
                "no_georeference",
                f"{text} is a raw scene, placed by rational polynomials or ground control points. Orthorectify it first, "
                "with an elevation model (in QGIS: Raster > Projections > Warp, extra parameters -rpc -to RPC_DEM=elevation.tif).",
            )
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
    with _reading(dataset):
        return dataset.read(bands, window=window)


@contextmanager
def _reading(dataset: DatasetReader | WarpedVRT) -> Iterator[None]:
    try:
        yield
    except rasterio.errors.RasterioError as error:
        raise EngineError(
            "truncated_file", f"{dataset.name} cannot be read to its end: it is truncated or damaged. Copy or download it again. ({error})"
        ) from error


def read_observed(dataset: DatasetReader | WarpedVRT, bands: list[int], window: Window | None = None) -> NDArray[np.float32]:
    """Pixels of some bands (numbers from 1), (bands, rows, cols) float32 in the raster's own units, NaN where not observed.

    Not observed is what the raster's no-data values, its masks or its alpha band say, and NaN and infinities.

    Raises
    ------
    EngineError
        as :func:`read`
    """
    values = read(dataset, bands, window).astype(np.float32)
    observed = np.isfinite(values)
    for index, band in enumerate(bands):
        flags = dataset.mask_flag_enums[band - 1]
        if MaskFlags.all_valid not in flags and MaskFlags.alpha not in flags:
            with _reading(dataset):
                observed[index] &= dataset.read_masks(band, window=window) > 0
    # A four-band GeoTIFF often declares its near-infrared band as alpha: a band that is read for its values masks nothing.
    for alpha in (band for band, colour in enumerate(dataset.colorinterp, 1) if colour == ColorInterp.alpha and band not in bands):
        observed &= read(dataset, [alpha], window)[0] > 0
    values[~observed] = np.nan
    return values


def windows(grid: Grid, rows: int = 512, columns: int = 2048) -> Iterator[Window]:
    """The grid in pieces of at most that size, row by row."""
    for row in range(0, grid.height, rows):
        for column in range(0, grid.width, columns):
            yield Window(column, row, min(columns, grid.width - column), min(rows, grid.height - row))


def spread_windows(grid: Grid, per_side: int = 8, side: int = 64) -> Iterator[Window]:
    """Square windows spread evenly over the grid, ``per_side`` in each direction; all of a small grid, piece by piece."""

    def starts(length: int) -> list[int]:
        if length <= per_side * side:
            return list(range(0, length, side))
        return [int(start) for start in np.linspace(0, length - side, per_side)]

    for row in starts(grid.height):
        for column in starts(grid.width):
            yield Window(column, row, min(side, grid.width - column), min(side, grid.height - row))


@contextmanager
def new_geotiff(path: str | os.PathLike[str], grid: Grid, names: Sequence[str]) -> Iterator[DatasetWriter]:
    """A float32 GeoTIFF with named bands to be written window by window, NaN where not observed; whole or not at all.

    Raises
    ------
    EngineError
        those of :func:`engine.outputs.whole_file`; ``disk_full`` also where GDAL overlooks it.
    """
    with whole_file(path) as place, write_geotiff(place, grid, names) as dataset:
        yield dataset


@contextmanager
def write_geotiff(
    place: Path, grid: Grid, names: Sequence[str], dtype: str = "float32", nodata: float = math.nan
) -> Iterator[DatasetWriter]:
    """As :func:`new_geotiff`, at a place that is not yet anybody's output, and of any type.

    Raises
    ------
    OSError
        when not everything could be written
    """
    block = min(256, 16 * math.ceil(max(grid.width, grid.height) / 16))
    # one thread: with more, GDAL drops the errors of failed writes
    with rasterio.open(
        place,
        "w",
        driver="GTiff",
        crs=grid.crs,
        transform=grid.transform,
        width=grid.width,
        height=grid.height,
        count=len(names),
        dtype=dtype,
        nodata=nodata,
        tiled=True,
        blockxsize=block,
        blockysize=block,
        interleave="band",
        compress="deflate",
        predictor=3 if dtype == "float32" else 1,
        BIGTIFF="IF_SAFER",
    ) as dataset:
        for band, name in enumerate(names, 1):
            dataset.set_band_description(band, name)
        yield dataset
    _check_every_block(place)


def _check_every_block(path: Path) -> None:
    size = path.stat().st_size
    with rasterio.open(path) as dataset:
        for band in dataset.indexes:
            for (row, column), _ in dataset.block_windows(band):
                place = [dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=band) for what in ("OFFSET", "SIZE")]
                if None in place or sum(map(int, place)) > size:
                    raise OSError(f"block {column}, {row} of band {band} is missing in {path.name}")


def ground_pixel_size(grid: Grid) -> tuple[float, float]:
    """Width and height of the middle pixel on the ground, in metres along the WGS84 ellipsoid."""
    column, row = grid.width / 2, grid.height / 2
    steps = [(column - 0.5, row), (column + 0.5, row), (column, row - 0.5), (column, row + 0.5)]
    lons, lats = _in_degrees(grid, steps)
    width = WGS84.inv(lons[0], lats[0], lons[1], lats[1])[2]
    height = WGS84.inv(lons[2], lats[2], lons[3], lats[3])[2]
    return width, height


def _in_degrees(grid: Grid, pixels: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Longitudes and latitudes (WGS84) of places given as column, row."""
    places = [grid.transform @ pixel for pixel in pixels]
    try:
        to_degrees = Transformer.from_crs(CRS.from_wkt(grid.crs.to_wkt()), 4326, always_xy=True)
        lons, lats = to_degrees.transform([x for x, _ in places], [y for _, y in places])
    except ProjError as error:
        raise EngineError(
            "crs_unknown", f"The coordinate reference system {crs_name(grid.crs)} has no known place on the Earth. Assign another one."
        ) from error
    if not (np.all(np.isfinite(lons)) and np.all(np.abs(lats) <= 90)):
        raise EngineError(
            "crs_place", "The raster lies outside the area where its coordinate reference system is defined. Check the CRS assigned to it."
        )
    return lons, lats


def local_utm(grid: Grid) -> RasterioCRS:
    """The UTM zone (WGS84) of the grid's middle; polar stereographic beyond 84 N and 80 S."""
    (lon,), (lat,) = _in_degrees(grid, [(grid.width / 2, grid.height / 2)])
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

    Raises
    ------
    EngineError
        ``crs_unknown``, ``crs_place``, ``extent_too_large`` when the raster has no place on one map in metres
    """
    in_metres = is_measured_in_metres(grid)
    if in_metres and grid.is_north_up_square and (not resolution or math.isclose(resolution, grid.resolution, rel_tol=1e-6)):
        return grid, ""
    if in_metres:
        crs, bounds = grid.crs, grid.bounds
        own = min(math.hypot(grid.transform.a, grid.transform.d), math.hypot(grid.transform.b, grid.transform.e))
        reason = "" if grid.is_north_up_square else "pixels are rotated, flipped or not square"
    else:
        crs, own = local_utm(grid), min(ground_pixel_size(grid))
        bounds = transform_bounds(grid.crs, crs, *grid.bounds)
        if not np.all(np.isfinite(bounds)) or max(bounds[2] - bounds[0], bounds[3] - bounds[1]) > LARGEST_EXTENT_M:
            raise EngineError(
                "extent_too_large",
                f"The raster is more than {LARGEST_EXTENT_M / 1000:.0f} km across, too much for a UTM zone. Cut it.",
            )
        reason = f"{crs_name(grid.crs)} is not measured in metres"
    pixel = resolution or own
    left, bottom, right, top = bounds
    # a sliver of less than a hundredth of a pixel is rounding, not ground
    width = max(1, math.ceil((right - left) / pixel - 0.01))
    height = max(1, math.ceil((top - bottom) / pixel - 0.01))
    working = Grid(crs, Affine(pixel, 0, left, 0, -pixel, top), width, height)
    if not reason:
        return working, f"resampled from {own:.4g} m to {pixel:.4g} m"
    return working, f"{reason}: working in {crs_name(crs)} at {pixel:.4g} m"


def crs_name(crs: RasterioCRS) -> str:
    """``EPSG:32645``, or the name of a system that has no code."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else CRS.from_wkt(crs.to_wkt()).name


@contextmanager
def on_grid(dataset: DatasetReader, grid: Grid, finer: Resampling = Resampling.bilinear) -> Iterator[DatasetReader | WarpedVRT]:
    """The raster as float32 on another grid, read window by window; NaN where it has no data.

    Coarser grids take the mean of the pixels they cover, finer and rotated ones interpolate: bilinearly, unless ``finer`` says how.
    A raster already on the grid is handed back as it is.
    """
    own = Grid.of(dataset)
    if own == grid:
        yield dataset
        return
    ground = math.sqrt(math.prod(ground_pixel_size(own)))
    resampling = Resampling.average if grid.resolution > 1.5 * ground else finer
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
        UNIFIED_SRC_NODATA="NO",  # a pixel may lack one band, EVI over snow, and have the others
    ) as warped:
        yield warped
