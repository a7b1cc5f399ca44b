"""Tile polygons to rock glacier outlines, in the six steps of the paper.

Source
------
Lin et al. (2024), section 3.4.2. Where its rules would delete true rock glaciers (beside the border of the covered area,
relict ones outside today's permafrost), docs/postprocessing.md says what is done instead and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from engine.errors import EngineError
from engine.geodesy import geodesic_area, geodesic_perimeter
from engine.permafrost import PermafrostMap, open_permafrost_map
from engine.reporting import Reporter, StagedReporter
from engine.vectors import PolygonLayer, read_polygons, write_polygons
from jobs import PostprocessJob

LOOKED_TWICE = 1.5
"""Mean number of tiles over a polygon from which a second tile saw at least half of it and could have confirmed it."""

SHARE_TOLERANCE = 1e-6
"""A share is a quotient of two measured areas: half is not quite a half."""

GROUPS_AT_ONCE = 64
"""Groups of polygons that one thread unites between two looks at whether the person cancelled."""

DECIMALS_METRES, DECIMALS_DEGREES = 4, 9
"""A tenth of a millimetre. Tiles compute the same pixel corner with different rounding; it has to become the same point."""


@dataclass(frozen=True)
class TilePolygons:
    """One polygon per object and tile, as Detect writes them.

    ``geometries`` (n,) Polygon; ``tile`` (n,) number that tells tiles apart, None when the layer does not say;
    ``coverage`` (n,) mean number of tiles that looked at its pixels, ``probability_mean`` and ``probability_max`` (n,)
    0-1, all three NaN where unknown.
    """

    geometries: NDArray[np.object_]
    tile: NDArray[np.intp] | None
    coverage: NDArray[np.float64]
    probability_mean: NDArray[np.float64]
    probability_max: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.geometries)

    @classmethod
    def of(cls, layer: PolygonLayer) -> TilePolygons:
        """The polygons of a layer; those of several parts come apart, coordinates are kept to 0.1 mm."""
        parts, row = shapely.get_parts(layer.geometries, return_index=True)
        polygons = _on_fine_grid(parts, DECIMALS_DEGREES if layer.crs.is_geographic else DECIMALS_METRES)
        tile = np.unique(layer.fields["tile"].astype(str), return_inverse=True)[1][row] if "tile" in layer.fields else None
        return cls(polygons, tile, *(_numbers(layer, name)[row] for name in ("coverage", "probability_mean", "probability_max")))

    def where(self, kept: NDArray[np.bool_]) -> TilePolygons:
        """Those of the polygons that ``kept`` (n,) marks."""
        tile = None if self.tile is None else self.tile[kept]
        return TilePolygons(self.geometries[kept], tile, self.coverage[kept], self.probability_mean[kept], self.probability_max[kept])


def postprocess(job: PostprocessJob, reporter: Reporter) -> dict[str, Any]:
    """Tile polygons in, rock glacier outlines out.

    Returns
    -------
    ``output``, ``count``, ``total_area_km2`` (ellipsoidal), ``steps`` (list of ``step``, ``in``, ``out``: objects before and after)

    Raises
    ------
    EngineError
        ``no_tiles`` when support by a second tile is asked for and the polygons do not say which tile they are from; those of
        :func:`engine.vectors.read_polygons`, :func:`engine.permafrost.open_permafrost_map`, :func:`engine.outputs.whole_file`; Cancelled.

    Source
    ------
    Lin et al. (2024), section 3.4.2, steps 1-6.
    """
    with _permafrost_map(job) as permafrost_map:
        reporter.progress(0.0, "reading tile polygons")
        layer = read_polygons(job.input, job.input_layer)
        if layer.repaired or layer.dropped:
            reporter.info(f"{layer.repaired} invalid polygons were repaired, {layer.dropped} without an area were left out.")
        if job.require_support and len(layer) and "tile" not in layer.fields:
            raise EngineError(
                "no_tiles",
                f"Support by a second tile is required (REQUIRE_SUPPORT), but {job.input} has no field 'tile' that says which tile a "
                "polygon is from. Use the polygons as Detect rock glaciers writes them, or switch REQUIRE_SUPPORT off.",
            )
        outlines, steps = _outlines(layer, job, reporter)
        outlines = _with_permafrost(outlines, permafrost_map, job, reporter)
        steps.append(_step("permafrost", steps[-1]["out"], len(outlines)))
        for step in steps:
            reporter.info(f"{step['step'].replace('_', ' ')}: {step['in']} in, {step['out']} out")
        reporter.progress(0.97, "writing outlines")
        write_polygons(job.output, outlines, "outlines")
    total = float(outlines.fields["area_km2"].sum())
    reporter.progress(1.0, f"{len(outlines)} rock glacier outlines, {total:.2f} km2")
    return {"output": job.output, "count": len(outlines), "total_area_km2": total, "steps": steps}


def _permafrost_map(job: PostprocessJob) -> AbstractContextManager[PermafrostMap | None]:
    if not job.permafrost:
        return nullcontext()
    return open_permafrost_map(
        job.permafrost, job.permafrost_preset, job.permafrost_classes, job.permafrost_layer, job.permafrost_field, job.permafrost_source
    )


def _step(name: str, before: int, after: int) -> dict[str, Any]:
    return {"step": name, "in": before, "out": after}


def _outlines(layer: PolygonLayer, job: PostprocessJob, reporter: Reporter) -> tuple[PolygonLayer, list[dict[str, Any]]]:
    """Steps 1 to 5: outlines with all attributes but permafrost, from north to south, and what each step did."""
    polygons = TilePolygons.of(layer)
    steps = [_step("polygons", len(layer), len(polygons))]

    reporter.progress(0.1, "step 1: smallest area")
    polygons = polygons.where(geodesic_area(polygons.geometries, layer.crs) >= job.min_area)
    steps.append(_step("min_area", steps[-1]["out"], len(polygons)))

    reporter.progress(0.15, "step 2: holes")
    if job.fill_holes:
        same_tile = np.zeros(len(polygons), dtype=np.intp) if polygons.tile is None else polygons.tile
        filled, free = fill_holes(polygons.geometries, same_tile)
        polygons = replace(polygons, geometries=filled).where(free)
    steps.append(_step("fill_holes", steps[-1]["out"], len(polygons)))

    reporter.progress(0.2, "step 4: support by other tiles")
    pairs, clearly = meeting_pairs(polygons.geometries)
    reporter.check_cancelled()
    if job.require_support and polygons.tile is not None:
        kept = _supported_or_unjudged(polygons, pairs, clearly, reporter)
        polygons, pairs = polygons.where(kept), _renumbered(pairs, kept)
    steps.append(_step("support", steps[-1]["out"], len(polygons)))

    reporter.progress(0.35, "step 5: union")
    shapes, outline_of = unite(polygons.geometries, pairs, StagedReporter(reporter, 0.35, 0.85))
    fields = _attributes(polygons, outline_of, shapely.area(shapes))
    if job.fill_holes:
        shapes, free = fill_holes(shapes, np.zeros(len(shapes), dtype=np.intp))
        shapes, fields = shapes[free], {name: values[free] for name, values in fields.items()}
    steps.append(_step("union", steps[-1]["out"], len(shapes)))

    area_km2, perimeter_km = geodesic_area(shapes, layer.crs) / 1e6, geodesic_perimeter(shapes, layer.crs) / 1e3
    order = _from_north_to_south(shapes, layer.crs)
    fields = {"area_km2": area_km2, "perimeter_km": perimeter_km, **fields}
    return PolygonLayer(shapes[order], layer.crs, {name: values[order] for name, values in fields.items()}), steps


def fill_holes(polygons: NDArray[np.object_], group: NDArray[np.intp]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Polygons (n,) without holes, and which of them (n,) stay free.

    An island in the hole of a polygon of its own group (the same tile) is part of that polygon afterwards: it is not free.

    Source
    ------
    Lin et al. (2024), section 3.4.2, step 2.
    """
    free = np.ones(len(polygons), dtype=bool)
    holed = np.flatnonzero(shapely.get_num_interior_rings(polygons) > 0)
    filled = polygons.copy()
    filled[holed] = shapely.polygons(shapely.get_exterior_ring(polygons[holed]))
    outer, inner = shapely.STRtree(filled).query(filled[holed], predicate="contains")
    outer = holed[outer]
    area = shapely.area(filled)
    free[inner[(group[outer] == group[inner]) & (area[inner] < area[outer])]] = False
    return filled, free


def meeting_pairs(polygons: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Pairs (m, 2) of polygons that have a point in common, smaller index first, and whether they clearly share ground (m,).

    Clearly: an inner point of one lies in the other. The cheapest test there is settles most pairs of tile polygons.
    """
    inner_points = shapely.point_on_surface(polygons)
    shapely.prepare(polygons)
    pairs = shapely.STRtree(polygons).query(polygons)
    first, second = pairs[:, pairs[0] < pairs[1]]
    clearly = shapely.contains(polygons[first], inner_points[second]) | shapely.contains(polygons[second], inner_points[first])
    meeting = clearly.copy()
    meeting[~clearly] = shapely.intersects(polygons[first[~clearly]], polygons[second[~clearly]])
    return np.column_stack([first[meeting], second[meeting]]), clearly[meeting]


def supported(
    polygons: NDArray[np.object_], tile: NDArray[np.intp], pairs: NDArray[np.intp], clearly: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which polygons (n,) share ground with a polygon of another tile; an edge or a corner is no ground.

    Parameters
    ----------
    polygons : (n,) Polygon
    tile : (n,) the tile of each
    pairs, clearly : (m, 2), (m,) from :func:`meeting_pairs`

    Source
    ------
    Lin et al. (2024), section 3.4.2, step 4.
    """
    marks = np.zeros(len(polygons), dtype=bool)
    of_two_tiles = tile[pairs[:, 0]] != tile[pairs[:, 1]]
    marks[pairs[of_two_tiles & clearly]] = True
    doubtful = pairs[of_two_tiles & ~clearly & ~marks[pairs].all(axis=1)]
    marks[doubtful[~shapely.touches(polygons[doubtful[:, 0]], polygons[doubtful[:, 1]])]] = True
    return marks


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


def unite(polygons: NDArray[np.object_], pairs: NDArray[np.intp], reporter: Reporter) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Polygons that share ground or an edge become one; those that meet in a corner stay apart.

    Parameters
    ----------
    polygons : (n,) Polygon
    pairs : (m, 2) from :func:`meeting_pairs`

    Returns
    -------
    (k,) Polygon, and for each of the n polygons the index of the one it became part of

    Source
    ------
    Lin et al. (2024), section 3.4.2, step 5.
    """
    shapes: list[shapely.Geometry] = []
    became = np.zeros(len(polygons), dtype=np.intp)
    groups = list(_groups(connected_components(len(polygons), pairs)))
    batches = [groups[start : start + GROUPS_AT_ONCE] for start in range(0, len(groups), GROUPS_AT_ONCE)]

    def united(batch: list[NDArray[np.intp]]) -> list[shapely.Geometry]:
        return [shapely.union_all(polygons[members]) if len(members) > 1 else polygons[members[0]] for members in batch]

    with ThreadPoolExecutor() as pool:
        try:
            for number, (batch, unions) in enumerate(zip(batches, pool.map(united, batches), strict=True)):
                reporter.progress(number / len(batches))
                for members, union in zip(batch, unions, strict=True):
                    parts = [union] if union.geom_type == "Polygon" else list(union.geoms)
                    became[members] = len(shapes)
                    if len(parts) > 1:
                        member, part = shapely.STRtree(parts).query(shapely.point_on_surface(polygons[members]), predicate="intersects")
                        became[members[member]] += part
                    shapes.extend(parts)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return np.array(shapes, dtype=object), became


def connected_components(count: int, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each of ``count`` things the smallest index of the things that ``pairs`` (m, 2) connect it to, (count,)."""
    label = np.arange(count)
    while True:
        first, second = label[pairs[:, 0]], label[pairs[:, 1]]
        if (first == second).all():
            return label
        lower = np.minimum(first, second)
        np.minimum.at(label, first, lower)
        np.minimum.at(label, second, lower)
        while (label[label] != label).any():
            label = label[label]


def _groups(label: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Indices that share a label, group by group."""
    order = np.argsort(label, kind="stable")
    _, starts, counts = np.unique(label[order], return_index=True, return_counts=True)
    for start, count in zip(starts, counts, strict=True):
        yield order[start : start + count]


def _renumbered(pairs: NDArray[np.intp], kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Pairs among those kept, by their new indices."""
    renumbered: NDArray[np.intp] = (np.cumsum(kept) - 1)[pairs[kept[pairs].all(axis=1)]]
    return renumbered


def _attributes(polygons: TilePolygons, outline_of: NDArray[np.intp], area: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
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


def _with_permafrost(outlines: PolygonLayer, permafrost_map: PermafrostMap | None, job: PostprocessJob, reporter: Reporter) -> PolygonLayer:
    """Step 6, and the numbers of the outlines: the share in permafrost is noted; those below the limit are dropped on request."""
    share = np.full(len(outlines), np.nan)
    kept = np.ones(len(outlines), dtype=bool)
    if permafrost_map is not None and len(outlines):
        reporter.progress(0.87, "step 6: permafrost")
        share = permafrost_map.fraction(outlines.geometries, outlines.crs, job.permafrost_buffer, reporter)
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
            kept = ~outside
            reporter.info(
                f"{lie} and were dropped. Relict rock glaciers can lie outside today's permafrost: look before you leave them out."
            )
        elif outside.any():
            reporter.info(f"{lie}; they were kept. They may be relict.")
    fields = {"id": np.arange(1, kept.sum() + 1, dtype=np.int64), **{name: values[kept] for name, values in outlines.fields.items()}}
    return PolygonLayer(outlines.geometries[kept], outlines.crs, {**fields, "permafrost_fraction": share[kept]})


def _from_north_to_south(shapes: NDArray[np.object_], crs: CRS) -> NDArray[np.intp]:
    centres = shapely.get_coordinates(shapely.centroid(shapes))
    longitude, latitude = Transformer.from_crs(crs, 4326, always_xy=True).transform(centres[:, 0], centres[:, 1])
    return np.lexsort((longitude, -np.asarray(latitude)))


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
