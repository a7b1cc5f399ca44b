"""The shipped model that chains the three algorithms."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingModelAlgorithm
from qgis.PyQt.QtGui import QIcon

from .translation import tr

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
CHAIN_FILE = RESOURCES / "models" / "rock_glacier_chain.model3"


class RockGlacierChain(QgsProcessingModelAlgorithm):
    """``rockglacier:rockglacierchain``: the model of CHAIN_FILE with a name for people beside the one of its id."""

    def displayName(self) -> str:
        """The name in the toolbox."""
        return tr("Map rock glaciers (scene to outlines)")

    def group(self) -> str:
        """The heading in the toolbox, that of its steps."""
        return tr("Mapping")

    def groupId(self) -> str:
        """The fixed id of the heading."""
        return "mapping"

    def icon(self) -> QIcon:
        """The icon in the toolbox."""
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        """The icon's file."""
        return str(RESOURCES / "icons" / "rock_glacier.svg")

    def createInstance(self) -> RockGlacierChain:
        """A fresh one for a run."""
        chain = RockGlacierChain()
        chain.loadVariant(self.toVariant())
        chain.setProvider(self.provider())
        return chain
