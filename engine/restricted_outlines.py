"""Which outline a restricted one belongs to: the one of its id, if it lies there, else those that it lies in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray

from engine.columns import Column, column_of, some, texts
from engine.local_maps import on_one_map
from engine.vectors import PolygonLayer, polygonal

SLIVER = 0.05
"""Smaller shares of a restricted outline that lie in another outline are none of its own."""


def given_to_outlines(outlines: PolygonLayer, restricted: PolygonLayer, warn: Callable[[str, str], None]) -> PolygonLayer:
    """Restricted outlines with the ids of the outlines that they lie in.

    Ids are numbers in a file, and outlines that were split or joined since have others. A restricted outline that lies in the
    outline of its PrimaryID or id, and in no other, stays as it is, and so does one that lies in none. Another one is given to the
    outlines that it lies in, cut to each, with their ids.

    Parameters
    ----------
    outlines : extended ones, fields ``primary_id`` and ``id`` (either may be missing)
    restricted : the same fields, in any CRS
    warn : is told ``restricted_elsewhere``
    """
    if not len(outlines) or not len(restricted):
        return restricted
    extended, drawn = on_one_map([outlines, restricted])
    tree = shapely.STRtree(extended)
    of_ids = [_first_by_name(texts(column_of(outlines, name))) for name in ("primary_id", "id")]
    names = [texts(column_of(restricted, name)) for name in ("primary_id", "id")]
    rows, owners, pieces, moved = [], [], [], []
    for index, shape in enumerate(drawn):
        named = next((of_id[name[index]] for of_id, name in zip(of_ids, names, strict=True) if name[index] in of_id), None)
        inside = [owner for owner in tree.query(shape, predicate="intersects") if _share(shape, extended[owner]) >= SLIVER]
        if inside not in ([], [named]):
            moved.append(names[0][index] or names[1][index] or "without id")
            rows += [index] * len(inside)
            owners += inside
            pieces += [polygonal(shapely.intersection(shape, extended[owner])) for owner in inside]
            continue
        rows.append(index)
        owners.append(-1)
        pieces.append(shape)
    if not moved:
        return restricted
    warn(
        "restricted_elsewhere",
        f"Restricted outlines {some(moved)} do not lie in the outline of their id alone: outlines were split, joined or numbered anew. "
        "They were given to the outlines that they lie in, cut to each.",
    )
    owner = np.array(owners)
    fields = {name: column[rows] for name, column in restricted.fields.items()}
    for name in ("primary_id", "id"):
        if name in outlines.fields:
            fields[name] = _replaced(column_of(restricted, name)[rows], outlines.fields[name], owner)
    return replace(restricted, geometries=np.array(pieces, dtype=object), crs=outlines.crs, fields=fields)


def _first_by_name(names: Column) -> dict[str, int]:
    return {name: index for index, name in reversed(list(enumerate(names))) if name is not None}


def _share(shape: shapely.Geometry, outline: shapely.Geometry) -> float:
    return float(shapely.intersection(shape, outline).area / shape.area)


def _replaced(values: Column, of_outlines: Column, owner: NDArray[np.intp]) -> Column:
    out = np.full(len(values), None, dtype=object)
    out[:] = list(values)
    out[owner >= 0] = np.asarray(of_outlines, dtype=object)[owner[owner >= 0]]
    return out
