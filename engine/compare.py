"""Inventories of the same ground against each other: what changed between two, where k operators agree, and their consensus.

docs/comparing.md says what the classes mean and how the consensus comes about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.crs import CRS as RasterioCRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engine.errors import EngineError
from engine.local_maps import keeps_its_area, local_maps, middle_in_degrees, on_one_map
from engine.matching import OverlapGraph, areas_m2, components, counted_in, ground, match_objects, overlaps
from engine.outline_names import outline_names
from engine.outputs import whole_file
from engine.rasters import Grid, crs_name, windows, write_geotiff
from engine.reporting import Reporter, StagedReporter
from engine.search_area import SearchArea
from engine.threads import in_threads
from engine.vectors import PolygonLayer, read_outlines, reproject, written_polygons, written_table
from jobs import CompareInventoriesJob

Fields = dict[str, NDArray[np.generic]]

CHANGES = ("new", "missed", "split", "merged", "regrouped", "changed", "unchanged")
CHANGE_OF_KIND = {"missed": "missed", "false": "new", "1-n": "split", "n-1": "merged", "n-m": "regrouped"}
"""By :data:`engine.matching.KINDS`, older to newer; 1-1 is changed or unchanged."""

MATCHED = 0.5
"""Share of the smaller of two outlines from which an operator's outline is the consensus outline."""

DUST_M2 = 1.0
"""Smaller pieces come from the rounding of coordinates, not from a different look at the ground."""

LAYERS = {"output": ("comparison", "MultiPolygon"), "disagreements": ("disagreements", "Polygon"), "consensus": ("consensus", "Polygon")}
"""Names and geometries of the layers that are written."""

AT_ONCE = 64
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Inventory:
    """The outlines of one operator or one time that count: ``outlines`` (n,) on the common map, ``ids`` (n,), ``area_m2`` (n,)."""

    name: str
    outlines: NDArray[np.object_]
    ids: NDArray[np.str_]
    area_m2: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.outlines)


@dataclass(frozen=True)
class Comparison:
    """k inventories on one map.

    ``graphs``: of each pair of inventories (i, j), i < j: j takes the part of the predicted outlines, i of the reference.
    ``cluster``: of all outlines, those of the first inventory first (n,): which share ground, over all inventories, and
    belong together; ``holder`` (n,) the inventory of each.
    """

    inventories: list[Inventory]
    crs: CRS
    graphs: dict[tuple[int, int], OverlapGraph]
    cluster: NDArray[np.intp]
    holder: NDArray[np.intp]
    area_of_interest: NDArray[np.object_] | None

    @property
    def outlines(self) -> NDArray[np.object_]:
        """Of all inventories, (n,)."""
        return np.concatenate([inventory.outlines for inventory in self.inventories])

    @property
    def area_m2(self) -> NDArray[np.float64]:
        """Of all outlines, (n,)."""
        return np.concatenate([inventory.area_m2 for inventory in self.inventories])

    @property
    def held(self) -> NDArray[np.int64]:
        """(clusters, k) how many outlines an inventory has in a cluster."""
        count = np.zeros((int(self.cluster.max(initial=-1)) + 1, len(self.inventories)), np.int64)
        np.add.at(count, (self.cluster, self.holder), 1)
        return count


def compare_inventories(job: CompareInventoriesJob, reporter: Reporter) -> dict[str, Any]:
    """Inventories in; changes, agreement, disagreements, consensus and each operator's bias out.

    Returns
    -------
    ``inventories`` (list of ``name``, ``count``, ``total_area_km2``), ``new``, ``missed``, ``split``, ``merged``, ``regrouped``,
    ``changed``, ``unchanged`` (of two inventories, else None), the paths ``output``, ``agreement``, ``disagreements``,
    ``consensus``, ``operators``; where one of the last three is asked for ``n_disagreements``, ``n_consensus``,
    ``held_by_all_km2``, ``held_by_any_km2`` and ``bias`` (rows of the operators' table)

    Raises
    ------
    EngineError
        ``area_of_interest`` when it holds no polygon, ``crs_place`` when the layers do not lie on one map, ``no_outlines`` when
        there is no place for an agreement raster; those of :func:`engine.vectors.read_polygons`, :func:`engine.outputs.whole_file`;
        Cancelled.
    """
    comparison = _compared(job, reporter)
    names = [inventory.name for inventory in comparison.inventories]
    result: dict[str, Any] = {
        "inventories": [
            {"name": inventory.name, "count": len(inventory), "total_area_km2": inventory.area_m2.sum() / 1e6}
            for inventory in comparison.inventories
        ],
        **dict.fromkeys(CHANGES),
        **dict.fromkeys(("n_disagreements", "n_consensus", "held_by_all_km2", "held_by_any_km2", "bias")),
        **{name: getattr(job, name) for name in ("output", "agreement", "disagreements", "consensus", "operators")},
    }
    layers: dict[str, PolygonLayer] = {}
    table: Fields | None = None
    if len(names) == 2:
        reporter.progress(0.35, "changes")
        layers["output"], counts = changes(comparison, job.changed_iou, reporter.check_cancelled)
        result |= counts
    elif job.output:
        layers["output"] = agreement_of_outlines(comparison)
    if job.disagreements or job.consensus or job.operators:
        reporter.progress(0.45, "overlaying all outlines")
        overlay = overlaid(comparison, reporter.check_cancelled)
        reporter.progress(0.6, "disagreements and consensus")
        agreed = consensus(comparison, overlay, job.sliver, reporter.check_cancelled)
        layers["disagreements"] = disagreements(comparison, overlay, reporter.check_cancelled)
        layers["consensus"] = consensus_layer(comparison, agreed)
        table = operators(comparison, agreed, reporter.check_cancelled)
        counted = overlay.held.sum(axis=1)
        result |= {"n_disagreements": len(layers["disagreements"]), "n_consensus": len(agreed.outlines)}
        result |= {"held_by_all_km2": overlay.area_m2[counted == len(names)].sum() / 1e6}
        result |= {"held_by_any_km2": overlay.area_m2[counted > 0].sum() / 1e6}
        result["bias"] = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    with ExitStack() as files:
        for name, layer in layers.items():
            if path := getattr(job, name):
                files.enter_context(written_polygons(path, layer, *LAYERS[name]))
        if job.operators and table is not None:
            files.enter_context(written_table(job.operators, table, "operators"))
        if job.agreement:
            place = files.enter_context(whole_file(job.agreement))
            write_agreement(place, comparison, job.resolution, StagedReporter(reporter, 0.75, 0.98))
        reporter.check_cancelled()
    reporter.progress(1.0, "compared")
    return result


def _compared(job: CompareInventoriesJob, reporter: Reporter) -> Comparison:
    """Read the inventories, lay them on one map and find who shares ground with whom."""
    reporter.progress(0.0, "reading inventories")
    of_files = job.inventory_layers or ("",) * len(job.inventories)
    layers = [read_outlines(path, layer or None, reporter) for path, layer in zip(job.inventories, of_files, strict=True)]
    names = _told_apart(job.names or tuple(Path(path).stem for path in job.inventories))
    for name, layer in zip(names, layers, strict=True):
        if not len(layer):
            reporter.warning("no_outlines", f"{name} holds no outline.")
    ids = [outline_names(layer, name, reporter) for name, layer in zip(names, layers, strict=True)]
    # Inventories of whole mountain ranges come in degrees, where everything has its place.
    crs = next((layer.crs for layer in layers if layer.crs.is_geographic), layers[0].crs)
    everything = list(layers)
    if job.area_of_interest:
        everything.append(read_outlines(job.area_of_interest, job.area_of_interest_layer, reporter))
        if not len(everything[-1]):
            raise EngineError("area_of_interest", f"{job.area_of_interest} holds no polygon. Leave the area of interest out, or draw it.")
    placed = on_one_map([PolygonLayer(np.empty(0, object), crs), *everything])[1:]
    for path, layer, geometries in zip((*job.inventories, job.area_of_interest), everything, placed, strict=False):
        if not keeps_its_area(layer, geometries, crs):
            raise EngineError(
                "crs_place",
                f"{path} reaches beyond the area where the coordinate reference system {crs.name} of {job.inventories[0]} is defined. "
                "Reproject one of the inventories to longitude and latitude, or cut the larger one.",
            )
    outlines, area_of_interest = placed[: len(layers)], placed[-1] if job.area_of_interest else None

    graphs = {}
    pairs = list(combinations(range(len(layers)), 2))
    for number, (first, second) in enumerate(pairs):
        reporter.progress(0.1 + 0.2 * number / len(pairs), f"{names[first]} against {names[second]}")
        graphs[first, second] = overlaps(outlines[second], outlines[first], crs, job.sliver, reporter.check_cancelled)
    area = [graphs[0, 1].reference_m2, *(graphs[0, later].predicted_m2 for later in range(1, len(layers)))]
    if area_of_interest is not None:
        kept = [np.zeros(len(shapes), dtype=bool) for shapes in outlines]
        for (first, second), graph in graphs.items():
            of_second, of_first = counted_in(graph, outlines[second], outlines[first], area_of_interest)
            kept[first] |= of_first
            kept[second] |= of_second
        graphs = {(first, second): graph.where(kept[second], kept[first]) for (first, second), graph in graphs.items()}
        outlines = [shapes[k] for shapes, k in zip(outlines, kept, strict=True)]
        ids, area = [names_[k] for names_, k in zip(ids, kept, strict=True)], [m2[k] for m2, k in zip(area, kept, strict=True)]
        reporter.info(f"{sum(k.sum() for k in kept)} of {sum(len(k) for k in kept)} outlines count in the area of interest.")
    if not any(len(graph.pairs) for graph in graphs.values()) and all(len(shapes) for shapes in outlines):
        reporter.warning(
            "no_overlap",
            "No two inventories share any ground. Check that they are of the same place, with the right coordinate reference systems.",
        )
    inventories = [Inventory(*columns) for columns in zip(names, outlines, ids, area, strict=True)]
    return Comparison(inventories, crs, graphs, *_clusters(inventories, graphs), area_of_interest)


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names of which no two are the same: files of one name lie in several folders."""
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)]


def _clusters(inventories: list[Inventory], graphs: dict[tuple[int, int], OverlapGraph]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of all outlines: the cluster (n,) and the inventory (n,) that each is in."""
    starts = np.cumsum([0, *(len(inventory) for inventory in inventories)])
    links = [
        np.column_stack([starts[second] + graph.pairs[:, 0], starts[first] + graph.pairs[:, 1]])
        for (first, second), graph in graphs.items()
    ]
    ends = np.concatenate([np.empty((0, 2), np.intp), *links]).T
    _, cluster = connected_components(coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(starts[-1], starts[-1])), directed=False)
    return cluster.astype(np.intp), np.repeat(np.arange(len(inventories)), np.diff(starts))


def changes(comparison: Comparison, changed_iou: float, check: Callable[[], None] = lambda: None) -> tuple[PolygonLayer, dict[str, int]]:
    """What became of the outlines of the older of two inventories, and where those of the newer come from.

    Parameters
    ----------
    comparison : of two inventories, the older first
    changed_iou : outlines that share less than this of their joint area (0-1) have changed

    Returns
    -------
    One feature for each outline of both, and how many outlines are new (newer), missed (older), split (older), merged (newer),
    changed and unchanged (pairs), and groups that are both split and merged.

    Source
    ------
    RGI 7.0, rgi6_links: overlap areas both ways.
    """
    (older, newer), graph = comparison.inventories, comparison.graphs[0, 1]
    links = components(graph)
    covered = ground(graph, links, newer.outlines, older.outlines, comparison.crs, check)
    iou = np.where(links.matched, covered.shared_m2 / (covered.predicted_m2 + covered.reference_m2 - covered.shared_m2), np.nan)
    change = np.array([CHANGE_OF_KIND.get(kind, "") for kind in links.kind], dtype=object)
    alone = links.kind == "1-1"
    change[alone] = np.where(iou[alone] >= changed_iou, "unchanged", "changed")
    gain = covered.predicted_m2 - covered.reference_m2

    columns: list[Fields] = []
    for name, side, other, own, theirs, component in (
        ("older", older, newer, 1, 0, links.reference_component),
        ("newer", newer, older, 0, 1, links.predicted_component),
    ):
        shared = np.bincount(graph.pairs[:, own], graph.shared_m2, minlength=len(side))
        counterparts = _listed(graph.pairs[:, own], other.ids[graph.pairs[:, theirs]], len(side))
        number = np.bincount(graph.pairs[:, own], minlength=len(side))
        their_m2 = np.bincount(graph.pairs[:, own], other.area_m2[graph.pairs[:, theirs]], minlength=len(side))
        known = number > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            columns.append(
                {
                    "side": np.full(len(side), name, dtype=object),
                    "inventory": np.full(len(side), side.name, dtype=object),
                    "id": side.ids.astype(object),
                    "change": change[component],
                    "component": component + 1,
                    "n_older": links.n_reference[component],
                    "n_newer": links.n_predicted[component],
                    "counterparts": counterparts,
                    "area_km2": side.area_m2 / 1e6,
                    "counterpart_km2": np.where(known, their_m2, np.nan) / 1e6,
                    "overlap_km2": np.where(known, shared, np.nan) / 1e6,
                    "overlap_share": np.where(known, shared / side.area_m2, np.nan),
                    "counterpart_share": np.where(known, shared / their_m2, np.nan),
                    "iou": iou[component],
                    "area_change_km2": gain[component] / 1e6,
                    "area_change_percent": np.where(
                        covered.reference_m2 > 0, 100 * gain / np.where(covered.reference_m2 > 0, covered.reference_m2, 1), np.nan
                    )[component],
                }
            )
    fields = {name: np.concatenate([rows[name] for rows in columns]) for name in columns[0]}
    counts = {name: int((change == name).sum()) for name in CHANGES}
    return PolygonLayer(comparison.outlines, comparison.crs, fields), counts


def _listed(owner: NDArray[np.intp], names: NDArray[np.str_], count: int) -> NDArray[np.object_]:
    """The names that belong to each of ``count`` owners as one text, NULL where there is none."""
    texts: list[list[str]] = [[] for _ in range(count)]
    for index, name in zip(owner, names, strict=True):
        texts[index].append(str(name))
    return np.array([", ".join(text) or None for text in texts], dtype=object)


def agreement_of_outlines(comparison: Comparison) -> PolygonLayer:
    """All outlines of k inventories with their counterparts in the others.

    ``n_inventories``: how many have an outline in the cluster; ``agreement``: mean share of inventories, 0-1, that hold the outline's
    ground, its own included.
    """
    inventories = comparison.inventories
    shares = [np.ones((len(inventory), len(inventories))) for inventory in inventories]
    counterparts: list[list[list[str]]] = [[[] for _ in range(len(inventory))] for inventory in inventories]
    for (first, second), graph in comparison.graphs.items():
        pairs, shared = np.concatenate([graph.pairs, graph.slivers]), np.concatenate([graph.shared_m2, graph.sliver_m2])
        for own, other, mine, theirs in ((second, first, 0, 1), (first, second, 1, 0)):
            covered = np.bincount(pairs[:, mine], shared, minlength=len(inventories[own])) / inventories[own].area_m2
            shares[own][:, other] = np.minimum(covered, 1)
            named = _listed(graph.pairs[:, mine], inventories[other].ids[graph.pairs[:, theirs]], len(inventories[own]))
            for row in np.flatnonzero(named):
                counterparts[own][row].append(f"{inventories[other].name}: {named[row]}")
    fields: Fields = {
        "inventory": np.array([inventory.name for inventory in inventories], dtype=object)[comparison.holder],
        "id": np.concatenate([inventory.ids.astype(object) for inventory in inventories]),
        "component": comparison.cluster + 1,
        "n_inventories": (comparison.held > 0).sum(axis=1)[comparison.cluster],
        "agreement": np.concatenate([share.mean(axis=1) for share in shares]),
        "counterparts": np.array(["; ".join(texts) or None for rows in counterparts for texts in rows], dtype=object),
        "area_km2": comparison.area_m2 / 1e6,
    }
    return PolygonLayer(comparison.outlines, comparison.crs, fields)


@dataclass(frozen=True)
class Overlay:
    """All outlines of a comparison cut by each other into faces that do not overlap.

    ``faces`` (f,) Polygon; ``cluster`` (f,); ``area_m2`` (f,); ``held`` (f, k) which inventories hold a face;
    ``within`` (w, 2): outline and face, for each outline that holds a face.
    """

    faces: NDArray[np.object_]
    cluster: NDArray[np.intp]
    area_m2: NDArray[np.float64]
    held: NDArray[np.bool_]
    within: NDArray[np.intp]


def overlaid(comparison: Comparison, check: Callable[[], None] = lambda: None) -> Overlay:
    """Cut the outlines of each cluster by each other."""
    outlines = comparison.outlines
    order = np.argsort(comparison.cluster, kind="stable")
    clusters = len(comparison.held)
    starts = np.searchsorted(comparison.cluster[order], np.arange(clusters + 1))

    def cut(part: slice) -> tuple[NDArray[np.object_], NDArray[np.intp], NDArray[np.intp]]:
        faces: list[NDArray[np.object_]] = []
        for index in range(*part.indices(clusters)):
            members = outlines[order[starts[index] : starts[index + 1]]]
            if len(members) == 1:
                faces.append(shapely.get_parts(members))
            else:
                lines = shapely.get_parts(shapely.union_all(shapely.boundary(members)))
                faces.append(shapely.get_parts(shapely.polygonize(lines)))
        cluster = np.repeat(np.arange(clusters)[part], [len(parts) for parts in faces])
        all_faces = np.concatenate([np.empty(0, object), *faces])
        here = order[starts[part.start] : starts[min(part.stop, clusters)]]
        holder, face = shapely.STRtree(shapely.point_on_surface(all_faces)).query(outlines[here], predicate="contains")
        same = comparison.cluster[here[holder]] == cluster[face]
        return all_faces, cluster, np.column_stack([here[holder[same]], face[same]])

    cuts = in_threads(cut, clusters, AT_ONCE, check)
    offsets = np.cumsum([0, *(len(faces) for faces, _, _ in cuts)])
    faces = np.concatenate([np.empty(0, object), *(faces for faces, _, _ in cuts)])
    cluster = np.concatenate([np.empty(0, np.intp), *(numbers for _, numbers, _ in cuts)])
    within = np.concatenate(
        [np.empty((0, 2), np.intp), *(pairs + (0, offset) for (_, _, pairs), offset in zip(cuts, offsets[:-1], strict=True))]
    )
    held = np.zeros((len(faces), len(comparison.inventories)), dtype=bool)
    held[within[:, 1], comparison.holder[within[:, 0]]] = True
    # Within a cluster the map's scale hardly varies: the outlines' measured areas tell it.
    on_map = np.bincount(comparison.cluster, shapely.area(outlines), minlength=clusters)
    scale = np.bincount(comparison.cluster, comparison.area_m2, minlength=clusters) / on_map
    return Overlay(faces, cluster, shapely.area(faces) * scale[cluster], held, within)


def disagreements(comparison: Comparison, overlay: Overlay, check: Callable[[], None] = lambda: None) -> PolygonLayer:
    """Ground that some inventories hold and others do not, the largest piece first.

    ``kind``: ``presence`` where those that do not hold it have no outline there at all, ``boundary`` where one of them has.
    """
    inventories = comparison.inventories
    counted = overlay.held.sum(axis=1)
    differing = np.flatnonzero((counted > 0) & (counted < len(inventories)))
    alike = np.column_stack([overlay.cluster[differing], overlay.held[differing]])
    pieces, of_face = _united(overlay.faces[differing], _numbered(alike), check)
    first = differing[of_face]
    area = areas_m2(pieces, comparison.crs, check)
    order = np.flatnonzero(area >= DUST_M2)
    order = order[np.argsort(-area[order], kind="stable")]
    pieces, area, first = pieces[order], area[order], first[order]
    held, has = overlay.held[first], comparison.held[overlay.cluster[first]] > 0
    names = [inventory.name for inventory in inventories]
    fields: Fields = {
        "rank": np.arange(1, len(pieces) + 1),
        "kind": np.where((has & ~held).any(axis=1), "boundary", "presence").astype(object),
        "held_by": np.array([", ".join(name for name, holds in zip(names, row, strict=True) if holds) for row in held], dtype=object),
        "not_held_by": np.array(
            [", ".join(name for name, holds in zip(names, row, strict=True) if not holds) for row in held], dtype=object
        ),
        "n_held": held.sum(axis=1),
        "agreement": held.mean(axis=1) if len(held) else np.empty(0),
        "component": overlay.cluster[first] + 1,
        "area_km2": area / 1e6,
    }
    return PolygonLayer(pieces, comparison.crs, fields)


def _numbered(rows: NDArray[np.generic]) -> NDArray[np.intp]:
    """A number for each row (m, c); equal rows have the same."""
    numbers: NDArray[np.intp] = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    return numbers


def _united(faces: NDArray[np.object_], group: NDArray[np.intp], check: Callable[[], None]) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Faces (f,) of one group (f,) that meet along an edge as one polygon: (p,) Polygon, and a face (p,) of the group of each."""
    order = np.argsort(group, kind="stable")
    _, starts = np.unique(group[order], return_index=True)
    stops = np.append(starts, len(order))[1:]
    single = stops - starts == 1
    several = np.flatnonzero(~single)

    def united(part: slice) -> list[shapely.Geometry]:
        return [shapely.coverage_union_all(faces[order[starts[index] : stops[index]]]) for index in several[part]]

    unions = np.empty(len(starts), dtype=object)
    unions[single] = faces[order[starts[single]]]
    unions[several] = [union for unions_ in in_threads(united, len(several), 256, check) for union in unions_]
    parts, owner = shapely.get_parts(unions, return_index=True)
    return parts, order[starts[owner]]


@dataclass(frozen=True)
class Consensus:
    """Outlines of the ground that the majority holds, the largest first.

    ``outlines`` (c,) Polygon; ``area_m2`` (c,); ``agreement`` (c,) mean share of inventories, 0-1, that hold its ground;
    ``cluster`` (c,); ``graphs``: of each inventory's outlines (predicted) with the consensus outlines (reference).
    """

    outlines: NDArray[np.object_]
    area_m2: NDArray[np.float64]
    agreement: NDArray[np.float64]
    cluster: NDArray[np.intp]
    graphs: list[OverlapGraph]


def consensus(comparison: Comparison, overlay: Overlay, sliver: float, check: Callable[[], None] = lambda: None) -> Consensus:
    """Outlines of the ground that more than half of the inventories hold.

    Where most of them draw several outlines next to each other, the ground is divided along the borders of the one that
    shares most with it. Pieces below ``sliver`` (0-1) of the largest piece of their outline are left out.
    """
    k = len(comparison.inventories)
    counted = overlay.held.sum(axis=1)
    major = np.flatnonzero(2 * counted > k)
    part = _divided(comparison, overlay, major)
    group = _numbered(np.column_stack([overlay.cluster[major], part]))
    pieces, of_face = _united(overlay.faces[major], group, check)
    area = areas_m2(pieces, comparison.crs, check)
    largest = np.zeros(int(group.max(initial=-1)) + 1)
    np.maximum.at(largest, group[of_face], area)
    kept = area >= np.maximum(sliver * largest[group[of_face]], DUST_M2)
    pieces, area, cluster = pieces[kept], area[kept], overlay.cluster[major[of_face[kept]]]

    inner = shapely.point_on_surface(overlay.faces[major])
    face, piece = shapely.STRtree(pieces).query(inner, predicate="within")
    same = overlay.cluster[major[face]] == cluster[piece]
    face, piece = face[same], piece[same]
    of = np.full(len(overlay.faces), -1, dtype=np.intp)
    of[major[face]] = piece
    known = of >= 0
    weight, shared = overlay.area_m2[known], (overlay.area_m2 * counted / k)[known]
    agreement = np.bincount(of[known], shared, minlength=len(pieces)) / np.bincount(of[known], weight, minlength=len(pieces))
    order = np.argsort(-area, kind="stable")
    outlines = pieces[order]
    graphs = [overlaps(inventory.outlines, outlines, comparison.crs, sliver, check) for inventory in comparison.inventories]
    return Consensus(outlines, area[order], agreement[order], cluster[order], graphs)


def consensus_layer(comparison: Comparison, agreed: Consensus) -> PolygonLayer:
    """The consensus outlines, the largest first.

    ``n_operators``: inventories with an outline of it; ``area_sd_km2``, ``area_min_km2``, ``area_max_km2``: of the areas that these
    give it, as far as their outlines are of it alone (NaN where none is, the standard deviation where one is).
    """
    drawn = np.zeros((len(agreed.outlines), len(comparison.inventories)))
    has = np.zeros(drawn.shape, dtype=bool)
    for number, (inventory, graph) in enumerate(zip(comparison.inventories, agreed.graphs, strict=True)):
        outline, of = graph.pairs[match_objects(graph, "overlap", MATCHED).links].T
        several = np.bincount(outline, minlength=len(inventory)) > 1
        has[of, number] = True
        np.add.at(drawn[:, number], of, np.where(several[outline], np.nan, inventory.area_m2[outline]))
    drawn[~has] = np.nan
    known = np.isfinite(drawn)
    count = known.sum(axis=1)
    mean = np.nansum(drawn, axis=1) / np.maximum(count, 1)
    spread = np.sqrt(np.nansum((drawn - mean[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1))
    fields: Fields = {
        "id": np.arange(1, len(agreed.outlines) + 1),
        "area_km2": agreed.area_m2 / 1e6,
        "agreement": agreed.agreement,
        "n_operators": has.sum(axis=1),
        "area_sd_km2": np.where(count > 1, spread, np.nan) / 1e6,
        "area_min_km2": np.where(count > 0, np.where(known, drawn, np.inf).min(axis=1), np.nan) / 1e6,
        "area_max_km2": np.where(count > 0, np.where(known, drawn, 0).max(axis=1), np.nan) / 1e6,
        "component": agreed.cluster + 1,
    }
    return PolygonLayer(agreed.outlines, comparison.crs, fields)


def _divided(comparison: Comparison, overlay: Overlay, major: NDArray[np.intp]) -> NDArray[np.intp]:
    """A number for each face of the majority (m,); in clusters where most draw several outlines, that of the outline it belongs to."""
    part = np.zeros(len(major), dtype=np.intp)
    held, k = comparison.held, len(comparison.inventories)
    middle = np.zeros(len(held), np.int64)
    several = np.flatnonzero(held.max(axis=1, initial=0) > 1)
    middle[several] = [math.floor(np.median(row[row > 0])) for row in held[several]]
    wanted = np.flatnonzero(middle > 1)
    if not len(wanted):
        return part
    is_major = np.zeros(len(overlay.faces), dtype=bool)
    is_major[major] = True
    outline, face = overlay.within.T
    signed = np.where(is_major[face], 1, -1) * overlay.area_m2[face]  # in common with the consensus, less what is drawn besides
    agreeing = np.bincount(overlay.cluster[face] * k + comparison.holder[outline], signed, minlength=held.size).reshape(held.shape)
    far = np.where(held > 0, np.abs(held - middle[:, None]), np.iinfo(np.int64).max)
    model = np.where(far == far.min(axis=1, keepdims=True), agreeing, -np.inf).argmax(axis=1)
    of_model = comparison.holder[outline] == model[overlay.cluster[face]]
    drawn = np.full(len(overlay.faces), -1, dtype=np.intp)
    drawn[face[of_model]] = outline[of_model]
    starts = np.searchsorted(overlay.cluster[major], np.arange(len(held) + 1))  # faces come cluster by cluster
    for index in wanted:
        here = slice(starts[index], starts[index + 1])
        part[here] = _joined(overlay.faces[major[here]], drawn[major[here]])
    return part


def _joined(faces: NDArray[np.object_], outline: NDArray[np.intp]) -> NDArray[np.intp]:
    """Faces (m,) that lie in no outline (-1) get the one of the neighbour with the longest common border."""
    outline = outline.copy()
    borders = shapely.boundary(faces)
    while (outline < 0).any() and (outline >= 0).any():
        free, taken = np.flatnonzero(outline < 0), np.flatnonzero(outline >= 0)
        length = shapely.length(shapely.intersection(borders[free][:, None], borders[taken][None, :]))
        if not length.any():
            break
        row, column = np.unravel_index(length.argmax(), length.shape)
        outline[free[row]] = outline[taken[column]]
    return outline


def operators(comparison: Comparison, agreed: Consensus, check: Callable[[], None] = lambda: None) -> Fields:
    """Each inventory against the consensus, which it is a part of: one row each.

    Found is what shares at least half of the smaller outline. ``area_deviation_percent``: mean over the correspondences with the consensus,
    so that what an inventory draws as one is compared with all that it holds; ``merged``, ``split``: consensus outlines that are
    one with others in the inventory, or several.
    """
    rows: list[dict[str, Any]] = []
    for inventory, graph in zip(comparison.inventories, agreed.graphs, strict=True):
        matched = match_objects(graph, "overlap", MATCHED)
        links = components(graph)
        covered = ground(graph, links, inventory.outlines, agreed.outlines, comparison.crs, check)
        both = links.matched
        deviation = 100 * (covered.predicted_m2[both] / covered.reference_m2[both] - 1)
        rows.append(
            {
                "inventory": inventory.name,
                "outlines": len(inventory),
                "total_area_km2": inventory.area_m2.sum() / 1e6,
                "mean_area_km2": inventory.area_m2.mean() / 1e6 if len(inventory) else math.nan,
                "producers_accuracy": matched.reference.mean() if len(matched.reference) else math.nan,
                "users_accuracy": matched.predicted.mean() if len(inventory) else math.nan,
                "area_deviation_percent": deviation.mean() if both.any() else math.nan,
                "missed": (~matched.reference).sum(),
                "extra": (~matched.predicted).sum(),
                "merged": links.n_reference[links.kind == "n-1"].sum(),
                "split": links.n_reference[links.kind == "1-n"].sum(),
            }
        )
    return {name: np.array([row[name] for row in rows], dtype=object if name == "inventory" else None) for name in rows[0]}


def write_agreement(place: Path, comparison: Comparison, resolution: float, reporter: Reporter) -> None:
    """Raster of the share of inventories, 0-1, that hold the centre of a pixel; NaN outside the area of interest, where there is one."""
    grid, crs = _grid(comparison, resolution)

    def on_grid(outlines: NDArray[np.object_]) -> SearchArea:
        return SearchArea(PolygonLayer(reproject(outlines, comparison.crs, crs), crs), grid)

    held = [on_grid(inventory.outlines) for inventory in comparison.inventories]
    looked = on_grid(comparison.area_of_interest) if comparison.area_of_interest is not None else SearchArea(None, grid)
    reporter.info(f"agreement raster: {grid.width} x {grid.height} pixels of {resolution:g} m, {crs_name(grid.crs)}")
    with write_geotiff(place, grid, ["agreement"]) as dataset:
        for window in windows(grid, ROWS_AT_ONCE, grid.width):
            reporter.progress(window.row_off / grid.height, "agreement raster")
            share = np.zeros((window.height, grid.width), np.float32)
            for area in held:
                if area.touches(window.row_off, window.height):
                    share += area.inside(window.row_off, window.height)
            share /= len(held)
            share[~looked.inside(window.row_off, window.height)] = np.nan
            dataset.write(share, 1, window=window)


def _grid(comparison: Comparison, resolution: float) -> tuple[Grid, CRS]:
    """Pixels in metres over all outlines and the area of interest: on their map, in a UTM zone, or on an equal-area map of several."""
    shapes = comparison.outlines
    if comparison.area_of_interest is not None:
        shapes = np.concatenate([shapes, comparison.area_of_interest])
    if not len(shapes):
        raise EngineError("no_outlines", "No inventory holds an outline: there is no place for an agreement raster.")
    maps = list(local_maps(shapes, comparison.crs))
    _, crs, placed = maps[0]
    if len(maps) > 1:
        whole = np.array([shapely.box(*shapely.total_bounds(shapes))], dtype=object)
        (longitude,), (latitude,) = middle_in_degrees(whole, comparison.crs)
        crs = CRS.from_dict({"proj": "laea", "lon_0": longitude, "lat_0": latitude, "datum": "WGS84", "units": "m"})
        placed = reproject(shapes, comparison.crs, crs)
    left, bottom, right, top = shapely.total_bounds(placed) / resolution
    left, top = math.floor(left), math.ceil(top)
    transform = Affine(resolution, 0, left * resolution, 0, -resolution, top * resolution)
    size = max(1, math.ceil(right) - left), max(1, top - math.floor(bottom))
    return Grid(RasterioCRS.from_wkt(crs.to_wkt()), transform, *size), crs
