"""The engine as a child process: a job goes in, messages come out, the result or an error ends it."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from pathlib import Path
from typing import Any

from qgis.core import QgsApplication, QgsProcessingFeedback
from qgis.PyQt.QtCore import QProcess, QProcessEnvironment

from ..jobs import Job, to_json
from .engine_home import ENGINE_PROGRAM, EngineState, engine_python, engine_state, menu_path, what_to_do
from .translation import tr

SLICE_MS = 100
"""How long a wait lasts between two looks at the Cancel button."""
GRACE_MS, TERMINATE_MS = 5000, 2000
"""How long the engine may take to cancel by itself, and after that to end when asked to."""
COUNTS = re.compile(r"\d+")
EPOCH = re.compile(r"Epoch \d+")
LAST_WORDS = 15
"""Lines of the engine's log that an unexpected end is reported with."""

NOT_FOR_THE_ENGINE = (
    *("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV"),
    *("PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "GDAL_DRIVER_PATH"),
)
LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH")


class EngineFailed(Exception):
    """The engine ended without a result: ``code`` as in the engine, ``text`` for the person."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def child_environment() -> QProcessEnvironment:
    """The environment of this process without what QGIS set for its own Python, PROJ and GDAL.

    The QGIS bundles (Windows, macOS, AppImage, conda) point these variables at their own files: the engine's wheels
    would then read a foreign ``proj.db`` or load foreign libraries. Library paths are cleared of the bundle's folders
    only, because on clusters the same variables lead to CUDA.
    """
    environment = QProcessEnvironment.systemEnvironment()
    for name in NOT_FOR_THE_ENGINE:
        environment.remove(name)
    bundles = [Path(folder) for folder in (os.environ.get("APPDIR"), QgsApplication.prefixPath()) if folder]
    bundles = [folder for folder in bundles if folder not in (Path("/usr"), Path("/usr/local"))]
    for name in LIBRARY_PATHS:
        folders = [entry for entry in environment.value(name).split(":") if entry]
        others = [entry for entry in folders if not any(bundle == Path(entry) or bundle in Path(entry).parents for bundle in bundles)]
        if others:
            environment.insert(name, ":".join(others))
        else:
            environment.remove(name)
    environment.insert("PYTHONUTF8", "1")
    environment.insert("PYTHONNOUSERSITE", "1")
    return environment


def decode(line: bytes) -> dict[str, Any] | None:
    """The message in a line of the engine's output; None for a line that is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "type" in message else None


class Conversation:
    """What the engine said so far: passed on to ``feedback`` line by line, its last message and last words kept."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self._doing = ""
        self.end: dict[str, Any] = {}
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)

    def listen(self, process: QProcess) -> None:
        """Take in the lines that have arrived; the rest of an unfinished line too once the process has ended."""
        ended = process.state() == QProcess.ProcessState.NotRunning
        process.setReadChannel(QProcess.ProcessChannel.StandardError)
        while process.canReadLine() or (ended and process.bytesAvailable()):
            self._overhear(bytes(process.readLine().data()))
        process.setReadChannel(QProcess.ProcessChannel.StandardOutput)
        while process.canReadLine() or (ended and process.bytesAvailable()):
            self._take(bytes(process.readLine().data()))

    def _take(self, line: bytes) -> None:
        message = decode(line)
        if message is None:
            self._overhear(line)
            return
        kind, text = message["type"], str(message.get("text", ""))
        if kind == "progress":
            self._feedback.setProgress(float(message.get("percent", 0)))
            epoch = EPOCH.match(text)  # a line of the log for each, but "tile 7 of 90" once, not 90 lines
            doing = epoch[0] if epoch else COUNTS.sub("", text)
            if doing and doing != self._doing:
                self._doing = doing
                self._feedback.setProgressText(text)
        elif kind == "info":
            self._feedback.pushInfo(text)
        elif kind == "warning":
            self._feedback.pushWarning(text)
        elif kind in ("result", "error"):
            self.end = message

    def _overhear(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if text:
            self.last_words.append(text)
            self._feedback.pushDebugInfo(text)


def run_job(job: Job, feedback: QgsProcessingFeedback) -> dict[str, Any]:
    """Run a job in the engine and wait for its result; for worker threads and ``qgis_process``, it needs no event loop.

    Raises
    ------
    EngineFailed
        with the engine's own code and text, or ``engine_missing``, ``engine_start``, ``engine_crashed``, ``cancelled``.
    """
    state = engine_state()
    if state is not EngineState.READY:
        raise EngineFailed("engine_missing", what_to_do(state))
    if feedback.isCanceled():
        raise _cancelled()
    process = QProcess()
    process.setProcessEnvironment(child_environment())
    process.start(str(engine_python()), [str(ENGINE_PROGRAM), "run"])
    if not process.waitForStarted():
        raise EngineFailed(
            "engine_start", tr("The engine could not be started with {}: {}. {}").format(engine_python(), process.errorString(), _remedy())
        )
    conversation = Conversation(feedback)
    try:
        process.write(to_json(job).encode() + b"\n")
        while process.state() != QProcess.ProcessState.NotRunning:
            process.waitForReadyRead(SLICE_MS)
            conversation.listen(process)
            if feedback.isCanceled():
                raise _cancelled()
        conversation.listen(process)
    finally:
        _end(process)
    if conversation.end.get("type") == "result" and process.exitStatus() == QProcess.ExitStatus.NormalExit:
        result: dict[str, Any] = conversation.end["result"]
        return result
    if conversation.end.get("type") == "error":
        raise EngineFailed(str(conversation.end.get("code", "")), str(conversation.end.get("text", "")))
    raise EngineFailed("engine_crashed", _post_mortem(process, conversation))


def _end(process: QProcess) -> None:
    """Ask the engine to cancel, then to end, then end it; a no-op when it has ended."""
    process.closeWriteChannel()
    if process.state() == QProcess.ProcessState.NotRunning or process.waitForFinished(GRACE_MS):
        return
    process.terminate()
    if not process.waitForFinished(TERMINATE_MS):
        process.kill()
        process.waitForFinished()


def _cancelled() -> EngineFailed:
    return EngineFailed("cancelled", tr("Cancelled. Nothing was written under the output's name."))


def _post_mortem(process: QProcess, conversation: Conversation) -> str:
    if process.exitStatus() == QProcess.ExitStatus.CrashExit:
        what = tr(
            "The engine was ended by the system (code {}), most often because the memory was used up: close other programs, "
            "lower the batch size or work on a part of the scene."
        ).format(process.exitCode())
    else:
        what = tr("The engine ended without a result (exit status {}). {}").format(process.exitCode(), _remedy())
    words = "\n".join(conversation.last_words)
    return what + ("\n" + tr("Its last words:") + "\n" + words if words else "")


def _remedy() -> str:
    return tr("Check it with {}.").format(menu_path())
