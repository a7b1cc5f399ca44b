"""The Processing provider."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .adapt_model import AdaptModel
from .add_attributes import AddAttributes
from .assess_accuracy import AssessAccuracy
from .chain import CHAIN_FILE, RockGlacierChain
from .compare_inventories import CompareInventories
from .design_sample import DesignSample
from .detect_rock_glaciers import DetectRockGlaciers
from .estimate_area import EstimateArea
from .evaluate_network import EvaluateNetwork
from .export_inventory import ExportInventory
from .export_network import ExportNetwork
from .fall_lines import FallLines
from .finish_review import FinishReview
from .import_inventory import ImportInventory
from .merge_reviews import MergeReviews
from .mine_hard_negatives import MineHardNegatives
from .postprocess_polygons import PostprocessPolygons
from .prepare_spectral_stack import PrepareSpectralStack
from .prepare_training_samples import PrepareTrainingSamples
from .split_outlines import SplitOutlines
from .start_review import StartReview
from .train_network import TrainNetwork
from .translation import tr
from .update_review import UpdateReview

ICON = str(Path(__file__).resolve().parent.parent / "resources" / "icons" / "rock_glacier.svg")


class RockGlacierProvider(QgsProcessingProvider):
    """Provider ``rockglacier``: the algorithms, and the model that chains the first three."""

    def id(self) -> str:
        """The fixed id."""
        return "rockglacier"

    def name(self) -> str:
        """The heading in the toolbox."""
        return tr("Rock Glacier Mapper")

    def icon(self) -> QIcon:
        """The icon in the toolbox."""
        return QIcon(ICON)

    def svgIconPath(self) -> str:
        """The icon's file."""
        return ICON

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """The engine writes GeoTIFF."""
        return ["tif"]

    def loadAlgorithms(self) -> None:
        """Called by QGIS, at every refresh of the toolbox too."""
        for algorithm in (
            PrepareSpectralStack,
            DetectRockGlaciers,
            PostprocessPolygons,
            SplitOutlines,
            AddAttributes,
            AssessAccuracy,
            CompareInventories,
            DesignSample,
            EstimateArea,
            ExportInventory,
            FallLines,
            ImportInventory,
            StartReview,
            UpdateReview,
            MergeReviews,
            FinishReview,
            PrepareTrainingSamples,
            TrainNetwork,
            MineHardNegatives,
            EvaluateNetwork,
            ExportNetwork,
            AdaptModel,
        ):
            self.addAlgorithm(algorithm())
        # A model knows its outputs by looking its steps up in the registry, which holds this provider only once it is added.
        if QgsApplication.processingRegistry().providerById(self.id()) is not None:
            chain = RockGlacierChain()
            if chain.fromFile(str(CHAIN_FILE)):
                self.addAlgorithm(chain)
