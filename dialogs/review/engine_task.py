"""Engine jobs in the background, while the person goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeedback,
    QgsFields,
    QgsGeometry,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProject,
    QgsTask,
    QgsVectorFileWriter,
)

from ...jobs import Job
from ...processing_provider.engine_process import EngineFailed, run_job
from ...processing_provider.translation import tr


class _TaskFeedback(QgsProcessingFeedback):
    """What the engine says, as the task shows it and the log keeps it."""

    def __init__(self, task: EngineTask) -> None:
        super().__init__(False)
        self._task = task
        self.progressChanged.connect(task.setProgress)
        self.warnings: list[str] = []

    def pushWarning(self, warning: str) -> None:
        """Kept for the end."""
        self.warnings.append(warning)
        super().pushWarning(warning)


class OutlineFile:
    """One outline as a file for a job of the engine, in a temporary folder of its own; what is left of it goes with QGIS.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """

    def __init__(self, outline: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> None:
        self._folder = Path(QgsProcessingUtils.generateTempFilename("outline.gpkg")).parent
        self.path = self.beside("outline.gpkg")
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName, options.layerName = "GPKG", "outline"
        context = QgsProject.instance().transformContext()
        writer = QgsVectorFileWriter.create(self.path, QgsFields(), Qgis.WkbType.MultiPolygon, crs, context, options)
        feature = QgsFeature()
        feature.setGeometry(outline)
        if not writer.addFeature(feature) or writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
            raise OSError(tr("The temporary folder {} cannot be written to.").format(self._folder))

    def beside(self, name: str) -> str:
        """Where the job writes a file of that name."""
        return str(self._folder / name)

    def remove(self) -> None:
        """The folder with all that is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)


class EngineTask(QgsTask):
    """A job that the engine carries out for what is looked at; the task manager shows its progress and can cancel it.

    Exactly one of the two is called in the main thread when it has ended: ``on_result`` with the job's result and the engine's
    warnings, or ``on_failure`` with the engine's text; neither after it was cancelled.
    """

    def __init__(
        self,
        description: str,
        job: Job,
        on_result: Callable[[dict[str, Any], list[str]], None],
        on_failure: Callable[[str], None],
    ) -> None:
        super().__init__(description, QgsTask.Flag.CanCancel | QgsTask.Flag.CancelWithoutPrompt)  # QGIS closes without asking about it
        self._job, self._on_result, self._on_failure = job, on_result, on_failure
        self._feedback = _TaskFeedback(self)
        self._result: dict[str, Any] | None = None
        self._failure = ""

    def start(self) -> EngineTask:
        """Hand it to QGIS's task manager; keep a reference until it has ended."""
        QgsApplication.taskManager().addTask(self)
        return self

    def run(self) -> bool:
        """In a worker thread."""
        try:
            self._result = run_job(self._job, self._feedback)
        except EngineFailed as error:
            self._failure = error.text
        return self._result is not None

    def cancel(self) -> None:
        """By the person or by QGIS."""
        QgsFeedback.cancel(self._feedback)
        super().cancel()

    def finished(self, ok: bool) -> None:
        """In the main thread."""
        if self.isCanceled():
            return
        if ok and self._result is not None:
            self._on_result(self._result, self._feedback.warnings)
        else:
            self._on_failure(self._failure)
