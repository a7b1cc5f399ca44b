"""What comes out of a session: inventory, accuracy report, effort report, training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsProject, QgsProviderRegistry, QgsProviderSublayerDetails
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QLineEdit, QWidget

from ...jobs import INVENTORY_FORMS, FinishReviewJob
from ...processing_provider.layers import raster_path
from ...processing_provider.translation import tr
from .session import Review
from .training_dialog import JobDialog, StackList, examples


class FinishDialog(JobDialog):
    """Writes the results of an open session to a folder; the session stays as it is and can be finished again."""

    def __init__(self, review: Review, parent: QWidget | None = None) -> None:
        super().__init__(review, tr("Finish the review"), _explanation(review), tr("Finish"), self.start, parent)
        self._folder = QgsFileWidget()
        self._folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self._folder.setFilePath(str(review.path.with_name(f"{review.path.stem}_finished")))
        self._form = QComboBox()
        for form in INVENTORY_FORMS:
            self._form.addItem(form_text(form), form)
        self._form.setToolTip(tr("The published form that the inventory is written in"))
        self._operator = QLineEdit(review.operator)
        self._imagery = QLineEdit(Path(raster_path(review.imagery)).stem if review.imagery is not None else "")
        self._imagery.setToolTip(tr("Sensor and date, as they should be read in the inventory"))
        self._accuracy = QCheckBox(tr("Compare the predicted outlines with the reviewed ones"))
        self._accuracy.setChecked(True)
        self._stacks = StackList(review.imagery)
        self.form.addRow(tr("Folder"), self._folder)
        self.form.addRow(tr("Form"), self._form)
        self.form.addRow(tr("Operator"), self._operator)
        self.form.addRow(tr("Imagery"), self._imagery)
        self.form.addRow(tr("Accuracy"), self._accuracy)
        self.form.addRow(tr("Training data from"), self._stacks)

    def start(self) -> None:
        """Run the job of the form."""
        folder = Path(self._folder.filePath().strip())
        if not folder.is_absolute():
            self.tell(tr("Choose the folder that the results are written to."))
            return
        self._review.save()
        job = FinishReviewJob(
            session=str(self._review.path),
            folder=str(folder),
            form=self._form.currentData(),
            accuracy=self._accuracy.isChecked(),
            stacks=self._stacks.paths(),
            operator=self._operator.text().strip(),
            imagery=self._imagery.text().strip(),
        )
        self.bar.run(tr("Writing inventory and reports"), job, self._done, self.tell)

    def _done(self, result: dict[str, Any], warnings: list[str]) -> None:
        text = tr("{} outlines are in the inventory, {} were rejected.").format(result["kept"], result["rejected"])
        if result["samples_count"]:
            text += " " + tr("{} training samples were cut.").format(result["samples_count"])
        self.tell("\n".join([text, *warnings]))
        self.offer(tr("Load inventory"), lambda: load_inventory(Path(result["inventory"])))
        for name, button in (
            ("accuracy_report", tr("Accuracy report")),
            ("effort_report", tr("Effort report")),
            ("folder", tr("Open folder")),
        ):
            if result[name]:
                self.offer_file(button, result[name])


def load_inventory(path: Path) -> None:
    """All layers of an inventory, in a group on top of the project."""
    project, options = QgsProject.instance(), QgsProviderSublayerDetails.LayerOptions(QgsProject.instance().transformContext())
    group = project.layerTreeRoot().insertGroup(0, tr("Inventory {}").format(path.parent.name))
    for details in QgsProviderRegistry.instance().querySublayers(str(path)):
        layer = details.toLayer(options)
        layer.setName(details.name())
        layer.loadDefaultStyle()
        project.addMapLayer(layer, False)
        group.addLayer(layer)


def form_text(form: str) -> str:
    """A published form of inventories in words."""
    return {
        "rgik": tr("RGIK template"),
        "rgik_release": tr("RGIK, RoGI release 2.0"),
        "rogi_ch": tr("Swiss model rogi_ch 2.0"),
        "tprogi": tr("TPRoGI (Sun et al. 2024)"),
        "rgi7": tr("RGI 7.0"),
        "global2026": tr("Global inventory of 2026"),
    }[form]


def _explanation(review: Review) -> str:
    """What will be written, and what is still open."""
    counts, open_ = review.queue.counts(), review.queue.undecided()
    kept, rejected = examples(review)
    kept += counts.get("uncertain", 0)
    text = tr("{} outlines are kept, {} rejected.").format(kept, rejected)
    if open_:
        text += " " + tr("{} are still undecided: they are not in the inventory, and you can finish again later.").format(open_)
    return text
