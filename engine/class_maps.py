"""How much of each outline lies on certain classes of a map: of permafrost, of snow and cloud; a raster or polygons.

A map's cells may measure a kilometre where rock glaciers cover a tenth of one: an outline's share is measured by exact
areas, cell by cell, never by cell centres. What a map does not say is unknown, never "not of the class".
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import MaskFlags
from rasterio.features import shapes
from rasterio.io import DatasetReader
from rasterio.windows import Window

from engine.errors import EngineError
from engine.geodesy import geodesic_area
from engine.rasters import open_raster, read
from engine.reporting import Reporter
from engine.vectors import PolygonLayer, read_polygons, reproject

UNKNOWN, OTHER, COUNTED = 0, 1, 2
"""State of a map's cell."""

CELLS_AT_ONCE = 16_000_000
"""A part of a map with no more cells than this is read in one piece."""

BUFFER_TOLERANCE = 0.01
"""Share of the buffer's width by which its boundary may be off."""

EXAMPLES = "Examples: 1 (one class), 1,3 (two classes), 1-3 (a range), >=0.5 (a condition; <, <=, >, >=, == and != are known)."

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CONDITION = re.compile(rf"(<=|>=|==|!=|=|<|>)\s*({_NUMBER})")
_RANGE = re.compile(rf"({_NUMBER})(?:\s*-\s*({_NUMBER}))?")
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "==": operator.eq, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


@dataclass(frozen=True)
class Classes:
    """The values of a map that count.

    ``text`` as the person wrote it; either ``condition`` (operator, number) or any of ``ranges`` (lowest, highest,
    both count) and ``names`` (lower case, for text fields).
    """

    text: str
    condition: tuple[str, float] | None = None
    ranges: tuple[tuple[float, float], ...] = ()
    names: frozenset[str] = frozenset()

    def admit(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of some numbers, any shape, count. A limit is taken in the precision of the values."""
        if self.condition:
            return np.asarray(_OPERATORS[self.condition[0]](values, self.condition[1]))
        admitted = np.zeros(values.shape, dtype=bool)
        for lowest, highest in self.ranges:
            admitted |= (values >= lowest) & (values <= highest)
        return admitted


def parse_classes(text: str) -> Classes:
    """The values that a person means by ``1``, ``1,3``, ``1-3``, ``>=0.5`` or, for a text field, ``continuous,sporadic``.

    Raises
    ------
    EngineError
        ``map_classes`` when the text is empty or says no such thing.
    """
    stripped = text.strip()
    condition = _CONDITION.fullmatch(stripped)
    if condition:
        return Classes(text, condition=(condition[1], float(condition[2])))
    if re.search("[<>=!]", stripped):
        raise _unclear(text, "a condition is one sign and one number, with a decimal point")
    items = [item.strip() for item in re.split("[,;]", stripped)]
    if not all(items):
        raise _unclear(text, "it is empty, or a value is missing between two commas")
    ranges: list[tuple[float, float]] = []
    names: list[str] = []
    for item in items:
        match = _RANGE.fullmatch(item)
        if not match:
            names.append(item.lower())
            continue
        lowest, highest = float(match[1]), float(match[2] or match[1])
        if lowest > highest:
            raise _unclear(text, f"the range {item} ends before it begins")
        ranges.append((lowest, highest))
    return Classes(text, ranges=tuple(ranges), names=frozenset(names))


def _unclear(text: str, why: str) -> EngineError:
    return EngineError("map_classes", f"The values that count, {text!r}, are not understood: {why}. {EXAMPLES}")


@contextmanager
def open_class_map(
    path: str | os.PathLike[str],
    classes: str,
    layer: str | None = None,
    attribute: str = "",
    nodata: float | None = None,
    all_drawn: bool = False,
) -> Iterator[ClassMap]:
    """A map of classes, ready to be asked.

    Parameters
    ----------
    path : raster (its first band is used) or polygon file
    classes : the values that count, see :func:`parse_classes`
    layer : of the polygon file, where it holds several
    attribute : field of the polygon file that holds the value; empty when every polygon counts
    nodata : a value that stands for unknown, beside what the file itself declares
    all_drawn : True where polygons are all there are (a layer of clouds), so that ground far from them is known not to
        count; else ground outside the rectangle that they fill is unknown

    Raises
    ------
    EngineError
        ``map_classes``, ``map_field``, ``not_a_map`` when the file is neither raster nor polygons, and those of
        :func:`engine.rasters.open_raster` and :func:`engine.vectors.read_polygons`.
    """
    wanted = parse_classes(classes)
    with ExitStack() as stack:
        opened: DatasetReader | PolygonLayer
        if attribute or layer:
            opened = read_polygons(path, layer)
        else:
            try:
                opened = stack.enter_context(open_raster(path))
            except EngineError as error:
                if error.code != "not_a_raster":
                    raise
                opened = _polygons_of(path)
        if isinstance(opened, PolygonLayer):
            yield PolygonMap.of(opened, wanted, attribute, os.fspath(path), all_drawn)
        else:
            yield RasterMap.of(opened, wanted, nodata)


def _polygons_of(path: str | os.PathLike[str]) -> PolygonLayer:
    try:
        return read_polygons(path)
    except EngineError as error:
        if error.code != "not_a_vector":
            raise
        raise EngineError(
            "not_a_map", f"{path} can be read neither as a raster nor as a polygon layer: it is damaged or no map."
        ) from error


@dataclass
class Seen:
    """What a map holds where it was read: its values, which of them counted, and its names (lower case)."""

    only_class_codes: bool = True
    two_is_counted: bool = False
    lowest: float = np.inf
    highest: float = -np.inf
    lowest_counted: float = np.inf
    names: frozenset[str] = frozenset()

    def add(self, values: NDArray[Any], counted: NDArray[np.bool_]) -> None:
        """Known values and whether each counts, (k,)."""
        if not values.size:
            return
        self.only_class_codes &= bool(np.isin(values, (0, 1, 2, 3)).all())
        self.lowest, self.highest = min(self.lowest, float(values.min())), max(self.highest, float(values.max()))
        if counted.any():
            self.two_is_counted |= bool((values[counted] == 2).any())
            self.lowest_counted = min(self.lowest_counted, float(values[counted].min()))


@dataclass(frozen=True)
class RasterMap:
    """A map of cells; the first band counts. Nodata and the ground beyond its edge are unknown."""

    dataset: DatasetReader
    classes: Classes
    nodata: float | None
    seen: Seen

    @classmethod
    def of(cls, dataset: DatasetReader, classes: Classes, nodata: float | None) -> RasterMap:
        """The map in an open raster. Raises EngineError ``map_classes`` when the classes are no numbers."""
        if classes.names:
            raise _unclear(classes.text, f"{', '.join(sorted(classes.names))} is no number, and {dataset.name} is a raster")
        return cls(dataset, classes, nodata, Seen())

    def fraction(self, outlines: NDArray[np.object_], crs: CRS, reporter: Reporter, buffer: float = 0.0) -> NDArray[np.float64]:
        """Share of each outline's known area that lies on the classes, (n,) 0-1, NaN where nothing is known.

        Parameters
        ----------
        outlines : (n,) Polygon, in map units of ``crs``
        crs : of the outlines
        reporter : is told what is used of the map, and asked whether the person cancelled
        buffer : cells of the map around an outline that count with it
        """
        if self.dataset.count > 1:
            reporter.info(f"{self.dataset.name} has {self.dataset.count} bands; the first one is used.")
        map_crs = CRS.from_wkt(self.dataset.crs.to_wkt())
        area = {OTHER: np.zeros(len(outlines)), COUNTED: np.zeros(len(outlines))}
        pieces: dict[int, list[shapely.Geometry]] = {OTHER: [], COUNTED: []}
        owners: dict[int, list[int]] = {OTHER: [], COUNTED: []}
        for placed in placements(outlines, crs, map_crs):
            on_cells = _moved(placed, ~self.dataset.transform)
            windows, whole = self._windows(on_cells, buffer)
            touched = np.flatnonzero((windows[:, 2:] > windows[:, :2]).all(axis=1))
            states_in = self._reader(windows[touched])
            for done, index in enumerate(touched):
                if done % 64 == 0:
                    reporter.check_cancelled()
                states = states_in(windows[index])
                first = int(states[0, 0])
                if whole[index] and (states == first).all():
                    if first != UNKNOWN:
                        area[first][index] = 1.0  # all of it is of one kind, whatever its area
                    continue
                outline = on_cells[index]
                if buffer:
                    outline = shapely.buffer(shapely.simplify(outline, BUFFER_TOLERANCE * buffer), buffer)
                for state, piece in _pieces(outline, windows[index], states):
                    pieces[state].append(piece)
                    owners[state].append(int(index))
        for state, total in area.items():
            on_map = _moved(np.array(pieces[state], dtype=object), self.dataset.transform)
            np.add.at(total, np.array(owners[state], dtype=np.intp), geodesic_area(on_map, map_crs))
        return _share(area[COUNTED], area[COUNTED] + area[OTHER])

    def _windows(self, on_cells: NDArray[np.object_], buffer: float) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """First column, first row, column and row after the last one of the cells under each outline, (n, 4); whether the map has all."""
        bounds = np.nan_to_num(shapely.bounds(on_cells), nan=-1.0 - buffer)
        bounds[:, :2], bounds[:, 2:] = np.floor(bounds[:, :2] - buffer), np.ceil(bounds[:, 2:] + buffer)
        limit = np.array([self.dataset.width, self.dataset.height] * 2)
        clipped = np.clip(bounds, 0, limit)
        return clipped.astype(np.intp), (clipped == bounds).all(axis=1)

    def _reader(self, windows: NDArray[np.intp]) -> Callable[[NDArray[np.intp]], NDArray[np.uint8]]:
        """Gives the states of the cells in a window; reads the map once where the outlines lie close enough together."""
        if not len(windows):
            return self._states
        joint = np.concatenate([windows[:, :2].min(axis=0), windows[:, 2:].max(axis=0)])
        if np.prod(joint[2:] - joint[:2]) > CELLS_AT_ONCE:
            return self._states
        states = self._states(joint)
        left, top = joint[:2]
        return lambda window: states[window[1] - top : window[3] - top, window[0] - left : window[2] - left]

    def _states(self, window: NDArray[np.intp]) -> NDArray[np.uint8]:
        left, top, right, bottom = window.tolist()
        place = Window(left, top, right - left, bottom - top)
        values: NDArray[Any] = read(self.dataset, [1], place)[0]
        known = np.isfinite(values)
        if self.nodata is not None:
            known &= values != self.nodata
        if MaskFlags.all_valid not in self.dataset.mask_flag_enums[0]:
            known &= self.dataset.read_masks(1, window=place) > 0
        if (self.dataset.scales[0], self.dataset.offsets[0]) != (1, 0):
            values = values * self.dataset.scales[0] + self.dataset.offsets[0]
        admitted = self.classes.admit(values)
        self.seen.add(values[known], admitted[known])
        return np.where(known, np.where(admitted, COUNTED, OTHER), UNKNOWN).astype(np.uint8)


def _pieces(outline: shapely.Geometry, window: NDArray[np.intp], states: NDArray[np.uint8]) -> Iterator[tuple[int, shapely.Geometry]]:
    """The parts of an outline (in columns and rows) that lie on cells known to count, and known not to."""
    left, top, right, bottom = window.tolist()
    first = int(states[0, 0])
    if (states == first).all():
        if first != UNKNOWN:
            cells = shapely.box(left, top, right, bottom)
            yield first, outline if shapely.covers(cells, outline) else shapely.intersection(outline, cells)
        return
    regions: dict[int, list[shapely.Geometry]] = {OTHER: [], COUNTED: []}
    for region, state in shapes(states, mask=states != UNKNOWN, transform=Affine.translation(left, top)):
        regions[int(state)].append(shapely.Polygon(region["coordinates"][0], region["coordinates"][1:]))
    for state, polygons in regions.items():
        if polygons:
            yield state, shapely.intersection(outline, shapely.MultiPolygon(polygons))


@dataclass(frozen=True)
class PolygonMap:
    """A map of polygons, which may overlap.

    ``counted`` and ``unknown`` (n,) polygons, the latter those whose value is missing; ``extent`` the rectangle that
    the layer fills: ground in it without a polygon does not count, ground beyond it is unknown. None: nothing is beyond.
    """

    crs: CRS
    counted: NDArray[np.object_]
    unknown: NDArray[np.object_]
    extent: shapely.Geometry | None
    classes: Classes
    seen: Seen

    @classmethod
    def of(cls, layer: PolygonLayer, classes: Classes, attribute: str, path: str, all_drawn: bool) -> PolygonMap:
        """The map in a polygon layer; without an attribute every polygon counts.

        Raises
        ------
        EngineError
            ``map_field`` when the attribute is missing, ``map_classes`` when its values are of another kind.
        """
        seen = Seen()
        admitted, known = np.ones(len(layer), dtype=bool), np.ones(len(layer), dtype=bool)
        if attribute:
            if attribute not in layer.fields:
                raise EngineError(
                    "map_field",
                    f"The map {path} has no field {attribute!r}. Its fields are: {', '.join(layer.fields) or 'none'}.",
                )
            numbers, names = _numbers_and_names(layer.fields[attribute])
            known = np.isfinite(numbers) | (names != "")
            if classes.names and not (names != "").any():
                raise _unclear(
                    classes.text, f"{', '.join(sorted(classes.names))} is no number, and the field {attribute} of {path} holds numbers"
                )
            if classes.condition and not np.isfinite(numbers).any():
                raise _unclear(classes.text, f"the field {attribute} of {path} holds text, not numbers")
            admitted = np.isin(names, list(classes.names)) | (np.isfinite(numbers) & classes.admit(numbers))
            seen.add(numbers[np.isfinite(numbers)], admitted[np.isfinite(numbers)])
            seen.names = frozenset(names) - {""}
        extent = None if all_drawn else shapely.box(*shapely.total_bounds(layer.geometries)) if len(layer) else shapely.Polygon()
        return cls(layer.crs, layer.geometries[admitted], layer.geometries[~known], extent, classes, seen)

    def fraction(self, outlines: NDArray[np.object_], crs: CRS, reporter: Reporter, buffer: float = 0.0) -> NDArray[np.float64]:
        """As :meth:`RasterMap.fraction`. Polygons have no cells: ``buffer`` adds nothing."""
        counted_area = np.zeros(len(outlines))
        known_area = geodesic_area(outlines, crs) if self.extent is None else np.zeros(len(outlines))
        for placed in placements(outlines, crs, self.crs):
            reporter.check_cancelled()
            counted = _within(placed, self.counted)
            unknown = shapely.difference(_within(placed, self.unknown), counted)
            counted_area += geodesic_area(counted, self.crs)
            if self.extent is None:
                known_area -= geodesic_area(unknown, self.crs)
            else:
                known_area += geodesic_area(shapely.difference(shapely.intersection(placed, self.extent), unknown), self.crs)
        return _share(counted_area, known_area)


ClassMap = RasterMap | PolygonMap


def _numbers_and_names(column: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """An attribute's values as numbers, NaN where they are none, and as lower-case names, empty where they are none."""
    if column.dtype.kind in "biuf":
        return column.astype(np.float64), np.full(len(column), "")
    texts = ["" if value is None else str(value).strip().lower() for value in column]
    are_numbers = [bool(re.fullmatch(_NUMBER, text)) for text in texts]
    numbers = np.array([float(text) if is_number else np.nan for text, is_number in zip(texts, are_numbers, strict=True)], dtype=np.float64)
    names = np.array(["" if is_number else text for text, is_number in zip(texts, are_numbers, strict=True)], dtype=object)
    return numbers, names


def _within(outlines: NDArray[np.object_], polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """The part of each outline, (n,), that lies in any of some polygons; polygons may overlap and be very large."""
    parts = np.full(len(outlines), shapely.Polygon(), dtype=object)
    if shapely.is_empty(outlines).all() or not len(polygons):
        return parts
    around = shapely.box(*shapely.total_bounds(outlines))
    polygons = polygons[shapely.intersects(polygons, around)]
    cut = ~shapely.contains(around, polygons)
    polygons = polygons.copy()
    polygons[cut] = shapely.intersection(polygons[cut], around)
    shapely.prepare(polygons)
    polygon, outline = shapely.STRtree(outlines).query(polygons, predicate="intersects")
    whole = shapely.covers(polygons[polygon], outlines[outline])
    parts[outline[whole]] = outlines[outline[whole]]
    divided = ~np.isin(outline, outline[whole])
    polygon, outline = polygon[divided], outline[divided]
    pieces = shapely.intersection(outlines[outline], polygons[polygon])
    order = np.argsort(outline, kind="stable")
    for owner, start, count in zip(*np.unique(outline[order], return_index=True, return_counts=True), strict=True):
        parts[owner] = shapely.union_all(pieces[order[start : start + count]])
    return parts


def placements(outlines: NDArray[np.object_], crs: CRS, map_crs: CRS) -> Iterator[NDArray[np.object_]]:
    """Outlines in map units of ``map_crs``; in a geographic one also a turn further east and west.

    Outlines that cross the antimeridian stay whole, and maps may count longitudes from -180 or from 0.
    Outlines outside the area where ``map_crs`` is defined become empty.
    """
    placed = outlines if crs == map_crs else reproject(outlines, crs, map_crs)
    placed = np.where(np.isfinite(shapely.bounds(placed)).all(axis=1), placed, shapely.Polygon())
    if not map_crs.is_geographic:
        yield placed
        return
    turn = 2 * np.pi / map_crs.axis_info[0].unit_conversion_factor
    places, owner = shapely.get_coordinates(placed, return_index=True)
    first = places[np.searchsorted(owner, owner), 0]
    places[:, 0] -= turn * np.round((places[:, 0] - first) / turn)
    for shift in (0.0, -turn, turn):
        yield shapely.set_coordinates(placed.copy(), places + [shift, 0.0])


def _moved(geometries: NDArray[np.object_], transform: Affine) -> NDArray[np.object_]:
    moved: NDArray[np.object_] = shapely.transform(geometries, lambda x, y: transform @ (x, y), interleaved=False)
    return moved


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """part / whole, 0-1, NaN where the whole is nothing (less than a square millimetre)."""
    known = whole > 1e-6
    return np.where(known, np.clip(part / np.where(known, whole, 1.0), 0.0, 1.0), np.nan)
