"""A job of the engine in the background, with its progress and a button that ends it."""

from __future__ import annotations

from typing import Any, Callable

from qgis.core import QgsApplication
from qgis.PyQt import sip
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QToolButton, QVBoxLayout, QWidget

from ...jobs import Job
from ...processing_provider.translation import tr
from .engine_task import EngineTask


class _Task(EngineTask):
    """Tells its bar when it has ended, whichever way."""

    bar: JobBar

    def finished(self, ok: bool) -> None:
        """In the main thread."""
        if not sip.isdeleted(self.bar):
            self.bar._rest()
        super().finished(ok)


class JobBar(QWidget):
    """Seen only while a job runs."""

    busy_changed = pyqtSignal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._task: _Task | None = None
        self._doing = QLabel()
        self._doing.setWordWrap(True)
        self._progress = QProgressBar()
        cancel = QToolButton()
        cancel.setIcon(QgsApplication.getThemeIcon("/mTaskCancel.svg"))
        cancel.setText(tr("Cancel"))
        cancel.setToolTip(tr("Cancel: nothing is changed"))
        cancel.clicked.connect(self.cancel)
        row = QHBoxLayout()
        row.addWidget(self._progress, 1)
        row.addWidget(cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._doing)
        layout.addLayout(row)
        self.hide()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._task is not None

    def run(
        self,
        description: str,
        job: Job,
        on_result: Callable[[dict[str, Any], list[str]], None],
        on_failure: Callable[[str], None],
        on_cancel: Callable[[], None] = lambda: None,
    ) -> None:
        """Start a job; when it has ended one of the three is called, ``on_result`` with its result and the engine's warnings."""
        self._task = _Task(description, job, on_result, on_failure)
        self._task.bar, self._on_cancel = self, on_cancel
        self._task.progressChanged.connect(self._show_progress)  # a method: Qt lets go of it with the bar
        self._doing.setText(description + "…")
        self._progress.setValue(0)
        self.show()
        self.busy_changed.emit(True)
        self._task.start()

    def cancel(self) -> None:
        """End the job, if one runs."""
        if self._task is not None:
            self._doing.setText(tr("Cancelling…"))
            self._task.cancel()

    def _show_progress(self, percent: float) -> None:
        self._progress.setValue(round(percent))

    def _rest(self) -> None:
        task, self._task = self._task, None
        self.hide()
        self.busy_changed.emit(False)
        if task is not None and task.isCanceled():
            self._on_cancel()
