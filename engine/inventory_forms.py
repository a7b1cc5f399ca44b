"""The published forms of rock glacier inventories: their layers, their fields, and the values that a field may hold.

The values are in resources/inventory/domains.json, a file to edit: ``verified`` says which are confirmed by released data and
which await a comparison with the template of RGIK.

Source
------
RGIK template (names with dots) and RoGI release 2.0 (without), rogi_ch 2.0, TPRoGI (Sun et al. 2024), RGI 7.0,
the global inventory of 2026. docs/inventory.md lists them all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RESOURCES = Path(__file__).resolve().parents[1] / "resources" / "inventory"

SHAPEFILE_NAME = 10
"""Characters that a field name has in a Shapefile."""

SECTORS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
ASPECT_RGI7 = {sector: number for number, sector in enumerate(SECTORS, 1)}
ASPECT_RGI7_UNKNOWN = 9
ASPECT_GLOBAL = {sector: (number - 2) % 8 + 1 for number, sector in enumerate(SECTORS)}


@dataclass(frozen=True)
class Field:
    """A field of a form: its ``name`` there, the field of this project that fills it (``source``), its ``kind`` (text, integer,
    real), the ``domain`` of its values in domains.json where it has one, and the code numbers that stand for values
    (``codes``), with the one for no value (``unknown``)."""

    name: str
    source: str
    kind: str = "text"
    domain: str = ""
    codes: Mapping[str, int] | None = None
    unknown: int | None = None


@dataclass(frozen=True)
class FormLayer:
    """A layer of a form."""

    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Form:
    """A published form of an inventory, told from the others by the fields of its outlines that ``known_by`` names.

    ``markers`` is None where it has no primary markers; ``rgik`` forms have room for restricted outlines and the area of
    interest; ``area_crs`` is the equal-area map that areas are measured on, None for the ellipsoid.
    """

    outlines: FormLayer
    known_by: tuple[str, ...]
    markers: FormLayer | None = None
    rgik: bool = False
    area_crs: str | None = None


AREA_OF_INTEREST = "AOI"
RELIABILITIES = ("reliability_front", "reliability_left", "reliability_right", "reliability_upslope")
"""What ``reliability_index`` is the sum of."""

# name in the template, in the release, in rogi_ch (None: not there), field of this project, domain
_MARKER = (
    ("PrimaryID", "PrimaryID", "pm_pid", "primary_id", ""),
    ("WorkingID", "WorkingID", "pm_working_id", "id", ""),
    (None, None, "pm_alter_id", "alternative_id", ""),
    ("Assoc.RGS", "AssocRGS", None, "associated_rgs", ""),
    (None, None, "rgu_rgs_type", "system_type", "system_type"),
    ("Morpho.", "Morpho", "rgu_morphology", "unit_morphology", "unit_morphology"),
    ("Complet.", "Complet", "rgu_complete", "completeness", "completeness"),
    ("Upsl.Con.", "UpslCon", "rgu_upsl_con", "upslope_connection", "upslope_connection"),
    ("Upsl.Cur.", "UpslCur", "rgu_upsl_cur", "upslope_current", "upslope_current"),
    ("Acti.Ass.", "ActiAss", "rgu_activity_assessment", "activity_assessment", "activity_assessment"),
    ("Acti.Cl.", "ActiCl", "rgu_activity_class", "activity_class", "activity_class"),
    ("Destabili.", "Destabili", "rgu_destabilized", "destabilisation", "destabilisation"),
    ("Kin.Att.", "KinAtt", "rgu_kin_att", "kinematic_attribute", "kinematic_attribute"),
    ("Rel.Kin.", "RelKin", None, "kinematic_reliability", "kinematic_reliability"),
    ("Kin.Period", "KinPeriod", None, "kinematic_period", ""),
    (None, None, "rgu_kin_radar", "kinematic_radar", ""),
    (None, None, "rgu_kin_optical", "kinematic_optical", ""),
    ("Comment", "Comment", "pm_comment", "comment", ""),
    (None, "Country", None, "country", ""),
)
_OUTLINE = (
    (None, "PolyUID", None, "poly_uid", "text", ""),
    ("PrimaryID", "PrimaryID", "pm_pid", "primary_id", "text", ""),
    ("WorkingID", "WorkingID", "pm_working_id", "outline_working_id", "text", ""),
    ("Out.Type", "OutType", "ou_type", "outline_type", "text", "outline_type"),
    ("RelFr", "RelFr", "RelFr", "reliability_front", "integer", "reliability"),
    ("RelLeftLM", "RelLeftLM", "RelLeftLM", "reliability_left", "integer", "reliability"),
    ("RelRightLM", "RelRightLM", "RelRightLM", "reliability_right", "integer", "reliability"),
    ("RelUpsCon", "RelUpsCon", "RelUpsCon", "reliability_upslope", "integer", "reliability"),
    ("RelIndex", "RelIndex", "RelIndex", "reliability_index", "integer", ""),
    ("Comment", "Comment", "Comment", "outline_comment", "text", ""),
    ("Operator", "Operator", "Operator", "operator", "text", ""),
    ("Imagery", "Imagery", "Imagery", "imagery", "text", ""),
    ("Date", "Date", "Date", "date", "text", ""),
    ("Method", "Method", "Method", "method", "text", ""),
)


def _rgik(spelling: int) -> Form:
    markers = tuple(Field(name, row[3], "text", row[4]) for row in _MARKER if (name := row[spelling]))
    outlines = tuple(Field(name, row[3], row[4], row[5]) for row in _OUTLINE if (name := row[spelling]))
    outline_type = next(field.name for field in outlines if field.source == "outline_type")
    return Form(FormLayer("GO", outlines), (outline_type,), FormLayer("PM", markers), rgik=True)


_TPROGI_PLACE = (
    Field("ID", "primary_id"),
    Field("SUBREGION", "subregion"),
    Field("LON", "longitude", "real"),
    Field("LAT", "latitude", "real"),
)
_TPROGI_OUTLINE = (
    *_TPROGI_PLACE,
    Field("AREA", "area_km2", "real"),
    Field("ELEV_MIN", "elevation_min", "real"),
    Field("ELEV_MAX", "elevation_max", "real"),
    Field("ELEV_MEAN", "elevation_mean", "real"),
    Field("SLOPE_MEAN", "slope_mean", "real"),
    Field("ASPECT", "aspect", "real"),
    Field("MAAT", "maat", "real"),
    Field("MAGT", "magt", "real"),
    Field("AP", "precipitation", "real"),
    Field("PISR", "solar_kwh_m2", "real"),
    Field("MAP_DATE", "date"),
)
_RGI7 = (
    Field("PrimaryID", "primary_id"),
    Field("src_date", "date"),
    Field("cenlon", "longitude", "real"),
    Field("cenlat", "latitude", "real"),
    Field("utm_zone", "utm_zone", "integer"),
    Field("area_km2", "area_km2", "real"),
    Field("termlon", "terminus_longitude", "real"),
    Field("termlat", "terminus_latitude", "real"),
    Field("zmin_m", "elevation_min", "real"),
    Field("zmax_m", "elevation_max", "real"),
    Field("zmed_m", "elevation_median", "real"),
    Field("zmean_m", "elevation_mean", "real"),
    Field("slope_deg", "slope_mean", "real"),
    Field("aspect_deg", "aspect", "real"),
    Field("aspect_sec", "aspect_sector", "integer", codes=ASPECT_RGI7, unknown=ASPECT_RGI7_UNKNOWN),
    Field("dem_source", "dem_source"),
    Field("lmax_m", "length_m", "real"),
)
_GLOBAL = (
    Field("PrimaryID", "primary_id"),
    Field("area", "area_km2", "real"),
    Field("longitude", "longitude", "real"),
    Field("latitude", "latitude", "real"),
    Field("elevation", "elevation_mean", "real"),
    Field("slope", "slope_mean", "real"),
    Field("aspect", "aspect_sector", "integer", codes=ASPECT_GLOBAL),
    Field("maat", "maat", "real"),
    Field("magt", "magt", "real"),
    Field("precipitation", "precipitation", "real"),
    Field("pzi", "pzi", "real"),
)

FORMS = {
    "rgik": _rgik(0),
    "rgik_release": _rgik(1),
    "rogi_ch": _rgik(2),
    "tprogi": Form(
        FormLayer("TPRoGI_Extended_Footprint", _TPROGI_OUTLINE), ("SUBREGION",), FormLayer("TPRoGI_Primary_Marker", _TPROGI_PLACE)
    ),
    "rgi7": Form(FormLayer("rock_glaciers", _RGI7), ("cenlon", "cenlat")),
    "global2026": Form(FormLayer("rock_glaciers", _GLOBAL), ("area", "elevation", "slope"), area_crs="EPSG:8857"),
}
"""The forms by the names of :data:`jobs.INVENTORY_FORMS`."""


@cache
def domains() -> dict[str, Any]:
    """Name of a domain -> its ``values``, the ``labels`` that a person sees where they differ, and whether they are ``verified``."""
    with open(RESOURCES / "domains.json", encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def spelling(name: str) -> str:
    """What two spellings of a field's name have in common: ``Acti.Cl.`` and ``ActiCl``, ``PrimaryID`` and ``primary_id``."""
    return re.sub(r"[._ ]", "", name).lower()


def short_names(names: Iterable[str]) -> list[str]:
    """Field names for a Shapefile, 10 characters at most and told apart as GDAL does: the second ``rgu_activity…`` is ``rgu_acti_1``."""
    short: list[str] = []
    taken: set[str] = set()
    for name in names:
        candidate, number = name[:SHAPEFILE_NAME], 0
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name[: SHAPEFILE_NAME - 1 - len(str(number))]}_{number}"
        short.append(candidate)
        taken.add(candidate.lower())
    return short


def recognised(names: Iterable[str]) -> str | None:
    """The form that outlines with these fields are in; None where it is none of them."""
    present = {name.lower() for name in names}
    return next((name for name, form in FORMS.items() if {known.lower() for known in form.known_by} <= present), None)


def fields_by_spelling(form: Form, layer: str) -> dict[str, Field]:
    """Every :func:`spelling` of the fields of a form's ``markers`` or ``outlines`` -> the field.

    Names are taken as the form has them, cut to 10 characters for a Shapefile, and, in the RGIK forms, as the others of them
    have them.
    """
    found: dict[str, Field] = {}
    for other in (form, *(entry for entry in FORMS.values() if form.rgik and entry.rgik)):
        twin: FormLayer | None = getattr(other, layer)
        fields = twin.fields if twin else ()
        for field, short in zip(fields, short_names(field.name for field in fields), strict=True):
            found.setdefault(spelling(field.name), field)
            found.setdefault(spelling(short), field)
    return found
