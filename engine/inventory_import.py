"""An inventory in a published form to outlines with this project's field names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely

from engine.columns import Column, Columns, column_of, first_known, is_null, texts, where, writable
from engine.errors import EngineError
from engine.inventory import RESTRICTED, WGS84, Warn, field_mapping, typed
from engine.inventory_forms import FORMS, Form, fields_by_spelling, recognised, short_names, spelling
from engine.reporting import Reporter
from engine.vectors import PolygonLayer, read_outlines, read_points, written_polygons
from jobs import ImportInventoryJob

OUTLINE_NAMES = ("GO", "Extended_Footprint")
MARKER_NAMES = ("PM", "Primary_Marker")
OTHER_NAMES = ("AOI", "MA")
"""How released layers and files of outlines, of primary markers, and of neither are called, within longer names."""


def import_inventory(job: ImportInventoryJob, reporter: Reporter) -> dict[str, Any]:
    """An inventory in a published form in, outlines with this project's field names out.

    Returns
    -------
    ``output``, ``form`` (empty where the fields are those of none), ``count`` outlines in ``output``, ``restricted`` how many of the
    inventory's are restricted, ``markers_alone`` primary markers without an outline, ``unknown_fields`` that travelled on as they are

    Raises
    ------
    EngineError
        ``several_layers`` when more than one could be the outlines, ``not_polygons`` when none could, ``field_missing`` for a mapped
        field that is not there; those of :func:`engine.vectors.read_polygons`, :func:`engine.outputs.whole_file`.
    """
    reporter.progress(0.0, "reading the inventory")
    path = _outlines_file(job.input)
    layer_name = job.input_layer or _outlines_layer(path)
    outlines = read_outlines(path, layer_name, reporter)
    mapping = field_mapping(job.field_mapping, outlines.fields, path)
    form_name = recognised(_whole_names(outlines.fields))
    if form_name is None:
        reporter.warning("form_unknown", f"The fields of {path} are those of no known form; they travel on with their own names.")
    form = FORMS[form_name or "rgik"]
    rows, unknown = _from_form(outlines, form, "outlines")

    reporter.progress(0.4, "joining primary markers")
    place = _markers_place(path, layer_name) if form.markers is not None else None
    alone = PolygonLayer(np.empty(0, dtype=object), WGS84)
    if place is not None:
        points, unknown_of_markers = _from_form(read_points(*place).in_crs(WGS84), form, "markers")
        rows, alone = _joined(rows, points, reporter.warning)
        unknown += [name for name in unknown_of_markers if name not in unknown]
    fields = _with_ids(rows.fields) if form_name else rows.fields
    rows = replace(rows, fields=_mapped(fields, mapping, outlines.fields))
    unknown = [name for name in unknown if name not in mapping.values()]
    if unknown:
        reporter.info(f"Fields that are none of the form's travel on as they are: {', '.join(unknown)}.")

    reporter.progress(0.7, "writing outlines")
    is_restricted = texts(column_of(rows, "outline_type")) == RESTRICTED
    restricted = where(rows, is_restricted)
    if job.restricted is not None:
        rows = where(rows, ~is_restricted)
    elif is_restricted.any():
        reporter.warning(
            "restricted_among",
            f"{is_restricted.sum()} of the {len(rows)} outlines are restricted ones of the same rock glaciers (outline_type). "
            "Name a file for them (RESTRICTED) to have them apart.",
        )
    if job.markers is None and len(alone):
        reporter.warning(
            "markers_alone", f"{len(alone)} primary markers have no outline and were left out. Name a file for them (MARKERS)."
        )
    with ExitStack() as files:
        files.enter_context(_written_outlines(job.output, rows, "outlines"))
        if job.restricted is not None:
            files.enter_context(_written_outlines(job.restricted, restricted, "restricted"))
        if job.markers is not None:
            files.enter_context(written_polygons(job.markers, alone, "markers", "Point"))
    counts = {"count": len(rows), "restricted": int(is_restricted.sum()), "markers_alone": len(alone)}
    reporter.progress(1.0, f"{len(rows)} outlines from {f'the form {form_name}' if form_name else 'an unknown form'}")
    return {"output": job.output, "form": form_name or "", **counts, "unknown_fields": unknown}


def _mapped(fields: Columns, mapping: Mapping[str, str], originals: Columns) -> dict[str, Column]:
    """Fields with those that the mapping names under their new names, in place of any other field of such a name."""
    given = {to: originals[source] for to, source in mapping.items()}
    taken = {name.lower() for name in given}
    others = {name: column for name, column in fields.items() if name not in mapping.values() and name.lower() not in taken}
    return {**others, **given}


def _with_ids(fields: Columns) -> dict[str, Column]:
    """Fields with ``id`` from WorkingID: the marker's where there is one; the outline's stays beside it where they differ."""
    fields = dict(fields)
    theirs = fields.get("outline_working_id")
    if theirs is not None and ("id" not in fields or (is_null(theirs) | (texts(theirs) == texts(fields["id"]))).all()):
        fields["id"] = first_known(fields.get("id", theirs), fields.pop("outline_working_id"))
    ids = fields.get("id")
    if ids is not None and ids.dtype == object and len(ids) and all(re.fullmatch(r"0|[1-9]\d{0,17}", text or "") for text in texts(ids)):
        fields["id"] = texts(ids).astype(np.int64)
    if ids is not None and is_null(ids).all():
        del fields["id"]
    return {name: fields[name] for name in ("id", *fields) if name in fields}


def _outlines_file(path: str) -> str:
    """The file with the outlines, where the name is that of the inventory as it was exported or of its primary markers."""
    file = Path(path)
    stems = (
        [f"{file.stem}_{form.outlines.name}" for form in FORMS.values()]
        if not file.exists()
        else [_renamed(file.stem, MARKER_NAMES, OUTLINE_NAMES)]
    )
    return next((str(file.with_name(stem + file.suffix)) for stem in stems if stem and file.with_name(stem + file.suffix).exists()), path)


def _renamed(name: str, words: Sequence[str], others: Sequence[str]) -> str:
    """A name with one of the words in it replaced by its counterpart; empty where it holds none."""
    for word, other in zip(words, others, strict=True):
        if _holds(name, (word,)):
            return re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])", other, name)
    return ""


def _holds(name: str, words: Iterable[str]) -> bool:
    return any(re.search(rf"(?<![A-Za-z]){word}(?![A-Za-z])", name) for word in words)


def _outlines_layer(path: str) -> str | None:
    """The layer that holds the outlines; None where the file is none with layers, for the reader to say what is wrong."""
    layers = _layers(path)
    named = [name for name, kind in layers if "Polygon" in kind or kind == "Unknown"]
    for unlikely in (lambda name: _holds(name, OTHER_NAMES), lambda name: not _holds(name, OUTLINE_NAMES)):
        if len(named) > 1:
            named = [name for name in named if not unlikely(name)] or named
    if len(named) > 1:
        raise EngineError(
            "several_layers", f"{path} holds several layers that could be the outlines: {', '.join(named)}. Name one (INPUT_LAYER)."
        )
    if not named and layers:
        raise EngineError("not_polygons", f"{path} holds no layer of outlines; it holds {', '.join(name for name, _ in layers)}.")
    return named[0] if named else None


def _layers(path: str) -> list[tuple[str, str]]:
    """Name and geometry type of the layers of a file, without tables."""
    try:
        return [(str(name), str(kind)) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except pyogrio.errors.DataSourceError:
        return []


def _markers_place(path: str, layer_name: str | None) -> tuple[str, str | None] | None:
    """File and layer of the primary markers that go with a layer of outlines."""
    points = [name for name, kind in _layers(path) if "Point" in kind and _holds(name, MARKER_NAMES)]
    if layer_name and points:
        twin = _renamed(layer_name, OUTLINE_NAMES, MARKER_NAMES)
        return path, twin if twin in points else points[0]
    file = Path(path)
    stem = _renamed(file.stem, OUTLINE_NAMES, MARKER_NAMES)
    beside = file.with_name(stem + file.suffix)
    return (str(beside), None) if stem and beside.exists() else None


def _whole_names(names: Iterable[str]) -> set[str]:
    """Names of fields, with the whole ones for those that a Shapefile cut."""
    present = set(names)
    for form in FORMS.values():
        whole = [field.name for field in form.outlines.fields]
        present |= {name for name, short in zip(whole, short_names(whole), strict=True) if short in present}
    return present


def _from_form(layer: PolygonLayer, form: Form, role: str) -> tuple[PolygonLayer, list[str]]:
    """A layer with this project's field names, codes undone, and the fields that the form does not know."""
    spelled = fields_by_spelling(form, role)
    fields: dict[str, Column] = {}
    unknown = []
    for name, column in layer.fields.items():
        field = spelled.get(spelling(name))
        if field is None or field.source in fields:
            unknown.append(name)
            fields[_free(name, fields)] = column
        elif field.codes is not None:
            sectors: dict[str | None, str | None] = {str(code): sector for sector, code in field.codes.items()}
            sectors[str(field.unknown)] = None
            fields[field.source] = np.array([sectors.get(code, code) for code in texts(column)], dtype=object)
        else:
            whole = typed(column, field) if field.kind == "integer" else column
            fields[field.source] = column if (is_null(whole) & ~is_null(column)).any() else whole
    return replace(layer, fields=fields), unknown


def _free(name: str, taken: Iterable[str]) -> str:
    """A name that differs from all taken ones; GeoPackage does not tell upper from lower case."""
    lower = {other.lower() for other in taken}
    number, candidate = 1, name
    while candidate.lower() in lower:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _joined(rows: PolygonLayer, points: PolygonLayer, warn: Warn) -> tuple[PolygonLayer, PolygonLayer]:
    """Outlines with the attributes and places of their primary markers, by PrimaryID, and the markers without an outline.

    Where an id repeats, the second outline of a type gets the second marker, and so on.
    """
    place = {"longitude": shapely.get_x(points.geometries), "latitude": shapely.get_y(points.geometries)}
    number = {key: index for index, key in enumerate(_numbered(texts(column_of(points, "primary_id")))) if key[0] is not None}
    types, ids = texts(column_of(rows, "outline_type")), texts(column_of(rows, "primary_id"))
    partner = np.full(len(rows), -1)
    for kind in dict.fromkeys(types):
        of_kind = np.flatnonzero(types == kind)
        partner[of_kind] = [number.get(key, number.get((key[0], 1), -1)) for key in _numbered(ids[of_kind])]
    has_marker = partner >= 0
    if not has_marker.all():
        warn(
            "outlines_alone", f"{(~has_marker).sum()} outlines have no primary marker of their PrimaryID; what markers say is empty there."
        )
    fields = dict(rows.fields)
    for name, column in {**points.fields, **place}.items():
        theirs = np.full(len(rows), None, dtype=object)
        theirs[has_marker] = list(column[partner[has_marker]])
        if name in place:
            fields[name] = first_known(theirs, column_of(rows, name))
        elif (is_null(column_of(rows, name)) | is_null(theirs) | (texts(theirs) == texts(column_of(rows, name)))).all():
            fields[name] = first_known(column_of(rows, name), theirs)
        else:
            fields[_free(f"PM_{name}", fields)] = theirs
    alone = np.ones(len(points), dtype=bool)
    alone[partner[has_marker]] = False
    return replace(rows, fields=fields), where(points, alone)


def _numbered(ids: Column) -> list[tuple[str | None, int]]:
    """Each id with the count of its occurrences so far."""
    seen: dict[str | None, int] = {}
    keys = []
    for entry in ids:
        seen[entry] = seen.get(entry, 0) + 1
        keys.append((entry, seen[entry]))
    return keys


def _written_outlines(path: str, rows: PolygonLayer, name: str) -> AbstractContextManager[None]:
    several = (shapely.get_num_geometries(rows.geometries) > 1).any()
    geometries = rows.geometries if several else shapely.get_parts(rows.geometries)
    fields = {name: writable(column) for name, column in rows.fields.items()}
    return written_polygons(path, PolygonLayer(geometries, rows.crs, fields), name)
