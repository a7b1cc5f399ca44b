"""Tile polygons to rock glacier outlines, in the six steps of the paper, with boundaries that look drawn and their uncertainty.

Source
------
Lin et al. (2024), section 3.4.2. Where its rules would delete true rock glaciers (beside the border of the covered area,
relict ones outside today's permafrost), docs/postprocessing.md says what is done instead and why.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.io import DatasetReader

from engine.class_maps import ClassMap, open_class_map
from engine.contours import contoured
from engine.errors import EngineError
from engine.fall_line import on_slopes
from engine.footprint import restricted_footprint
from engine.geodesy import geodesic_area, geodesic_area_and_perimeter, square_metres_per_unit
from engine.local_maps import local_maps, on_one_map
from engine.merge import fill_holes, meeting_pairs, supported, unite
from engine.permafrost import PermafrostMap, open_permafrost_map
from engine.rasters import open_raster
from engine.reporting import Reporter, StagedReporter
from engine.sections import SECTIONS, sections
from engine.smoothing import pixel_size_of, smooth
from engine.uncertainty import levels_around_threshold, threshold_of, uncertainty
from engine.vectors import PolygonLayer, read_outlines, reproject, written_polygons, written_table
from jobs import PostprocessJob

Fields = dict[str, NDArray[Any]]

LOOKED_TWICE = 1.5
"""Mean number of tiles over a polygon from which a second tile saw at least half of it and could have confirmed it."""

SHARE_TOLERANCE = 1e-6
"""A share is a quotient of two measured areas: half is not quite a half."""

NEAR_THE_LIMIT = 0.01
"""Areas that differ from the smallest one by less than this share are measured exactly before they are judged."""

MEASURED_ANEW = ("id", "area_km2", "perimeter_km")
"""Fields of the input that do not travel on: outlines have their own."""

DECIMALS_METRES, DECIMALS_DEGREES = 4, 9
"""A tenth of a millimetre. Tiles compute the same pixel corner with different rounding; it has to become the same point."""


@dataclass(frozen=True)
class TilePolygons:
    """One polygon per object and tile, as Detect writes them.

    ``geometries`` (n,) Polygon; ``row`` (n,) of the layer that each comes from; ``tile`` (n,) number that tells tiles apart,
    None when the layer does not say; ``coverage`` (n,) mean number of tiles that looked at its pixels, ``probability_mean``
    and ``probability_max`` (n,) 0-1, all three NaN where unknown; ``unit_m2`` (n,) square metres of a square map unit there.
    """

    geometries: NDArray[np.object_]
    row: NDArray[np.intp]
    tile: NDArray[np.intp] | None
    coverage: NDArray[np.float64]
    probability_mean: NDArray[np.float64]
    probability_max: NDArray[np.float64]
    unit_m2: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.geometries)

    @classmethod
    def of(cls, layer: PolygonLayer) -> TilePolygons:
        """The polygons of a layer; those of several parts come apart, coordinates are kept to 0.1 mm."""
        whole = on_one_map([layer])[0]
        parts, row = shapely.get_parts(whole, return_index=True)
        polygons = _on_fine_grid(parts, DECIMALS_DEGREES if layer.crs.is_geographic else DECIMALS_METRES)
        tile = np.unique(layer.fields["tile"].astype(str), return_inverse=True)[1][row] if "tile" in layer.fields else None
        coverage, mean, highest = (_numbers(layer, name)[row] for name in ("coverage", "probability_mean", "probability_max"))
        return cls(polygons, row, tile, coverage, mean, highest, square_metres_per_unit(polygons, layer.crs))

    def where(self, kept: NDArray[np.bool_]) -> TilePolygons:
        """Those of the polygons that ``kept`` (n,) marks."""
        if kept.all():
            return self
        tile = None if self.tile is None else self.tile[kept]
        values = (self.coverage[kept], self.probability_mean[kept], self.probability_max[kept])
        return TilePolygons(self.geometries[kept], self.row[kept], tile, *values, self.unit_m2[kept])

    def area(self) -> NDArray[np.float64]:
        """Area on the ellipsoid, holes taken off, to about a ten-thousandth; (n,) square metres."""
        return np.asarray(shapely.area(self.geometries) * self.unit_m2)


@dataclass
class Steps:
    """What each step did: its name, objects before and after, how many it changed or dropped, area after it in km2."""

    rows: list[dict[str, Any]]

    def add(self, name: str, before: int, after: int, touched: int, area_m2: float) -> None:
        """One more step."""
        self.rows.append({"step": name, "in": before, "out": after, "touched": touched, "area_km2": area_m2 / 1e6})

    def table(self) -> Fields:
        """Name -> values."""
        kinds = {"step": np.object_, "in": np.int32, "out": np.int32, "touched": np.int32, "area_km2": np.float64}
        return {name: np.array([row[name] for row in self.rows], dtype=kind) for name, kind in kinds.items()}


def postprocess(job: PostprocessJob, reporter: Reporter) -> dict[str, Any]:
    """Tile polygons in, rock glacier outlines out.

    Returns
    -------
    ``output``, ``report``, ``raw``, ``restricted`` (paths or None), ``count``, ``total_area_km2`` (ellipsoidal),
    ``restricted_count``, ``steps`` (list of ``step``, ``in``, ``out``: objects before and after, ``touched``: objects that it
    changed or dropped, ``area_km2`` after it)

    Raises
    ------
    EngineError
        ``no_tiles`` when support by a second tile is asked for and the polygons do not say which tile they are from,
        ``no_threshold`` when the contour is asked for and the probability raster does not say at what threshold; those of
        :func:`engine.vectors.read_polygons`, :func:`engine.permafrost.open_permafrost_map`,
        :func:`engine.class_maps.open_class_map`, :func:`engine.rasters.open_raster`,
        :func:`engine.uncertainty.levels_around_threshold`, :func:`engine.outputs.whole_file`; Cancelled.

    Source
    ------
    Lin et al. (2024), section 3.4.2, steps 1-6.
    """
    with ExitStack() as opened:
        maps = _Maps.of(job, opened)
        reporter.progress(0.0, "reading tile polygons")
        layer = read_outlines(job.input, job.input_layer, reporter)
        if job.require_support and len(layer) and "tile" not in layer.fields:
            raise EngineError(
                "no_tiles",
                f"Support by a second tile is required (REQUIRE_SUPPORT), but {job.input} has no field 'tile' that says which tile a "
                "polygon is from. Use the polygons as Detect rock glaciers writes them, or switch REQUIRE_SUPPORT off.",
            )
        steps = Steps([])
        shapes, inherited = _merged(layer, job, steps, reporter)
        shapes, inherited = _contoured(shapes, inherited, layer.crs, maps, job, steps, reporter)
        drawn = _drawn(shapes, layer.crs, job, reporter)
        area, perimeter = geodesic_area_and_perimeter(drawn, layer.crs)
        steps.add("smoothing", len(shapes), len(shapes), int((drawn != shapes).sum()), float(area.sum()))
        outlines, raw, restricted = _described(
            PolygonLayer(drawn, layer.crs, {"area_km2": area / 1e6, "perimeter_km": perimeter / 1e3, **inherited}),
            shapes, maps, job, steps, reporter,
        )  # fmt: skip
        for step in steps.rows:
            reporter.info(f"{step['step'].replace('_', ' ')}: {step['in']} in, {step['out']} out, {step['touched']} touched")
        reporter.progress(0.97, "writing outlines")
        with ExitStack() as files:
            files.enter_context(written_polygons(job.output, outlines, "outlines"))
            if job.report is not None:
                files.enter_context(written_table(job.report, steps.table(), "report"))
            if job.raw is not None:
                files.enter_context(written_polygons(job.raw, raw, "raw_outlines"))
            if job.restricted is not None:
                files.enter_context(written_polygons(job.restricted, restricted, "restricted_footprints"))
    total = float(outlines.fields["area_km2"].sum())
    reporter.progress(1.0, f"{len(outlines)} rock glacier outlines, {total:.2f} km2")
    return {
        "output": job.output,
        "report": job.report,
        "raw": job.raw,
        "restricted": job.restricted,
        "count": len(outlines),
        "total_area_km2": total,
        "restricted_count": len(restricted),
        "steps": steps.rows,
    }


@dataclass(frozen=True)
class _Maps:
    """The maps that outlines are compared with, open; None where not given."""

    permafrost: PermafrostMap | None
    probability: DatasetReader | None
    elevation: DatasetReader | None
    not_assessable: ClassMap | None

    @classmethod
    def of(cls, job: PostprocessJob, opened: ExitStack) -> _Maps:
        """Open all before any work, so that a wrong name is told at once."""
        permafrost = job.permafrost and opened.enter_context(
            open_permafrost_map(
                job.permafrost,
                job.permafrost_preset,
                job.permafrost_classes,
                job.permafrost_layer,
                job.permafrost_field,
                job.permafrost_source,
            )
        )
        not_assessable = job.not_assessable and opened.enter_context(
            open_class_map(job.not_assessable, job.not_assessable_classes, job.not_assessable_layer, all_drawn=True)
        )
        probability, elevation = (path and opened.enter_context(open_raster(path)) for path in (job.probability, job.dem))
        return cls(permafrost or None, probability or None, elevation or None, not_assessable or None)


def _merged(layer: PolygonLayer, job: PostprocessJob, steps: Steps, reporter: Reporter) -> tuple[NDArray[np.object_], Fields]:
    """Steps 1 to 5: the shapes of the outlines, and what they inherit from their tile polygons."""
    polygons = TilePolygons.of(layer)
    area = polygons.area()
    steps.add("polygons", len(layer) + layer.dropped, len(polygons), layer.repaired + layer.dropped, float(area.sum()))

    reporter.progress(0.1, "step 1: smallest area")
    near = np.abs(area - job.min_area) < NEAR_THE_LIMIT * job.min_area
    area[near] = geodesic_area(polygons.geometries[near], layer.crs)
    large = area >= job.min_area
    steps.add("min_area", len(polygons), int(large.sum()), int((~large).sum()), float(area[large].sum()))
    polygons = polygons.where(large)

    reporter.progress(0.15, "step 2: holes")
    before, touched = len(polygons), 0
    if job.fill_holes:
        same_tile = np.zeros(len(polygons), dtype=np.intp) if polygons.tile is None else polygons.tile
        filled, free = fill_holes(polygons.geometries, same_tile)
        touched = int(((filled != polygons.geometries) | ~free).sum())
        polygons = replace(polygons, geometries=filled).where(free)
    steps.add("fill_holes", before, len(polygons), touched, float(polygons.area().sum()))

    reporter.progress(0.2, "step 4: support by other tiles")
    before, pairs = len(polygons), np.empty((0, 2), dtype=np.intp)
    if job.unite or job.require_support:
        pairs, clearly = meeting_pairs(polygons.geometries)
        reporter.check_cancelled()
    if job.require_support and polygons.tile is not None:
        kept = _supported_or_unjudged(polygons, pairs, clearly, reporter)
        polygons, pairs = polygons.where(kept), _renumbered(pairs, kept)
    steps.add("support", before, len(polygons), before - len(polygons), float(polygons.area().sum()))

    reporter.progress(0.3, "step 5: union")
    if job.unite:
        shapes, outline_of = unite(polygons.geometries, pairs, StagedReporter(reporter, 0.3, 0.6))
    else:
        shapes, outline_of = polygons.geometries, np.arange(len(polygons))
    united = int((np.bincount(outline_of, minlength=len(shapes))[outline_of] > 1).sum())
    fields = _inherited(polygons, outline_of, shapely.area(shapes))
    if not job.unite:
        others = (name for name in layer.fields if name not in (*fields, *MEASURED_ANEW))
        fields |= {name: layer.fields[name][polygons.row] for name in others}
    if job.fill_holes:
        shapes, free = fill_holes(shapes, np.zeros(len(shapes), dtype=np.intp))
        shapes, fields = shapes[free], {name: values[free] for name, values in fields.items()}
    if layer.crs.is_geographic:
        shapes = _at_home(shapes, layer.crs)
    steps.add("union", len(polygons), len(shapes), united, float((shapely.area(shapes) * square_metres_per_unit(shapes, layer.crs)).sum()))
    return shapes, fields


def _supported_or_unjudged(
    polygons: TilePolygons, pairs: NDArray[np.intp], clearly: NDArray[np.bool_], reporter: Reporter
) -> NDArray[np.bool_]:
    """Step 4 spares what only one tile looked at, and what nobody knows how many tiles looked at."""
    assert polygons.tile is not None
    alone = ~supported(polygons.geometries, polygons.tile, pairs, clearly)
    unknown = np.isnan(polygons.coverage)
    if unknown.any():
        reporter.warning(
            "no_coverage",
            f"{np.sum(unknown)} polygons do not say how many tiles looked at them (field 'coverage'), so that a second tile's silence "
            f"means nothing. {np.sum(alone & unknown)} of them, which no other tile confirms, were kept; their outlines have votes 1.",
        )
    spared = alone & (polygons.coverage < LOOKED_TWICE)
    if spared.any():
        reporter.info(f"{np.sum(spared)} polygons without support were kept: hardly more than one tile looked there.")
    return ~(alone & (polygons.coverage >= LOOKED_TWICE))


def _renumbered(pairs: NDArray[np.intp], kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pairs among those kept, by their new indices."""
    renumbered: NDArray[np.intp] = (np.cumsum(kept) - 1)[pairs[kept[pairs].all(axis=1)]]
    return renumbered


def _inherited(polygons: TilePolygons, outline_of: NDArray[np.intp], area: NDArray[np.float64]) -> Fields:
    """What an outline inherits from its tile polygons; ``area`` (k,) of the outlines before their holes are filled."""
    weight = shapely.area(polygons.geometries)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(outline_of, values, minlength=len(area)), dtype=np.float64)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        known = np.isfinite(values)
        whole = total(np.where(known, weight, 0.0))
        return np.where(whole > 0, total(np.where(known, values * weight, 0.0)) / np.where(whole > 0, whole, 1.0), np.nan)

    highest = np.full(len(area), -np.inf)
    np.fmax.at(highest, outline_of, polygons.probability_max)
    return {
        "votes": np.maximum(total(weight) / area, 1.0),
        "coverage": mean(polygons.coverage),
        "probability_mean": mean(polygons.probability_mean),
        "probability_max": np.where(np.isfinite(highest), highest, np.nan),
    }


def _contoured(
    shapes: NDArray[np.object_], fields: Fields, crs: CRS, maps: _Maps, job: PostprocessJob, steps: Steps, reporter: Reporter
) -> tuple[NDArray[np.object_], Fields]:
    """The shapes cut back to the contour of the blended probability where asked for; parts too small go, holes are filled."""
    united = shapes
    if job.boundary == "probability" and maps.probability is not None:
        threshold = threshold_of(maps.probability)
        if threshold is None:
            raise EngineError(
                "no_threshold",
                f"{job.probability} does not say at which threshold outlines are to be cut from it, so they cannot follow its contour. "
                "Use the probability raster as Detect rock glaciers writes it, or set BOUNDARY to tiles.",
            )
        reporter.progress(0.6, "contours of the probability")
        shapes, outline_of = contoured(united, crs, maps.probability, threshold, StagedReporter(reporter, 0.6, 0.65))
        if job.fill_holes:
            shapes, free = fill_holes(shapes, outline_of)
            shapes, outline_of = shapes[free], outline_of[free]
        large = geodesic_area(shapes, crs) >= job.min_area
        shapes, outline_of = shapes[large], outline_of[large]
        fields = {name: values[outline_of] for name, values in fields.items()}
        untouched = sum(shape is united[outline] for shape, outline in zip(shapes, outline_of, strict=True))
    else:
        untouched = len(united)
    area = shapely.area(shapes) * square_metres_per_unit(shapes, crs)
    steps.add("contour", len(united), len(shapes), len(united) - untouched, float(area.sum()))
    return shapes, fields


def _drawn(shapes: NDArray[np.object_], crs: CRS, job: PostprocessJob, reporter: Reporter) -> NDArray[np.object_]:
    """The shapes with boundaries that look drawn; those that stay as they were are the same objects."""
    reporter.progress(0.6, "smoothing boundaries")
    drawn = shapes.copy()
    if job.smoothing == 0:
        return drawn
    tolerances: list[float] = []
    for indices, local, in_metres in local_maps(shapes, crs):
        tolerance = pixel_size_of(in_metres) if job.smoothing is None else job.smoothing
        tolerances.append(tolerance)
        smoothed, changed = smooth(in_metres, tolerance)
        reporter.check_cancelled()
        drawn[indices[changed]] = smoothed[changed] if local == crs else reproject(smoothed[changed], local, crs)
    known = [tolerance for tolerance in tolerances if np.isfinite(tolerance)]
    if known:
        reporter.info(f"Boundaries were smoothed by up to {max(known):.3g} m; areas stay within 1 %.")
    elif tolerances:
        reporter.info("The polygons do not follow pixel edges: their boundaries were not smoothed.")
    return drawn


def _described(
    outlines: PolygonLayer, raw: NDArray[np.object_], maps: _Maps, job: PostprocessJob, steps: Steps, reporter: Reporter
) -> tuple[PolygonLayer, PolygonLayer, PolygonLayer]:
    """Uncertainty, visibility and step 6: outlines with all attributes from north to south; those before smoothing, none where not
    wanted; restricted footprints."""
    crs = outlines.crs
    order = _from_north_to_south(outlines.geometries, crs)
    geometries, raw = outlines.geometries[order], raw[order]
    fields = {name: values[order] for name, values in outlines.fields.items()}
    reporter.progress(0.75, "elevation")
    if maps.elevation is not None and maps.probability is None and job.restricted is None:
        reporter.info("The elevation model was not needed: reliabilities need the probability too, restricted footprints an output.")
    their_sections, footprints = _on_slopes(geometries, crs, maps, job.restricted is not None, StagedReporter(reporter, 0.75, 0.8))
    fields |= _uncertainty(geometries, fields, their_sections, crs, maps, job, StagedReporter(reporter, 0.8, 0.88))
    fields["visible_fraction"] = _visible_fraction(geometries, crs, maps, job, reporter)
    share, source, outside = _permafrost(geometries, crs, maps, job, reporter)
    fields |= {"permafrost_fraction": share, "permafrost_source": source}

    kept = ~outside if job.permafrost_action == "drop" else np.ones(len(geometries), dtype=bool)
    steps.add("permafrost", len(geometries), int(kept.sum()), int(outside.sum()), float(fields["area_km2"][kept].sum() * 1e6))
    number = np.arange(1, kept.sum() + 1, dtype=np.int64)
    result = PolygonLayer(geometries[kept], crs, {"id": number, **{name: values[kept] for name, values in fields.items()}})
    raw = raw[kept] if job.raw is not None else raw[:0]
    return result, _measured(raw, crs, number[: len(raw)]), _restricted(footprints[kept], crs, number)


def _on_slopes(
    outlines: NDArray[np.object_], crs: CRS, maps: _Maps, with_footprints: bool, reporter: Reporter
) -> tuple[list[NDArray[np.int8] | None], NDArray[np.object_]]:
    """What elevation tells: sections of each boundary for its reliability, restricted footprints (n,); None where unknown."""
    their_sections: list[NDArray[np.int8] | None] = [None] * len(outlines)
    footprints = np.full(len(outlines), None, dtype=object)
    if maps.elevation is None or (maps.probability is None and not with_footprints):
        return their_sections, footprints
    without = 0
    for done, found in enumerate(on_slopes(outlines, crs, maps.elevation)):
        reporter.progress(done / len(outlines))
        if found is None:
            without += 1
            continue
        their_sections[found.index] = sections(found.outline, found.axis)
        footprint = restricted_footprint(found.outline, found.elevation, found.axis) if with_footprints else None
        if footprint is not None:
            footprints[found.index] = footprint if found.crs == crs else reproject(np.array([footprint]), found.crs, crs)[0]
    if without:
        reporter.info(f"{without} of {len(outlines)} outlines have no fall line: their elevation is unknown, or they are flat.")
    return their_sections, footprints


def _uncertainty(
    outlines: NDArray[np.object_],
    fields: Fields,
    their_sections: list[NDArray[np.int8] | None],
    crs: CRS,
    maps: _Maps,
    job: PostprocessJob,
    reporter: Reporter,
) -> Fields:
    """Fields of the blended probability; the tiles' own mean stays where the raster says nothing."""
    names = ["probability_mean", "probability_sd", "area_lo_km2", "area_hi_km2", *(f"reliability_{section}" for section in SECTIONS)]
    found = {name: np.full(len(outlines), np.nan) for name in names}
    if maps.probability is not None:
        levels = levels_around_threshold(maps.probability, job.area_lo_level, job.area_hi_level, reporter)
        found = uncertainty(outlines, crs, maps.probability, levels, their_sections, reporter)
        unknown = int(np.isnan(found["probability_sd"]).sum())
        if unknown:
            reporter.info(f"The probability raster says nothing about {unknown} of {len(outlines)} outlines.")
    found["probability_mean"] = np.where(np.isnan(found["probability_mean"]), fields["probability_mean"], found["probability_mean"])
    for section in SECTIONS:
        reliability = found[f"reliability_{section}"]
        found[f"reliability_{section}"] = np.ma.masked_array(np.nan_to_num(reliability).astype(np.int32), np.isnan(reliability))
    return {**{name: found.pop(name) for name in ("probability_mean",)}, "probability_max": fields["probability_max"], **found}


def _visible_fraction(outlines: NDArray[np.object_], crs: CRS, maps: _Maps, job: PostprocessJob, reporter: Reporter) -> NDArray[np.float64]:
    if maps.not_assessable is None or not len(outlines):
        return np.full(len(outlines), np.nan)
    reporter.progress(0.88, "what could be assessed")
    visible = 1 - maps.not_assessable.fraction(outlines, crs, reporter)
    if np.isnan(visible).all():
        reporter.warning(
            "not_assessable_no_overlap",
            f"{job.not_assessable} says nothing about any outline: it covers another place or holds no data there. "
            "visible_fraction stays empty.",
        )
    return np.asarray(visible)


def _permafrost(
    outlines: NDArray[np.object_], crs: CRS, maps: _Maps, job: PostprocessJob, reporter: Reporter
) -> tuple[NDArray[np.float64], NDArray[np.object_], NDArray[np.bool_]]:
    """Step 6: each outline's share in permafrost and who says so (n,), and which lie outside by the limit."""
    share, source = np.full(len(outlines), np.nan), np.full(len(outlines), None, dtype=object)
    outside = np.zeros(len(outlines), dtype=bool)
    if maps.permafrost is None or not len(outlines):
        return share, source, outside
    reporter.progress(0.9, "step 6: permafrost")
    share = maps.permafrost.fraction(outlines, crs, job.permafrost_buffer, reporter)
    source[np.isfinite(share)] = maps.permafrost.source
    outside = share < job.permafrost_min_fraction - SHARE_TOLERANCE
    unknown = int(np.isnan(share).sum())
    if unknown == len(outlines):
        reporter.warning(
            "permafrost_no_overlap",
            f"The permafrost map {job.permafrost} says nothing about any outline: it covers another place or holds no data there. "
            "permafrost_fraction stays empty and nothing was dropped.",
        )
    elif unknown:
        reporter.info(f"Nothing is known about permafrost under {unknown} outlines; they were kept, permafrost_fraction is empty.")
    lie = f"{outside.sum()} of {len(outlines)} outlines lie with less than {job.permafrost_min_fraction:g} of their area in permafrost"
    if job.permafrost_action == "drop" and outside.any():
        reporter.info(f"{lie} and were dropped. Relict rock glaciers can lie outside today's permafrost: look before you leave them out.")
    elif outside.any():
        reporter.info(f"{lie}; they were kept. They may be relict.")
    return share, source, outside


def _measured(shapes: NDArray[np.object_], crs: CRS, number: NDArray[np.int64]) -> PolygonLayer:
    area, perimeter = geodesic_area_and_perimeter(shapes, crs)
    return PolygonLayer(shapes, crs, {"id": number, "area_km2": area / 1e6, "perimeter_km": perimeter / 1e3})


def _restricted(footprints: NDArray[np.object_], crs: CRS, number: NDArray[np.int64]) -> PolygonLayer:
    found = ~shapely.is_missing(footprints)
    layer = _measured(footprints[found], crs, number[found])
    return replace(layer, fields={**layer.fields, "out_type": np.full(len(layer), "Restricted", dtype=object)})


def _from_north_to_south(shapes: NDArray[np.object_], crs: CRS) -> NDArray[np.intp]:
    centres = shapely.get_coordinates(shapely.centroid(shapes))
    longitude, latitude = Transformer.from_crs(crs, 4326, always_xy=True).transform(centres[:, 0], centres[:, 1])
    return np.lexsort((longitude, -np.asarray(latitude)))


def _at_home(shapes: NDArray[np.object_], crs: CRS) -> NDArray[np.object_]:
    """Shapes in longitudes from -180 to 180, as whole as they are: one over the antimeridian goes beyond on one side."""
    turn = 2 * np.pi / crs.axis_info[0].unit_conversion_factor
    middle = shapely.bounds(shapes)[:, [0, 2]].mean(axis=1) if len(shapes) else np.empty(0)
    turns = np.round(middle / turn)
    if not turns.any():
        return shapes
    places, owner = shapely.get_coordinates(shapes, return_index=True)
    places[:, 0] -= turn * turns[owner]
    return np.asarray(shapely.set_coordinates(shapes.copy(), places))


def _on_fine_grid(polygons: NDArray[np.object_], decimals: int) -> NDArray[np.object_]:
    """Polygons (n,) with rounded coordinates, but those as they were that rounding would spoil."""
    places = shapely.get_coordinates(polygons)
    rounded = np.round(places, decimals)
    if (places == rounded).all():
        return polygons
    on_grid = shapely.set_coordinates(polygons.copy(), rounded)
    return np.where(shapely.is_valid(on_grid), on_grid, polygons)


def _numbers(layer: PolygonLayer, name: str) -> NDArray[np.float64]:
    """A field's values, NaN where there is none."""
    if name not in layer.fields:
        return np.full(len(layer), np.nan)
    try:
        return layer.fields[name].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise EngineError(
            "not_numbers", f"The field {name!r} of the tile polygons holds {layer.fields[name].dtype}, not numbers."
        ) from error
