"""The parameters of algorithms that take chips: pictures with masks, instead of georeferenced samples."""

from __future__ import annotations

from qgis.core import Qgis, QgsProcessingParameterFile

from .engine_algorithm import EngineAlgorithm
from .translation import tr


class ChipsAlgorithm(EngineAlgorithm):
    """An algorithm that takes chips, too."""

    IMAGES, MASKS, NEGATIVE_IMAGES = "IMAGES", "MASKS", "NEGATIVE_IMAGES"

    def ask_for_chips(self, about_images: str) -> None:
        """Declare IMAGES, MASKS and NEGATIVE_IMAGES; ``about_images`` is the help of the first."""
        folder = Qgis.ProcessingFileParameterBehavior.Folder
        about_masks = tr("Pictures of the same names and sizes: 0 background, anything else rock glacier.")
        for name, label, text in (
            (self.IMAGES, tr("Chips: folder of images"), about_images),
            (self.MASKS, tr("Chips: folder of masks"), about_masks),
            (self.NEGATIVE_IMAGES, tr("Chips: folder of images without rock glaciers"), tr("They need no masks.")),
        ):
            self.ask_for(QgsProcessingParameterFile(name, label, folder, optional=True), text, advanced=True)
