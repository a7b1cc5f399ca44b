"""Training curves: loss, validation and learning rate of a training, drawn anew while it runs."""

from __future__ import annotations

import time
from pathlib import Path

from qgis.core import QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import Qt, QTimer, QUrl
from qgis.PyQt.QtGui import QDesktopServices, QHideEvent, QShowEvent
from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QSlider, QVBoxLayout, QWidget

from ..processing_provider.training_algorithm import LAST_TRAINING_SETTING
from ..processing_provider.translation import tr
from .curve_chart import BLUE, GREEN, ORANGE, PURPLE, Curve, CurveChart
from .training_log import TABLES, TrainingLog, find_training, read_training, smoothed

LOOK_MS = 2000
SMOOTHING_SETTING = "rock_glacier_mapper/training_curves/smoothing"
SMOOTHING = 90
"""Percent, of what came before."""


class TrainingCurves(QDialog):
    """A window of its own beside QGIS's; it reads what the training writes, and does nothing to it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Training curves"))
        self.setWindowFlag(Qt.WindowType.WindowMinMaxButtonsHint)
        self._log = TrainingLog()
        self._seen: tuple[object, ...] = ()
        self._folder = QgsFileWidget()
        self._folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self._folder.setDialogTitle(tr("Folder of a training"))
        self._folder.fileChanged.connect(self._look)
        self._state = QLabel()
        self._state.setWordWrap(True)
        self._state.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.charts = {
            "loss": CurveChart(tr("Loss")),
            "validation": CurveChart(tr("Validation"), (0.0, 1.0)),
            "learning_rate": CurveChart(tr("Learning rate")),
        }
        self._smoothing = QSlider(Qt.Orientation.Horizontal)
        self._smoothing.setRange(0, 99)
        self._smoothing.setValue(QgsSettings().value(SMOOTHING_SETTING, SMOOTHING, type=int))
        self._smoothing.setToolTip(tr("How much the loss of each step is averaged with those before"))
        self._smoothing.valueChanged.connect(self._draw)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(tr("Folder of a training"), self._folder)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self._state)
        for name, chart in self.charts.items():
            chart.pointed.connect(self._mark)
            layout.addWidget(chart, 1 if name == "learning_rate" else 2)
        lower = QFormLayout()
        lower.addRow(tr("Smoothing"), self._smoothing)
        layout.addLayout(lower)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        self._open = buttons.addButton(tr("Open folder"), QDialogButtonBox.ButtonRole.ActionRole)
        self._open.clicked.connect(self._open_folder)
        layout.addWidget(buttons)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)

    def show_training(self, folder: str = "") -> None:
        """Show a training's curves, those of the training that was started last where none is named."""
        folder = folder or QgsSettings().value(LAST_TRAINING_SETTING, "", type=str)
        self._folder.setFilePath(folder)
        self._look()
        self.show()
        self.raise_()
        self.activateWindow()

    def showEvent(self, event: QShowEvent) -> None:
        """Look while it is seen."""
        self._timer.start()
        super().showEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """Rest."""
        self._timer.stop()
        QgsSettings().setValue(SMOOTHING_SETTING, self._smoothing.value())
        super().hideEvent(event)

    def _look(self, *_: object) -> None:
        """Read what there is, if it is not what was read before."""
        text = self._folder.filePath()
        chosen = Path(text)
        self._open.setEnabled(bool(text) and chosen.is_dir())
        folder = find_training(chosen)
        seen = (folder, *((path.name, path.stat().st_mtime_ns) for path in sorted(folder.glob("*")) if path.name in TABLES))
        if seen != self._seen:
            self._log, self._seen = read_training(folder), seen
            self._draw()
        if self._log.steps:
            inner = "" if folder == chosen else f"{folder.relative_to(chosen)}: "
            self._state.setText(inner + self._log.told(time.time()))
        elif text:
            self._state.setText(tr("No training has written a log.csv into this folder yet."))
        else:
            self._state.setText(tr("Choose the folder that Train network or Mine hard negatives writes to."))

    def _draw(self, *_: object) -> None:
        steps, epochs = self._log.steps, self._log.epochs
        at, ends, loss = steps.get("step", []), epochs.get("step", []), steps.get("loss", [])
        last = max([*at[-1:], *ends[-1:]], default=1.0)
        weight = self._smoothing.value() / 100
        curves = {
            "loss": [Curve(tr("training"), ORANGE, at, smoothed(loss, weight), loss if weight else ())],
            "validation": [],
            "learning_rate": [Curve("", PURPLE, at, steps.get("learning_rate", []))],
        }
        if "validation_loss" in epochs:
            curves["loss"].append(Curve(tr("validation"), BLUE, ends, epochs["validation_loss"], dots=True))
        for name, text, colour in (
            ("iou", tr("IoU"), GREEN),
            ("f1", tr("F1"), BLUE),
            ("precision", tr("precision"), ORANGE),
            ("recall", tr("recall"), PURPLE),
        ):
            if name in epochs:
                curves["validation"].append(Curve(text, colour, ends, epochs[name], dots=True))
        for name, chart in self.charts.items():
            chart.show_curves(curves[name], last)

    def _mark(self, place: float | None) -> None:
        for chart in self.charts.values():
            chart.mark(place)

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._folder.filePath()))
