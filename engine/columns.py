"""Columns of attributes, whatever they hold: numbers, texts, dates, and what is empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.vectors import PolygonLayer

NAMED_AT_MOST = 5
"""How many of many values a message names."""

Column = NDArray[Any]
Columns = Mapping[str, Column]


def column_of(layer: PolygonLayer, name: str) -> Column:
    """A field's values (n,), all None where there is no such field."""
    return layer.fields[name] if name in layer.fields else np.full(len(layer), None, dtype=object)


def stacked(layers: Sequence[PolygonLayer]) -> PolygonLayer:
    """Several layers as one, in the CRS of the first; a field that one lacks is empty there."""
    names = dict.fromkeys(name for layer in layers for name in layer.fields)
    columns = {name: np.concatenate([objects(column_of(layer, name)) for layer in layers]) for name in names}
    geometries = np.concatenate([layer.in_crs(layers[0].crs).geometries for layer in layers])
    return PolygonLayer(geometries, layers[0].crs, columns)


def where(layer: PolygonLayer, kept: NDArray[np.bool_]) -> PolygonLayer:
    """Those features of a layer that ``kept`` (n,) marks."""
    return replace(layer, geometries=layer.geometries[kept], fields={name: column[kept] for name, column in layer.fields.items()})


def texts(values: Column) -> Column:
    """Values (n,) as text, None where empty; whole numbers without a decimal point, dates as ISO 8601."""
    return np.fromiter((_text(value) for value in objects(values)), dtype=object, count=len(values))


def numbers(values: Column) -> NDArray[np.float64]:
    """Values (n,) as numbers, NaN where they are none."""
    if values.dtype != object and not isinstance(values, np.ma.MaskedArray):
        return values.astype(np.float64)
    return np.fromiter((_number(value) for value in objects(values)), dtype=np.float64, count=len(values))


def is_null(values: Column) -> NDArray[np.bool_]:
    """Which values (n,) are empty: None, NaN, no date, text of blanks."""
    return np.fromiter((_text(value) is None for value in objects(values)), dtype=bool, count=len(values))


def first_known(*columns: Column | Sequence[Any]) -> Column:
    """For each row (n,) the first value that is not empty."""
    out = np.full(len(columns[0]), None, dtype=object)
    for column in reversed(columns):
        values = objects(np.asanyarray(column))
        known = ~is_null(values)
        out[known] = values[known]
    return out


def writable(values: Column) -> Column:
    """Values (n,) of one kind, as a layer is written with: numbers with a mask where empty, else texts."""
    if values.dtype != object:
        return values
    known = ~is_null(values)
    kinds = {type(value) for value in values[known]}
    if not kinds or kinds <= {str}:
        out = values.copy()
        out[~known] = None
        return out
    if kinds <= {np.datetime64}:
        return np.where(known, values, np.datetime64("NaT")).astype("datetime64[ms]")
    if all(issubclass(kind, (int, float, np.number)) and kind is not bool for kind in kinds):
        whole = all(issubclass(kind, (int, np.integer)) for kind in kinds)
        return np.ma.array(np.where(known, values, 0).astype(np.int64 if whole else np.float64), mask=~known)
    return texts(values)


def of_type(values: Column, like: Column | None) -> Column:
    """Values (n,) in the type of another column of numbers where that holds them all, else as :func:`writable` has them."""
    if like is not None and like.dtype.kind in "iufb":
        known = ~is_null(values)
        filled = np.where(known, values, 0)
        try:
            typed = filled.astype(like.dtype)
        except (TypeError, ValueError):
            return writable(values)
        if like.dtype.kind == "f" or (typed == filled).all():
            return np.ma.array(typed, mask=~known)
    return writable(values)


def some(values: Iterable[Any]) -> str:
    """The first few of the different values, for a message."""
    different = list(dict.fromkeys(values))
    more = len(different) - NAMED_AT_MOST
    return ", ".join(map(str, different[:NAMED_AT_MOST])) + (f" and {more} more" if more > 0 else "")


def objects(values: Column) -> Column:
    """Values (n,) as Python objects, a copy, None where a masked array is masked."""
    if isinstance(values, np.ma.MaskedArray):
        out = np.ma.getdata(values).astype(object)
        out[np.ma.getmaskarray(values)] = None
        return out
    if values.dtype.kind == "M":  # .astype(object) would make times of them that know no nanoseconds
        return np.array(list(values), dtype=object)
    return values.astype(object)


def _text(value: Any) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 NaN and NaT
        return None
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, unit="s")).removesuffix("T00:00:00")
    if isinstance(value, (float, np.floating)) and np.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value).strip() or None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
