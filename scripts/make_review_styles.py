"""Make the styles of a review session's layers and of fall lines, resources/styles/: ``python3 scripts/make_review_styles.py [FOLDER]``.

Runs with the Python that imports QGIS. Status is told by the line's pattern as well as by its colour (Okabe and Ito), each on a dark
casing so that it stands out from snow and from shadow. Polygons have no fill: the imagery below is what is judged.
"""

from __future__ import annotations

import re
import sys
from itertools import count
from pathlib import Path
from xml.etree import ElementTree  # noqa: S405 of files that this script has just written

from qgis.core import (
    QgsApplication,
    QgsCategorizedSymbolRenderer,
    QgsFillSymbol,
    QgsLineSymbol,
    QgsMapLayer,
    QgsMarkerLineSymbolLayer,
    QgsMarkerSymbol,
    QgsRendererCategory,
    QgsRuleBasedRenderer,
    QgsSimpleLineSymbolLayer,
    QgsSingleSymbolRenderer,
    QgsSymbolLayer,
    QgsVectorLayer,
)

STYLES = Path(__file__).resolve().parent.parent / "resources" / "styles"
DARK = "26,26,26"
YELLOW, GREEN, SKY, PURPLE, ORANGE, VERMILION, GREY = (
    "240,228,66", "0,158,115", "86,180,233", "204,121,167", "230,159,0", "213,94,0", "190,190,190",
)  # fmt: skip
BY_STATUS = (  # status, colour, dash in millimetres, marks along the line
    ("unreviewed", YELLOW, "", ""),
    ("accepted", "64,224,170", "", "circle"),  # green, lighter: the pure one is lost in shadow
    ("edited", "120,165,255", "", "square"),  # blue, lighter, and another one than that of manual outlines
    ("added", PURPLE, "", "cross"),
    ("uncertain", ORANGE, "2.4;1.6", ""),
    ("rejected", VERMILION, "0.7;1.3", ""),
    ("replaced", GREY, "0.4;2.2", ""),
)


def main() -> None:
    """Write all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else STYLES
    application = QgsApplication([], False)
    application.initQgis()
    by_status = [
        QgsRendererCategory(status, outline(casing(), stroke(colour, 0.5, dash), *marks(mark, colour)), status)
        for status, colour, dash, mark in BY_STATUS
    ]
    save(folder, "review_outlines", QgsCategorizedSymbolRenderer("status", by_status))
    save(folder, "review_restricted", QgsSingleSymbolRenderer(outline(stroke(DARK, 0.6), stroke("255,176,0", 0.3, "1.6;1"))))
    save(folder, "review_predicted", QgsSingleSymbolRenderer(outline(stroke(DARK, 0.6), stroke(VERMILION, 0.3, "3;1.4"))))
    save(folder, "review_reference", QgsSingleSymbolRenderer(outline(casing(), stroke("127,212,255", 0.5, "3;1.8"))))
    visited, unvisited = (QgsRuleBasedRenderer.Rule(symbol, label=label) for symbol, label in (
        (outline(stroke("127,127,127,140", 0.2), fill="127,127,127,26"), "visited"),
        (outline(stroke("255,255,255,170", 0.26, "1;1")), "not visited"),
    ))  # fmt: skip
    visited.setFilterExpression('"visited_at" IS NOT NULL')
    unvisited.setFilterExpression('"visited_at" IS NULL')
    root = QgsRuleBasedRenderer.Rule(None)
    root.appendChild(visited)
    root.appendChild(unvisited)
    save(folder, "review_tiles", QgsRuleBasedRenderer(root))
    line = QgsLineSymbol.createSimple({"line_color": DARK, "line_width": "1", "joinstyle": "round"})
    for layer in (stroke(SKY, 0.6), *marks("arrowhead", SKY)):
        line.appendSymbolLayer(layer)
    save(folder, "fall_lines", QgsSingleSymbolRenderer(line), "LineString")
    application.exitQgis()


def casing() -> QgsSymbolLayer:
    """What is below every line."""
    return stroke(DARK, 0.9)


def stroke(colour: str, width: float, dash: str = "") -> QgsSymbolLayer:
    """A line, millimetres."""
    properties = {"line_color": colour, "line_width": str(width), "joinstyle": "round", "capstyle": "flat" if dash else "round"}
    return QgsSimpleLineSymbolLayer.create({**properties, **({"use_custom_dash": "1", "customdash": dash} if dash else {})})


def marks(shape: str, colour: str) -> list[QgsSymbolLayer]:
    """Marks along a line every 6 mm, or an arrowhead at its end."""
    if not shape:
        return []
    along = QgsMarkerLineSymbolLayer.create({"interval": "6", "placements": "LastVertex" if shape == "arrowhead" else "Interval"})
    size = {"arrowhead": "3.4", "cross": "2.4"}.get(shape, "1.7")
    name = {"arrowhead": "filled_arrowhead", "cross": "cross_fill"}.get(shape, shape)
    marker = {"name": name, "color": colour, "outline_color": DARK, "outline_width": "0.2", "size": size}
    along.setSubSymbol(QgsMarkerSymbol.createSimple(marker))
    return [along]


def outline(*layers: QgsSymbolLayer, fill: str = "") -> QgsFillSymbol:
    """A polygon of lines."""
    symbol = QgsFillSymbol.createSimple({"color": fill or "0,0,0,0", "style": "solid" if fill else "no", "outline_style": "no"})
    if not fill:
        symbol.deleteSymbolLayer(0)
    for layer in layers:
        symbol.appendSymbolLayer(layer)
    return symbol


def save(folder: Path, name: str, renderer: object, geometry: str = "MultiPolygon") -> None:
    """Write a style; ids of symbols are numbers and attributes are sorted, so that the file changes only where the style does."""
    layer = QgsVectorLayer(f"{geometry}?field=status:string&field=visited_at:string", name, "memory")
    layer.setRenderer(renderer)
    path = folder / f"{name}.qml"
    layer.saveNamedStyle(str(path), QgsMapLayer.StyleCategory.Symbology)
    number = count(1)
    text = re.sub(r"\{[0-9a-f-]{36}\}", lambda _: f"{{00000000-0000-0000-0000-{next(number):012d}}}", path.read_text(encoding="utf-8"))
    path.write_text(ElementTree.canonicalize(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
