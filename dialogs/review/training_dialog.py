"""A session's outlines as training data, in one click where its imagery is a spectral stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from qgis.core import QgsProject, QgsRasterLayer
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import Qt, QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...jobs import SAMPLE_RECIPES, SamplesJob
from ...processing_provider.layers import raster_path, why_unreadable
from ...processing_provider.translation import tr
from ...review_session import OUTLINES, POSITIVE
from .inputs import is_stack
from .job_bar import JobBar
from .session import Review, ReviewError

RASTER_FILTER = "GeoTIFF (*.tif *.tiff);;VRT (*.vrt)"
VISIBLE_STACKS = 4


class StackList(QWidget):
    """Spectral stacks of the project, with boxes to check; other files can be added."""

    def __init__(self, preferred: QgsRasterLayer | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = QListWidget()
        self._list.setAccessibleName(tr("Spectral stacks"))
        self._list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._list.setMaximumHeight(round((VISIBLE_STACKS + 0.5) * 1.4 * self.fontMetrics().height()))
        for layer in QgsProject.instance().mapLayers().values():
            if isinstance(layer, QgsRasterLayer) and is_stack(layer) and not why_unreadable(layer):
                self._add(layer.name(), raster_path(layer), layer is preferred)
        self._list.setHidden(not self._list.count())
        more = QPushButton(tr("Add spectral stack…"))
        more.clicked.connect(self._ask)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._list)
        layout.addWidget(more)

    def paths(self) -> tuple[str, ...]:
        """The checked ones."""
        items = (self._list.item(row) for row in range(self._list.count()))
        return tuple(item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked)

    def _ask(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, tr("Spectral stacks"), "", RASTER_FILTER)
        for path in paths:
            self._add(Path(path).name, path, checked=True)
            self._list.show()

    def _add(self, name: str, path: str, checked: bool) -> None:
        item = QListWidgetItem(name)
        item.setData(Qt.ItemDataRole.UserRole, path)
        item.setToolTip(path)
        item.setCheckState(Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked)
        self._list.addItem(item)


class JobDialog(QDialog):
    """A form, a job of the engine that runs while the window stays usable, and what to do with what came out.

    ``start`` runs the job of the form; a ReviewError that it raises is told in the window.
    """

    def __init__(
        self, review: Review, title: str, explanation: str, run_text: str, start: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._review, self._start = review, start
        self._offers: list[QPushButton] = []
        review.closed.connect(self.reject)
        self.setWindowTitle(title)
        self._said = QLabel(explanation)
        self._outcome = QLabel()
        for label in (self._said, self._outcome):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._outcome.hide()
        self.form = QFormLayout()
        self.form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self.bar = JobBar()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.run_button = self.buttons.addButton(run_text, QDialogButtonBox.ButtonRole.ActionRole)
        self.run_button.setDefault(True)
        self.run_button.clicked.connect(self._try_to_start)
        self.buttons.rejected.connect(self.reject)
        self.bar.busy_changed.connect(self.run_button.setDisabled)
        layout = QVBoxLayout(self)
        layout.addWidget(self._said)
        layout.addLayout(self.form)
        layout.addWidget(self.bar)
        layout.addWidget(self._outcome)
        layout.addWidget(self.buttons)

    def _try_to_start(self) -> None:
        while self._offers:
            self.buttons.removeButton(self._offers.pop())
        try:
            self._start()
        except ReviewError as error:
            self.tell(str(error))

    def reject(self) -> None:
        """Close the window and end the job, if one runs."""
        self.bar.cancel()
        super().reject()

    def tell(self, text: str) -> None:
        """Say how it went; the text may have line breaks."""
        self._outcome.setText(text)
        self._outcome.show()

    def offer(self, text: str, do: Callable[[], None]) -> None:
        """A further button."""
        button = self.buttons.addButton(text, QDialogButtonBox.ButtonRole.ActionRole)
        button.clicked.connect(lambda _checked=False: do())
        self._offers.append(button)

    def offer_file(self, text: str, path: str) -> None:
        """A button that opens a file or folder with the program that the system has for it."""
        self.offer(text, lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(path)))


class TrainingDialog(JobDialog):
    """Makes training samples of an open session."""

    def __init__(self, review: Review, parent: QWidget | None = None) -> None:
        super().__init__(
            review,
            tr("Training data from the session"),
            tr(
                "Accepted, edited and added outlines become rock glacier, rejected ones background; "
                "what is undecided or uncertain is left out."
            ),
            tr("Make training data"),
            self.start,
            parent,
        )
        self._folder = QgsFileWidget()
        self._folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self._folder.setFilePath(str(review.path.with_name(f"{review.path.stem}_samples")))
        self._stacks = StackList(review.imagery)
        self._recipe = QComboBox()
        for recipe in SAMPLE_RECIPES:
            self._recipe.addItem(recipe_text(recipe), recipe)
        self.form.addRow(tr("Spectral stacks"), self._stacks)
        self.form.addRow(tr("Samples"), self._recipe)
        self.form.addRow(tr("Folder"), self._folder)
        kept, rejected = examples(review)
        self.tell(tr("The session has {} outlines of rock glaciers and {} rejected ones.").format(kept, rejected))

    def start(self) -> None:
        """Run the job of the form."""
        stacks = self._stacks.paths()
        if not stacks:
            self.tell(tr("Check the spectral stacks that the samples are cut from, or add files."))
            return
        folder = Path(self._folder.filePath())
        self._review.save()
        job = SamplesJob(
            output=str(folder),
            stacks=stacks,
            outlines=str(self._review.path),
            outlines_layer=OUTLINES,
            recipe=self._recipe.currentData(),
            contact_sheet=str(folder / "contact_sheet.png"),
        )

        def done(result: dict[str, Any], warnings: list[str]) -> None:
            counts = tr("{} samples of rock glaciers, {} of background.").format(result["positive"], result["negative"])
            self.tell("\n".join([counts, *warnings]))
            self.offer_file(tr("Look at the samples"), str(folder / "contact_sheet.png"))
            self.offer_file(tr("Open folder"), str(folder))

        self.bar.run(tr("Cutting training samples"), job, done, self.tell)


def examples(review: Review) -> tuple[int, int]:
    """How many outlines of a session are examples of rock glaciers, and how many of what only looks like one."""
    counts = review.queue.counts()
    return sum(counts.get(status, 0) for status in POSITIVE), counts.get("rejected", 0)


def recipe_text(recipe: str) -> str:
    """What a recipe does, in few words."""
    return {
        "blocks": tr("Whole blocks of ground for validation"),
        "paper": tr("2 km around each outline (Lin et al. 2024)"),
        "hu": tr("1.5 km around each outline (Hu et al. 2023)"),
    }[recipe]
