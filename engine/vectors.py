"""Polygon layers at the edge: read, repaired, written. GeoPackage, GeoJSON and FlatGeobuf; anything GDAL reads."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from engine.errors import EngineError
from engine.outputs import whole_file
from engine.reporting import Reporter
from engine.threads import in_threads

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON", ".fgb": "FlatGeobuf"}

MULTIPOLYGON_OF_ONE = struct.pack("<BII", 1, 6, 1)
"""What comes before a polygon's well-known binary (little-endian, as shapely writes it) to make a MultiPolygon of it."""

GPKG_VERSION = "1.2"
"""Of the GeoPackages written: the GDAL of QGIS 3.40 on several systems warns of 1.4, the default of the engine's own."""


RESERVED = {"fid": "fid_1", "geom": "geom_1"}
"""Columns that every layer of a GeoPackage has already -> what a field of that name is called there."""


VALIDATED_AT_ONCE = 2048
"""Polygons that one thread looks at in one go."""


@dataclass(frozen=True)
class PolygonLayer:
    """Polygons with their attributes.

    ``geometries`` (n,) shapely Polygon or MultiPolygon, valid; ``fields`` name -> (n,) values, NULL where a masked array is
    masked; ``crs``;
    ``repaired`` how many were invalid and were repaired, ``dropped`` how many were empty or had no area.
    """

    geometries: NDArray[np.object_]
    crs: CRS
    fields: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    repaired: int = 0
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.geometries)

    def in_crs(self, crs: CRS | str) -> PolygonLayer:
        """The same polygons in another coordinate reference system."""
        wanted = CRS.from_user_input(crs)
        if wanted == self.crs:
            return self
        return PolygonLayer(reproject(self.geometries, self.crs, wanted), wanted, self.fields, self.repaired, self.dropped)


def reproject(geometries: NDArray[np.object_], source: CRS, target: CRS) -> NDArray[np.object_]:
    """Geometries (n,) in map units of ``source`` to map units of ``target``, axis order x, y."""
    transformer = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(geometries, transformer.transform, interleaved=False)


def read_polygons(path: str | os.PathLike[str], layer: str | None = None) -> PolygonLayer:
    """The polygons of a vector file, repaired, without Z and M, curves as many short edges, empty ones left out.

    Raises
    ------
    EngineError
        ``file_missing``, ``not_a_vector``, ``no_crs``, ``not_polygons``.
    """
    crs, geometries, columns = _read(path, layer)
    if geometries is None:
        raise EngineError("not_polygons", f"{path} is a table without geometry; polygons are needed.")
    if crs is None:
        raise EngineError("no_crs", f"{path} has no coordinate reference system. Assign one first.")
    present = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    if present.any() and not np.isin(shapely.get_type_id(geometries[present]), (3, 6, 7)).all():
        raise EngineError("not_polygons", f"{path} holds points or lines; polygons are needed.")
    valid = in_threads(lambda batch: shapely.is_valid(geometries[batch]), len(geometries), VALIDATED_AT_ONCE)
    invalid = present & ~np.concatenate([np.empty(0, dtype=bool), *valid])
    geometries[invalid] = [polygonal(geometry) for geometry in shapely.make_valid(geometries[invalid])]
    kept = present & (shapely.area(geometries) > 0)
    fields = {name: column[kept] for name, column in columns.items()}
    return PolygonLayer(geometries[kept], CRS.from_user_input(crs), fields, int(invalid.sum()), int((~kept).sum()))


def read_outlines(path: str | os.PathLike[str], layer: str | None, reporter: Reporter) -> PolygonLayer:
    """As :func:`read_polygons`, and the person is told what was mended."""
    polygons = read_polygons(path, layer)
    if polygons.repaired or polygons.dropped:
        reporter.info(f"{path}: {polygons.repaired} invalid polygons were repaired, {polygons.dropped} without an area were left out.")
    return polygons


def read_points(path: str | os.PathLike[str], layer: str | None = None) -> PolygonLayer:
    """The points of a vector file, without Z and M, several of one feature as their middle, empty ones left out.

    Raises
    ------
    EngineError
        ``file_missing``, ``not_a_vector``, ``no_crs``, ``not_points``.
    """
    crs, points, columns = _read(path, layer)
    if points is None or not np.isin(shapely.get_type_id(points), (-1, 0, 4)).all():
        raise EngineError("not_points", f"{path} holds no points; points are needed.")
    if crs is None:
        raise EngineError("no_crs", f"{path} has no coordinate reference system. Assign one first.")
    kept = ~(shapely.is_missing(points) | shapely.is_empty(points))
    fields = {name: column[kept] for name, column in columns.items()}
    return PolygonLayer(shapely.centroid(points[kept]), CRS.from_user_input(crs), fields)


def _read(
    path: str | os.PathLike[str], layer: str | None, geometry: bool = True
) -> tuple[str | None, NDArray[np.object_] | None, dict[str, NDArray[np.generic]]]:
    """CRS, geometries (n,) and fields of a file; None for what it does not have."""
    if not Path(path).exists():
        raise EngineError("file_missing", f"There is no file {path}.")
    try:
        meta, _, wkb, values = pyogrio.raw.read(path, layer=layer, force_2d=True, read_geometry=geometry)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise EngineError("not_a_vector", f"{path} could not be read as a layer. ({error})") from error
    return meta["crs"], None if wkb is None else shapely.from_wkb(wkb), dict(zip(meta["fields"], values, strict=True))


def polygonal(geometry: shapely.Geometry) -> shapely.Geometry:
    """The polygons within a geometry, as one Polygon or MultiPolygon."""
    parts = [part for part in shapely.get_parts(shapely.get_parts([geometry])) if part.geom_type == "Polygon"]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def write_polygons(path: str | os.PathLike[str], layer: PolygonLayer, name: str, geometry_type: str | None = None) -> None:
    """Write a new file that holds one layer, whole or not at all; an existing file is replaced when the new one is complete.

    Its geometry type is Polygon or, where any polygon has several parts, MultiPolygon, when not given.

    Raises
    ------
    EngineError
        ``output_format`` for an unknown suffix; ``output_folder``, ``disk_full`` from :func:`engine.outputs.whole_file`.
    """
    with written_polygons(path, layer, name, geometry_type):
        pass


@contextmanager
def written_polygons(path: str | os.PathLike[str], layer: PolygonLayer, name: str, geometry_type: str | None = None) -> Iterator[None]:
    """As :func:`write_polygons`; the file takes its name when the block ends without an error, so that several do so together."""
    driver = driver_for(path)
    with whole_file(path) as place:
        has_parts = (shapely.get_type_id(layer.geometries) == shapely.GeometryType.MULTIPOLYGON).any()
        write_layer(place, layer, name, geometry_type or ("MultiPolygon" if has_parts else "Polygon"), driver)
        _check_written(place, len(layer), driver)
        yield


def _check_written(place: Path, count: int, driver: str) -> None:
    """Not every driver tells of what it could not write when it closes a file: a spatial index, the last polygons."""
    try:
        info = pyogrio.read_info(place, force_feature_count=True)
    except pyogrio.errors.DataSourceError as error:
        raise OSError(str(error)) from error
    if info["features"] != count or (driver == "GPKG" and not info["capabilities"]["fast_spatial_filter"]):
        raise OSError(f"{place.name} is incomplete")


def driver_for(path: str | os.PathLike[str]) -> str:
    """The GDAL driver of a file name."""
    suffix = Path(path).suffix.lower()
    if suffix not in DRIVERS:
        raise EngineError("output_format", f"{path}: polygons are written as {', '.join(DRIVERS)}; give the file one of these endings.")
    return DRIVERS[suffix]


def write_layer(
    place: Path,
    layer: PolygonLayer,
    name: str,
    geometry_type: str,
    driver: str,
    append: bool = False,
    layer_options: Mapping[str, str] | None = None,
) -> None:
    """Write or append to a layer of a file that is not yet anybody's output; in one of MultiPolygon, polygons become such."""
    wkb = shapely.to_wkb(layer.geometries)
    if geometry_type == "MultiPolygon":
        for index in np.flatnonzero(shapely.get_type_id(layer.geometries) == 3):
            wkb[index] = MULTIPOLYGON_OF_ONE + wkb[index]
    try:
        pyogrio.raw.write(
            place,
            wkb,
            [np.ma.getdata(values) for values in layer.fields.values()],
            [RESERVED.get(name.lower(), name) if driver == "GPKG" else name for name in layer.fields],
            field_mask=[np.ma.getmaskarray(values) for values in layer.fields.values()],
            layer=name,
            driver=driver,
            geometry_type=geometry_type,
            crs=layer.crs.to_wkt(),
            append=append,
            dataset_options={"VERSION": GPKG_VERSION} if driver == "GPKG" and not append else {},
            layer_options=layer_options or {},
            encoding="UTF-8" if driver == "ESRI Shapefile" else None,
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise OSError(str(error)) from error


def read_table(path: str | os.PathLike[str], layer: str | None = None) -> dict[str, NDArray[np.generic]]:
    """The attributes of a vector file or a table (.csv, .gpkg ...), name -> (n,) values; geometries are not read.

    Raises
    ------
    EngineError
        ``file_missing``, ``not_a_vector``.
    """
    return _read(path, layer, geometry=False)[2]


def write_table(path: str | os.PathLike[str], fields: Mapping[str, NDArray[np.generic]], name: str) -> None:
    """Write a table without geometry, name -> (n,) values, as .csv or .gpkg; whole or not at all.

    Raises
    ------
    EngineError
        ``output_format`` for an unknown suffix; those of :func:`engine.outputs.whole_file`.
    """
    with written_table(path, fields, name):
        pass


@contextmanager
def written_table(path: str | os.PathLike[str], fields: Mapping[str, NDArray[np.generic]], name: str) -> Iterator[None]:
    """As :func:`write_table`; the file takes its name when the block ends without an error, so that several do so together."""
    driver = {".csv": "CSV", ".gpkg": "GPKG"}.get(Path(path).suffix.lower())
    if driver is None:
        raise EngineError("output_format", f"{path}: tables are written as .csv or .gpkg; give the file one of these endings.")
    options = {"VERSION": GPKG_VERSION} if driver == "GPKG" else {}
    with whole_file(path) as place:
        try:
            values, masks = (
                [np.ma.getdata(column) for column in fields.values()],
                [np.ma.getmaskarray(column) for column in fields.values()],
            )
            pyogrio.raw.write(place, None, values, list(fields), masks, layer=name, driver=driver, dataset_options=options)
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
            raise OSError(str(error)) from error
        yield
