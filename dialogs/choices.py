"""Parameters of algorithm dialogs that are a name of a list, or something else that a person types: models, networks, where to start."""

from __future__ import annotations

from typing import Any

from processing.gui.wrappers import DIALOG_MODELER, WidgetWrapper, dialogTypes
from qgis.gui import QgsGui
from qgis.PyQt.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QToolButton, QWidget

from ..jobs import TRAINING_STARTS, USUAL_NETWORKS
from ..processing_provider.engine_home import models_folder, named_models
from ..processing_provider.translation import tr


class Choice(WidgetWrapper):
    """An editable list, with a button that asks for a folder where a folder is a value, too."""

    def __new__(cls, parameter: Any, dialog: Any, *arguments: Any, **keywords: Any) -> Any:
        """In the model designer, QGIS's own widget for texts, which also takes the values of other steps."""
        if dialogTypes.get(type(dialog).__name__) == DIALOG_MODELER:
            widget = QgsGui.processingGuiRegistry().createModelerParameterWidget(dialog.model, dialog.childId, parameter, dialog.context)
            widget.setDialog(dialog)
            return widget
        return super().__new__(cls, parameter, dialog, *arguments, **keywords)

    def entries(self) -> dict[str, str]:
        """Value -> text of the list's entries."""
        raise NotImplementedError

    def folder_text(self) -> str:
        """What the folder is called that may be chosen; empty where none may."""
        return tr("Model folder (model.onnx and model.json)")

    def createWidget(self) -> QWidget:
        """Called by QGIS."""
        self._box = QComboBox()
        self._box.setEditable(True)
        self._box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)  # titles of models are long
        for value, text in self.entries().items():
            self._box.addItem(text, value)
        widget = QWidget()
        layout = QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box, 1)
        if self.folder_text():
            browse = QToolButton()
            browse.setText("…")
            browse.setToolTip(tr("Choose a folder"))
            browse.clicked.connect(self._ask_for_folder)
            layout.addWidget(browse)
        self._box.currentTextChanged.connect(lambda _text: self.widgetValueHasChanged.emit(self))
        return widget

    def setValue(self, value: Any) -> None:
        """Show a value of the list, or another one."""
        self.setComboValue(str(value or ""), self._box)

    def value(self) -> str:
        """What is chosen or typed."""
        return self.comboValue(combobox=self._box)

    def _ask_for_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self.widget, self.folder_text(), str(models_folder()))
        if folder:
            self.setValue(folder)


class ModelChoice(Choice):
    """An installed model or a model folder."""

    def entries(self) -> dict[str, str]:
        """The bundled model first."""
        return {"": tr("Bundled model"), **named_models()}


class StartChoice(Choice):
    """What a training starts from."""

    def entries(self) -> dict[str, str]:
        """Weights of photographs first."""
        texts = {"imagenet": tr("Weights of photographs (ImageNet)"), "random": tr("Random weights")}
        return {**{start: texts[start] for start in TRAINING_STARTS}, **named_models()}

    def folder_text(self) -> str:
        """What the folder is called that may be chosen."""
        return tr("Folder of a training, or model folder")


class MinerChoice(StartChoice):
    """What searches for hard negatives first."""

    def entries(self) -> dict[str, str]:
        """None first: a network is trained on the samples then."""
        return {"": tr("Train one first"), **named_models()}


class NetworkChoice(Choice):
    """The networks that most people need; any other may be typed."""

    def entries(self) -> dict[str, str]:
        """That of the recipe first."""
        return {"": tr("That of the recipe"), **{name: name for name in USUAL_NETWORKS}}

    def folder_text(self) -> str:
        """A folder is no network."""
        return ""
