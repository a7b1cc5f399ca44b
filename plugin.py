"""The plugin: it starts, registers and unregisters. Nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Callable

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication, Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction, QMenu

from .processing_provider.provider import ICON, RockGlacierProvider
from .processing_provider.translation import install_translation, tr

MENU = (
    ("preparespectralstack", "detectrockglaciers", "postprocesspolygons", "rockglacierchain"),
    ("splitoutlines", "addattributes", "falllines", "exportinventory", "importinventory", "compareinventories"),
    ("assessaccuracy", "designsample", "estimatearea"),
    ("startreview", "updatereview"),
    ("mergereviews", "finishreview"),
    ("preparetrainingsamples", "trainnetwork", "minehardnegatives", "evaluatenetwork", "exportnetwork", "adaptmodel"),
)
"""Algorithms in the menu, group by group."""
REVIEW_ICON, CURVES_ICON = (
    str(Path(__file__).resolve().parent / "resources" / "icons" / name) for name in ("review.svg", "trainingcurves.svg")
)


class RockGlacierMapperPlugin:
    """What QGIS holds of the plugin; ``iface`` is None under ``qgis_process``."""

    def __init__(self, iface: Any | None) -> None:
        self._iface = iface
        self._translation = install_translation()
        self._provider: RockGlacierProvider | None = None
        self._menu: QMenu | None = None
        self._review_action: QAction | None = None
        self._dock: Any = None
        self._curves: Any = None

    def initProcessing(self) -> None:
        """Register the algorithms; all that ``qgis_process`` needs."""
        self._provider = RockGlacierProvider()
        QgsApplication.processingRegistry().addProvider(self._provider)
        self._provider.refreshAlgorithms()  # the chain finds its steps now that the provider is in the registry

    def initGui(self) -> None:
        """Register the algorithms, the menu Raster > Rock Glacier Mapper, and the button of the review among those of plugins."""
        self.initProcessing()
        self._menu = QMenu(tr("Rock Glacier Mapper"), self._iface.mainWindow())
        self._menu.setIcon(QIcon(ICON))
        for names in MENU:
            for name in names:
                algorithm = self._provider.algorithm(name)
                if algorithm is not None:
                    self._add_action(algorithm.displayName() + "…", algorithm.icon(), partial(self._open_algorithm, algorithm.id()))
            self._menu.addSeparator()
        self._review_action = QAction(QIcon(REVIEW_ICON), tr("Rock Glacier Review"), self._menu)
        self._review_action.setObjectName("rockGlacierReview")
        self._review_action.setCheckable(True)
        self._review_action.setToolTip(tr("Judge and correct rock glacier outlines"))
        self._review_action.triggered.connect(self.show_review)
        self._menu.addAction(self._review_action)
        self._iface.addToolBarIcon(self._review_action)
        self._menu.addSeparator()
        self._add_action(
            tr("Open sample (simulated landscape)"), QgsApplication.getThemeIcon("/mActionAddRasterLayer.svg"), self.open_sample
        )
        self._add_action(tr("Training curves"), QIcon(CURVES_ICON), self.show_training_curves)
        self._add_action(tr("Set up engine…"), QgsApplication.getThemeIcon("/mActionOptions.svg"), self.set_up_engine)
        self._iface.rasterMenu().addMenu(self._menu)

    def unload(self) -> None:
        """Unregister what was registered; a review that is open is saved and closed."""
        if self._dock is not None:
            self._dock.release()
            self._iface.removeDockWidget(self._dock)
            self._dock.deleteLater()
            self._dock = None
        if self._curves is not None:
            self._curves.close()
            self._curves.deleteLater()
            self._curves = None
        if self._review_action is not None:
            self._iface.removeToolBarIcon(self._review_action)
            self._review_action = None
        if self._menu is not None:
            self._iface.rasterMenu().removeAction(self._menu.menuAction())
            self._menu.deleteLater()
            self._menu = None
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
        if self._translation is not None:
            QCoreApplication.removeTranslator(self._translation)
            self._translation = None

    def show_review(self, shown: bool = True) -> None:
        """Show or hide the review dock; it is made when it is first asked for."""
        if self._dock is None:
            from .dialogs.review.dock import ReviewDock  # noqa: PLC0415

            self._dock = ReviewDock(self._iface, self.set_up_engine)
            if not self._iface.mainWindow().restoreDockWidget(self._dock):
                self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
            self._dock.setToggleVisibilityAction(self._review_action)
        self._dock.setUserVisible(shown)

    def show_training_curves(self) -> None:
        """Show the window with the curves of the training that was started last, or bring it to the front."""
        if self._curves is None:
            from .dialogs.training_curves import TrainingCurves  # noqa: PLC0415

            self._curves = TrainingCurves(self._iface.mainWindow())
        self._curves.show_training()

    def set_up_engine(self) -> None:
        """Show the set-up dialog."""
        from .dialogs.engine_setup import EngineSetupDialog  # noqa: PLC0415 no window before one is asked for

        dialog = EngineSetupDialog(self._iface.mainWindow())
        dialog.exec()
        dialog.deleteLater()

    def open_sample(self) -> None:
        """Load the simulated landscape that ships with the plugin."""
        from .dialogs.sample import open_sample  # noqa: PLC0415

        open_sample(self._iface)

    def _open_algorithm(self, algorithm_id: str) -> None:
        import processing  # noqa: PLC0415 QGIS loads this plugin before the Processing plugin where the name sorts so

        processing.execAlgorithmDialog(algorithm_id)

    def _add_action(self, text: str, icon: QIcon, do: Callable[[], None]) -> None:
        action = QAction(icon, text, self._menu)
        action.triggered.connect(lambda _checked=False: do())
        self._menu.addAction(action)
