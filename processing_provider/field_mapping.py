"""The parameter that says which field becomes which: a table of TO and FROM."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext, QgsProcessingParameterMatrix

from .translation import tr


def field_mapping_parameter(name: str) -> QgsProcessingParameterMatrix:
    """A table of two columns that may grow."""
    return QgsProcessingParameterMatrix(name, tr("Other fields"), 0, False, ["TO", "FROM"], optional=True)


def mapping_entries(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext
) -> tuple[str, ...]:
    """The rows of the table as the engine takes them, ``TO=FROM``; empty rows are left out."""
    return tuple(f"{to}={source}" for to, source in _rows(algorithm, parameters, name, context))


def why_half_a_row(algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> str:
    """What is wrong with the table, in words; empty when nothing is."""
    if all(to and source and "=" not in to + source for to, source in _rows(algorithm, parameters, name, context)):
        return ""
    return tr("{}: every row needs both, TO and FROM, and no = in a name.").format(name)


def _rows(algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> list[tuple[str, str]]:
    # The window hands over a flat list, a script may as well hand over a list of rows.
    cells: list[Any] = []
    for cell in algorithm.parameterAsMatrix(parameters, name, context):
        cells += cell if isinstance(cell, list) else [cell]
    texts = ["" if not cell else str(cell).strip() for cell in cells]
    texts += [""] * (len(texts) % 2)
    return [row for row in zip(texts[::2], texts[1::2]) if any(row)]
