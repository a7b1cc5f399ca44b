"""The queue of a review: one row for each outline of a session, filtered, sorted and counted while a person goes through it.

Plain Python and numpy, no QGIS: what a table shows of it is in :mod:`queue_view`.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from ...review_session import RELATIONS, SIZE_CLASSES, SOURCES, STATUSES, UNDECIDED, size_class

TEXTS = ("uid", "name", "comment")
CATEGORIES: dict[str, tuple[str, ...]] = {
    "status": STATUSES,
    "relation": RELATIONS,
    "source": SOURCES,
    "reason": (),
    "conflict": (),
    "change": (),
    "reviewer": (),
}
"""Columns whose values repeat, in the order that they sort in; other values follow by the alphabet."""
NUMBERS = ("priority", "probability", "area_km2", "iou", "area_deviation", "boundary_distance_m", "merge_suspect")
COLUMNS = (
    "uid",
    "fid",
    "name",
    "status",
    "relation",
    "source",
    "reason",
    "priority",
    "probability",
    "area_km2",
    "iou",
    "area_deviation",
    "boundary_distance_m",
    "merge_suspect",
    "conflict",
    "change",
    "reviewer",
    "comment",
)
"""Of a row, None where unknown; units and ranges as in :data:`review_session.REVIEW_FIELDS`."""
SIZE_CLASS = "size_class"
"""A column that follows from the area: filtered and sorted by, not stored."""
CHUNK = 4096


class _Texts(list):
    """Texts that hardly repeat."""

    def ranks(self, slots: np.ndarray) -> np.ndarray:
        keys = [_natural(self[slot]) if self[slot] else None for slot in slots.tolist()]
        rank: dict[str | None, float] = {key: float(number) for number, key in enumerate(sorted(set(keys) - {None}))}
        return np.array([rank.get(key, math.nan) for key in keys], float)


class _Numbers:
    """Numbers, NaN where unknown."""

    def __init__(self) -> None:
        self._values = array("d")

    def extend(self, values: Iterable[float | None]) -> None:
        self._values.extend(math.nan if value is None else value for value in values)

    def __getitem__(self, slot: int) -> float | None:
        value = self._values[slot]
        return None if math.isnan(value) else value

    def __setitem__(self, slot: int, value: float | None) -> None:
        self._values[slot] = math.nan if value is None else value

    def of(self, slots: np.ndarray) -> np.ndarray:
        return np.asarray(self._values)[slots]

    ranks = of


class _Categories:
    """Texts that repeat: each is kept once, code 0 is unknown."""

    def __init__(self, order: tuple[str, ...]) -> None:
        self._order = {name: number for number, name in enumerate(order)}
        self._names: list[str | None] = [None]
        self._codes: dict[str | None, int] = {None: 0, "": 0}
        self._values = array("i")

    def extend(self, values: Iterable[str | None]) -> None:
        self._values.extend(self._code(value) for value in values)

    def __getitem__(self, slot: int) -> str | None:
        return self._names[self._values[slot]]

    def __setitem__(self, slot: int, value: str | None) -> None:
        self._values[slot] = self._code(value)

    def of(self, slots: np.ndarray) -> np.ndarray:
        return np.asarray(self._values)[slots]

    def known(self, slots: np.ndarray) -> np.ndarray:
        return self.of(slots) != 0

    def among(self, slots: np.ndarray, names: Iterable[str]) -> np.ndarray:
        """Whether each is one of the names; "" stands for unknown."""
        return np.isin(self.of(slots), [self._codes[name] for name in names if name in self._codes])

    def counts(self, slots: np.ndarray) -> dict[str, int]:
        """In the column's order, "" for unknown; names that do not occur are left out."""
        numbers = np.bincount(self.of(slots), minlength=len(self._names)).tolist()
        return {self._names[code] or "": numbers[code] for code in self._sorted() if numbers[code]}

    def ranks(self, slots: np.ndarray) -> np.ndarray:
        rank = np.full(len(self._names), math.nan)
        rank[self._sorted()[:-1]] = np.arange(len(self._names) - 1)
        return rank[self.of(slots)]

    def _sorted(self) -> list[int]:
        """Codes in order, unknown last."""

        def place(code: int) -> tuple[int, str]:
            name = self._names[code] or ""
            return self._order.get(name, len(self._order)), name.casefold()

        return [*sorted(range(1, len(self._names)), key=place), 0]

    def _code(self, name: str | None) -> int:
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self._names)
            self._names.append(name)
        return code


@dataclass(frozen=True)
class Filter:
    """What the view shows: rows that meet every condition; an empty set or text is no condition.

    In the sets "" stands for outlines where the value is unknown. The text is looked for in names, uids and comments.
    """

    relations: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    size_classes: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    conflicts_only: bool = False
    text: str = ""

    def active(self) -> int:
        """How many conditions it has."""
        sets = (self.relations, self.statuses, self.size_classes, self.changes)
        return sum(map(bool, (*sets, self.conflicts_only, self.text.strip())))


class Queue:
    """Rows of outlines in view order.

    Parameters
    ----------
    rows
        Values in the order of :data:`COLUMNS`, None where unknown.

    Notes
    -----
    A row keeps its place in view while it is judged, also when the filter would hide it or the sorting move it, until ``apply``,
    ``filter`` or ``sort`` is called.
    """

    def __init__(self, rows: Iterable[Sequence[Any]] = ()) -> None:
        self._fids: list[int | None] = []
        self._texts = {name: _Texts() for name in TEXTS}
        self._categories = {name: _Categories(order) for name, order in CATEGORIES.items()}
        self._numbers = {name: _Numbers() for name in NUMBERS}
        self._stores: dict[str, Any] = {"fid": self._fids, **self._texts, **self._categories, **self._numbers}
        self._slots: dict[str, int] = {}
        self._filter, self._column, self._descending = Filter(), "priority", True
        self._extend(rows)
        self.apply()

    def __len__(self) -> int:
        """Rows in view."""
        return len(self._view)

    @property
    def total(self) -> int:
        """Rows, in view or not."""
        return len(self._slots)

    @property
    def conditions(self) -> Filter:
        """The filter of the view."""
        return self._filter

    @property
    def sorting(self) -> tuple[str, bool]:
        """Column that the view is sorted by, and whether descending."""
        return self._column, self._descending

    def __contains__(self, uid: str) -> bool:
        """Whether there is such an outline, in view or not."""
        return uid in self._slots

    def row_at(self, position: int) -> dict[str, Any]:
        """The row at a position of the view."""
        return self._row(int(self._view[position]))

    def uid_at(self, position: int) -> str:
        """The outline at a position of the view."""
        return self._texts["uid"][self._view[position]]

    def value(self, position: int, column: str) -> Any:
        """One value of the view; None where unknown."""
        slot = self._view[position]
        if column == SIZE_CLASS:
            area_km2 = self._numbers["area_km2"][slot]
            return None if area_km2 is None else size_class(area_km2)
        return self._stores[column][slot]

    def position(self, uid: str) -> int | None:
        """Where an outline is in view; None where it is not."""
        slot = self._slots.get(uid)
        position = -1 if slot is None else self._positions[slot]
        return None if position < 0 else position

    def get(self, uid: str) -> dict[str, Any]:
        """The row of an outline, in view or not.

        Raises
        ------
        KeyError
            There is no such outline.
        """
        return self._row(self._slots[uid])

    def value_of(self, uid: str, column: str) -> Any:
        """One value of an outline, in view or not; None where unknown.

        Raises
        ------
        KeyError
            There is no such outline.
        """
        return self._stores[column][self._slots[uid]]

    def update(self, uid: str, **values: Any) -> None:
        """Change values of a row, by column; it stays where it is in view.

        Raises
        ------
        KeyError
            There is no such outline or column.
        """
        slot = self._slots[uid]
        for column, value in values.items():
            self._stores[column][slot] = value

    def add(self, values: dict[str, Any]) -> None:
        """A new row, last in view; columns that are not told are unknown."""
        self._extend([[values.get(column) for column in COLUMNS]])
        slot = self._slots[values["uid"]]
        self._positions.append(len(self._view))
        self._view = np.append(self._view, slot)

    def remove(self, uid: str) -> None:
        """Take a row out.

        Raises
        ------
        KeyError
            There is no such outline.
        """
        slot = self._slots.pop(uid)
        if self._positions[slot] >= 0:
            self._look_at(np.delete(self._view, self._positions[slot]))

    def filter(self, conditions: Filter) -> None:
        """Show only rows that meet the conditions."""
        self._filter = conditions
        self.apply()

    def sort(self, column: str, descending: bool = True) -> None:
        """Order the view; unknown values are last either way, equal ones by priority, of equal priority conflicts first."""
        self._column, self._descending = column, descending
        self.apply()

    def apply(self) -> None:
        """Filter and sort again, after values have changed."""
        slots = self._all()
        slots = slots[self._meets(slots)]
        keys = [~self._categories["conflict"].known(slots), _descending(self._numbers["priority"].of(slots))]
        if self._column != "priority" or not self._descending:
            ranks = self._ranks(slots)
            keys.append(_descending(ranks) if self._descending else np.nan_to_num(ranks, nan=math.inf))
        self._look_at(slots[np.lexsort(keys)])

    def next_uid(self, uid: str, step: int = 1, undecided: bool = True) -> str | None:
        """The next (step +1) or previous (-1) outline in view, going round once; from the beginning where ``uid`` is not in view.

        With ``undecided`` those already judged are passed over. None where there is no other one.
        """
        here = self.position(uid)
        wanted = self._undecided(self._view) if undecided else np.ones(len(self._view), bool)
        if here is None:
            here = -1 if step > 0 else len(self._view)
        else:
            wanted[here] = False
        positions = np.flatnonzero(wanted)
        if not len(positions):
            return None
        index = np.searchsorted(positions, here) - (step < 0)
        return self.uid_at(positions[index % len(positions)])

    def counts(self, in_view: bool = False) -> dict[str, int]:
        """Number of outlines by status, of all or of those in view."""
        return self._categories["status"].counts(self._view if in_view else self._all())

    def relations(self, in_view: bool = False) -> dict[str, int]:
        """Number of outlines by relation, "" where there is none."""
        return self._categories["relation"].counts(self._view if in_view else self._all())

    def undecided(self, in_view: bool = False) -> int:
        """How many outlines are still to be judged: unreviewed ones, and those that two reviewers disagree on."""
        return int(self._undecided(self._view if in_view else self._all()).sum())

    def histogram(self, bins: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How the probabilities in view are spread.

        Returns
        -------
        edges, undecided, decided
            Edges of the bins ``(bins + 1,)`` from 0 to 1, and numbers of outlines ``(bins,)``.
        """
        probability, undecided = self._numbers["probability"].of(self._view), self._undecided(self._view)
        edges = np.linspace(0.0, 1.0, bins + 1)
        return edges, np.histogram(probability[undecided], edges)[0], np.histogram(probability[~undecided], edges)[0]

    def certain(self, threshold: float) -> list[str]:
        """Outlines in view that are undecided, without conflict, and whose probability is the threshold or more."""
        return self._uids(self._open(lambda probability: probability >= threshold))

    def doubtful(self, threshold: float) -> list[str]:
        """Outlines in view that are undecided, without conflict, and whose probability is below the threshold."""
        return self._uids(self._open(lambda probability: probability < threshold))

    def amounts(self, threshold: float) -> tuple[tuple[int, float], tuple[int, float]]:
        """Number and known area (km2) of what :meth:`certain` and :meth:`doubtful` give, quickly enough for a slider."""
        both = self._open(lambda probability: probability >= threshold), self._open(lambda probability: probability < threshold)
        certain, doubtful = ((len(slots), float(np.nansum(self._numbers["area_km2"].of(slots)))) for slots in both)
        return certain, doubtful

    def _extend(self, rows: Iterable[Sequence[Any]]) -> None:
        for chunk in _chunks(rows):
            first = len(self._fids)
            for column, values in zip(COLUMNS, zip(*chunk)):
                self._stores[column].extend(values)
            self._slots.update((uid, first + number) for number, uid in enumerate(self._texts["uid"][first:]))

    def _row(self, slot: int) -> dict[str, Any]:
        return {column: self._stores[column][slot] for column in COLUMNS}

    def _all(self) -> np.ndarray:
        return np.fromiter(self._slots.values(), np.intp, len(self._slots))

    def _look_at(self, slots: np.ndarray) -> None:
        self._view = slots
        positions = np.full(len(self._fids), -1, np.intc)
        positions[slots] = np.arange(len(slots))
        self._positions = array("i", positions.tobytes())

    def _meets(self, slots: np.ndarray) -> np.ndarray:
        meets = np.ones(len(slots), bool)
        conditions = self._filter
        for column, names in (("relation", conditions.relations), ("status", conditions.statuses), ("change", conditions.changes)):
            if names:
                meets &= self._categories[column].among(slots, names)
        if conditions.size_classes:
            classes = [name for name, _ in SIZE_CLASSES]
            wanted = np.array([*(name in conditions.size_classes for name in classes), "" in conditions.size_classes])
            ranks = np.nan_to_num(self._size_ranks(slots), nan=len(classes))
            meets &= wanted[ranks.astype(int)]
        if conditions.conflicts_only:
            meets &= self._categories["conflict"].known(slots)
        text = conditions.text.strip().casefold()
        if text:
            columns = [self._texts[name] for name in TEXTS]
            meets &= np.array([any(text in (column[slot] or "").casefold() for column in columns) for slot in slots.tolist()], bool)
        return meets

    def _ranks(self, slots: np.ndarray) -> np.ndarray:
        if self._column == SIZE_CLASS:
            return self._size_ranks(slots)
        return self._stores[self._column].ranks(slots)

    def _size_ranks(self, slots: np.ndarray) -> np.ndarray:
        areas = self._numbers["area_km2"].of(slots)
        ranks = np.searchsorted([smallest for _, smallest in SIZE_CLASSES], areas, side="right") - 1.0
        return np.where(np.isnan(areas), math.nan, ranks)

    def _undecided(self, slots: np.ndarray) -> np.ndarray:
        return self._categories["status"].among(slots, (UNDECIDED,)) | self._categories["conflict"].known(slots)

    def _open(self, condition: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        slots = self._view[self._undecided(self._view) & ~self._categories["conflict"].known(self._view)]
        return slots[condition(self._numbers["probability"].of(slots))]

    def _uids(self, slots: np.ndarray) -> list[str]:
        uids = self._texts["uid"]
        return [uids[slot] for slot in slots.tolist()]


def _chunks(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    rest = iter(rows)
    chunk = list(islice(rest, CHUNK))
    while chunk:
        yield chunk
        chunk = list(islice(rest, CHUNK))


def _descending(ranks: np.ndarray) -> np.ndarray:
    return np.nan_to_num(-ranks, nan=math.inf)


def _natural(text: str) -> str:
    """A key by which 9 comes before 10."""
    return re.sub(r"\d+", lambda digits: digits.group().zfill(12), text.casefold())
