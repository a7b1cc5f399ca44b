"""Which predicted outline is which reference outline: shared ground, objects matched by a rule, correspondences.

Everything starts from the :class:`OverlapGraph`. Layers are laid on one map first (:func:`engine.local_maps.on_one_map`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from engine.geodesy import geodesic_area

SLIVER = 0.05
"""Overlaps below this share of both outlines are chance (RGI 7 leaves them out when it links inventories)."""

KINDS = ("1-1", "n-1", "1-n", "n-m", "missed", "false")
"""Reference to predicted, as Lin et al. (2024) count in Figure 6: ``n-1`` are several reference outlines in one predicted."""

AT_ONCE = 256
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
    crs: CRS,
    sliver: float = SLIVER,
    check: Callable[[], None] = lambda: None,
) -> OverlapGraph:
    """The ground that two layers share, outline by outline.

    Parameters
    ----------
    predicted, reference : (p,), (r,) valid Polygon or MultiPolygon on one map (:func:`engine.local_maps.on_one_map`)
    crs : of that map; areas are measured on its ellipsoid
    sliver : overlaps below this share (0-1) of both outlines are left out; 0 keeps all that share ground
    check : called between pieces of work, may raise to stop

    Source
    ------
    RGI 7.0, rgi6_links: links below 5 % of area are left out.
    """


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


def link_table(
    graph: OverlapGraph, correspondences: Correspondences, predicted_names: Sequence[Any], reference_names: Sequence[Any]
) -> dict[str, NDArray[np.generic]]:
    """One row for each pair of outlines that share ground, and for each missed and false outline.

    Columns: ``component`` (from 1), ``kind``, ``predicted``, ``reference`` (names, empty where there is none),
    ``predicted_km2``, ``reference_km2``, ``overlap_km2``, ``predicted_share``, ``reference_share``, ``iou`` (NaN where there is no pair).
    """


def correspondence_table(
    correspondences: Correspondences, covered: Ground, predicted_names: Sequence[Any], reference_names: Sequence[Any]
) -> dict[str, NDArray[np.generic]]:
    """One row for each correspondence, (c,) values each.

    Columns: ``component`` (from 1), ``kind``, ``n_predicted``, ``n_reference``, ``predicted``, ``reference`` (names, comma between),
    ``predicted_km2``, ``reference_km2`` (NaN where there is none), ``overlap_km2``, ``predicted_share``, ``reference_share``, ``iou``,
    ``deviation_km2`` (predicted - reference), ``deviation_percent`` (of the reference area), ``size_class`` (of the reference area,
    of the predicted area where false).
    """
