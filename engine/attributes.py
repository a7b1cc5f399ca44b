"""The attributes of an inventory: PrimaryID, size, place, elevation, slope, aspect, length along the fall line, radiation, climate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Proj
from rasterio.io import DatasetReader

from engine.errors import EngineError
from engine.fall_line import fall_line
from engine.geodesy import geodesic_area, geodesic_perimeter
from engine.local_maps import local_maps, middle_in_degrees, on_one_map
from engine.primary_id import markers, primary_ids, repeated
from engine.radiation import SEARCH_M, Surroundings, horizons, months_of, radiation, sun
from engine.rasters import open_raster
from engine.reporting import Reporter, StagedReporter
from engine.terrain import ElevationGrid, cell_size, elevation_around, horn
from engine.threads import in_threads
from engine.vectors import PolygonLayer, read_outlines, reproject, write_polygons
from engine.zonal import (
    LEAST_KNOWN,
    by_place,
    circular_mean,
    extremes,
    shares_of_cells,
    weighted_mean,
    weighted_median,
    zonal_means,
)
from jobs import AttributesJob

FINEST_CELL_M = 10.0
"""Finer elevation models are averaged to cells of this size: slopes of boulders are not those of the rock glacier."""
TILE = 2048
"""Side, in cells, of the squares that the elevation model is read in."""
OUTLINES_AT_ONCE = 25
SECTOR_NAMES = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
UNITS_OF_FEET = ("ft", "feet", "foot", "us-ft", "us survey foot", "us_survey_foot")
TERRAIN = (
    "elevation_min", "elevation_max", "elevation_mean", "elevation_median", "slope_mean", "slope_median", "aspect", "aspect_resultant",
    "length_m", "solar_kwh_m2",
)  # fmt: skip
OWN_FIELDS = (
    "primary_id", "area_km2", "perimeter_km", "longitude", "latitude", *TERRAIN, "aspect_sector", "width_m", "elongation", "morphology",
    "solar_period", "dem_source",
)  # fmt: skip

Fields = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class FurtherRaster:
    """A raster whose mean over each outline becomes the field ``field``."""

    field: str
    path: str
    source: str | None
    period: str | None

    @classmethod
    def parse(cls, entry: str) -> FurtherRaster:
        """From ``FIELD=PATH`` or ``FIELD=PATH|SOURCE|PERIOD``."""
        field, _, rest = entry.partition("=")
        path, source, period = (*rest.split("|"), "", "")[:3]
        return cls(field, path, source or None, period or None)


def attributes(job: AttributesJob, reporter: Reporter) -> dict[str, Any]:
    """Write outlines with the attributes of an inventory, as docs/attributes.md defines them. The fields that they have travel on.

    Returns
    -------
    ``output``, ``count`` outlines, ``with_terrain`` how many the elevation model covers (None without one), ``total_area_km2``

    Raises
    ------
    EngineError
        ``raster_field`` when two rasters, or a raster and an attribute, share a name; those of
        :func:`engine.vectors.read_polygons`, :func:`engine.rasters.open_raster`, :func:`engine.outputs.whole_file`; Cancelled.
    """
    further = [FurtherRaster.parse(entry) for entry in job.rasters]
    _check_names(further)
    with ExitStack() as files:
        dem = files.enter_context(open_raster(job.dem)) if job.dem else None
        rasters = [files.enter_context(open_raster(raster.path)) for raster in further]
        reporter.progress(0.0, "reading outlines")
        layer = read_outlines(job.input, job.input_layer, reporter)
        outlines = on_one_map([layer])[0]
        reporter.progress(0.01, "PrimaryIDs and places")
        fields = _size_and_place(outlines, layer, reporter)
        terrain_end = 0.9 if dem is not None else 0.02
        if dem is not None:
            fields |= _terrain_fields(outlines, layer.crs, dem, fields, job, StagedReporter(reporter, 0.02, terrain_end))
        ends = np.linspace(terrain_end, 0.96, len(rasters) + 1)
        for raster, dataset, start, end in zip(further, rasters, ends[:-1], ends[1:], strict=True):
            fields |= _raster_fields(outlines, layer.crs, raster, dataset, StagedReporter(reporter, start, end))
    reporter.progress(0.96, "writing outlines")
    write_polygons(job.output, replace(layer, fields=_merged(layer.fields, fields)), "outlines")
    total = float(fields["area_km2"].sum())
    covered = int(np.isfinite(fields["elevation_mean"]).sum()) if dem is not None else None
    reporter.progress(1.0, f"{len(layer)} outlines with attributes, {total:.2f} km2")
    return {"output": job.output, "count": len(layer), "with_terrain": covered, "total_area_km2": total}


def _check_names(further: list[FurtherRaster]) -> None:
    taken = {name.lower() for name in (*OWN_FIELDS, "primaryid", "fid", "geom")}
    for raster in further:
        for name in (raster.field, f"{raster.field}_source", f"{raster.field}_period"):
            if name.lower() in taken:
                raise EngineError(
                    "raster_field", f"The field {name} of the raster {raster.path} is there already. Give the raster a name of its own."
                )
            taken.add(name.lower())


def _merged(old: Mapping[str, NDArray[Any]], new: Fields) -> Fields:
    """Old fields and new ones; a new one takes the place of an old one of its name, in whatever case (a GeoPackage knows no other)."""
    renewed = {name.lower() for name in new}
    return {name: values for name, values in old.items() if name.lower() not in renewed} | new


def _size_and_place(outlines: NDArray[np.object_], layer: PolygonLayer, reporter: Reporter) -> Fields:
    given = next((name for name in layer.fields if name.lower() in ("primaryid", "primary_id")), None)
    existing = layer.fields[given].astype(object) if given else np.full(len(layer), None, dtype=object)
    are_systems = np.asarray(layer.fields.get("type", np.empty(len(layer))) == "RGS", dtype=bool)
    ids = np.full(len(layer), None, dtype=object)
    for some, prefix in ((~are_systems, "RGU"), (are_systems, "RGS")):
        ids[some] = primary_ids(outlines[some], layer.crs, existing[some], prefix)
    if twice := repeated(ids):
        reporter.warning(
            "repeated_primary_id",
            f"{len(twice)} PrimaryIDs stand for several outlines each, {', '.join(twice[:5])} among them. They were given before "
            "and stay as they are; mend them by hand.",
        )
    reporter.progress(0.01, "areas and perimeters")
    longitude, latitude = markers(outlines, layer.crs)
    area, perimeter = (_measured(measure, outlines, layer.crs, reporter) for measure in (geodesic_area, geodesic_perimeter))
    return {
        given or "primary_id": ids,
        "area_km2": area / 1e6,
        "perimeter_km": perimeter / 1e3,
        "longitude": longitude,
        "latitude": latitude,
    }


def _measured(
    measure: Callable[[NDArray[np.object_], CRS], NDArray[np.float64]], outlines: NDArray[np.object_], crs: CRS, reporter: Reporter
) -> NDArray[np.float64]:
    values = np.empty(len(outlines))
    for start in range(0, len(outlines), 2000):
        reporter.progress(0.01, "areas and perimeters")
        values[start : start + 2000] = measure(outlines[start : start + 2000], crs)
    return values


def _raster_fields(outlines: NDArray[np.object_], crs: CRS, raster: FurtherRaster, dataset: DatasetReader, reporter: Reporter) -> Fields:
    reporter.progress(0.0, f"mean {raster.field}")
    if dataset.count > 1:
        reporter.info(f"{raster.path} has {dataset.count} bands; the first one is used.")
    means = zonal_means(dataset, outlines, crs, reporter)
    unknown = np.isnan(means)
    if unknown.any():
        reporter.warning(
            "raster_partial",
            f"{raster.path} knows less than {LEAST_KNOWN:.0%} of the ground of {unknown.sum()} of {len(means)} outlines; their "
            f"{raster.field} is empty.",
        )
    return {
        raster.field: means,
        f"{raster.field}_source": _texts(raster.source, ~unknown),
        f"{raster.field}_period": _texts(raster.period, ~unknown),
    }


def _texts(texts: str | NDArray[np.object_] | None, where: NDArray[np.bool_]) -> NDArray[np.object_]:
    """One text or one for each (n,), None where ``where`` is not."""
    column = np.full(len(where), None, dtype=object)
    column[where] = texts[where] if isinstance(texts, np.ndarray) else texts
    return column


def _terrain_fields(
    outlines: NDArray[np.object_], crs: CRS, dem: DatasetReader, size: Fields, job: AttributesJob, reporter: Reporter
) -> Fields:
    """All fields that an elevation model gives, NULL where it does not cover an outline."""
    if dem.count > 1:
        reporter.info(f"{job.dem} has {dem.count} bands; the first one is taken for the elevation.")
    if (dem.units[0] or "").strip().lower() in UNITS_OF_FEET:
        reporter.warning(
            "dem_feet", f"{job.dem} says that its elevations are in {dem.units[0]}; they are taken as metres. Convert them to metres first."
        )
    months = months_of(job.solar_months)
    area_m2 = size["area_km2"] * 1e6
    values = terrain(outlines, crs, dem, area_m2, size["latitude"], months, reporter)
    covered = np.isfinite(values["elevation_mean"])
    if not covered.all():
        where = "any outline" if not covered.any() else f"{(~covered).sum()} of {len(covered)} outlines"
        reporter.warning(
            "dem_partial",
            f"{job.dem} covers less than {LEAST_KNOWN:.0%} of {where}; their elevation, slope, aspect, length and radiation are empty.",
        )
    width = area_m2 / values["length_m"]
    morphology = np.where(values["length_m"] > width, "tongue", "lobate").astype(object)
    sector = np.array(SECTOR_NAMES, dtype=object)[np.round(np.nan_to_num(values["aspect"]) / 45).astype(int) % 8]
    name = job.dem_source or Path(str(job.dem)).name
    solar = values.pop("solar_kwh_m2")
    return {
        **values,
        "aspect_sector": _texts(sector, np.isfinite(values["aspect"])),
        "width_m": width,
        "elongation": 100 * width / values["length_m"],
        "morphology": _texts(morphology, np.isfinite(width)),
        **({"solar_kwh_m2": solar, "solar_period": _texts(job.solar_months, np.isfinite(solar))} if months else {}),
        "dem_source": _texts(name, covered),
    }


def terrain(
    outlines: NDArray[np.object_],
    crs: CRS,
    dem: DatasetReader,
    area_m2: NDArray[np.float64],
    latitude: NDArray[np.float64],
    months: tuple[int, ...],
    reporter: Reporter,
) -> dict[str, NDArray[np.float64]]:
    """What an elevation model says about outlines.

    Its own cells count where it measures in metres, but none finer than :data:`FINEST_CELL_M`; otherwise it is resampled (cubic) to
    cells of the same size in the UTM zone of each outline.

    Parameters
    ----------
    outlines : (n,) Polygon or MultiPolygon in map units of ``crs``
    area_m2, latitude : (n,) of the outlines, on the ellipsoid, and in degrees for the sun
    months : 1-12, that the radiation is summed over; none: not computed

    Returns
    -------
    name -> (n,): elevations in metres, slopes in degrees, aspect in degrees clockwise from true north and its resultant length 0-1,
    length in metres, radiation in kWh/m2; NaN where less than :data:`engine.zonal.LEAST_KNOWN` of the outline is known
    """
    values = {name: np.full(len(outlines), np.nan) for name in TERRAIN}
    cell = cell_size(dem)
    resolution, cell = (FINEST_CELL_M, FINEST_CELL_M) if cell < FINEST_CELL_M else (0.0, cell)
    begun = 0

    def count() -> None:
        nonlocal begun
        begun += OUTLINES_AT_ONCE
        reporter.progress(min(begun / len(outlines), 1.0) * 0.999, "elevation, slope, aspect, fall lines, radiation")

    for indices, local_crs, placed in _maps_for(outlines, crs, dem):
        scale = np.sqrt(area_m2[indices] / shapely.area(placed))
        convergence = _convergence(placed, local_crs)
        bounds = shapely.bounds(placed)
        for members in by_place(bounds, TILE * cell):
            reporter.check_cancelled()
            half_width = float((shapely.area(placed[members]) / shapely.length(placed[members])).max())
            margin = max(SEARCH_M if months else 0.0, 3 * half_width) + 3 * cell
            around = (*bounds[members, :2].min(axis=0).tolist(), *bounds[members, 2:].max(axis=0).tolist())
            elevation = elevation_around(dem, around, local_crs, margin, resolution)
            if elevation is None:
                continue
            surroundings = Surroundings.of(elevation) if months else None
            its = indices[members]
            work = _Work(elevation, surroundings, placed[members], scale[members], latitude[its], convergence[members], months)
            found = in_threads(work, len(members), OUTLINES_AT_ONCE, count)
            for name, column in values.items():
                column[its] = np.concatenate([part[name] for part in found])
    return values


def _maps_for(outlines: NDArray[np.object_], crs: CRS, dem: DatasetReader) -> Iterator[tuple[NDArray[np.intp], CRS, NDArray[np.object_]]]:
    """Outlines on maps in metres, on the elevation model's own wherever it is one, so that it need not be resampled."""
    dem_crs = CRS.from_wkt(dem.crs.to_wkt())
    if dem_crs.is_projected and len(outlines):
        on_dem = outlines if dem_crs == crs else reproject(outlines, crs, dem_crs)
        if np.isfinite(shapely.bounds(on_dem)).all():
            return local_maps(on_dem, dem_crs)
    return local_maps(outlines, crs)


def _convergence(placed: NDArray[np.object_], crs: CRS) -> NDArray[np.float64]:
    """Degrees, clockwise, of the grid's north from true north at each outline, (n,)."""
    longitude, latitude = middle_in_degrees(placed, crs)
    return np.nan_to_num(np.asarray(Proj(crs).get_factors(longitude, latitude, errcheck=False).meridian_convergence, dtype=np.float64))


@dataclass(frozen=True)
class _Cells:
    """The known cells of an outline: where they are on the elevation grid, how much of them counts, how they lie; each (k,)."""

    outline: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    share: NDArray[np.float64]
    slope: NDArray[np.float64]
    aspect: NDArray[np.float64]


@dataclass(frozen=True)
class _Work:
    """Outlines of one square and the elevation around them; ``scale``: metres on the ground for one on the map."""

    elevation: ElevationGrid
    surroundings: Surroundings | None
    outlines: NDArray[np.object_]
    scale: NDArray[np.float64]
    latitude: NDArray[np.float64]
    convergence: NDArray[np.float64]
    months: tuple[int, ...]

    def __call__(self, which: slice) -> dict[str, NDArray[np.float64]]:
        """The attributes of some of the outlines, name -> (k,)."""
        outlines = self.outlines[which]
        values = {name: np.full(len(outlines), np.nan) for name in TERRAIN}
        sloping: list[_Cells] = []
        for index, outline in enumerate(outlines):
            near = self.elevation.around(shapely.bounds(outline).tolist(), cells=2)
            shares = shares_of_cells(outline, near.transform, near.values.shape)
            inside = shares.rows, shares.columns
            z = near.values[inside]
            if not shares.enough_known(z):
                continue
            values["elevation_min"][index], values["elevation_max"][index] = extremes(z, shares.share)
            values["elevation_mean"][index] = weighted_mean(z, shares.share)
            values["elevation_median"][index] = weighted_median(z, shares.share)
            line = fall_line(outline, self.elevation)
            if line is not None:
                values["length_m"][index] = line.length * self.scale[which][index]
            slope, aspect = (part[inside] for part in horn(near))
            if not shares.enough_known(slope):
                continue
            values["slope_mean"][index] = weighted_mean(slope, shares.share)
            values["slope_median"][index] = weighted_median(slope, shares.share)
            facing, values["aspect_resultant"][index] = circular_mean(aspect, shares.share)
            values["aspect"][index] = (facing + self.convergence[which][index]) % 360
            known = np.isfinite(slope)
            column, row = ~self.elevation.transform @ (near.transform.c, near.transform.f)
            place = shares.rows[known] + round(row), shares.columns[known] + round(column)
            sloping.append(_Cells(index, *place, shares.share[known], slope[known], aspect[known]))
        if self.surroundings is not None and sloping:
            self._radiate(sloping, self.surroundings, which, values)
        return values

    def _radiate(self, sloping: list[_Cells], surroundings: Surroundings, which: slice, values: dict[str, NDArray[np.float64]]) -> None:
        """Radiation of the outlines whose slopes are known, their horizons looked for all together."""
        horizon = horizons(surroundings, *(np.concatenate([getattr(cells, axis) for cells in sloping]) for axis in ("rows", "columns")))
        end = 0
        for cells in sloping:
            start, end = end, end + len(cells.rows)
            here = sun(self.latitude[which][cells.outline], values["elevation_mean"][cells.outline], self.months)
            received = radiation(cells.slope, cells.aspect, horizon[:, start:end], here, self.convergence[which][cells.outline])
            values["solar_kwh_m2"][cells.outline] = weighted_mean(received, cells.share)
