"""A sample of points to label by eye, and the areas and accuracies that follow from it.

Rock glaciers cover one or two percent of a scene: points strewn evenly would hardly meet one, and what the map missed could not
be measured. So the sample is stratified: the predicted rock glaciers, a ring around them where boundaries err, background that
the network thought probable, and the rest.

Source
------
Olofsson et al. (2014), Good practices for estimating area and assessing accuracy of land change; Stehman (2014) for strata that
are not the map classes. docs/sampling.md says what was decided here.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.enums import TransformDirection
from rasterio.features import shapes
from rasterio.io import DatasetReader

from engine.area_estimates import Z95, Estimates, allocation, anticipated_standard_error, estimate, sample_size
from engine.errors import EngineError
from engine.geodesy import geodesic_area
from engine.local_maps import local_maps, on_one_map
from engine.matching import areas_m2
from engine.outputs import written_json
from engine.rasters import Grid, open_raster, read_observed, windows
from engine.reporting import Reporter, StagedReporter
from engine.threads import in_threads
from engine.uncertainty import level_around_threshold
from engine.vectors import PolygonLayer, read_outlines, read_table, reproject, write_polygons, written_table
from jobs import DesignSampleJob, EstimateAreaJob

STRATA = ("predicted", "ring", "probable", "rest")
"""Predicted rock glaciers, the ring around them, background of a high probability, all other ground."""

CLASSES = ("rock_glacier", "background")
CANNOT_TELL = -1
"""Label of a point whose class cannot be seen: snow, cloud, shadow. An empty label means that nobody has looked yet."""

PIECES_OF_AN_EDGE = 200
"""Long edges get as many vertices, so that they stay where they are on other maps and on the ellipsoid."""

MOST_ROUNDS, MOST_AT_ONCE = 100_000, 10_000
"""Of drawing points until one lies in a polygon; a polygon that fills a thousandth of its rectangle needs about a thousand draws."""

TOO_THIN = "A stratum is too thin to draw points in. Make RING_WIDTH larger, or leave the stratum out."

NOTHING = 1e-9
"""Share of the area that differences of areas leave by rounding."""

FEW = 5
"""Fewer points than this that differ from the others of their stratum carry no interval."""

DEFINITIONS = {
    "area": "ground that is rock glacier by the reference, estimated from the labelled points",
    "mapped_area": "ground that the map calls rock glacier, measured",
    "overall_accuracy": "share of all ground where map and reference agree",
    "users_accuracy": "share of the ground mapped as the class that is the class by the reference",
    "producers_accuracy": "share of the ground that is the class by the reference that is mapped as the class",
}


@dataclass(frozen=True)
class Stratum:
    """The ground of some polygons less that of others.

    ``polygons`` (n,) Polygon in map units, which may overlap; ``without`` (m,) what is not of it; ``area_m2`` on the ellipsoid.
    """

    polygons: NDArray[np.object_]
    without: NDArray[np.object_]
    area_m2: float


@dataclass(frozen=True)
class Strata:
    """Disjoint ground, together the whole area: name of :data:`STRATA` -> stratum, those without ground left out; map units of ``crs``."""

    strata: dict[str, Stratum]
    crs: CRS

    @property
    def area_m2(self) -> NDArray[np.float64]:
        """(h,) of each stratum, on the ellipsoid."""
        return np.array([stratum.area_m2 for stratum in self.strata.values()])


def design_sample(job: DesignSampleJob, reporter: Reporter) -> dict[str, Any]:
    """Predicted outlines in, points to label out, in random order.

    Returns
    -------
    ``output``, ``count``, ``area_km2`` of all strata, ``strata`` (list of ``stratum``, ``area_km2``, ``weight``, ``points``,
    ``anticipated_accuracy``), ``anticipated_standard_error`` of the overall accuracy and ``anticipated_area_ci_km2``, the half
    width of the 95 % interval of the area of rock glaciers, if the anticipated accuracies hold

    Raises
    ------
    EngineError
        ``nothing_to_sample`` when there is no ground; those of :func:`engine.vectors.read_polygons`, :func:`engine.rasters.open_raster`,
        :func:`engine.outputs.whole_file`; Cancelled.

    Source
    ------
    Olofsson et al. (2014), section 5.1.
    """
    reporter.progress(0.0, "reading outlines")
    predicted = read_outlines(job.predicted, job.predicted_layer, reporter)
    area_of_interest = read_outlines(job.area_of_interest, job.area_of_interest_layer, reporter) if job.area_of_interest else None
    strata = lay_out_strata(job, predicted, area_of_interest, reporter)
    names, area = list(strata.strata), strata.area_m2
    accuracy = [getattr(job, f"anticipated_{name}") for name in names]
    size = job.size or sample_size(area, accuracy, job.standard_error)
    points = allocation(size, area, accuracy, job.min_per_stratum, job.allocation == "optimal")
    if points.sum() > size:
        reporter.info(f"{points.sum()} points instead of {size}: every stratum gets at least {job.min_per_stratum}.")
    reporter.progress(0.8, "drawing points")
    places, stratum = draw(strata, points, np.random.default_rng(job.seed), reporter)
    fields: dict[str, NDArray[np.generic]] = {
        "id": np.arange(1, len(stratum) + 1, dtype=np.int32),
        "stratum": np.array(names, dtype=object)[stratum],
        "stratum_area_km2": (area / 1e6)[stratum],
        "stratum_weight": (area / area.sum())[stratum],
        "predicted": (np.array(names) == "predicted").astype(np.int32)[stratum],
        "reference": np.ma.masked_all(len(stratum), np.int32),
        "comment": np.full(len(stratum), None, dtype=object),
    }
    layer = PolygonLayer(shapely.points(_in_range(places, strata.crs)), strata.crs, fields)
    reporter.progress(0.95, "writing points")
    write_polygons(job.output, layer, "sample", "Point")
    error = anticipated_standard_error(area, accuracy, points)
    columns = zip(names, area, points, accuracy, strict=True)
    result = {
        "output": job.output,
        "count": len(layer),
        "area_km2": area.sum() / 1e6,
        "strata": [
            {"stratum": name, "area_km2": m2 / 1e6, "weight": m2 / area.sum(), "points": count, "anticipated_accuracy": right}
            for name, m2, count, right in columns
        ],
        "anticipated_standard_error": error,
        # strata do not cut across map classes, so the share of rock glaciers varies as the overall accuracy does
        "anticipated_area_ci_km2": Z95 * error * area.sum() / 1e6,
    }
    for row in result["strata"]:
        reporter.info(f"{row['stratum']}: {row['points']} points on {row['area_km2']:.3f} km2 ({100 * row['weight']:.2f} %)")
    reporter.info(
        "If the anticipated accuracies hold, the area of rock glaciers will be known to "
        f"± {result['anticipated_area_ci_km2']:.3f} km2 (95 %)."
    )
    reporter.progress(1.0, f"{len(layer)} points")
    return result


def lay_out_strata(job: DesignSampleJob, predicted: PolygonLayer, area_of_interest: PolygonLayer | None, reporter: Reporter) -> Strata:
    """Lay the strata out on one map: the raster's, where there is one, so that its pixels stay pixels."""
    nothing = PolygonLayer(np.empty(0, object), predicted.crs)
    observed = probable = nothing
    if job.probability:
        with open_raster(job.probability) as dataset:
            level = level_around_threshold(dataset, job.high_probability)
            if level != job.high_probability:
                reporter.info(
                    f"Background is probable from a probability of {level:.3g}: {job.high_probability:g} is meant for a threshold of 0.5, "
                    f"and {job.probability} is of another one."
                )
            observed, probable = probable_ground(dataset, level, area_of_interest is None, StagedReporter(reporter, 0.05, 0.4))
    if area_of_interest is not None:
        whole, where = area_of_interest, "the area of interest"
    elif job.probability:
        whole, where = observed, "the part of the probability raster that holds data"
    elif len(predicted):
        left, bottom, right, top = shapely.total_bounds(on_one_map([predicted])[0])
        whole, where = (
            PolygonLayer(np.array([shapely.box(left, bottom, right, top)]), predicted.crs),
            "the rectangle that the outlines fill",
        )
    else:
        raise EngineError(
            "nothing_to_sample", f"{job.predicted} holds no outlines. Give an area of interest or a probability raster: where was mapped?"
        )
    reporter.info(f"Points are drawn within {where}.")
    if area_of_interest is None and not job.probability:
        reporter.warning(
            "no_area_of_interest",
            "Nobody said which ground was mapped. Beyond the rectangle that the outlines fill, nothing will be known of what was missed. "
            "Give an area of interest or the probability raster.",
        )
    if not job.probability:
        reporter.info("Without a probability raster there is no stratum of probable background; it is part of the rest.")
    reporter.progress(0.4, "laying out strata")
    dense = PolygonLayer(_with_more_vertices(whole.geometries), whole.crs)
    around = PolygonLayer(_buffered(predicted, job.ring_width), predicted.crs)
    crs = (probable if job.probability else nothing).crs
    placed = on_one_map([PolygonLayer(np.empty(0, object), crs), probable, dense, predicted, around])
    ground = shapely.union_all(placed[2])
    likely, outlines, wide = (_within(layer, ground) for layer in (placed[1], placed[3], placed[4]))
    reporter.progress(0.5, "measuring strata")

    def area_m2(polygons: NDArray[np.object_]) -> float:
        united = shapely.get_parts(shapely.disjoint_subset_union_all(polygons))
        return float(areas_m2(united, crs, reporter.check_cancelled).sum())

    near = np.concatenate([outlines, wide])
    total_m2, outlines_m2 = area_m2(_polygons(ground)), area_m2(outlines)
    near_m2 = area_m2(near) if job.ring_width else outlines_m2
    reporter.progress(0.65, "measuring strata")
    likely_m2 = _area_without(likely, near, crs, reporter)
    strata = {
        "predicted": Stratum(outlines, np.empty(0, object), outlines_m2),
        "ring": Stratum(wide, outlines, near_m2 - outlines_m2),
        "probable": Stratum(likely, near, likely_m2),
        "rest": Stratum(_polygons(ground), np.concatenate([near, likely]), total_m2 - near_m2 - likely_m2),
    }
    strata = {name: stratum for name, stratum in strata.items() if stratum.area_m2 > NOTHING * total_m2}
    if not strata:
        raise EngineError("nothing_to_sample", f"There is no ground in {where}. Check the layers and their coordinate reference systems.")
    if len(predicted) and "predicted" not in strata:
        reporter.warning("no_overlap", f"No outline of {job.predicted} lies in {where}. Check the layers and their CRS.")
    return Strata(strata, crs)


def _within(polygons: NDArray[np.object_], ground: shapely.Geometry) -> NDArray[np.object_]:
    """The parts (m,) of polygons that lie on some ground."""
    shapely.prepare(ground)
    inside = shapely.covers(ground, polygons)
    edge = polygons[~inside & shapely.intersects(ground, polygons)]
    return _parts(np.concatenate([polygons[inside], shapely.intersection(edge, ground)]))


def _area_without(polygons: NDArray[np.object_], others: NDArray[np.object_], crs: CRS, reporter: Reporter) -> float:
    """Ground of disjoint polygons (n,) less that of others (m,), square metres on the ellipsoid."""
    polygon, other = shapely.STRtree(others).query(polygons, predicate="intersects")
    starts = np.searchsorted(polygon, np.arange(len(polygons) + 1))

    def measured(part: slice) -> float:
        left = [
            shapely.difference(polygons[index], shapely.union_all(others[other[starts[index] : starts[index + 1]]]))
            for index in range(*part.indices(len(polygons)))
        ]
        return float(geodesic_area(_parts(np.array(left, dtype=object)), crs).sum())

    return float(sum(in_threads(measured, len(polygons), 64, reporter.check_cancelled)))


def _parts(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """All polygons (m,) within some geometries."""
    parts = shapely.get_parts(shapely.get_parts(geometries))
    return parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)]


def probable_ground(dataset: DatasetReader, threshold: float, with_observed: bool, reporter: Reporter) -> tuple[PolygonLayer, PolygonLayer]:
    """The ground that a probability raster holds data for, and that with at least a threshold (0-1), along pixel edges.

    Parameters
    ----------
    dataset : first band probability, 0-1
    with_observed : False: the first layer stays empty
    """
    grid, crs = Grid.of(dataset), CRS.from_wkt(dataset.crs.to_wkt())
    pieces = list(windows(grid))
    found: tuple[list[shapely.Geometry], list[shapely.Geometry]] = ([], [])
    for number, window in enumerate(pieces):
        reporter.progress(number / len(pieces), "reading probabilities")
        values = read_observed(dataset, [1], window)[0]
        transform = grid.transform @ grid.transform.translation(window.col_off, window.row_off)
        for polygons, marks in zip(found, (np.isfinite(values) & with_observed, values >= threshold), strict=True):
            traced = shapes(marks.astype(np.uint8), mask=marks, connectivity=4, transform=transform)
            polygons += [shapely.Polygon(rings[0], rings[1:]) for rings in (shape["coordinates"] for shape, _ in traced)]
    observed, probable = (PolygonLayer(_polygons(shapely.union_all(np.array(polygons, dtype=object))), crs) for polygons in found)
    return observed, probable


def _with_more_vertices(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    if not len(polygons):
        return polygons
    left, bottom, right, top = shapely.total_bounds(polygons)
    dense: NDArray[np.object_] = shapely.segmentize(polygons, max(right - left, top - bottom) / PIECES_OF_AN_EDGE)
    return dense


def _buffered(outlines: PolygonLayer, width: float) -> NDArray[np.object_]:
    """Outlines (n,) widened by some metres, on their own map."""
    wide = outlines.geometries.copy()
    if width:
        for indices, local, geometries in local_maps(outlines.geometries, outlines.crs):
            wide[indices] = reproject(shapely.simplify(shapely.buffer(geometries, width), width / 100), local, outlines.crs)
    return wide


def _polygons(geometry: shapely.Geometry) -> NDArray[np.object_]:
    return _parts(np.array([geometry], dtype=object))


def draw(
    strata: Strata, points: NDArray[np.int64], random: np.random.Generator, reporter: Reporter
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Points of each stratum (h,) as places (n, 2) in map units, in random order, and the stratum (n,) of each.

    In random order, the first points are a random sample too: who stops early has an estimate all the same.
    """
    places = [
        uniform_points(stratum, strata.crs, count, random, reporter) for stratum, count in zip(strata.strata.values(), points, strict=True)
    ]
    order = random.permutation(int(points.sum()))
    return np.concatenate(places)[order], np.repeat(np.arange(len(points)), points)[order]


def uniform_points(stratum: Stratum, crs: CRS, count: int, random: np.random.Generator, reporter: Reporter) -> NDArray[np.float64]:
    """Random points of a stratum, as dense on the ground everywhere, whatever the map does to areas.

    Returns
    -------
    (count, 2) x, y in map units of ``crs``

    Raises
    ------
    EngineError
        ``no_points`` when the stratum is too thin to be met.
    """
    left, bottom, right, top = shapely.total_bounds(stratum.polygons)
    to_equal_area = _to_equal_area((left + right) / 2, (bottom + top) / 2, crs)
    area = geodesic_area(stratum.polygons, crs)
    share = area / area.sum()
    here, elsewhere = shapely.STRtree(stratum.polygons), shapely.STRtree(stratum.without)
    found = np.empty((0, 2))
    for _ in range(MOST_ROUNDS):
        in_each = np.bincount(random.choice(len(share), 2 * (count - len(found)), p=share), minlength=len(share))
        drawn = [
            _points_within(stratum.polygons[index], in_each[index], to_equal_area, crs, random, reporter)
            for index in np.flatnonzero(in_each)
        ]
        places = np.concatenate(drawn)
        points = shapely.points(places)
        times = np.bincount(here.query(points, predicate="within")[0], minlength=len(points))
        kept = random.random(len(points)) * np.maximum(times, 1) < 1  # where polygons overlap, points were drawn for each of them
        kept[elsewhere.query(points, predicate="intersects")[0]] = False
        found = np.concatenate([found, random.permutation(places[kept])])[:count]
        if len(found) == count:
            return found
    raise EngineError("no_points", TOO_THIN)


@lru_cache(maxsize=16)
def _to_equal_area(x: float, y: float, crs: CRS) -> Transformer:
    """To Lambert's equal-area map of the surroundings of a place, on the ellipsoid of the CRS."""
    geodetic = crs.geodetic_crs
    assert geodetic is not None and geodetic.ellipsoid is not None
    longitude, latitude = Transformer.from_crs(crs, geodetic, always_xy=True).transform(x, y)
    to_degrees = np.degrees(geodetic.axis_info[0].unit_conversion_factor)
    middle = {"lon_0": longitude * to_degrees, "lat_0": latitude * to_degrees}
    shape = {"a": geodetic.ellipsoid.semi_major_metre, "b": geodetic.ellipsoid.semi_minor_metre}
    return Transformer.from_crs(crs, CRS.from_dict({"proj": "laea", **middle, **shape}), always_xy=True)


def _points_within(
    polygon: shapely.Polygon,
    count: int,
    to_equal_area: Transformer,
    crs: CRS,
    random: np.random.Generator,
    reporter: Reporter,
) -> NDArray[np.float64]:
    """Points drawn from a rectangle on the equal-area map until enough of them lie in the polygon, whose edges are straight on its own."""
    edges = shapely.get_coordinates(
        shapely.segmentize(shapely.box(*polygon.bounds), max(np.ptp(np.reshape(polygon.bounds, (2, 2)), 0)) / 50)
    )
    corners = np.column_stack(to_equal_area.transform(edges[:, 0], edges[:, 1]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    low, high = low - 0.01 * (high - low), high + 0.01 * (high - low)
    shapely.prepare(polygon)
    turn = 2 * np.pi / crs.axis_info[0].unit_conversion_factor if crs.is_geographic else None
    middle = (polygon.bounds[0] + polygon.bounds[2]) / 2
    found: list[NDArray[np.float64]] = []
    missing = count
    at_once = 4 * count + 16
    for _ in range(MOST_ROUNDS):
        reporter.check_cancelled()
        drawn = random.uniform(low, high, (at_once, 2))
        places = np.column_stack(to_equal_area.transform(drawn[:, 0], drawn[:, 1], direction=TransformDirection.INVERSE))
        at_once = min(2 * at_once, MOST_AT_ONCE)
        if turn is not None:
            places[:, 0] += turn * np.round((middle - places[:, 0]) / turn)
        hits = places[shapely.contains_xy(polygon, places)][:missing]
        found.append(hits)
        missing -= len(hits)
        if not missing:
            return np.concatenate(found)
    raise EngineError("no_points", TOO_THIN)


def _in_range(places: NDArray[np.float64], crs: CRS) -> NDArray[np.float64]:
    """Longitudes from -180 to 180 again, after a map that did not stop at the antimeridian."""
    if crs.is_geographic:
        turn = 2 * np.pi / crs.axis_info[0].unit_conversion_factor
        beyond = np.abs(places[:, 0]) > turn / 2
        places[beyond, 0] -= turn * np.round(places[beyond, 0] / turn)
    return places


def estimate_area(job: EstimateAreaJob, reporter: Reporter) -> dict[str, Any]:
    """Labelled points in; area of rock glaciers and accuracy of the map out, with 95 % intervals.

    Returns
    -------
    ``area``, ``overall_accuracy``, ``users_accuracy`` and ``producers_accuracy`` of each class (each ``estimate``,
    ``standard_error``, ``ci95`` (half width), ``lo``, ``hi``), ``mapped_area_km2``, ``whole_area_km2``, ``points``, ``labelled``,
    ``unlabelled``, ``cannot_tell``, ``strata``, ``matrix_km2``, ``notes``, ``definitions``

    Raises
    ------
    EngineError
        ``no_field``, ``bad_labels``, ``bad_strata``, ``not_labelled``; those of :func:`engine.vectors.read_table`,
        :func:`engine.outputs.whole_file`.

    Source
    ------
    Stehman (2014); Olofsson et al. (2014).
    """
    reporter.progress(0.0, "reading points")
    sample = _Sample.of(read_table(job.sample, job.sample_layer), job)
    if not sample.labelled.any():
        raise EngineError(
            "not_labelled",
            f"No point of {job.sample} has a label in the field {job.reference_field!r}: 1 is rock glacier, 0 is not, -1 cannot tell.",
        )
    counts = np.zeros((len(sample.names), 2, 2), np.int64)
    seen = sample.labelled
    np.add.at(counts, (sample.stratum[seen], 1 - sample.predicted[seen], 1 - sample.reference[seen].astype(int)), 1)
    found = estimate(sample.area_km2, counts, sample.names)
    notes = [*found.notes, *_unseen(sample, counts)]
    unlabelled, cannot_tell = int(np.isnan(sample.reference).sum()), int((sample.reference == CANNOT_TELL).sum())
    if unlabelled:
        notes.append(
            f"{unlabelled} of {len(seen)} points have no label and were left out. That is sound when points were labelled in the order "
            "of their id; points that were left out because they are difficult make the result wrong."
        )
    if cannot_tell:
        notes.append(
            f"{cannot_tell} points whose class cannot be told (-1) were left out, as if they were like the others of their stratum."
        )
    for note in notes:
        reporter.warning("estimate", note)
    document = {**_numbers(found, sample), "points": len(seen), "labelled": int(seen.sum())}
    document |= {"unlabelled": unlabelled, "cannot_tell": cannot_tell, "strata": sample.rows(counts)}
    document |= {"notes": notes, "definitions": DEFINITIONS, "source": "Stehman (2014), Olofsson et al. (2014)"}
    with ExitStack() as files:
        if job.table:
            files.enter_context(written_table(job.table, _rows(document), "estimates"))
        if job.json:
            files.enter_context(written_json(job.json, document))
    reporter.progress(1.0, f"{seen.sum()} labelled points")
    return {"table": job.table, "json": job.json, **document}


@dataclass(frozen=True)
class _Sample:
    """n points in h strata.

    ``names``, ``area_km2`` (h,); ``stratum`` (n,) index into them; ``predicted`` (n,) 0 or 1; ``reference`` (n,) label, NaN where empty.
    """

    names: list[str]
    area_km2: NDArray[np.float64]
    stratum: NDArray[np.intp]
    predicted: NDArray[np.int64]
    reference: NDArray[np.float64]

    @classmethod
    def of(cls, fields: dict[str, NDArray[np.generic]], job: EstimateAreaJob) -> _Sample:
        """The sample in a table, its values checked."""
        for name in ("stratum", "stratum_area_km2", "predicted", job.reference_field):
            if name not in fields:
                raise EngineError(
                    "no_field",
                    f"{job.sample} has no field {name!r}; it has {', '.join(fields)}. Use the points of Design sample, labelled.",
                )
        reference, predicted = (_labels(fields[name], name, job.sample) for name in (job.reference_field, "predicted"))
        if not np.isin(predicted, (0, 1)).all():
            raise EngineError("bad_labels", f"The field 'predicted' of {job.sample} must be 0 or 1 for every point.")
        names, first, stratum = np.unique(fields["stratum"].astype(str), return_index=True, return_inverse=True)
        area = _labels(fields["stratum_area_km2"], "stratum_area_km2", job.sample, any_number=True)
        if not (np.isfinite(area).all() and (area > 0).all() and np.allclose(area, area[first][stratum], rtol=1e-6)):
            raise EngineError(
                "bad_strata", f"Points of one stratum in {job.sample} must all have its area in stratum_area_km2, more than 0."
            )
        weights = fields["stratum_weight"][first].astype(np.float64) if "stratum_weight" in fields else area[first] / area[first].sum()
        if not np.isclose(weights.sum(), 1, rtol=1e-3):
            raise EngineError(
                "bad_strata",
                f"The strata of {job.sample} make up {100 * weights.sum():.1f} % of the area: all points of some stratum are gone. "
                "Use the whole sample; points without a label may stay in it.",
            )
        in_order = np.argsort([STRATA.index(name) if name in STRATA else len(STRATA) for name in names], kind="stable")
        place = np.argsort(in_order)
        return cls([str(name) for name in names[in_order]], area[first][in_order], place[stratum], predicted.astype(np.int64), reference)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Points (n,) that say rock glacier or not."""
        return np.isin(self.reference, (0, 1))

    def rows(self, counts: NDArray[np.int64]) -> list[dict[str, Any]]:
        """What each stratum holds."""
        points = np.bincount(self.stratum, minlength=len(self.names))
        return [
            {
                "stratum": name,
                "area_km2": self.area_km2[h],
                "weight": self.area_km2[h] / self.area_km2.sum(),
                "points": points[h],
                "labelled": counts[h].sum(),
                "rock_glacier": counts[h][:, 0].sum(),
                "right": np.trace(counts[h]),
            }
            for h, name in enumerate(self.names)
        ]


def _labels(values: NDArray[np.generic], name: str, path: str, any_number: bool = False) -> NDArray[np.float64]:
    """A field (n,) as numbers, NaN where it is empty."""
    try:
        numbers = np.array([np.nan if value is None or str(value).strip() == "" else float(value) for value in values], dtype=np.float64)
    except ValueError as error:
        raise EngineError(
            "bad_labels", f"The field {name!r} of {path} holds {error.args[0].rpartition(': ')[2]}, which is no number."
        ) from error
    wrong = numbers[~(np.isnan(numbers) | np.isin(numbers, (0, 1, CANNOT_TELL)))]
    if len(wrong) and not any_number:
        raise EngineError("bad_labels", f"The field {name!r} of {path} holds {wrong[0]:g}; 1 is rock glacier, 0 is not, -1 cannot tell.")
    return numbers


def _unseen(sample: _Sample, counts: NDArray[np.int64]) -> list[str]:
    """Where all points of a stratum are alike, the interval takes it for certain that all of its ground is; of few others it makes much."""
    notes = []
    for name, area, (rock_glacier, background) in zip(sample.names, sample.area_km2, counts.sum(axis=1), strict=True):
        points = rock_glacier + background
        rare, others = (rock_glacier, "rock glacier") if rock_glacier <= background else (background, "background")
        if not points or rare >= FEW:
            continue
        if rare:
            notes.append(
                f"Only {rare} of the {points} points of the stratum {name} are {others}: the estimate leans on them, and its interval is "
                "probably too narrow. Label more points there."
            )
        else:
            share = 1 - 0.05 ** (1 / points)
            notes.append(
                f"None of the {points} points of the stratum {name} is {others}, so it adds nothing to the interval; "
                f"up to {100 * share:.1f} % of it ({share * area:.3f} km2) could be and not have been met (95 %). "
                "Label more points there."
            )
    return notes


def _numbers(found: Estimates, sample: _Sample) -> dict[str, Any]:
    whole = sample.area_km2.sum()
    return {
        "area": _figure(found.class_share[0], found.class_share_se[0], whole),
        "mapped_area_km2": found.matrix[0].sum() * whole,
        "whole_area_km2": whole,
        "overall_accuracy": _figure(found.overall_accuracy, found.overall_accuracy_se),
        "users_accuracy": _by_class(found.users_accuracy, found.users_accuracy_se),
        "producers_accuracy": _by_class(found.producers_accuracy, found.producers_accuracy_se),
        "matrix_km2": {
            f"mapped_{mapped}": {f"reference_{seen}": found.matrix[i, j] * whole for j, seen in enumerate(CLASSES)}
            for i, mapped in enumerate(CLASSES)
        },
    }


def _by_class(values: NDArray[np.float64], errors: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    return {name: _figure(value, error) for name, value, error in zip(CLASSES, values, errors, strict=True)}


def _figure(share: float, standard_error: float, unit: float = 1.0) -> dict[str, float]:
    """An estimate with its 95 % interval, which ends where a share does: at 0 and 1."""
    half = Z95 * standard_error
    return {
        "estimate": share * unit,
        "standard_error": standard_error * unit,
        "ci95": half * unit,
        "lo": float(np.maximum(share - half, 0)) * unit,
        "hi": float(np.minimum(share + half, 1)) * unit,
    }


def _rows(document: dict[str, Any]) -> dict[str, NDArray[np.generic]]:
    """The estimates as a table, one row each."""
    rows = [("area", "rock_glacier", "km2", document["area"])]
    rows.append(("mapped_area", "rock_glacier", "km2", {"estimate": document["mapped_area_km2"]}))
    rows.append(("overall_accuracy", "", "0-1", document["overall_accuracy"]))
    rows += [(name, cls, "0-1", document[name][cls]) for name in ("users_accuracy", "producers_accuracy") for cls in CLASSES]
    columns: dict[str, NDArray[np.generic]] = {
        "quantity": np.array([row[0] for row in rows], dtype=object),
        "class": np.array([row[1] for row in rows], dtype=object),
        "unit": np.array([row[2] for row in rows], dtype=object),
    }
    for name in ("estimate", "standard_error", "ci95", "lo", "hi"):
        columns[name] = np.array([row[3].get(name, np.nan) for row in rows], dtype=np.float64)
    columns["definition"] = np.array([DEFINITIONS[row[0]] for row in rows], dtype=object)
    return columns
