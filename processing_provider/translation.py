"""Texts in the person's language."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication, QTranslator

CONTEXT = "RockGlacierMapper"
I18N = Path(__file__).resolve().parent.parent / "i18n"


def tr(text: str) -> str:
    """The text in the language QGIS runs in, where a translation is installed."""
    return QCoreApplication.translate(CONTEXT, text)


def install_translation() -> QTranslator | None:
    """Make the texts of this plugin appear in QGIS's language; None where i18n/ has no translation into it.

    The translator has to be kept as long as it is needed, and taken away with ``QCoreApplication.removeTranslator``.
    """
    translator = QTranslator()
    if not translator.load(f"rock_glacier_mapper_{QgsApplication.locale()}", str(I18N)):
        return None
    QCoreApplication.installTranslator(translator)
    return translator
