"""Where an outline may come apart: candidate cuts within it, their components and scores, and the division into pieces.

Candidates are the borders between hills of four surfaces within an outline: its own shape, the probability, the relief and the
elevation. Each is measured, its components are combined to a score, and the best are made. docs/splitting.md tells the
method, how the score was calibrated, and how often it is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]

SCALE_SHARE = 0.2
"""Scale of the work over the width of the smallest unit: what is finer are ridges and furrows on one rock glacier."""

WIDE = 2.5
"""Scale of the valley that a furrow has to be sharper than, over the scale of the work."""

CERTAIN = 1e-3
"""Probabilities closer than this to 0 or 1 say no more than this: a network's last digits."""

WELL_KNOWN = 0.95
"""Share of a cut that the rasters have to know."""

LARGEST_WIDTH_RATIO = 5.0
"""Borders longer than this many times the narrower side's width wind about; they are no candidates."""

WORTH_A_LOOK = 0.1
"""Candidates with a lower score are not told."""

ALIKE = 0.7
"""Candidates whose smaller sides share more than this over their joint area are one candidate."""

MORE_CELLS = 5
"""Cells beside a border that its smooth line may bend into."""

REACH = 0.01
"""Metres by which a cut reaches across the boundary, so that both meet in spite of rounding."""

WEIGHTS: dict[tuple[bool, bool], dict[str, float]] = {
    (True, False): {"intercept": -5.24, "lower_peak": 0.92, "neck_depth": 1.57, "neck_width_ratio": -1.44, "area_ratio": 2.23},
    (False, True): {"intercept": -7.09, "neck_width_ratio": -1.21, "area_ratio": 3.50, "furrow": 3.05, "divide": 0.60, "fronts": 3.40},
    (True, True): {
        **{"intercept": -8.03, "lower_peak": 1.03, "neck_depth": 1.74, "neck_width_ratio": -0.71, "area_ratio": 2.93},
        **{"furrow": 2.86, "divide": 0.75, "fronts": 2.63},
    },
}
"""Probability known, elevation known -> what one unit of each component's :func:`scaled` value adds to the logit of the score."""


@dataclass(frozen=True)
class Cut:
    """A line across an outline that may part two rock glaciers.

    ``line`` in metres; ``source`` of the candidate: shape, probability, relief or divide; ``sides`` two (rows, cols) masks.
    Components, NaN where no raster tells:

    ``neck_width_ratio`` length of the line over the width of the narrower side, more than 0;
    ``area_ratio`` smaller over larger side, 0-1;
    ``lower_peak`` probability of the lower peak of the two sides, 0-1: low where one side is hardly a rock glacier;
    ``neck_depth`` how far the log-odds of the probability fall from that peak to the line's highest point;
    ``furrow`` metres that the line lies below the ground one scale to both sides, beyond what a wide valley explains, mean;
    ``divide`` 0 where all water runs across the line, 1 where it runs along it, towards it or away from it on both sides, mean;
    ``fronts`` height of the line's lowest point above the lowest point of the boundary of each side, over the relief of
    that side, the smaller of the two values, at most 1: more than 0 where each side ends in a front of its own.

    ``score`` 0-1; ``made`` whether it was made.
    """

    line: shapely.LineString
    source: str
    sides: tuple[Mask, Mask]
    neck_width_ratio: float
    area_ratio: float
    lower_peak: float = math.nan
    neck_depth: float = math.nan
    furrow: float = math.nan
    divide: float = math.nan
    fronts: float = math.nan
    score: float = math.nan
    made: bool = False


COMPONENTS = ("lower_peak", "neck_depth", "neck_width_ratio", "area_ratio", "furrow", "divide", "fronts")


def scaled(component: str, value: float) -> float:
    """A component as the score takes it: ratios and depths by their logarithm, so that the first metre counts most."""
    if component == "neck_width_ratio":
        return math.log(value)
    if component == "area_ratio":
        return math.sqrt(value)
    if component in ("neck_depth", "furrow"):
        return math.log1p(max(value, 0.0))
    if component == "fronts":
        return max(value, 0.0)
    return value


def score(cut: Cut, probability_known: bool, elevation_known: bool) -> float:
    """Score 0-1 of a cut by the rasters that are known there: the logistic function of its weighted components."""
    weights = WEIGHTS[probability_known, elevation_known]
    logit = weights["intercept"] + sum(
        weight * scaled(component, getattr(cut, component)) for component, weight in weights.items() if component != "intercept"
    )
    return 1 / (1 + math.exp(-logit))


@dataclass(frozen=True)
class Ground:
    """What rasters say around an outline, on one grid of square cells in metres.

    ``probability`` 0-1 and ``elevation`` in metres, (rows, cols), NaN where unknown, None where no raster says enough;
    ``transform`` cell corner to map; ``scale`` in metres: finer things belong to one rock glacier.
    """

    transform: Affine
    shape: tuple[int, int]
    scale: float
    probability: Array | None = None
    elevation: Array | None = None

    @property
    def cell(self) -> float:
        """Width of a cell in metres."""
        return float(self.transform.a)

    @property
    def sigma(self) -> float:
        """The scale in cells."""
        return self.scale / self.cell

    @cached_property
    def known(self) -> Mask:
        """Where all rasters that count are known."""
        known = np.ones(self.shape, dtype=bool)
        for values in (self.probability, self.elevation):
            if values is not None:
                known &= np.isfinite(values)
        return known

    @cached_property
    def log_odds(self) -> Array:
        """Of the probability, smoothed by half the scale."""
        assert self.probability is not None
        probability = np.clip(self.probability, CERTAIN, 1 - CERTAIN)
        return smoothed(np.log(probability / (1 - probability)), self.sigma / 2)

    @cached_property
    def fine(self) -> Array:
        """Elevation without its noise: smoothed by half the scale."""
        assert self.elevation is not None
        return smoothed(self.elevation, self.sigma / 2)

    @cached_property
    def smooth(self) -> Array:
        """Elevation smoothed by the scale."""
        assert self.elevation is not None
        return smoothed(self.elevation, self.sigma)

    @cached_property
    def downslope(self) -> tuple[Array, Array]:
        """Rows and columns that the smooth ground falls along, not normalised."""
        rows, columns = np.gradient(self.smooth)
        return np.asarray(-rows), np.asarray(-columns)

    @cached_property
    def sharpness(self) -> Array:
        """Concavity of the ground at a fine scale beyond what the concavity at a wide one explains, metres; high in furrows."""
        assert self.elevation is not None
        fine, wide = 0.6 * self.sigma, 0.6 * WIDE * self.sigma
        return concavity(self.elevation, fine) - concavity(self.elevation, wide) / WIDE**2


def smoothed(values: Array, sigma: float) -> Array:
    """Gaussian smoothing by ``sigma`` cells; unknown cells take the nearest known value."""
    known = np.isfinite(values)
    if not known.all():
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    result: Array = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3)
    return result


def concavity(elevation: Array, sigma: float) -> Array:
    """How far the ground bends upwards in its most concave direction, metres at the scale of ``sigma`` cells, (rows, cols).

    The larger eigenvalue of the Hessian of the smoothed surface, times the square of ``sigma``.
    """
    surface = np.pad(smoothed(elevation, sigma), 1, mode="edge") * sigma**2
    middle = 2 * surface[1:-1, 1:-1]
    rows = surface[2:, 1:-1] + surface[:-2, 1:-1] - middle
    columns = surface[1:-1, 2:] + surface[1:-1, :-2] - middle
    mixed = (surface[2:, 2:] + surface[:-2, :-2] - surface[2:, :-2] - surface[:-2, 2:]) / 4
    bend: Array = (rows + columns) / 2 + np.hypot((rows - columns) / 2, mixed)
    return bend


def hills(surface: Array, mask: Mask, smallest: float) -> tuple[Labels, list[tuple[int, int]]]:
    """Hills of a surface, parted in its valleys, and the passes that connect them.

    Parameters
    ----------
    surface : (rows, cols)
    mask : (rows, cols), one connected piece
    smallest : cells; smaller hills are taken for part of the hill behind their highest pass

    Returns
    -------
    labels : (rows, cols), 0 outside the mask
    passes : pairs of labels, the tree of the highest passes: one fewer than there are hills

    Source
    ------
    Vincent and Soille (1991), Watersheds in digital spaces, as scikit-image has them.
    """
    from skimage.segmentation import watershed  # noqa: PLC0415 heavy

    floor = surface[mask].min() - 1
    inside = np.where(mask, surface, floor)
    peaks, _ = ndimage.label((inside == ndimage.maximum_filter(inside, size=3)) & mask, structure=np.ones((3, 3)))
    labels = watershed(-inside, peaks, mask=mask).astype(np.int32)
    first, second, height = _passes(labels, inside)
    cells = np.bincount(labels.ravel(), minlength=labels.max() + 1).astype(float)
    belongs = np.arange(labels.max() + 1)

    def hill(label: int) -> int:
        while belongs[label] != label:
            belongs[label] = label = belongs[belongs[label]]
        return label

    from_the_top = np.argsort(-height)
    joined = True
    while joined:
        joined = False
        for k in from_the_top:
            one, other = hill(first[k]), hill(second[k])
            if one != other and min(cells[one], cells[other]) < smallest:
                belongs[other] = one
                cells[one] += cells[other]
                joined = True
    of_hill = np.array([hill(label) for label in range(len(belongs))], dtype=np.int32)
    passes = []
    for k in from_the_top:
        one, other = hill(first[k]), hill(second[k])
        if one != other:
            passes.append((int(of_hill[first[k]]), int(of_hill[second[k]])))
            belongs[other] = one
    return of_hill[labels], passes


def _passes(labels: Labels, surface: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Pairs of labels that border on each other, and the height of the highest pass between them."""
    base = int(labels.max()) + 1
    keys, heights = [], []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        one, other = labels[here], labels[there]
        border = (one != other) & (one > 0) & (other > 0)
        keys.append(np.minimum(one, other)[border].astype(np.int64) * base + np.maximum(one, other)[border])
        heights.append(np.minimum(surface[here], surface[there])[border])
    pairs, index = np.unique(np.concatenate(keys), return_inverse=True)
    height = np.full(len(pairs), -np.inf)
    np.maximum.at(height, index, np.concatenate(heights))
    return pairs // base, pairs % base, height


def bipartitions(labels: Labels, passes: Sequence[tuple[int, int]]) -> Iterator[tuple[Mask, Mask]]:
    """The two sides of each pass of a tree of hills; both sides are connected."""
    for closed in passes:
        side, size = {closed[0]}, 0
        while len(side) > size:
            size = len(side)
            for one, other in passes:
                if (one, other) != closed and (one in side) != (other in side):
                    side |= {one, other}
        here = np.isin(labels, list(side))
        yield here, (labels > 0) & ~here


def candidates(outline: shapely.Polygon, ground: Ground, min_area: float) -> list[Cut]:
    """Lines across an outline that may part rock glaciers, with their components and scores, best first.

    Parameters
    ----------
    outline : without holes, in metres
    ground : what the rasters say there; at least one of probability and elevation is given
    min_area : smallest side, square metres

    Returns
    -------
    Cuts that are not made yet. One side of each may still turn out smaller than ``min_area`` by a cell's width.
    """
    mask = rasterize([outline], ground.shape, transform=ground.transform).astype(bool)
    mask = _largest_piece(mask)
    smallest = 0.9 * min_area / ground.cell**2
    if mask.sum() < 2 * smallest:
        return []
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    found: list[Cut] = []
    for source, surface in _surfaces(ground, mask, depth).items():
        for sides in bipartitions(*hills(surface, mask, smallest)):
            cells = sorted(side.sum() for side in sides)
            width = 2 * min(depth[side].max() for side in sides) * ground.cell
            if cells[0] < smallest:
                continue
            edges, border = _border(*sides)
            if edges * ground.cell > 1.5 * LARGEST_WIDTH_RATIO * width:
                continue
            line = _line_between(sides[0][tuple(nearest)], border, outline, ground.transform)
            if line is None or not 0 < line.length < LARGEST_WIDTH_RATIO * width:
                continue
            cut = Cut(line, source, sides, line.length / width, cells[0] / cells[1])
            measured = _measured(cut, ground, mask & (depth < 2))
            if measured is not None:
                found.append(measured)
    return _without_doubles(sorted(found, key=lambda cut: -cut.score))


def _surfaces(ground: Ground, mask: Mask, depth: Array) -> dict[str, Array]:
    """Surfaces whose hills may be rock glaciers. Depth within the outline keeps their valleys from wandering along its rim."""
    inner = depth / depth.max()
    surfaces = {"shape": smoothed(depth, 1.0)}
    if ground.probability is not None:
        surfaces["probability"] = ground.log_odds + inner
    if ground.elevation is not None:
        sharpness = smoothed(ground.sharpness, ground.sigma / 4)
        spread = float(ground.sharpness[mask].std())
        if spread > 0:
            surfaces["relief"] = 2 * inner - sharpness / spread
        surfaces["divide"] = -ground.smooth
    return surfaces


def _largest_piece(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    return mask if count < 2 else pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])


def _border(one: Mask, other: Mask) -> tuple[int, tuple[slice, slice]]:
    """Number of cell edges between two masks, and the part of the grid where they are, with some cells more."""
    count, found = 0, []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        rows, columns = np.nonzero((one[here] & other[there]) | (other[here] & one[there]))
        count += len(rows)
        found.append(np.stack([rows, columns]))
    places = np.concatenate(found, axis=1)
    (top, left), (bottom, right) = np.maximum(places.min(axis=1) - MORE_CELLS, 0), places.max(axis=1) + MORE_CELLS + 2
    return count, (slice(int(top), int(bottom)), slice(int(left), int(right)))


def _line_between(one: Mask, border: tuple[slice, slice], outline: shapely.Polygon, transform: Affine) -> shapely.LineString | None:
    """The line across the outline where a mask that covers one of its sides, and the ground beyond it, ends; without the cells' steps.

    ``border``: the part of the mask where that is.
    """
    from skimage.measure import find_contours  # noqa: PLC0415 heavy

    top, left = border[0].start, border[1].start
    best = None
    for contour in find_contours(ndimage.gaussian_filter(one[border].astype(np.float64), 1.0), 0.5):
        if len(contour) < 2:
            continue
        x, y = transform @ (contour[:, 1] + left + 0.5, contour[:, 0] + top + 0.5)
        for part in shapely.get_parts(shapely.intersection(shapely.LineString(np.column_stack([x, y])), outline)):
            if part.geom_type == "LineString" and not part.is_closed and (best is None or part.length > best.length):
                best = part
    return None if best is None else best.simplify(0.1 * abs(transform.a))


def _measured(cut: Cut, ground: Ground, rim: Mask) -> Cut | None:
    """The cut with its components and its score; None where it runs over unknown ground or does not reach across."""
    if not all((side & rim).any() for side in cut.sides):
        return None
    steps = max(2, math.ceil(2 * cut.line.length / ground.cell))
    x, y = shapely.get_coordinates(shapely.line_interpolate_point(cut.line, np.linspace(0, cut.line.length, steps))).T
    columns, rows = ~ground.transform @ (x, y)
    along = np.array([rows - 0.5, columns - 0.5])
    if not ground.known.all() and _sampled(ground.known.astype(np.float64), along).mean() < WELL_KNOWN:
        return None
    if ground.probability is not None:
        lower_peak = min(ground.log_odds[side].max() for side in cut.sides)
        neck_depth = lower_peak - _sampled(ground.log_odds, along).max()
        cut = replace(cut, lower_peak=float(1 / (1 + np.exp(-lower_peak))), neck_depth=float(neck_depth))
    if ground.elevation is not None:
        step = np.gradient(along, axis=1)
        across = np.array([-step[1], step[0]]) / np.maximum(np.hypot(*step), 1e-9)
        cut = replace(
            cut,
            furrow=_furrow(ground, along, across),
            divide=_divide(ground, along, across),
            fronts=_fronts(ground, along, [side & rim for side in cut.sides], cut.sides),
        )
    return replace(cut, score=score(cut, ground.probability is not None, ground.elevation is not None))


def _sampled(values: Array, places: Array) -> Array:
    """Values at rows and columns (2, n), bilinear."""
    result: Array = ndimage.map_coordinates(values, places, order=1, mode="nearest")
    return result


def _furrow(ground: Ground, along: Array, across: Array) -> float:
    def rise(distance: float) -> Array:
        sides = [_sampled(ground.fine, along + way * distance * across) for way in (-1, 1)]
        return np.asarray(np.mean(sides, axis=0) - _sampled(ground.fine, along))

    return float((rise(ground.sigma) - np.maximum(rise(WIDE * ground.sigma) / WIDE**2, 0)).mean())


def _divide(ground: Ground, along: Array, across: Array) -> float:
    flows = []
    for way in (-1, 1):
        fall = np.array([_sampled(component, along + way * 1.5 * ground.sigma * across) for component in ground.downslope])
        flows.append((fall * across).sum(axis=0) / np.maximum(np.hypot(*fall), 1e-9))
    runs_through = np.where(flows[0] * flows[1] > 0, np.minimum(np.abs(flows[0]), np.abs(flows[1])), 0.0)
    return float(1 - runs_through.mean())


def _fronts(ground: Ground, along: Array, rims: Sequence[Mask], sides: Sequence[Mask]) -> float:
    lowest = _sampled(ground.smooth, along).min()
    shares = []
    for rim, side in zip(rims, sides, strict=True):
        relief = max(float(np.ptp(ground.smooth[side])), 1.0)
        shares.append((lowest - ground.smooth[rim].min()) / relief)
    return float(min(*shares, 1.0))


def _without_doubles(cuts: Sequence[Cut]) -> list[Cut]:
    """The cuts without those that part an outline much as a better one, which comes before, does."""
    kept: list[Cut] = []
    for cut in cuts:
        if not any(_alike(cut, better) for better in kept):
            kept.append(cut)
    return kept


def _alike(cut: Cut, other: Cut) -> bool:
    smaller = min(cut.sides, key=np.sum)
    return any((smaller & side).sum() > ALIKE * (smaller | side).sum() for side in other.sides)


def divided(outline: shapely.Polygon, lines: Sequence[shapely.LineString]) -> list[shapely.Polygon]:
    """The pieces of an outline between lines across it; lines may end on each other. Shared borders are identical.

    Parameters
    ----------
    outline : in metres, holes allowed
    lines : each from the boundary of the outline, or of a piece that lines before it cut off, to the same boundary
    """
    reaching = [_lengthened(line) for line in lines]
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.union_all([outline.boundary, *reaching]))))
    return [face for face in faces if outline.contains(face.representative_point())]


def _lengthened(line: shapely.LineString) -> shapely.LineString:
    places = shapely.get_coordinates(line)
    for end, inner in ((0, 1), (-1, -2)):
        way = places[end] - places[inner]
        places[end] += REACH * way / np.hypot(*way)
    return shapely.LineString(places)


@dataclass(frozen=True)
class Division:
    """What became of an outline: ``pieces`` in metres, the outline itself where nothing was cut, and all ``cuts``."""

    pieces: list[shapely.Polygon]
    cuts: list[Cut] = field(default_factory=list)


def divide(outline: shapely.Polygon, ground: Ground, min_area: float, min_score: float) -> Division:
    """Cut an outline where a cut scores ``min_score`` or more: the best cut first, then both pieces in the same way.

    Parameters
    ----------
    outline : in metres, holes allowed
    ground : what the rasters say there
    min_area : smallest piece, square metres
    min_score : 0-1

    Returns
    -------
    pieces that make up the outline, and the cuts, made and not made
    """
    made: list[Cut] = []
    left_alone: list[Cut] = []
    pieces = [outline]
    pending = [shapely.Polygon(outline.exterior)]
    while pending:
        piece = pending.pop()
        found = candidates(piece, ground, min_area) if piece.area >= 2 * min_area else []
        for cut in found:
            now = divided(outline, [*(other.line for other in made), cut.line]) if cut.score >= min_score else []
            if len(now) == len(pieces) + 1 and min(part.area for part in now) >= min_area:
                made.append(replace(cut, made=True))
                pieces = now
                pending += divided(piece, [cut.line])
                break
        else:
            left_alone += [cut for cut in found if WORTH_A_LOOK <= cut.score < min_score]
    return Division(pieces, made + left_alone)
