"""Outlines that hold several rock glaciers come apart: systems (RGS) and their units (RGU), every cut with a score.

Where and why is in :mod:`engine.cuts`; docs/splitting.md tells the method and how often it is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.crs import CRS as RasterioCRS
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from engine.attributes import OWN_FIELDS
from engine.cuts import COMPONENTS, REACH, SCALE_SHARE, Cut, Division, Ground, divide
from engine.errors import EngineError
from engine.geodesy import geodesic_area, geodesic_perimeter
from engine.local_maps import local_maps
from engine.rasters import Grid, ground_pixel_size, on_grid, open_raster, read_observed
from engine.reporting import Reporter
from engine.vectors import PolygonLayer, polygonal, read_outlines, written_polygons
from jobs import SplitJob

MARGIN = 4.0
"""Scales of ground around an outline that are looked at with it."""

KNOWN_ENOUGH = 0.5
"""Share of an outline that a raster has to know."""

SMALLEST_UNIT = 2500.0
"""Square metres. Smaller units are not looked for: their scale would be that of boulders."""

OUTLINES_BETWEEN_REPORTS = 10

MEASURED_ON_THE_WHOLE = (
    "probability_mean",
    "probability_max",
    "probability_sd",
    "area_lo_km2",
    "area_hi_km2",
    "reliability_front",
    "reliability_left",
    "reliability_right",
    "reliability_upslope",
    "visible_fraction",
    "permafrost_fraction",
    "primaryid",
    *(name for name in OWN_FIELDS if name not in ("area_km2", "perimeter_km")),
)
"""Fields, in lower case, that say nothing about a part of an outline: unknown for units that were cut."""


def split(job: SplitJob, reporter: Reporter) -> dict[str, Any]:
    """Outlines in, units (RGU) out, and where wanted systems (RGS) and cuts.

    Returns
    -------
    ``output``, ``systems``, ``cuts`` (paths), ``count`` units, ``outlines`` that came in, ``systems_count`` outlines that were
    split, ``cuts_made``, ``cuts_proposed`` (scored too low), ``not_looked_at`` outlines that no raster knows enough of

    Raises
    ------
    EngineError
        ``no_evidence`` without probability and elevation, ``not_probability`` for a raster of other values; those of
        :func:`engine.vectors.read_polygons`, :func:`engine.rasters.open_raster`, :func:`engine.outputs.whole_file`; Cancelled.
    """
    if job.probability is None and job.dem is None:
        raise EngineError(
            "no_evidence",
            "Nothing says where to cut. Give the probability raster that Detect rock glaciers wrote, an elevation model, or both.",
        )
    reporter.progress(0.0, "reading outlines")
    layer = read_outlines(job.input, job.input_layer, reporter)
    with ExitStack() as opened:
        probability, elevation = (
            opened.enter_context(open_raster(path)) if path is not None else None for path in (job.probability, job.dem)
        )
        divisions, not_looked_at = _divisions(layer, probability, elevation, job, reporter)
    if not_looked_at:
        reporter.warning(
            "outside_rasters",
            f"{not_looked_at} of {len(layer)} outlines lie mostly where the rasters say nothing; they were not looked at and stay whole.",
        )
    reporter.progress(0.95, "writing units")
    units, systems, cuts = _layers(layer, divisions, reporter)
    with ExitStack() as files:
        files.enter_context(written_polygons(job.output, units, "units"))
        if job.systems is not None:
            files.enter_context(written_polygons(job.systems, systems, "systems"))
        if job.cuts is not None:
            files.enter_context(written_polygons(job.cuts, cuts, "cuts", "LineString"))
    cuts_made = int(np.sum(cuts.fields["made"]))
    result = {
        "output": job.output,
        "systems": job.systems,
        "cuts": job.cuts,
        "count": len(units),
        "outlines": len(layer),
        "systems_count": int(np.sum(systems.fields["system_type"] == "multi-unit")),
        "cuts_made": cuts_made,
        "cuts_proposed": len(cuts) - cuts_made,
        "not_looked_at": not_looked_at,
    }
    reporter.progress(1.0, f"{len(units)} units, {cuts_made} cuts made")
    return result


@dataclass(frozen=True)
class _Divided:
    """A divided outline on the map of its layer: ``units``, the ``score`` of the weakest cut that bounds each, ``lines`` of ``cuts``."""

    units: list[shapely.Geometry]
    score: list[float]
    lines: list[shapely.LineString]
    cuts: list[Cut]


def _divisions(
    layer: PolygonLayer, probability: DatasetReader | None, elevation: DatasetReader | None, job: SplitJob, reporter: Reporter
) -> tuple[dict[int, _Divided], int]:
    """Index -> what became of it, for the outlines that have cuts, made or not; and how many no raster knows enough of."""
    found: dict[int, _Divided] = {}
    not_looked_at = looked = 0
    job = replace(job, min_area=max(job.min_area, SMALLEST_UNIT))
    scale = SCALE_SHARE * math.sqrt(job.min_area)
    large = np.flatnonzero(geodesic_area(layer.geometries, layer.crs) >= 2 * job.min_area) if len(layer) else np.empty(0, np.intp)
    for members, crs, geometries in local_maps(layer.geometries[large], layer.crs):
        enlarged = _enlargement(layer.geometries[large[members]], layer.crs, geometries)
        with ExitStack() as opened:
            rasters = OnOneGrid.of(probability, elevation, crs, shapely.total_bounds(geometries), scale, opened)
            for number, index in enumerate(large[members]):
                if looked % OUTLINES_BETWEEN_REPORTS == 0:
                    reporter.progress(0.05 + 0.9 * looked / len(large), f"outline {looked + 1} of {len(large)}")
                looked += 1
                parts = [_divided_part(part, rasters, job, enlarged[number]) for part in shapely.get_parts(geometries[number])]
                known = [part for part in parts if part is not None]
                not_looked_at += not known
                if any(part.cuts for part in known):
                    whole = [
                        Division([piece]) if part is None else part
                        for piece, part in zip(shapely.get_parts(geometries[number]), parts, strict=True)
                    ]
                    found[int(index)] = _on_layer_map(whole, geometries[number], layer.geometries[index], crs, layer.crs)
    return found, not_looked_at


def _enlargement(geometries: NDArray[np.object_], crs: CRS, local: NDArray[np.object_]) -> NDArray[np.float64]:
    """Area on a local map over area on the ellipsoid, (n,)."""
    return np.asarray(shapely.area(local) / geodesic_area(geometries, crs))


def _divided_part(part: shapely.Polygon, rasters: OnOneGrid, job: SplitJob, enlarged: float) -> Division | None:
    """None where no raster knows enough of it."""
    ground = rasters.around(part)
    return None if ground is None else divide(part, ground, job.min_area * enlarged, job.min_score)


@dataclass(frozen=True)
class OnOneGrid:
    """The rasters on one grid of a local map, read window by window."""

    grid: Grid
    scale: float
    probability: DatasetReader | WarpedVRT | None
    elevation: DatasetReader | WarpedVRT | None

    @classmethod
    def of(
        cls,
        probability: DatasetReader | None,
        elevation: DatasetReader | None,
        crs: CRS,
        bounds: NDArray[np.float64],
        scale: float,
        opened: ExitStack,
    ) -> OnOneGrid:
        """The rasters over ``bounds``, in cells as fine as the finer raster's, but within a quarter to half of the scale."""
        grids = [Grid.of(dataset) for dataset in (probability, elevation) if dataset is not None]
        pixel = min(math.sqrt(math.prod(ground_pixel_size(grid))) for grid in grids)
        cell = min(max(pixel, scale / 4), scale / 2)
        target = RasterioCRS.from_wkt(crs.to_wkt())
        # cells start where those of a raster do, so that its pixels are taken as they are where that can be
        start = np.array([grids[0].transform.c, grids[0].transform.f]) if grids[0].crs == target else np.zeros(2)
        left, bottom = start + np.floor((bounds[:2] - MARGIN * scale - start) / cell) * cell
        right, top = start + np.ceil((bounds[2:] + MARGIN * scale - start) / cell) * cell
        grid = Grid(target, Affine(cell, 0, left, 0, -cell, top), round((right - left) / cell), round((top - bottom) / cell))
        first, second = (None if dataset is None else opened.enter_context(on_grid(dataset, grid)) for dataset in (probability, elevation))
        return cls(grid, scale, first, second)

    def around(self, outline: shapely.Polygon) -> Ground | None:
        """The ground around an outline, None where no raster knows enough of it.

        Raises
        ------
        EngineError
            ``not_probability``.
        """
        t = self.grid.transform
        left, bottom, right, top = outline.bounds + np.array([-1, -1, 1, 1]) * MARGIN * self.scale
        columns = np.array([math.floor((left - t.c) / t.a), math.ceil((right - t.c) / t.a)])
        rows = np.array([math.floor((top - t.f) / t.e), math.ceil((bottom - t.f) / t.e)])
        columns, rows = np.clip(columns, 0, self.grid.width), np.clip(rows, 0, self.grid.height)
        shape = int(np.ptp(rows)), int(np.ptp(columns))
        window = Window(int(columns[0]), int(rows[0]), shape[1], shape[0])
        transform = t @ Affine.translation(*map(int, (columns[0], rows[0])))
        cells = outline.area / t.a**2
        inside = rasterize([outline], shape, transform=transform).astype(bool)
        values = []
        for dataset in (self.probability, self.elevation):
            raster = None if dataset is None else read_observed(dataset, [1], window)[0].astype(np.float64)
            enough = raster is not None and np.isfinite(raster[inside]).sum() >= KNOWN_ENOUGH * cells
            values.append(raster if enough else None)
        if values[0] is not None and not (np.nanmin(values[0]) >= 0 and np.nanmax(values[0]) <= 1):
            assert self.probability is not None
            raise EngineError(
                "not_probability",
                f"The probability raster holds values from {np.nanmin(values[0]):g} to {np.nanmax(values[0]):g}; probabilities lie "
                "between 0 and 1. Give the raster that Detect rock glaciers wrote.",
            )
        return None if all(raster is None for raster in values) else Ground(transform, shape, self.scale, *values)


def _on_layer_map(parts: Sequence[Division], local: shapely.Geometry, original: shapely.Geometry, crs: CRS, layer_crs: CRS) -> _Divided:
    """A divided outline, made of its parts, on the map of its layer; parts that were not cut stay with the nearest unit."""
    units = [piece for part in parts if len(part.pieces) > 1 for piece in part.pieces]
    cuts = [cut for part in parts for cut in part.cuts]
    lines = [cut.line for cut in cuts]
    score = [min((cut.score for cut in cuts if cut.made and _bounds(cut.line, unit)), default=math.nan) for unit in units]
    if not units:
        units, score = [local], [math.nan]
    else:
        for part in parts:
            if len(part.pieces) == 1:
                near = int(np.argmin(shapely.distance(units, part.pieces[0])))
                units[near] = polygonal(shapely.GeometryCollection([*shapely.get_parts(units[near]), *part.pieces]))
    if crs != layer_crs:
        to_layer = _WayBack(local, original, crs, layer_crs)
        units, lines = [to_layer(unit) for unit in units], [to_layer(line) for line in lines]
    return _Divided([original] if len(units) == 1 else units, score, lines, cuts)


def _bounds(line: shapely.LineString, unit: shapely.Polygon) -> bool:
    return bool(shapely.intersection(line.buffer(REACH), unit.boundary).length > 10 * REACH)


class _WayBack:
    """From a local map to the layer's: vertices of the outline become what they were, new ones on its boundary stay on it."""

    def __init__(self, local: shapely.Geometry, original: shapely.Geometry, crs: CRS, layer_crs: CRS) -> None:
        self._known = dict(zip(map(tuple, shapely.get_coordinates(local)), shapely.get_coordinates(original), strict=True))
        self._local_boundary, self._boundary = local.boundary, original.boundary
        self._transformer = Transformer.from_crs(crs, layer_crs, always_xy=True)
        self._turn = 2 * math.pi / layer_crs.axis_info[0].unit_conversion_factor if layer_crs.is_geographic else None

    def __call__(self, geometry: shapely.Geometry) -> shapely.Geometry:
        return shapely.transform(geometry, lambda places: np.array([self._place(*place) for place in places]))

    def _place(self, x: float, y: float) -> NDArray[np.float64]:
        if (x, y) not in self._known:
            place = np.array(self._transformer.transform(x, y))
            if self._turn is not None:
                west, _, east, _ = self._boundary.bounds
                place[0] -= self._turn * round((place[0] - (west + east) / 2) / self._turn)
            if self._local_boundary.distance(shapely.Point(x, y)) < REACH / 10:
                place = shapely.get_coordinates(self._boundary.interpolate(self._boundary.project(shapely.Point(place))))[0]
            self._known[x, y] = place
        return self._known[x, y]


def _layers(layer: PolygonLayer, divisions: dict[int, _Divided], reporter: Reporter) -> tuple[PolygonLayer, PolygonLayer, PolygonLayer]:
    """Units, systems and cuts with their fields."""
    system_id = _system_ids(layer, reporter)
    parent: list[int] = []
    geometries: list[shapely.Geometry] = []
    scores: list[float] = []
    numbers: list[int] = []
    for index, outline in enumerate(layer.geometries):
        division = divisions.get(index)
        shapes, unit_scores = ([outline], [math.nan]) if division is None else (division.units, division.score)
        order = _from_north_to_south(shapes)
        parent += [index] * len(shapes)
        geometries += [shapes[k] for k in order]
        scores += [unit_scores[k] for k in order]
        numbers += range(1, len(shapes) + 1)
    of = np.array(parent, dtype=np.intp)
    units_of = np.bincount(of, minlength=len(layer))
    cut_off = units_of[of] > 1
    fields: dict[str, NDArray[np.generic]] = {}
    for name, values in layer.fields.items():
        fields[name] = _unknown_where(values[of], cut_off) if name.lower() in MEASURED_ON_THE_WHOLE else values[of]
    units = _with_sizes(PolygonLayer(_array(geometries), layer.crs, fields))
    fields = {
        **units.fields,
        "id": np.arange(1, len(units) + 1, dtype=np.int64),
        "system_id": system_id[of],
        "unit_id": np.array(numbers, dtype=np.int64),
        "type": np.full(len(units), "RGU", dtype=object),
        "score": np.array(scores, dtype=np.float64),
    }
    systems = PolygonLayer(
        layer.geometries,
        layer.crs,
        {
            **layer.fields,
            "id": system_id,
            "type": np.full(len(layer), "RGS", dtype=object),
            "units": units_of.astype(np.int64),
            "system_type": np.where(units_of > 1, "multi-unit", "mono-unit").astype(object),
        },
    )
    return replace(units, fields=fields), systems, _cut_layer(divisions, system_id, layer.crs)


def _cut_layer(divisions: dict[int, _Divided], system_id: NDArray[np.generic], crs: CRS) -> PolygonLayer:
    cuts = [cut for division in divisions.values() for cut in division.cuts]
    of = np.array([index for index, division in divisions.items() for _ in division.cuts], dtype=np.intp)
    fields: dict[str, NDArray[np.generic]] = {
        "system_id": system_id[of],
        "made": np.array([cut.made for cut in cuts], dtype=np.int32),
        "score": np.array([cut.score for cut in cuts], dtype=np.float64),
        "source": np.array([cut.source for cut in cuts], dtype=object),
        **{name: np.array([getattr(cut, name) for cut in cuts], dtype=np.float64) for name in COMPONENTS},
        "length_m": np.array([cut.line.length for cut in cuts], dtype=np.float64),
    }
    return PolygonLayer(_array([line for division in divisions.values() for line in division.lines]), crs, fields)


def _array(geometries: Sequence[shapely.Geometry]) -> NDArray[np.object_]:
    array = np.empty(len(geometries), dtype=object)
    array[:] = geometries
    return array


def _system_ids(layer: PolygonLayer, reporter: Reporter) -> NDArray[np.generic]:
    """The outlines' own ids, numbers from 1 where they have none or share some."""
    numbers = np.arange(1, len(layer) + 1, dtype=np.int64)
    if "id" not in layer.fields:
        return numbers
    own = layer.fields["id"]
    texts = own.astype(str)
    missing = np.isin(texts, ("nan", "None", ""))
    if missing.any() or len(np.unique(texts)) < len(texts):
        reporter.warning("ids", "The field id of the outlines is empty in places or not unique; systems are numbered from 1 instead.")
        return numbers
    return own


def _unknown_where(values: NDArray[np.generic], unknown: NDArray[np.bool_]) -> NDArray[np.generic]:
    return np.ma.masked_array(values, np.ma.getmaskarray(values) | unknown)


def _with_sizes(units: PolygonLayer) -> PolygonLayer:
    sizes = {
        "area_km2": geodesic_area(units.geometries, units.crs) / 1e6,
        "perimeter_km": geodesic_perimeter(units.geometries, units.crs) / 1e3,
    }
    return replace(units, fields={**units.fields, **sizes})


def _from_north_to_south(units: Sequence[shapely.Geometry]) -> list[int]:
    centres = shapely.get_coordinates(shapely.centroid(_array(units)))
    return [int(k) for k in np.lexsort((centres[:, 0], -centres[:, 1]))]
