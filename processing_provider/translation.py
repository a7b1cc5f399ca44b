"""Texts in the person's language."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication


def tr(text: str) -> str:
    """The text in the language QGIS runs in, where a translation is installed."""
    return QCoreApplication.translate("RockGlacierMapper", text)
