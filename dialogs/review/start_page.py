"""What the dock shows without a session: what a review is, how to start one, how to go on with one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable

from qgis.core import Qgis, QgsApplication, QgsMapLayer, QgsProject, QgsSettings
from qgis.gui import QgsFileWidget, QgsMapLayerComboBox
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QShowEvent
from qgis.PyQt.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QFrame,
    QGroupBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ...jobs import StartReviewJob
from ...processing_provider.engine_home import EngineState, engine_state, user_folder, what_to_do
from ...processing_provider.translation import tr
from ..sample import SAMPLE
from .help_page import address
from .inputs import guesses, raster_file, show_layer, vector_file
from .job_bar import JobBar
from .session import ReviewError, session_name

OPERATOR_SETTING = "rock_glacier_mapper/review/operator"
RECENT_SETTING = "rock_glacier_mapper/review/recent"
MOST_RECENT = 6
SAMPLE_SESSION = Path("review", "review.gpkg")
SESSION_FILTER = "GeoPackage (*.gpkg)"


class StartPage(QScrollArea):
    """Starts and finds sessions; the dock opens them."""

    chosen = pyqtSignal(str)
    """A session's file that is to be opened."""
    said = pyqtSignal(str, object)
    """A text for the message bar and its ``Qgis.MessageLevel``."""

    def __init__(self, set_up_engine: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._set_up_engine = set_up_engine
        self._touched: set[str] = set()
        self._offered = ""
        self._boxes: dict[str, QgsMapLayerComboBox] = {}
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.addWidget(self._explanation())
        layout.addWidget(self._sample_button())
        layout.addWidget(self._new_session())
        layout.addWidget(self._known_sessions())
        layout.addStretch(1)
        self.setWidget(page)
        QgsProject.instance().layersAdded.connect(self._guess)
        QgsProject.instance().layersRemoved.connect(self._guess)
        self._show_engine()
        self._show_recent()
        self._guess()

    @property
    def operator(self) -> str:
        """The name that decisions are signed with."""
        return self._operator.text().strip()

    def release(self) -> None:
        """Let go of the project and end a job that runs."""
        QgsProject.instance().layersAdded.disconnect(self._guess)
        QgsProject.instance().layersRemoved.disconnect(self._guess)
        self.bar.cancel()

    def remember(self, path: Path) -> None:
        """Put a session at the top of the recent ones."""
        kept = [str(path), *(other for other in recent_sessions() if other != str(path))][:MOST_RECENT]
        QgsSettings().setValue(RECENT_SETTING, kept)
        self._show_recent()

    def showEvent(self, event: QShowEvent) -> None:
        """Called by Qt; the engine may have been set up and files may have gone meanwhile."""
        super().showEvent(event)
        self._show_engine()
        self._show_recent()
        self._guess()

    def start(self) -> None:
        """Start a session of the chosen layers in the background."""
        try:
            job = self._job()
        except ReviewError as error:
            self.said.emit(str(error), Qgis.MessageLevel.Warning)
            return
        QgsSettings().setValue(OPERATOR_SETTING, self.operator)

        def done(_result: dict[str, Any], warnings: list[str]) -> None:
            for text in warnings:
                self.said.emit(text, Qgis.MessageLevel.Warning)
            self.chosen.emit(job.output)

        def failed(text: str) -> None:
            self.said.emit(text, Qgis.MessageLevel.Critical)
            self._show_engine()

        self.bar.run(tr("Comparing the outlines and starting the session"), job, done, failed)

    def open_sample(self) -> None:
        """Copy the sample session with its rasters to the person's own folder, unless it is there already, and open it."""
        folder = user_folder() / "sample"
        session = folder / SAMPLE_SESSION
        if not session.is_file():
            if not (SAMPLE / SAMPLE_SESSION).is_file():
                self.said.emit(tr("This copy of the plugin holds no sample session; install the plugin again."), Qgis.MessageLevel.Warning)
                return
            try:
                shutil.copytree(SAMPLE, folder, dirs_exist_ok=True)
            except OSError as error:
                self.said.emit(tr("The sample session could not be copied to {}: {}").format(folder, error), Qgis.MessageLevel.Critical)
                return
        self.chosen.emit(str(session))

    def ask_for_session(self) -> None:
        """Let the person find a session's file."""
        recent = recent_sessions()
        where = str(Path(recent[0]).parent) if recent else QgsProject.instance().homePath()
        path, _ = QFileDialog.getOpenFileName(self, tr("Open a review session"), where, SESSION_FILTER)
        if path:
            self.chosen.emit(path)

    def _explanation(self) -> QLabel:
        label = QLabel(
            tr(
                "<p>Judge every predicted outline, correct its boundary, add what was missed: what you keep is the inventory. "
                "The layers you choose are never changed, and every decision is on disk at once. "
                '<a href="{}">How a review goes</a></p>'
            ).format(address().toString())
        )
        label.setWordWrap(True)
        label.setOpenExternalLinks(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        return label

    def _sample_button(self) -> QPushButton:
        button = QPushButton(tr("Open the sample session"))
        button.setIcon(QgsApplication.getThemeIcon("/mActionFileOpen.svg"))
        button.setToolTip(tr("Try a review on a simulated landscape; it is copied to your own folder"))
        button.clicked.connect(self.open_sample)
        return button

    def _new_session(self) -> QGroupBox:
        group = QGroupBox(tr("New session"))
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, label, optional, tip in (
            ("predicted", tr("Predicted outlines"), "", tr("What the model drew; these outlines are judged")),
            ("manual", tr("Manual outlines"), tr("none"), tr("Drawn by hand before, to compare with and to find what the model missed")),
            ("imagery", tr("Imagery"), tr("none"), tr("To look at, to snap boundaries to, and later to learn from: a spectral stack")),
            ("probability", tr("Probability"), tr("none"), tr("The blended probability of the detection: for the level tool")),
            ("dem", tr("Elevation model"), tr("none"), tr("For profiles, cut lines and hillshade")),
        ):
            box = QgsMapLayerComboBox()
            box.setFilters(Qgis.LayerFilter.PolygonLayer if name in ("predicted", "manual") else Qgis.LayerFilter.RasterLayer)
            box.setAllowEmptyLayer(True, optional or tr("choose a layer of the project"))
            box.setSizeAdjustPolicy(QgsMapLayerComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
            box.setToolTip(tip if not optional else tip + " " + tr("(optional)"))
            show_layer(box, None)
            box.activated.connect(lambda _index, name=name: self._choose(name))
            self._boxes[name] = box
            form.addRow(label, box)
        self._operator = QLineEdit(QgsSettings().value(OPERATOR_SETTING, "", type=str) or QgsApplication.userFullName())
        self._operator.setToolTip(tr("Signs your decisions, so that the sessions of several people can be merged"))
        form.addRow(tr("Your name"), self._operator)
        self._file = QgsFileWidget()
        self._file.setStorageMode(QgsFileWidget.StorageMode.SaveFile)
        self._file.setFilter(SESSION_FILTER)
        self._file.setToolTip(tr("The session is one file: move it, copy it, open it on another machine"))
        form.addRow(tr("Keep it in"), self._file)
        self._start = QPushButton(tr("Start review"))
        self._start.setIcon(QgsApplication.getThemeIcon("/mActionPlay.svg"))
        self._start.clicked.connect(self.start)
        self.bar = JobBar()
        self.bar.busy_changed.connect(self._start.setDisabled)
        self._engine = QLabel()
        self._engine.setWordWrap(True)
        self._engine.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._set_up = QPushButton(tr("Set up engine…"))
        self._set_up.clicked.connect(self._set_engine_up)
        layout = QVBoxLayout(group)
        layout.addLayout(form)
        for widget in (self._start, self.bar, self._engine, self._set_up):
            layout.addWidget(widget)
        return group

    def _known_sessions(self) -> QGroupBox:
        group = QGroupBox(tr("Go on with a session"))
        find = QPushButton(tr("Open session…"))
        find.setIcon(QgsApplication.getThemeIcon("/mActionFolder.svg"))
        find.clicked.connect(self.ask_for_session)
        self._recent = QListWidget()
        self._recent.setAccessibleName(tr("Recent sessions"))
        self._recent.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._recent.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._recent.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._recent.itemActivated.connect(lambda item: self.chosen.emit(item.data(Qt.ItemDataRole.UserRole)))
        layout = QVBoxLayout(group)
        layout.addWidget(find)
        layout.addWidget(self._recent)
        return group

    def _job(self) -> StartReviewJob:
        """What the person chose, as the engine's job.

        Raises
        ------
        ReviewError
            says what is missing or cannot be.
        """
        layers = {name: box.currentLayer() for name, box in self._boxes.items()}
        if layers["predicted"] is None:
            raise ReviewError(tr("Choose the layer of predicted outlines."))
        if layers["predicted"] is layers["manual"]:
            raise ReviewError(tr("Predicted and manual outlines are the same layer. Choose another one, or no manual layer."))
        if not self.operator:
            raise ReviewError(tr("Write your name: decisions are signed with it."))
        session = self._session_path()
        self._file.setFilePath(str(session))
        files: dict[str, str | None] = {}
        for name in ("predicted", "manual"):
            if layers[name] is not None:
                files[name], files[f"{name}_layer"], told = vector_file(layers[name], session.parent, f"{session.stem}_{name}")
                if told:
                    self.said.emit(told, Qgis.MessageLevel.Info)
        for name in ("imagery", "probability", "dem"):
            files[name] = raster_file(layers[name]) if layers[name] is not None else None
        return StartReviewJob(output=str(session), operator=self.operator, **files)

    def _session_path(self) -> Path:
        path = self._file.filePath().strip()
        if not path:
            raise ReviewError(tr("Choose where the session is kept."))
        session = Path(path).with_suffix(".gpkg") if Path(path).suffix.lower() != ".gpkg" else Path(path)
        if session.exists():
            raise ReviewError(tr("{} exists already. Open it as a session, or choose another name.").format(session))
        if not session.parent.is_dir() or not os.access(session.parent, os.W_OK):
            raise ReviewError(tr("The folder {} does not exist or cannot be written to. Choose another one.").format(session.parent))
        return session

    def _choose(self, name: str) -> None:
        """From now on the person's own choice."""
        self._touched.add(name)
        self._guess()

    def _guess(self, *_: Any) -> None:
        """Sensible layers where the person has chosen none, and a place beside the predicted ones."""
        for name, layer in guesses(QgsProject.instance().mapLayers().values()).items():
            box = self._boxes[name]
            if name not in self._touched and (layer is not None or box.currentLayer() is None):
                show_layer(box, layer)
        if self._file.filePath() == self._offered:
            self._offered = str(free_path(self._boxes["predicted"].currentLayer()))
            self._file.setFilePath(self._offered)

    def _show_engine(self) -> None:
        state = engine_state()
        self._engine.setText(what_to_do(state))
        for widget in (self._engine, self._set_up):
            widget.setVisible(state is not EngineState.READY)
        self._start.setEnabled(state is EngineState.READY and not self.bar.is_busy)
        self._start.setToolTip(
            tr("The engine compares the outlines in the background") if state is EngineState.READY else what_to_do(state)
        )

    def _set_engine_up(self) -> None:
        self._set_up_engine()
        self._show_engine()

    def _show_recent(self) -> None:
        self._recent.clear()
        for path in recent_sessions():
            item = QListWidgetItem(session_name(Path(path)))
            item.setData(Qt.ItemDataRole.UserRole, path)
            item.setToolTip(path)
            self._recent.addItem(item)
        self._recent.setVisible(self._recent.count() > 0)
        height = self._recent.sizeHintForRow(0) * self._recent.count() + 2 * self._recent.frameWidth()
        self._recent.setFixedHeight(max(height, 0))


def recent_sessions() -> list[str]:
    """Files of the sessions opened last that are still there, the last one first."""
    kept = QgsSettings().value(RECENT_SETTING, []) or []
    return [path for path in ([kept] if isinstance(kept, str) else kept) if Path(path).is_file()]


def free_path(beside: QgsMapLayer | None) -> Path:
    """A name for a session that is not taken: beside a layer's file, else in the project's folder, else in the person's home."""
    file = Path(beside.source().split("|")[0]) if beside is not None else Path()
    folders: Iterable[Path] = (file.parent if file.is_file() else Path(), Path(QgsProject.instance().homePath()), Path.home())
    folder = next((folder for folder in folders if folder.is_absolute() and os.access(folder, os.W_OK)), Path.home())
    names = (folder / ("review.gpkg" if number == 1 else f"review_{number}.gpkg") for number in range(1, 1000))
    return next(path for path in names if not path.exists())
