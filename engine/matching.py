"""Which predicted outline is which reference outline: shared ground, objects matched by a rule, correspondences.

Everything starts from the :class:`OverlapGraph`. Layers are laid on one map first (:func:`engine.local_maps.on_one_map`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from engine.geodesy import geodesic_area
from engine.threads import in_threads
from engine.vectors import polygonal

SLIVER = 0.05
"""Overlaps below this share of both outlines are chance (RGI 7 leaves them out when it links inventories)."""

KINDS = ("1-1", "n-1", "1-n", "n-m", "missed", "false")
"""Reference to predicted, as Lin et al. (2024) count in Figure 6: ``n-1`` are several reference outlines in one predicted."""

AT_ONCE = 500
"""Outlines that a thread takes at a time."""


@dataclass(frozen=True)
class OverlapGraph:
    """Which predicted outlines share ground with which reference outlines, slivers left out.

    ``pairs`` (m, 2) index of the predicted and of the reference outline, sorted; ``shared_m2`` (m,) their common ground;
    ``predicted_m2`` (p,), ``reference_m2`` (r,) areas of all outlines; all in square metres on the ellipsoid.
    ``slivers`` (s, 2), ``sliver_m2`` (s,): the overlaps that were left out.
    """

    pairs: NDArray[np.intp]
    shared_m2: NDArray[np.float64]
    predicted_m2: NDArray[np.float64]
    reference_m2: NDArray[np.float64]
    slivers: NDArray[np.intp]
    sliver_m2: NDArray[np.float64]

    @property
    def predicted_share(self) -> NDArray[np.float64]:
        """Share of the predicted outline that lies in the reference outline, (m,), 0-1."""
        return self.shared_m2 / self.predicted_m2[self.pairs[:, 0]]

    @property
    def reference_share(self) -> NDArray[np.float64]:
        """Share of the reference outline that lies in the predicted outline, (m,), 0-1."""
        return self.shared_m2 / self.reference_m2[self.pairs[:, 1]]

    @property
    def overlap(self) -> NDArray[np.float64]:
        """Shared area over the smaller area, (m,), 0-1."""
        return np.maximum(self.predicted_share, self.reference_share)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Shared area over the joint area (intersection over union), (m,), 0-1."""
        joint = self.predicted_m2[self.pairs[:, 0]] + self.reference_m2[self.pairs[:, 1]] - self.shared_m2
        return self.shared_m2 / joint

    def where(self, predicted: NDArray[np.bool_], reference: NDArray[np.bool_]) -> OverlapGraph:
        """The graph of some of the predicted (p,) and some of the reference (r,) outlines, by their new indices."""
        new = np.cumsum(predicted) - 1, np.cumsum(reference) - 1

        def kept(pairs: NDArray[np.intp], area: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
            stay = predicted[pairs[:, 0]] & reference[pairs[:, 1]]
            return np.column_stack([new[0][pairs[stay, 0]], new[1][pairs[stay, 1]]]), area[stay]

        return OverlapGraph(
            *kept(self.pairs, self.shared_m2),
            self.predicted_m2[predicted],
            self.reference_m2[reference],
            *kept(self.slivers, self.sliver_m2),
        )


def overlaps(
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS | None,
    sliver: float = SLIVER,
    check: Callable[[], None] = lambda: None,
) -> OverlapGraph:
    """The ground that two layers share, outline by outline.

    Parameters
    ----------
    predicted, reference : (p,), (r,) valid Polygon or MultiPolygon on one map (:func:`engine.local_maps.on_one_map`)
    crs : of that map; areas are measured on its ellipsoid. None: on the map itself, in square map units, quicker and enough for shares
        of outlines that lie on each other
    sliver : overlaps below this share (0-1) of both outlines are left out; 0 keeps all that share ground
    check : called between pieces of work, may raise to stop

    Source
    ------
    RGI 7.0, rgi6_links: links below 5 % of area are left out.
    """
    predicted_m2, reference_m2 = areas_m2(predicted, crs, check), areas_m2(reference, crs, check)
    pairs, area = shared_ground(predicted, reference, crs, check)
    linked = area >= sliver * np.minimum(predicted_m2[pairs[:, 0]], reference_m2[pairs[:, 1]])
    return OverlapGraph(pairs[linked], area[linked], predicted_m2, reference_m2, pairs[~linked], area[~linked])


def shared_ground(
    predicted: NDArray[np.object_], reference: NDArray[np.object_], crs: CRS | None, check: Callable[[], None] = lambda: None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """All pairs (m, 2) of outlines that share ground, sorted, and the area (m,) that they share, measured as :func:`overlaps` does."""
    candidates = shapely.STRtree(reference).query(predicted)
    candidates = candidates[:, np.lexsort(candidates[::-1])].T

    def shared(part: slice) -> NDArray[np.float64]:
        start, stop = np.searchsorted(candidates[:, 0], [part.start, part.stop])
        first, second = predicted[candidates[start:stop, 0]], reference[candidates[start:stop, 1]]
        area = np.zeros(len(first))
        shapely.prepare(first)
        meet = np.flatnonzero(shapely.intersects(first, second))
        shapely.destroy_prepared(first)
        area[meet] = _area(_polygonal(shapely.intersection(first[meet], second[meet])), crs)
        return area

    area = np.concatenate([np.empty(0), *in_threads(shared, len(predicted), AT_ONCE, check)])
    return candidates[area > 0], area[area > 0]


def pair_iou(first: NDArray[np.object_], second: NDArray[np.object_]) -> NDArray[np.float64]:
    """Shared over joint area of pairs of polygons (n,) on one map, measured on that map: (n,), 0-1, NaN where both are empty."""
    shared = shapely.area(shapely.intersection(first, second))
    joint = shapely.area(first) + shapely.area(second) - shared
    return np.asarray(np.divide(shared, joint, out=np.full(len(joint), np.nan), where=joint > 0))


def areas_m2(outlines: NDArray[np.object_], crs: CRS | None, check: Callable[[], None] = lambda: None) -> NDArray[np.float64]:
    """Areas of outlines (n,) on the ellipsoid, square metres; on the map where ``crs`` is None."""
    return np.concatenate([np.empty(0), *in_threads(lambda part: _area(outlines[part], crs), len(outlines), AT_ONCE, check)])


def _area(outlines: NDArray[np.object_], crs: CRS | None) -> NDArray[np.float64]:
    return np.asarray(shapely.area(outlines)) if crs is None else geodesic_area(outlines, crs)


def _polygonal(overlays: NDArray[np.object_]) -> NDArray[np.object_]:
    """Overlays (n,) without the points and lines in which outlines merely touch."""
    mixed = np.flatnonzero(
        (shapely.get_dimensions(overlays) < 2) | (shapely.get_type_id(overlays) == shapely.GeometryType.GEOMETRYCOLLECTION)
    )
    overlays[mixed] = [polygonal(overlay) for overlay in overlays[mixed]]
    return overlays


@dataclass(frozen=True)
class Correspondences:
    """Outlines that belong together: connected components of the overlap graph.

    ``predicted_component`` (p,), ``reference_component`` (r,): the component that each outline is in, 0 ... c - 1, counted
    in the order of the reference outlines, false ones last. ``kind`` (c,) one of :data:`KINDS`;
    ``n_predicted``, ``n_reference`` (c,) outlines in each.
    """

    predicted_component: NDArray[np.intp]
    reference_component: NDArray[np.intp]
    kind: NDArray[np.str_]
    n_predicted: NDArray[np.intp]
    n_reference: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Components with outlines of both sides, (c,)."""
        return (self.n_predicted > 0) & (self.n_reference > 0)


def components(graph: OverlapGraph) -> Correspondences:
    """Correspondences as connected components of the overlap graph.

    Source
    ------
    Lin et al. (2024), section 3.4.3 and Figure 6, with ``n-m`` besides; RGI 7.0, rgi6_links.
    """
    n_reference, n_predicted = len(graph.reference_m2), len(graph.predicted_m2)
    count = n_reference + n_predicted
    ends = graph.pairs[:, 1], n_reference + graph.pairs[:, 0]
    number, label = connected_components(coo_array((np.ones(len(graph.pairs)), ends), shape=(count, count)), directed=False)
    label = label.astype(np.intp)
    of_reference, of_predicted = label[:n_reference], label[n_reference:]
    references, predictions = np.bincount(of_reference, minlength=number), np.bincount(of_predicted, minlength=number)
    kind = np.select(
        [predictions == 0, references == 0, (references == 1) & (predictions == 1), predictions == 1, references == 1],
        ["missed", "false", "1-1", "n-1", "1-n"],
        "n-m",
    )
    return Correspondences(of_predicted, of_reference, kind, predictions, references)


@dataclass(frozen=True)
class Ground:
    """What each of c correspondences covers; ground that outlines of one layer share counts once.

    ``predicted``, ``reference`` (c,) unions of the outlines, None where there is none; ``predicted_m2``, ``reference_m2``,
    ``shared_m2`` (c,) square metres on the ellipsoid, 0 where there is none.
    """

    predicted: NDArray[np.object_]
    reference: NDArray[np.object_]
    predicted_m2: NDArray[np.float64]
    reference_m2: NDArray[np.float64]
    shared_m2: NDArray[np.float64]


def ground(
    graph: OverlapGraph,
    correspondences: Correspondences,
    predicted: NDArray[np.object_],
    reference: NDArray[np.object_],
    crs: CRS,
    check: Callable[[], None] = lambda: None,
) -> Ground:
    """The ground of each correspondence; parameters as in :func:`overlaps`."""
    links = correspondences
    predicted_union, predicted_m2 = _unions(predicted, links.predicted_component, graph.predicted_m2, len(links), crs, check)
    reference_union, reference_m2 = _unions(reference, links.reference_component, graph.reference_m2, len(links), crs, check)
    shared_m2 = np.zeros(len(links))
    component = links.predicted_component[graph.pairs[:, 0]]
    alone = links.kind[component] == "1-1"
    shared_m2[component[alone]] = graph.shared_m2[alone]
    several = np.flatnonzero(links.matched & (links.kind != "1-1"))
    shared_m2[several] = areas_m2(_polygonal(shapely.intersection(predicted_union[several], reference_union[several])), crs, check)
    return Ground(predicted_union, reference_union, predicted_m2, reference_m2, shared_m2)


def _unions(
    outlines: NDArray[np.object_],
    component: NDArray[np.intp],
    area_m2: NDArray[np.float64],
    count: int,
    crs: CRS,
    check: Callable[[], None],
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Union of the outlines of each of ``count`` components, None where there is none, and its area in square metres."""
    union, area = np.full(count, None, dtype=object), np.zeros(count)
    union[component], area[component] = outlines, area_m2
    order = np.argsort(component, kind="stable")
    starts = np.searchsorted(component[order], np.arange(count + 1))
    several = np.flatnonzero(np.diff(starts) > 1)

    def united(part: slice) -> list[shapely.Geometry]:
        return [shapely.union_all(outlines[order[starts[index] : starts[index + 1]]]) for index in several[part]]

    union[several] = [shape for shapes in in_threads(united, len(several), AT_ONCE, check) for shape in shapes]
    area[several] = areas_m2(union[several], crs, check)
    return union, area


@dataclass(frozen=True)
class ObjectMatch:
    """Objects matched by one rule.

    ``predicted`` (p,), ``reference`` (r,) bool: which outlines have a partner; ``links`` (k,) indices into the pairs of
    the graph: who is whose.
    """

    predicted: NDArray[np.bool_]
    reference: NDArray[np.bool_]
    links: NDArray[np.intp]


def match_objects(graph: OverlapGraph, rule: str, minimum: float = 0.0) -> ObjectMatch:
    """Objects that have a partner in the other layer.

    Parameters
    ----------
    graph : from :func:`overlaps`
    rule : ``intersection`` any shared ground; ``overlap`` shared area over the smaller area; ``iou`` shared over joint
        area, each outline with one partner at most, so that the sum of IoU is largest
    minimum : of the rule's ratio, 0-1; not used by ``intersection``
    """
    if rule == "iou":
        links = _best_partners(graph.pairs, graph.iou, minimum)
    else:
        links = np.flatnonzero(graph.overlap >= minimum) if rule == "overlap" else np.arange(len(graph.pairs))
    predicted, reference = np.zeros(len(graph.predicted_m2), dtype=bool), np.zeros(len(graph.reference_m2), dtype=bool)
    predicted[graph.pairs[links, 0]] = True
    reference[graph.pairs[links, 1]] = True
    return ObjectMatch(predicted, reference, links)


def _best_partners(pairs: NDArray[np.intp], iou: NDArray[np.float64], minimum: float) -> NDArray[np.intp]:
    """Indices of the pairs (m, 2) that give each outline one partner at most and the largest sum of IoU."""
    links = np.flatnonzero(iou >= minimum)
    if not len(links):
        return links
    rows, columns = (np.unique(pairs[links, side], return_inverse=True)[1] for side in (0, 1))
    n_rows, n_columns = rows.max() + 1, columns.max() + 1
    if n_rows == n_columns == len(links):
        return links
    # Each row may also have a partner of its own that adds nothing: so all rows have one, as the solver wants it.
    nobody = np.arange(n_rows)
    worth = np.concatenate([1 + iou[links], np.ones(n_rows)])
    places = np.concatenate([rows, nobody]), np.concatenate([columns, n_columns + nobody])
    row, column = min_weight_full_bipartite_matching(coo_array((worth, places)).tocsr(), maximize=True)
    real = column < n_columns
    return links[np.isin(rows * n_columns + columns, row[real] * n_columns + column[real])]


def counted_in(
    graph: OverlapGraph, predicted: NDArray[np.object_], reference: NDArray[np.object_], area_of_interest: NDArray[np.object_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which outlines count within an area of interest, (p,), (r,).

    Those that lie in it with at least half of their area, and those that share ground with one of them: an outline on the
    edge must not be missed or false because its partner lies just outside. They count whole.

    Parameters
    ----------
    area_of_interest : (k,) polygons on the map of the outlines
    """
    within = shapely.union_all(area_of_interest)
    shapely.prepare(within)

    def mostly_within(outlines: NDArray[np.object_]) -> NDArray[np.bool_]:
        inside = shapely.covers(within, outlines)
        edge = np.flatnonzero(~inside & shapely.intersects(within, outlines))
        inside[edge] = shapely.area(shapely.intersection(within, outlines[edge])) >= shapely.area(outlines[edge]) / 2
        return inside

    of_predicted, of_reference = mostly_within(predicted), mostly_within(reference)
    first, second = graph.pairs.T
    partner_of_predicted, partner_of_reference = first[of_reference[second]], second[of_predicted[first]]
    of_predicted[partner_of_predicted] = True
    of_reference[partner_of_reference] = True
    return of_predicted, of_reference


def link_table(
    graph: OverlapGraph, correspondences: Correspondences, predicted_names: Iterable[Any], reference_names: Iterable[Any]
) -> dict[str, NDArray[np.generic]]:
    """One row for each pair of outlines that share ground, and for each missed and false outline.

    Columns: ``component`` (from 1), ``kind``, ``predicted``, ``reference`` (names, None where there is none), ``predicted_km2``,
    ``reference_km2``, ``overlap_km2``, ``predicted_share``, ``reference_share`` (of the area that lies in the other), ``iou``;
    NaN where there is no pair.
    """
    n_predicted, n_reference = len(graph.predicted_m2), len(graph.reference_m2)
    missed = np.setdiff1d(np.arange(n_reference), graph.pairs[:, 1])
    false = np.setdiff1d(np.arange(n_predicted), graph.pairs[:, 0])
    predicted = np.concatenate([graph.pairs[:, 0], np.full(len(missed), -1), false])
    reference = np.concatenate([graph.pairs[:, 1], missed, np.full(len(false), -1)])
    component = np.maximum(
        np.append(correspondences.predicted_component, -1)[predicted], np.append(correspondences.reference_component, -1)[reference]
    )
    alone = len(missed) + len(false)
    columns: dict[str, NDArray[np.generic]] = {
        "component": component + 1,
        "kind": correspondences.kind[component].astype(object),
        "predicted": np.array([*map(str, predicted_names), None], dtype=object)[predicted],
        "reference": np.array([*map(str, reference_names), None], dtype=object)[reference],
        "predicted_km2": np.append(graph.predicted_m2, np.nan)[predicted] / 1e6,
        "reference_km2": np.append(graph.reference_m2, np.nan)[reference] / 1e6,
        "overlap_km2": np.append(graph.shared_m2, np.full(alone, np.nan)) / 1e6,
        "predicted_share": np.append(graph.predicted_share, np.full(alone, np.nan)),
        "reference_share": np.append(graph.reference_share, np.full(alone, np.nan)),
        "iou": np.append(graph.iou, np.full(alone, np.nan)),
    }
    order = np.argsort(component, kind="stable")
    return {name: values[order] for name, values in columns.items()}
