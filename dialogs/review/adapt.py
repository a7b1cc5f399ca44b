"""Learning from the session: a local model of its decisions, and new detections taken into the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from qgis.core import Qgis
from qgis.gui import QgsMapLayerComboBox
from qgis.PyQt.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QDoubleSpinBox, QFormLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from ...jobs import AdaptJob, UpdateReviewJob
from ...processing_provider.engine_home import name_for_adapted, named_models, why_no_name, why_no_training
from ...processing_provider.layers import why_unreadable
from ...processing_provider.translation import tr
from .adaptation import Order, detected_with, not_visited
from .inputs import is_stack, raster_file, show_layer, vector_file
from .session import Review, ReviewError
from .training_dialog import examples

FEWEST_EXAMPLES = 3
"""Outlines of rock glaciers from which an adaptation is worth trying."""
MINUTES, MOST_MINUTES = AdaptJob().minutes, 600.0


def missing(review: Review) -> list[str]:
    """What an adaptation lacks, in words; empty when it can run."""
    kept, _rejected = examples(review)
    lacks = [why_no_training()]
    if kept < FEWEST_EXAMPLES:
        lacks.append(tr("Accept, edit or add at least {} outlines; the session has {}.").format(FEWEST_EXAMPLES, kept))
    if review.imagery is None or not is_stack(review.imagery):
        lacks.append(tr("The session's imagery is no spectral stack (Raster > Rock Glacier Mapper > Prepare spectral stack)."))
    else:
        lacks.append(why_unreadable(review.imagery))
    return [text for text in lacks if text]


class AdaptDialog(QDialog):
    """Says what an adaptation does and what it lacks, asks for the model, and offers what else can be done."""

    def __init__(
        self, review: Review, make_training_data: Callable[[], None], take_in_detection: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        review.closed.connect(self.reject)
        self.setWindowTitle(tr("Adapt"))
        kept, rejected = examples(review)
        tiles = review.tiles.featureCount()
        explanation = tr(
            "Adapting trains a model of your own from this session's outlines, detects again in the tiles that are not visited yet, "
            "and brings the queue up to date. No decision is changed, the model that it starts from stays, and you can go on meanwhile."
        )
        have = tr("Examples so far: {} outlines of rock glaciers, {} rejected ones. {} of {} tiles are not visited yet.").format(
            kept, rejected, not_visited(review).featureCount(), tiles
        )
        lacks = missing(review)
        self.lacks = QLabel("<ul>" + "".join(f"<li>{text}</li>" for text in lacks) + "</ul>")
        self.lacks.setVisible(bool(lacks))
        self._problem = QLabel()
        self.model, self.minutes, self.name = QComboBox(), QDoubleSpinBox(), QLineEdit()
        self.model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for name, text in {"": tr("Bundled model"), **named_models()}.items():
            self.model.addItem(text, name)
        self.model.setCurrentIndex(max(0, self.model.findData(detected_with(review))))
        self.minutes.setRange(0.5, MOST_MINUTES)
        self.minutes.setDecimals(1)
        self.minutes.setValue(MINUTES)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(tr("Start from"), self.model)
        form.addRow(tr("Minutes at most"), self.minutes)
        form.addRow(tr("Name of the new model"), self.name)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.run_button = buttons.addButton(tr("Adapt"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.run_button.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        for text, do in ((tr("Make training data…"), make_training_data), (tr("Take in a new detection…"), take_in_detection)):
            button = buttons.addButton(text, QDialogButtonBox.ButtonRole.ActionRole)
            button.clicked.connect(self.reject)
            button.clicked.connect(do)
        layout = QVBoxLayout(self)
        for label in (QLabel(explanation), QLabel(have), self.lacks):
            label.setWordWrap(True)
            layout.addWidget(label)
        layout.addLayout(form)
        layout.addWidget(self._problem)
        self._problem.setWordWrap(True)
        layout.addWidget(buttons)
        self._can_run = not lacks
        self.model.currentIndexChanged.connect(self._suggest)
        self.name.textChanged.connect(self._judge)
        self._suggest()

    def order(self) -> Order:
        """What was asked for."""
        return Order(self.model.currentData(), self.minutes.value(), self.name.text().strip())

    def _suggest(self, *_: object) -> None:
        """A name by the model that is chosen, unless the person gave one."""
        if not self.name.isModified():
            self.name.setText(name_for_adapted(self.model.currentData()))

    def _judge(self, *_: object) -> None:
        problem = why_no_name(self.name.text().strip())
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))
        self.run_button.setEnabled(self._can_run and not problem)


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
