"""Learning from the session: a local model of its decisions, and new detections taken into the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from qgis.core import Qgis
from qgis.gui import QgsMapLayerComboBox
from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from ...jobs import JOB_TYPES, UpdateReviewJob
from ...processing_provider.translation import tr
from .inputs import is_stack, raster_file, show_layer, vector_file
from .session import Review, ReviewError
from .training_dialog import examples

COMMAND = "adapt"
"""Of the engine, which trains a model of a person's own from few outlines."""
FEWEST_EXAMPLES = 3
"""Outlines of rock glaciers from which an adaptation is worth trying."""


def missing(review: Review) -> list[str]:
    """What an adaptation lacks, in words; empty when it can run."""
    kept, _rejected = examples(review)
    lacks = []
    if COMMAND not in JOB_TYPES:
        lacks.append(tr("This version's engine cannot train: the command that adapts a model to your outlines is not in it."))
    if kept < FEWEST_EXAMPLES:
        lacks.append(tr("Accept, edit or add at least {} outlines; the session has {}.").format(FEWEST_EXAMPLES, kept))
    if review.imagery is None or not is_stack(review.imagery):
        lacks.append(tr("The session's imagery is no spectral stack (Raster > Rock Glacier Mapper > Prepare spectral stack)."))
    return lacks


class AdaptDialog(QDialog):
    """Says what an adaptation would do, what it lacks, and what can be done now."""

    def __init__(
        self, review: Review, make_training_data: Callable[[], None], take_in_detection: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        review.closed.connect(self.reject)
        self.setWindowTitle(tr("Adapt"))
        kept, rejected = examples(review)
        explanation = QLabel(
            tr(
                "Adapting trains a model of your own from this session's outlines, detects again in the tiles that are not visited yet, "
                "and brings the queue up to date. No decision is changed."
            )
        )
        have = QLabel(tr("Examples so far: {} outlines of rock glaciers, {} rejected ones.").format(kept, rejected))
        self.lacks = QLabel("<ul>" + "".join(f"<li>{text}</li>" for text in missing(review)) + "</ul>")
        now = QLabel(
            tr(
                "What can be done now: make training data of the session and train elsewhere; then detect with the new model and take the "
                "new detection into this session."
            )
        )
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        for text, do in ((tr("Make training data…"), make_training_data), (tr("Take in a new detection…"), take_in_detection)):
            button = buttons.addButton(text, QDialogButtonBox.ButtonRole.ActionRole)
            button.clicked.connect(self.accept)
            button.clicked.connect(do)
        layout = QVBoxLayout(self)
        for label in (explanation, have, self.lacks, now):
            label.setWordWrap(True)
            layout.addWidget(label)
        layout.addWidget(buttons)


class TakeInDialog(QDialog):
    """Chooses the layer of a new detection; :meth:`job` takes it into the session."""

    def __init__(self, review: Review, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = review.path
        review.closed.connect(self.reject)
        self.setWindowTitle(tr("Take in a new detection"))
        explanation = QLabel(
            tr(
                "Outlines that are found anew join the queue; undecided ones that moved take the new boundary, and those that are not "
                "found any more leave the queue. What is decided stays as it is."
            )
        )
        explanation.setWordWrap(True)
        self.predicted, self.area_of_interest, self.probability = (QgsMapLayerComboBox() for _ in range(3))
        for box in (self.predicted, self.area_of_interest):
            box.setFilters(Qgis.LayerFilter.PolygonLayer)
            box.setExceptedLayerList([review.outlines, review.restricted, review.predicted, review.reference, review.tiles])
        self.probability.setFilters(Qgis.LayerFilter.RasterLayer)
        for box, empty in ((self.area_of_interest, tr("everywhere")), (self.probability, tr("as before"))):
            box.setAllowEmptyLayer(True, empty)
            show_layer(box, None)
        self.area_of_interest.setToolTip(
            tr("Where the new detection looked, if that was only a part of the area: outlines elsewhere stay in the queue")
        )
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow(tr("New outlines"), self.predicted)
        form.addRow(tr("Detected in"), self.area_of_interest)
        form.addRow(tr("Their probability"), self.probability)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(self.predicted.currentLayer() is not None)
        layout = QVBoxLayout(self)
        layout.addWidget(explanation)
        layout.addLayout(form)
        layout.addWidget(buttons)

    def job(self) -> tuple[UpdateReviewJob, str]:
        """The job, and what a person is told about the chosen layers, mostly nothing.

        Raises
        ------
        ReviewError
            when a layer cannot be read by the engine.
        """
        layer, area, probability = (box.currentLayer() for box in (self.predicted, self.area_of_interest, self.probability))
        if layer is None:
            raise ReviewError(tr("Choose the layer of the new detection."))
        session = Path(self._path)
        path, name, told = vector_file(layer, session.parent, f"{session.stem}_detection")
        place, place_name, told_too = (None, None, "") if area is None else vector_file(area, session.parent, f"{session.stem}_area")
        raster = raster_file(probability) if probability is not None else None
        job = UpdateReviewJob(
            session=str(session),
            output=str(session),
            predicted=path,
            predicted_layer=name,
            probability=raster,
            area_of_interest=place,
            area_of_interest_layer=place_name,
        )
        return job, " ".join(filter(None, (told, told_too)))
