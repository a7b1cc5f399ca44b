"""Outlines to an inventory in a published form.

The form says which layers and fields there are (:mod:`engine.inventory_forms`). What follows from the outlines is filled in:
PrimaryID, place, area. What a person decides (activity, kinematics, connection, morphology) is carried over where the
outlines hold it and is otherwise ``Uncertain``, ``undefined`` or empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from engine.columns import Column, Columns, column_of, first_known, is_null, numbers, some, stacked, texts, where, writable
from engine.errors import EngineError
from engine.geodesy import geodesic_area
from engine.inventory_forms import (
    AREA_OF_INTEREST,
    FORMS,
    RELIABILITIES,
    SECTORS,
    Field,
    Form,
    FormLayer,
    domains,
    fields_by_spelling,
    short_names,
    spelling,
)
from engine.inventory_styles import add_styles, style_qml
from engine.local_maps import on_one_map
from engine.outputs import whole_file, whole_set
from engine.primary_id import is_primary_id, markers, primary_ids, repeated
from engine.reporting import Reporter
from engine.restricted_outlines import given_to_outlines
from engine.vectors import PolygonLayer, polygonal, read_outlines, read_points, reproject, write_layer
from jobs import ExportInventoryJob

WGS84 = CRS.from_epsg(4326)
DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile"}
LAYER_OPTIONS = {"GeoJSON": {"RFC7946": "YES", "COORDINATE_PRECISION": "9"}}
"""GeoJSON's own seven decimals are a centimetre; nine are what outlines are kept to everywhere here."""
SHAPEFILE_TEXT = 254
"""Bytes of a text in a Shapefile."""

UNTIL_A_PERSON_SAYS = {"activity_class": "Uncertain", "kinematic_attribute": "undefined"}
METHODS = {"accepted": "model", "edited": "model-edited", "added": "manual"}
"""What the status that the review gave an outline says about how it was made."""
REJECTED = "rejected"
EXTENDED, RESTRICTED = "Extended", "Restricted"

Warn = Callable[[str, str], None]


@dataclass(frozen=True)
class InventoryLayer:
    """A layer of an inventory as it is written, in WGS84.

    ``role``: ``markers``, ``outlines`` or ``area_of_interest``; ``fields``: names in ``content`` -> fields of the form.
    """

    name: str
    role: str
    content: PolygonLayer
    fields: Mapping[str, Field]


def export_inventory(job: ExportInventoryJob, reporter: Reporter) -> dict[str, Any]:
    """Outlines in, an inventory in a published form out.

    Returns
    -------
    ``output`` the file with the outlines, ``files`` all data files, ``layers`` (name -> count), ``form``, ``count`` outlines,
    ``restricted`` restricted outlines among the rest, ``rejected`` outlines left out because the review rejected them

    Raises
    ------
    EngineError
        ``field_missing`` for a mapped field that is not there, ``restricted_ids`` when nothing says which outlines the restricted
        ones belong to, ``output_is_input``; those of :func:`engine.vectors.read_polygons`, :func:`engine.outputs.whole_file`.
    """
    form = FORMS[job.form]
    reporter.progress(0.0, "reading outlines")
    outlines = read_outlines(job.input, job.input_layer, reporter)
    restricted = read_outlines(job.restricted, job.restricted_layer, reporter) if job.restricted else None
    area = read_outlines(job.area_of_interest, job.area_of_interest_layer, reporter) if job.area_of_interest else None
    alone = read_points(job.markers, job.markers_layer) if job.markers else None

    reporter.progress(0.3, "filling the form")
    mapping = field_mapping(job.field_mapping, outlines.fields, job.input)
    rows, rejected = _rows(outlines, restricted, form, mapping, job, reporter.warning)
    if rejected:
        reporter.info(f"{rejected} outlines that the review rejected were left out.")
    layers = inventory_layers(rows, job.form, reporter.warning, area=area, alone=alone, further=mapping)
    if not form.rgik and (job.operator or job.imagery):
        reporter.info(f"The form {job.form} has no fields for operator and imagery; they were not written.")

    reporter.progress(0.7, "writing the inventory")
    files = _write(job, layers, reporter)
    counts = {layer.name: len(layer.content) for layer in layers}
    is_restricted = texts(rows.fields["outline_type"]) == RESTRICTED
    reporter.progress(1.0, f"{(~is_restricted).sum()} rock glaciers in the form {job.form}")
    return {
        "output": str(files[0]),
        "files": [str(file) for file in files],
        "layers": counts,
        "form": job.form,
        "count": int((~is_restricted).sum()),
        "restricted": int(is_restricted.sum()),
        "rejected": rejected,
    }


def inventory_layers(
    rows: PolygonLayer,
    form_name: str,
    warn: Warn,
    area: PolygonLayer | None = None,
    alone: PolygonLayer | None = None,
    further: Mapping[str, str] | None = None,
) -> list[InventoryLayer]:
    """The layers of an inventory, outlines first, from outlines with this project's field names.

    Parameters
    ----------
    rows : outlines (n,), extended and restricted (``outline_type``), fields of :func:`project_fields`
    form_name : one of :data:`jobs.INVENTORY_FORMS`
    warn : told, with a code, what does not fit the form
    area : polygons of the area that was mapped
    alone : primary markers of rock glaciers without an outline
    further : name -> field of ``rows``: fields that the outlines get beyond the form's, or other ones for the form's
    """
    form = FORMS[form_name]
    further = further or {}
    owner = _owner(rows, warn)
    is_marked = owner == np.arange(len(rows))
    cut = in_degrees(rows)
    known = _known(rows, owner, cut, form, further, warn)
    without_room = [
        ("restricted outlines", not form.rgik and not is_marked.all()),
        ("an area of interest", not form.rgik and area is not None),
        ("primary markers without an outline", form.markers is None and alone is not None),
    ]
    for what, there in without_room:
        if there:
            warn("no_room", f"The form {form_name} has no room for {what}; left out.")
    by_spelling = fields_by_spelling(form, "markers") | fields_by_spelling(form, "outlines")
    more = [name for name in further if spelling(name) not in by_spelling]
    listed = where(PolygonLayer(cut, WGS84, known), np.full(len(rows), form.rgik) | is_marked)
    layers = [_filled(form.outlines, "outlines", listed, warn, more)]
    if form.markers is not None:
        points = shapely.points(known["longitude"][is_marked], known["latitude"][is_marked])
        marked = PolygonLayer(points, WGS84, {name: column[is_marked] for name, column in known.items()})
        if alone is not None:
            marked = stacked([marked, _as_markers(alone, known["primary_id"])])
        said = {name: first_known(column_of(marked, name), [value] * len(marked)) for name, value in UNTIL_A_PERSON_SAYS.items()}
        layers.append(_filled(form.markers, "markers", replace(marked, fields={**marked.fields, **said}), warn))
    if form.rgik and area is not None:
        layers.append(InventoryLayer(AREA_OF_INTEREST, "area_of_interest", PolygonLayer(in_degrees(area), WGS84, area.fields), {}))
    return layers


def project_fields(fields: Columns) -> dict[str, Column]:
    """Columns by this project's names: those in the spelling of an RGIK form are renamed, others keep their names.

    Where a table has both, what is in the form's own field counts: a person wrote it there.
    """
    spelled = fields_by_spelling(FORMS["rgik"], "outlines") | fields_by_spelling(FORMS["rgik"], "markers")
    renamed: dict[str, Column] = {}
    for name, column in fields.items():
        field = spelled.get(spelling(name))
        target = name if field is None or name == field.source else field.source
        if target not in renamed:
            renamed[target] = column
        else:
            first, second = (column, renamed[target]) if name != target else (renamed[target], column)
            renamed[target] = first_known(first, second)
    return renamed


def in_degrees(layer: PolygonLayer) -> NDArray[np.object_]:
    """Polygons (n,) as MultiPolygon in longitude (-180 to 180) and latitude of WGS84, cut where they cross the antimeridian.

    Source
    ------
    RFC 7946, section 3.1.9.
    """
    degrees = on_one_map([layer.in_crs(WGS84)])[0].copy()
    bounds = shapely.bounds(degrees)
    for index in np.flatnonzero((bounds[:, 0] < -180) | (bounds[:, 2] > 180)):
        turns = (-1, 0, 1)
        pieces = [degrees[index] & shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90) for turn in turns]
        back = [
            shapely.transform(piece, lambda places, turn=turn: places - [360 * turn, 0]) for piece, turn in zip(pieces, turns, strict=True)
        ]
        degrees[index] = polygonal(shapely.GeometryCollection([piece for piece in back if piece.area > 0]))
    return as_multipolygons(degrees)


def as_multipolygons(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Polygons and MultiPolygons (n,), none of them empty, as MultiPolygons."""
    parts, owner = shapely.get_parts(polygons, return_index=True)
    return np.asarray(shapely.multipolygons(parts, indices=owner), dtype=object).reshape(len(polygons))


def field_mapping(entries: Sequence[str], fields: Columns, path: str) -> dict[str, str]:
    """``TO=FROM`` entries as a mapping; ``field_missing`` where there is no field FROM."""
    mapping = {to.strip(): source.strip() for to, source in (entry.split("=") for entry in entries)}
    missing = [source for source in mapping.values() if source not in fields]
    if missing:
        there = ", ".join(fields) or "none"
        raise EngineError("field_missing", f"{path} has no field {', '.join(missing)}, which FIELD_MAPPING names. Its fields are: {there}.")
    return mapping


def _rows(
    outlines: PolygonLayer,
    restricted: PolygonLayer | None,
    form: Form,
    mapping: Mapping[str, str],
    job: ExportInventoryJob,
    warn: Warn,
) -> tuple[PolygonLayer, int]:
    """All outlines with this project's field names, restricted ones last, and how many rejected ones were left out."""
    fields = project_fields(outlines.fields)
    by_spelling = fields_by_spelling(form, "outlines") | fields_by_spelling(form, "markers")
    for to, source in mapping.items():
        field = by_spelling.get(spelling(to))
        fields[field.source if field else to] = outlines.fields[source]
    rows = PolygonLayer(outlines.geometries, outlines.crs, fields)
    rejected = texts(column_of(rows, "status")) == REJECTED
    rows = where(rows, ~rejected)
    if restricted is not None:
        fields = project_fields(restricted.fields)
        if len(restricted) and not {"primary_id", "id"} & set(fields):
            raise EngineError(
                "restricted_ids",
                f"{job.restricted} has neither PrimaryID nor id, so nothing says which outlines its restricted ones belong to. "
                "Give it the id of the outline that each was drawn in.",
            )
        fields["outline_type"] = np.full(len(restricted), RESTRICTED, dtype=object)
        extended = where(rows, texts(column_of(rows, "outline_type")) != RESTRICTED)
        rows = stacked([rows, given_to_outlines(extended, PolygonLayer(restricted.geometries, restricted.crs, fields), warn)])
    given = {"operator": job.operator or None, "imagery": job.imagery or None, "outline_type": EXTENDED}
    filled = {name: first_known(column_of(rows, name), [value] * len(rows)) for name, value in given.items()}
    return replace(rows, fields={**rows.fields, **filled}), int(rejected.sum())


def _owner(rows: PolygonLayer, warn: Warn) -> NDArray[np.intp]:
    """Index (n,) of the outline whose primary marker a row shares: its own, or for a restricted outline its extended one's."""
    is_restricted = texts(rows.fields["outline_type"]) == RESTRICTED
    ids, working_ids = texts(column_of(rows, "primary_id")), texts(column_of(rows, "id"))
    extended = np.flatnonzero(~is_restricted)
    for name, column in (("id", working_ids), ("primary_id", ids)):
        again = repeated(column[extended])
        if again:
            warn(f"{name}_repeated", f"{name} {some(again)} belong to more than one outline; they were kept. Check them.")
    odd = [entry for entry in ids if entry is not None and not is_primary_id(entry)]
    if odd:
        warn("no_primary_id", f"{some(odd)}: no PrimaryID as RGIK builds it, replaced by new ones. FIELD_MAPPING can keep them in a field.")
    by_id = {ids[index]: index for index in extended[::-1] if is_primary_id(ids[index])}
    by_working_id = {working_ids[index]: index for index in extended[::-1] if working_ids[index] is not None}
    owner = np.arange(len(rows))
    lonely = []
    for index in np.flatnonzero(is_restricted):
        found = by_id.get(ids[index], by_working_id.get(working_ids[index]))
        if found is None:
            lonely.append(ids[index] or working_ids[index] or "without id")
        else:
            owner[index] = found
    if lonely:
        warn("restricted_alone", f"Restricted outlines {some(lonely)} belong to no extended outline; each got a marker of its own.")
    return owner


def _known(
    rows: PolygonLayer, owner: NDArray[np.intp], cut: NDArray[np.object_], form: Form, further: Mapping[str, str], warn: Warn
) -> dict[str, Column]:
    """What is known of each row (n,), by this project's field names: carried over, or following from the outlines."""

    def carried(name: str) -> Column:
        return column_of(rows, name)

    count = len(rows)
    known = dict(rows.fields)
    marked = np.flatnonzero(owner == np.arange(count))
    ids = np.full(count, None, dtype=object)
    ids[marked] = primary_ids(rows.geometries[marked], rows.crs, texts(carried("primary_id"))[marked])
    known["primary_id"] = ids[owner]
    known["id"] = first_known(carried("id"), carried("id")[owner])
    known["outline_working_id"] = first_known(carried("outline_working_id"), known["id"])
    known["associated_rgs"] = _systems(rows)[owner]
    reliability = sum((numbers(carried(name)) for name in RELIABILITIES), np.zeros(count))
    known["reliability_index"] = first_known(reliability, carried("reliability_index"))
    known["method"] = first_known(carried("method"), [METHODS.get(status) for status in texts(carried("status"))])

    longitude, latitude = markers(rows.geometries, rows.crs)
    known["longitude"] = numbers(first_known(carried("longitude"), longitude))[owner]
    known["latitude"] = numbers(first_known(carried("latitude"), latitude))[owner]
    on_outline = shapely.intersects_xy(cut[marked], known["longitude"][marked], known["latitude"][marked])
    if not on_outline.all():
        off = some(ids[marked][~on_outline])
        warn("marker_off", f"The fields longitude and latitude put the primary markers of {off} outside their outlines. Check them.")

    given = {spelling(name) for name in further}
    mapped = {field.source for name, field in fields_by_spelling(form, "outlines").items() if name in given}
    derived: dict[str, Column] = {"utm_zone": (known["longitude"] + 180) // 6 % 60 + 1, "area_km2": _area_km2(rows, cut, form)}
    known |= {name: column for name, column in derived.items() if name not in mapped}
    aspect = numbers(carried("aspect"))
    sectors = [SECTORS[round(degrees / 45) % 8] if np.isfinite(degrees) else None for degrees in aspect.tolist()]
    known["aspect_sector"] = first_known(carried("aspect_sector"), sectors)
    return known


def _systems(rows: PolygonLayer) -> Column:
    """PrimaryID (n,) of the system (RGS) that an outline is a unit of; None where it is of none."""
    given, system = texts(column_of(rows, "associated_rgs")), texts(column_of(rows, "system_id"))
    names = [name for name in dict.fromkeys(system) if name is not None]
    if names:
        whole = on_one_map([rows])[0]
        shapes = np.array([shapely.union_all(whole[system == name]) for name in names], dtype=object)
        before = np.array([next((entry for entry in given[system == name] if entry is not None), None) for name in names], dtype=object)
        new = dict(zip(names, primary_ids(shapes, rows.crs, before, prefix="RGS"), strict=True))
        given = first_known(given, [new.get(name) for name in system])
    return given


def _area_km2(rows: PolygonLayer, cut: NDArray[np.object_], form: Form) -> NDArray[np.float64]:
    if form.area_crs is None:
        return geodesic_area(rows.geometries, rows.crs) / 1e6
    return np.asarray(shapely.area(reproject(cut, WGS84, CRS.from_user_input(form.area_crs))) / 1e6)


def _as_markers(alone: PolygonLayer, taken: Column) -> PolygonLayer:
    """Primary markers without an outline, with ids, by this project's field names."""
    points = alone.in_crs(WGS84)
    fields = project_fields(points.fields)
    places = np.concatenate([np.full(len(taken), shapely.Point(), dtype=object), points.geometries])
    existing = np.concatenate([taken, texts(fields.get("primary_id", np.full(len(points), None, dtype=object)))])
    fields["primary_id"] = primary_ids(places, WGS84, existing)[len(taken) :]
    fields |= {"longitude": shapely.get_x(points.geometries), "latitude": shapely.get_y(points.geometries)}
    return PolygonLayer(points.geometries, WGS84, fields)


def _filled(layer: FormLayer, role: str, rows: PolygonLayer, warn: Warn, further: Sequence[str] = ()) -> InventoryLayer:
    """The fields of a layer of a form, and ``further`` ones that it was asked to hold."""
    columns: dict[str, Column] = {}
    for field in layer.fields:
        given = column_of(rows, field.source)
        columns[field.name] = column = typed(given, field)
        if field.kind != "text":
            lost = texts(given)[~is_null(given) & (np.ma.getmaskarray(column) | (np.ma.getdata(column) == field.unknown))]
            if len(lost):
                warn("not_kept", f"{layer.name}, {field.name}: {some(lost)} could not become a number ({field.kind}); left empty.")
        if field.domain:
            allowed = [str(value) for value in domains()[field.domain]["values"]]
            strange = [value for value in texts(column) if value is not None and value not in allowed]
            if strange:
                warn("domain", f"{layer.name}, {field.name}: {some(strange)}: not among {', '.join(allowed)}. Kept; check them.")
    columns |= {name: writable(rows.fields[name]) for name in further}
    return InventoryLayer(layer.name, role, replace(rows, fields=columns), {field.name: field for field in layer.fields})


def typed(given: Column, field: Field) -> Column:
    """A column (n,) as a field of a form holds it: texts, or numbers with a mask where empty."""
    if field.kind == "text":
        return texts(given)
    if field.codes is None:
        values = numbers(given)
    else:
        codes = {**field.codes, **{str(code): code for code in field.codes.values()}}
        values = np.array([codes.get(value, np.nan) for value in texts(given)], dtype=np.float64)
    if field.unknown is not None:
        values[np.isnan(values)] = field.unknown
    if field.kind == "real":
        return np.ma.array(values, mask=~np.isfinite(values))
    unknown = ~(np.isfinite(values) & (values == np.round(values)))
    return np.ma.array(np.where(unknown, 0, values).astype(np.int32), mask=unknown)


def _write(job: ExportInventoryJob, layers: Sequence[InventoryLayer], reporter: Reporter) -> list[Path]:
    """Write the layers, whole or not at all; their data files in the order of the layers."""
    output = Path(job.output)
    driver = DRIVERS[output.suffix.lower()]
    if driver == "GPKG":
        with whole_file(output) as place:
            for number, layer in enumerate(layers):
                write_layer(place, layer.content, layer.name, _geometry_type(layer), driver, append=number > 0)
            add_styles(place, {layer.name: style_qml(layer.role, layer.fields) for layer in layers})
        return [output]
    stems = [output.stem if len(layers) == 1 else f"{output.stem}_{layer.name}" for layer in layers]
    files = [output.with_name(stem + output.suffix) for stem in stems]
    inputs = [Path(entry) for entry in (job.input, job.restricted, job.area_of_interest, job.markers) if entry]
    for file in files:
        if any(file.exists() and entry.samefile(file) for entry in inputs):
            raise EngineError("output_is_input", f"{file} is also an input; it would be replaced. Give the output another name.")
    with whole_set(files[0]) as folder:
        for layer, stem in zip(layers, stems, strict=True):
            names = _shortened(layer, reporter) if driver == "ESRI Shapefile" else {name: name for name in layer.content.fields}
            content = replace(layer.content, fields={names[name]: column for name, column in layer.content.fields.items()})
            write_layer(
                folder / (stem + output.suffix), content, stem, _geometry_type(layer), driver, layer_options=LAYER_OPTIONS.get(driver)
            )
            style = style_qml(layer.role, {names[name]: field for name, field in layer.fields.items()})
            (folder / f"{stem}.qml").write_text(style, encoding="utf-8")
    return files


def _geometry_type(layer: InventoryLayer) -> str:
    return "Point" if layer.role == "markers" else "MultiPolygon"


def _shortened(layer: InventoryLayer, reporter: Reporter) -> dict[str, str]:
    """Name of a field -> its name in a Shapefile; says what a Shapefile cannot hold."""
    names = dict(zip(layer.content.fields, short_names(layer.content.fields), strict=True))
    changed = [f"{name} is {short}" for name, short in names.items() if name != short]
    if changed:
        reporter.info(f"{layer.name}: a Shapefile has names of 10 characters, so {', '.join(changed)}.")
    long = [
        name for name, column in layer.content.fields.items() if any(len((text or "").encode()) > SHAPEFILE_TEXT for text in texts(column))
    ]
    if long:
        reporter.warning(
            "text_cut", f"{layer.name}: texts in {', '.join(long)} were cut to 254 bytes. Write a GeoPackage to keep them whole."
        )
    return names
