"""Accuracy of predicted against reference outlines: the numbers, a layer and a table of correspondences, a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine import __version__, accuracy
from engine.boundary_distances import boundary_distances, signed_by_section
from engine.boundary_distances import summary as boundary_summary
from engine.errors import EngineError
from engine.fall_line import on_slopes
from engine.geodesy import geodesic_area
from engine.local_maps import keeps_its_area, on_one_map
from engine.matching import (
    KINDS,
    Correspondences,
    Ground,
    OverlapGraph,
    components,
    counted_in,
    ground,
    link_table,
    match_objects,
    overlaps,
)
from engine.outline_names import outline_names
from engine.outputs import made_folder, whole_file, written_json
from engine.rasters import Grid, ground_pixel_size, open_raster
from engine.report import page, size_ranges
from engine.reporting import Reporter
from engine.sections import SECTIONS, sections
from engine.terminal import plain
from engine.vectors import PolygonLayer, read_outlines, written_polygons, written_table
from jobs import MATCH_RULES, AssessJob

Fields = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Outlines:
    """The outlines of one side that count: ``geometries`` (n,) on the common map, ``names`` (n,) text."""

    geometries: NDArray[np.object_]
    names: NDArray[np.str_]

    def where(self, kept: NDArray[np.bool_]) -> Outlines:
        """Those that ``kept`` (n,) marks."""
        return Outlines(self.geometries[kept], self.names[kept])


@dataclass(frozen=True)
class Assessment:
    """What was found out.

    ``numbers``: all figures, as the JSON file has them; ``distances``: of each correspondence with both sides, in their order.
    """

    predicted: Outlines
    reference: Outlines
    crs: CRS
    area_of_interest: NDArray[np.object_] | None
    graph: OverlapGraph
    correspondences: Correspondences
    covered: Ground
    distances: Mapping[str, NDArray[np.float64]]
    numbers: dict[str, Any]


def assess(job: AssessJob, reporter: Reporter) -> dict[str, Any]:
    """Accuracy of predicted against reference outlines.

    With an area of interest, an outline counts when at least half of it lies in there or its partner counts; it counts whole. Pixels
    count where they lie.

    Returns
    -------
    all numbers (``objects``, ``correspondences``, ``areas``, ``pixels``, ``boundaries``, ``settings``, ``inputs``, ``software``,
    ``date``) and the paths ``output``, ``table``, ``json``, ``report``, ``figures`` (None where not asked for)

    Raises
    ------
    EngineError
        ``area_of_interest`` when it holds no polygon, ``crs_place`` when the layers do not lie on one map; those of
        :func:`engine.vectors.read_polygons`, :func:`engine.rasters.open_raster`, :func:`engine.outputs.whole_file`; Cancelled.

    Source
    ------
    Lin et al. (2024), section 3.4.3, Table 2, Figures 6, 9, 11; docs/accuracy.md.
    """
    assessment = _assess(job, reporter)
    _write(job, assessment, reporter)
    reporter.progress(1.0, "assessed")
    paths = {name: getattr(job, name) for name in ("output", "table", "json", "report", "figures")}
    return {**assessment.numbers, **paths}


def _assess(job: AssessJob, reporter: Reporter) -> Assessment:
    reporter.progress(0.0, "reading outlines")
    layers = {
        "predicted": read_outlines(job.predicted, job.predicted_layer, reporter),
        "reference": read_outlines(job.reference, job.reference_layer, reporter),
    }
    if job.area_of_interest:
        layers["area_of_interest"] = _area_of_interest(job.area_of_interest, job.area_of_interest_layer, reporter)
    crs = layers["predicted"].crs
    placed = dict(zip(layers, on_one_map(list(layers.values())), strict=True))
    for name, geometries in placed.items():
        if not keeps_its_area(layers[name], geometries, crs):
            raise EngineError(
                "crs_place",
                f"{getattr(job, name)} does not fit on the map of {job.predicted} ({crs.name}): it reaches beyond the area where that "
                "coordinate reference system is defined. Reproject the predicted outlines to one that holds both, longitude and latitude "
                "perhaps, or cut what is too large.",
            )
    predicted, reference = (Outlines(placed[side], outline_names(layers[side], side, reporter)) for side in ("predicted", "reference"))
    area_of_interest = placed.get("area_of_interest")

    reporter.progress(0.1, "overlaying the outlines")
    graph = overlaps(predicted.geometries, reference.geometries, crs, job.sliver, reporter.check_cancelled)
    area_m2 = {"predicted": graph.predicted_m2, "reference": graph.reference_m2}
    if area_of_interest is not None:
        area_m2["area_of_interest"] = geodesic_area(area_of_interest, crs)
    reporter.progress(0.3, "pixels")
    pixels, pixel_size = _pixels(job, predicted.geometries, reference.geometries, crs, area_of_interest, graph)
    if area_of_interest is not None:
        counted = counted_in(graph, predicted.geometries, reference.geometries, area_of_interest)
        graph, predicted, reference = graph.where(*counted), predicted.where(counted[0]), reference.where(counted[1])
    _warn(job, predicted, reference, graph, pixels["confusion"], reporter)

    reporter.progress(0.4, "correspondences")
    correspondences = components(graph)
    covered = ground(graph, correspondences, predicted.geometries, reference.geometries, crs, reporter.check_cancelled)
    reporter.progress(0.5, "boundaries")
    both = correspondences.matched
    compared = covered.predicted[both], _of_one_part_as_polygons(covered.reference[both])
    distances = boundary_distances(*compared, crs, pixel_size, check=reporter.check_cancelled)
    if job.dem:
        alone = correspondences.n_reference[both] == 1
        distances |= signed_by_section(*compared, _sections(job.dem, compared[1], alone, crs, reporter), crs, pixel_size)
    counts = {"predicted": len(predicted.names), "reference": len(reference.names)}
    numbers = plain(
        {
            "objects": accuracy.objects(graph, job.min_overlap, job.min_iou),
            "correspondences": _counts(correspondences),
            "areas": accuracy.areas(correspondences, covered),
            "pixels": pixels,
            "boundaries": boundary_summary(distances),
            "settings": _settings(job, pixel_size),
            "inputs": _inputs(job, layers, counts, area_m2),
            "software": {"name": "Rock Glacier Mapper", "version": __version__},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    return Assessment(predicted, reference, crs, area_of_interest, graph, correspondences, covered, distances, numbers)


def _area_of_interest(path: str, layer: str | None, reporter: Reporter) -> PolygonLayer:
    """Polygons with vertices so close that their edges stay where they are on another map."""
    area = read_outlines(path, layer, reporter)
    if not len(area):
        raise EngineError("area_of_interest", f"{path} holds no polygon. Leave the area of interest out, or draw it.")
    left, bottom, right, top = shapely.total_bounds(area.geometries)
    return replace(area, geometries=shapely.segmentize(area.geometries, max(right - left, top - bottom) / 500))


def _pixels(
    job: AssessJob,
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    area_of_interest: NDArray[np.object_] | None,
    graph: OverlapGraph,
) -> tuple[dict[str, Any], float]:
    """Pixel figures, by the probability raster's pixels or else by areas, and the pixel size in metres."""
    if job.probability is None:
        return accuracy.pixels(accuracy.confusion_of_areas(predicted, reference, crs, area_of_interest, graph), "m2"), job.pixel_size
    with open_raster(job.probability) as raster:
        confusion = accuracy.confusion_of_pixels(predicted, reference, crs, raster, area_of_interest)
        return accuracy.pixels(confusion, "pixels"), float(np.mean(ground_pixel_size(Grid.of(raster))))


def _of_one_part_as_polygons(outlines: NDArray[np.object_]) -> NDArray[np.object_]:
    """Outlines (n,), those that are the only part of a MultiPolygon, as many programs write them, taken out of it."""
    wrapped = (shapely.get_type_id(outlines) == shapely.GeometryType.MULTIPOLYGON) & (shapely.get_num_geometries(outlines) == 1)
    unwrapped = outlines.copy()
    unwrapped[wrapped] = shapely.get_geometry(outlines[wrapped], 0)
    return unwrapped


def _sections(
    dem: str, references: NDArray[np.object_], alone: NDArray[np.bool_], crs: CRS, reporter: Reporter
) -> list[NDArray[np.int8] | None]:
    """Front, sides and upslope section of reference outlines (n,) that stand for one rock glacier, ``alone`` (n,); None where unknown."""
    known: list[NDArray[np.int8] | None] = [None] * len(references)
    whole = alone & (shapely.get_type_id(references) == shapely.GeometryType.POLYGON)
    chosen = np.flatnonzero(whole)
    with open_raster(dem) as dataset:
        for done, found in enumerate(on_slopes(references[chosen], crs, dataset)):
            reporter.progress(0.7 + 0.1 * done / len(chosen), "sections of the boundaries")
            if found is not None:
                known[chosen[found.index]] = sections(found.outline, found.axis)
    without = sum(section is None for section in known)
    if without:
        reporter.info(
            f"{without} of {len(known)} correspondences have no sections: several reference outlines, unknown elevation or flat ground."
        )
    return known


def _warn(
    job: AssessJob,
    predicted: Outlines,
    reference: Outlines,
    graph: OverlapGraph,
    confusion: Mapping[str, float | None],
    reporter: Reporter,
) -> None:
    where = f" within {job.area_of_interest}" if job.area_of_interest else ""
    for side, outlines in (("predicted", predicted), ("reference", reference)):
        if not len(outlines.names):
            reporter.warning("no_outlines", f"There is no {side} outline in {getattr(job, side)}{where}: some figures are unknown.")
    if len(predicted.names) and len(reference.names) and not len(graph.pairs):
        reporter.warning(
            "no_overlap",
            f"No outline of {job.predicted} shares ground with one of {job.reference}. Check that both lie in the same place, "
            "with the right coordinate reference systems.",
        )
    if job.probability and (len(predicted.names) or len(reference.names)) and not (confusion["tp"] or confusion["fp"] or confusion["fn"]):
        reporter.warning("probability_elsewhere", f"{job.probability} has no data where the outlines lie: the pixel figures say nothing.")


def _counts(correspondences: Correspondences) -> dict[str, Any]:
    by_kind = {}
    for kind in KINDS:
        of_kind = correspondences.kind == kind
        by_kind[kind] = {
            "components": of_kind.sum(),
            "reference": correspondences.n_reference[of_kind].sum(),
            "predicted": correspondences.n_predicted[of_kind].sum(),
        }
    return {"components": len(correspondences), "by_kind": by_kind}


def _settings(job: AssessJob, pixel_size: float) -> dict[str, Any]:
    names = ("match_rule", "min_overlap", "min_iou", "sliver")
    return {**{name: getattr(job, name) for name in names}, "pixel_size_m": pixel_size, "area_of_interest": bool(job.area_of_interest)}


def _inputs(
    job: AssessJob, layers: Mapping[str, PolygonLayer], counted: Mapping[str, int], area_m2: Mapping[str, NDArray[np.float64]]
) -> dict[str, Any]:
    """What went in; files by their names, for a report travels without the folders of the machine it was made on."""
    inputs: dict[str, Any] = {}
    for name, layer in layers.items():
        inputs[name] = {
            "file": Path(getattr(job, name)).name,
            "layer": getattr(job, f"{name}_layer"),
            "crs": ":".join(layer.crs.to_authority() or (layer.crs.name,)),
            "count": len(layer),
            "counted": counted.get(name, len(layer)),
            "area_km2": area_m2[name].sum() / 1e6,
            "repaired": layer.repaired,
            "dropped": layer.dropped,
        }
    inputs |= {name: {"file": Path(getattr(job, name)).name} for name in ("probability", "dem") if getattr(job, name)}
    return inputs


def _write(job: AssessJob, assessment: Assessment, reporter: Reporter) -> None:
    """All outputs that were asked for, each whole, and none of them when one fails."""
    reporter.progress(0.8, "figures")
    wanted = ("svg", "png") if job.figures else ("svg",)
    figures = _figures(assessment, wanted, reporter.check_cancelled) if job.report or job.figures else {}
    reporter.progress(0.9, "writing")
    with ExitStack() as files:

        def place(path: str) -> Path:
            return files.enter_context(whole_file(path))

        if job.output:
            layer = PolygonLayer(*_correspondence_layer(assessment))
            files.enter_context(written_polygons(job.output, layer, "correspondences", "MultiPolygon"))
        if job.table:
            columns = link_table(assessment.graph, assessment.correspondences, assessment.predicted.names, assessment.reference.names)
            files.enter_context(written_table(job.table, _in_32_bits(columns), "correspondences"))
        if job.json:
            files.enter_context(written_json(job.json, assessment.numbers))
        if job.report:
            vector = {name: drawn["svg"] for name, drawn in figures.items()}
            place(job.report).write_text(page(assessment.numbers, _to_look_at(assessment), vector), encoding="utf-8")
        if job.figures:
            folder = files.enter_context(made_folder(job.figures))
            for name, drawn in figures.items():
                for ending, content in drawn.items():
                    place(str(folder / f"{name}.{ending}")).write_bytes(content)
        reporter.check_cancelled()


def _figures(assessment: Assessment, formats: tuple[str, ...], check: Callable[[], None]) -> dict[str, dict[str, bytes]]:
    """The report's figures, name -> format -> content of the file."""
    from engine import figures  # noqa: PLC0415 heavy

    covered, both, distances = assessment.covered, assessment.correspondences.matched, assessment.distances
    reference_km2, predicted_km2 = covered.reference_m2[both] / 1e6, covered.predicted_m2[both] / 1e6
    classes = list(zip(accuracy.SIZE_CLASSES, size_ranges(), strict=True))
    links = assessment.correspondences
    kinds = links.kind[links.predicted_component], links.kind[links.reference_component]
    cumulated = {"mean": "mean_m", "95 % Hausdorff": "hd95_m", "Hausdorff": "hausdorff_m"}
    by_section = {section: distances[name] for section in SECTIONS if (name := f"signed_mean_{section}_m") in distances}
    drawn: dict[str, dict[str, bytes]] = {}
    with figures.style():
        made = {
            "areas": figures.areas(
                reference_km2,
                predicted_km2,
                np.digitize(reference_km2, accuracy.SIZE_LIMITS_KM2),
                classes,
                assessment.numbers["areas"]["regression"],
            ),
            "correspondences": figures.correspondences(
                assessment.predicted.geometries, assessment.reference.geometries, kinds, assessment.crs, assessment.area_of_interest
            ),
            "boundaries": figures.boundaries(
                distances["signed_mean_m"], {label: distances[name] for label, name in cumulated.items()}, by_section
            ),
        }
        for name, figure in made.items():
            check()
            drawn[name] = {ending: figures.rendered(figure, ending) for ending in formats}
    return drawn


def _correspondence_layer(assessment: Assessment) -> tuple[NDArray[np.object_], CRS, Fields]:
    """One feature for each outline of both sides, with what is known of its correspondence."""
    sides = ((assessment.predicted, "predicted"), (assessment.reference, "reference"))
    found = [match_objects(assessment.graph, rule, assessment.numbers["settings"].get(f"min_{rule}", 0.0)) for rule in MATCH_RULES]
    components_of = (assessment.correspondences.predicted_component, assessment.correspondences.reference_component)
    component = np.concatenate(components_of)
    of_component = _by_component(assessment)
    own: Fields = {
        "side": np.repeat([side for _, side in sides], [len(outlines.names) for outlines, _ in sides]).astype(object),
        "outline": np.concatenate([outlines.names for outlines, _ in sides]).astype(object),
        "area_km2": np.concatenate([assessment.graph.predicted_m2, assessment.graph.reference_m2]) / 1e6,
    }
    for rule, match in zip(MATCH_RULES, found, strict=True):
        own[f"matched_{rule}"] = np.concatenate([match.predicted, match.reference]).astype(np.int32)
    fields: Fields = {"component": component + 1, "kind": of_component.pop("kind")[component], **own}
    fields |= {name: values[component] for name, values in of_component.items()}
    outlines = np.concatenate([outlines.geometries for outlines, _ in sides])
    order = np.lexsort((fields["side"].astype(str), component))
    return outlines[order], assessment.crs, _in_32_bits({name: values[order] for name, values in fields.items()})


def _in_32_bits(fields: Fields) -> Fields:
    """Whole numbers as every format that QGIS writes knows them."""
    return {name: values.astype(np.int32) if values.dtype == np.int64 else values for name, values in fields.items()}


def _by_component(assessment: Assessment) -> Fields:
    """What is known of each correspondence, (c,) values each: kind, areas, deviation, boundary distances."""
    table = accuracy.correspondence_table(
        assessment.correspondences, assessment.covered, assessment.predicted.names, assessment.reference.names
    )
    fields: Fields = {name: values for name, values in table.items() if name not in ("component", "predicted", "reference")}
    for name, values in assessment.distances.items():
        fields[name] = np.full(len(assessment.correspondences), np.nan)
        fields[name][assessment.correspondences.matched] = values
    return fields


def _to_look_at(assessment: Assessment, count: int = 10) -> list[dict[str, Any]]:
    """The correspondences with the largest differences in area, missed and false ones among them."""
    table = accuracy.correspondence_table(
        assessment.correspondences, assessment.covered, assessment.predicted.names, assessment.reference.names
    )
    difference = np.abs(np.nan_to_num(table["predicted_km2"]) - np.nan_to_num(table["reference_km2"]))
    return [{name: plain(values[row]) for name, values in table.items()} for row in np.argsort(-difference, kind="stable")[:count]]
