"""How QGIS shows an inventory: colours by type and activity, and drop-down lists with exactly the values of the form.

A GeoPackage carries its styles in the table ``layer_styles``, other files have a .qml beside them; QGIS applies both by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from engine.inventory_forms import RELIABILITIES, RESOURCES, Field, domains

LAYER_STYLES = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
    f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
    owner TEXT(30), ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""
"""The table that QGIS makes to save styles in a GeoPackage."""

SHOWN_BY = {"markers": ("activity_class", "''"), "outlines": ("outline_type", "'Extended'"), "area_of_interest": ("", "")}
"""Role of a layer -> the field that its symbols tell apart, and the value that stands for it in a form without that field."""


def style_qml(role: str, fields: Mapping[str, Field]) -> str:
    """The style of a layer as QGIS reads it: fields with a domain as drop-down lists, RelIndex the sum while a person edits.

    Parameters
    ----------
    role : ``markers``, ``outlines`` or ``area_of_interest``
    fields : name in the file -> the form's field
    """
    style = ElementTree.parse(RESOURCES / f"{role}.qml").getroot()
    source, instead = SHOWN_BY[role]
    renderer = style.find("renderer-v2")
    assert renderer is not None
    if source:
        shown = next((f'"{name}"' for name, field in fields.items() if field.source == source), instead)
        renderer.set("attr", shown)
    style.set("styleCategories", "Symbology|Fields|Forms")
    configuration = ElementTree.SubElement(style, "fieldConfiguration")
    for name, field in fields.items():
        if field.domain:
            _add_drop_down_list(configuration, name, field)
    summed = {field.source: name for name, field in fields.items()}
    if "reliability_index" in summed:
        expression = " + ".join(f'"{summed[source]}"' for source in RELIABILITIES)
        defaults = ElementTree.SubElement(style, "defaults")
        ElementTree.SubElement(defaults, "default", field=summed["reliability_index"], expression=expression, applyOnUpdate="1")
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(style, encoding="unicode")


def _add_drop_down_list(configuration: ElementTree.Element, name: str, field: Field) -> None:
    domain = domains()[field.domain]
    entry = ElementTree.SubElement(configuration, "field", name=name, configurationFlags="NoFlag")
    widget = ElementTree.SubElement(entry, "editWidget", type="ValueMap")
    options = ElementTree.SubElement(ElementTree.SubElement(widget, "config"), "Option", type="Map")
    choices = ElementTree.SubElement(options, "Option", type="List", name="map")
    for label, value in zip(domain.get("labels", domain["values"]), domain["values"], strict=True):
        choice = ElementTree.SubElement(choices, "Option", type="Map")
        ElementTree.SubElement(choice, "Option", name=label, type="QString", value=str(value))


def add_styles(geopackage: Path, styles: Mapping[str, str]) -> None:
    """Save the default styles of layers, name -> QML, in a GeoPackage that is not yet anybody's output."""
    connection = sqlite3.connect(geopackage)
    try:
        with connection:
            connection.execute(LAYER_STYLES)
            connection.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles')"
            )
            for name, qml in styles.items():
                geometry = connection.execute("SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (name,)).fetchone()[0]
                connection.execute(
                    "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, "
                    "styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, ?, ?, '', 1, '', '')",
                    (name, geometry, name, qml),
                )
    except sqlite3.Error as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()
