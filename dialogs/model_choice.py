"""The model parameter in algorithm dialogs: the installed models to choose from, or any model folder."""

from __future__ import annotations

from typing import Any

from processing.gui.wrappers import DIALOG_MODELER, WidgetWrapper, dialogTypes
from qgis.gui import QgsGui
from qgis.PyQt.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QToolButton, QWidget

from ..processing_provider.engine_home import installed_models, models_folder
from ..processing_provider.translation import tr


class ModelChoice(WidgetWrapper):
    """An editable list of the installed models and a button that asks for a model folder."""

    def __new__(cls, parameter: Any, dialog: Any, *arguments: Any, **keywords: Any) -> Any:
        """In the model designer, QGIS's own widget for texts, which also takes the values of other steps."""
        if dialogTypes.get(type(dialog).__name__) == DIALOG_MODELER:
            widget = QgsGui.processingGuiRegistry().createModelerParameterWidget(dialog.model, dialog.childId, parameter, dialog.context)
            widget.setDialog(dialog)
            return widget
        return super().__new__(cls, parameter, dialog, *arguments, **keywords)

    def createWidget(self) -> QWidget:
        """Called by QGIS."""
        self._models = QComboBox()
        self._models.setEditable(True)
        self._models.addItem(tr("Bundled model"), "")
        for name, title in installed_models().items():
            self._models.addItem(f"{name}: {title}" if title else name, name)
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip(tr("Choose a model folder"))
        browse.clicked.connect(self._ask_for_folder)
        widget = QWidget()
        layout = QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._models, 1)
        layout.addWidget(browse)
        self._models.currentTextChanged.connect(lambda _text: self.widgetValueHasChanged.emit(self))
        return widget

    def setValue(self, value: Any) -> None:
        """Show a model's name or folder."""
        self.setComboValue(str(value or ""), self._models)

    def value(self) -> str:
        """Name or folder of the model, empty for the bundled one."""
        return self.comboValue(combobox=self._models)

    def _ask_for_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self.widget, tr("Model folder (model.onnx and model.json)"), str(models_folder()))
        if folder:
            self.setValue(folder)
