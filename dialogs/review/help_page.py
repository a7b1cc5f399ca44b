"""The short guide that ships with the plugin."""

from __future__ import annotations

from pathlib import Path

from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QDesktopServices

PAGE = Path(__file__).resolve().parents[2] / "resources" / "help" / "review.html"


def address() -> QUrl:
    """Where it is."""
    return QUrl.fromLocalFile(str(PAGE))


def show_help() -> None:
    """Open it in the program that the system has for pages."""
    QDesktopServices.openUrl(address())
