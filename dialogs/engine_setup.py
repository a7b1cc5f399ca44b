"""The set-up dialog: installs, updates, checks and removes the computing engine without blocking QGIS."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from qgis.core import QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QProcess, QTimer
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..jobs import DoctorJob, to_json
from ..processing_provider.engine_home import (
    ENGINE_PROGRAM,
    ENVIRONMENT_SCRIPT,
    INTERPRETER_SETTING,
    TRAINING_GB,
    EngineState,
    chosen_interpreter,
    engine_python,
    engine_state,
    environment_folder,
    models_folder,
    training_state,
)
from ..processing_provider.engine_process import GRACE_MS, child_environment, decode
from ..processing_provider.translation import tr

OLDEST_PYTHON = (3, 11)
NEWEST_MINOR = 19
PYTHON_PROBE = "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3])"

Message = dict[str, Any]


def python_candidates() -> Iterator[Path]:
    """Programs that may be a Python which outlives an update of QGIS, those of QGIS's own folders last.

    ``sys.executable`` is not among them: inside QGIS it may be QGIS itself.
    """
    names = [*(f"python3.{minor}" for minor in range(NEWEST_MINOR, OLDEST_PYTHON[1] - 1, -1)), "python3", "python"]
    seen: set[Path] = set()

    def fresh(path: Path) -> bool:
        real = path.resolve()
        if not path.is_file() or real in seen:
            return False
        seen.add(real)
        return True

    if sys.platform == "win32":
        places = [Path(os.environ.get("LOCALAPPDATA", ""), "Programs", "Python"), Path(os.environ.get("PROGRAMFILES", ""))]
        yield from filter(fresh, (program for place in places for program in sorted(place.glob("Python3*/python.exe"), reverse=True)))
    if sys.platform == "darwin":
        places = [Path("/opt/homebrew/bin"), Path("/usr/local/bin"), *Path("/Library/Frameworks/Python.framework/Versions").glob("3.*/bin")]
        yield from filter(fresh, (place / name for place in places for name in names))
    found = (shutil.which(name) for name in names)
    yield from filter(fresh, (Path(program) for program in found if program and "WindowsApps" not in program))
    for prefix in dict.fromkeys((sys.base_prefix, sys.base_exec_prefix, sys.prefix)):
        suffix = ".exe" if sys.platform == "win32" else ""
        yield from filter(fresh, (Path(prefix, folder, name + suffix) for folder in ("bin", "") for name in names))


class TalkingProcess(QProcess):
    """A child process that speaks the engine's protocol, listened to while QGIS goes on."""

    def __init__(
        self, parent: QWidget, on_message: Callable[[Message], None], on_noise: Callable[[str], None], on_end: Callable[[Message], None]
    ) -> None:
        super().__init__(parent)
        self._on_message, self._on_noise, self._on_end = on_message, on_noise, on_end
        self._last: Message = {}
        self._ended = False
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self.kill)
        self.setProcessEnvironment(child_environment())
        self.readyReadStandardOutput.connect(self._listen)
        self.readyReadStandardError.connect(self._overhear)
        self.finished.connect(self._end)
        self.errorOccurred.connect(self._fail)

    def cancel(self) -> None:
        """Ask the child to stop by ending its input, and end it when it does not."""
        self.closeWriteChannel()
        self._patience.start(GRACE_MS)

    def _listen(self, to_the_end: bool = False) -> None:
        self.setReadChannel(QProcess.ProcessChannel.StandardOutput)
        while self.canReadLine() or (to_the_end and self.bytesAvailable()):
            line = bytes(self.readLine().data())
            message = decode(line)
            if message is None:
                self._on_noise(line.decode("utf-8", "replace").rstrip())
            else:
                self._last = message
                self._on_message(message)

    def _overhear(self) -> None:
        text = bytes(self.readAllStandardError().data()).decode("utf-8", "replace").rstrip()
        if text:
            self._on_noise(text)

    def _end(self, *_: Any) -> None:
        if self._ended:
            return
        self._ended = True
        self._listen(to_the_end=True)
        self._overhear()
        self._on_end(self._last)

    def _fail(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._on_noise(self.errorString())
            self._end()


class EngineSetupDialog(QDialog):
    """State of the engine, and the buttons to change it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Rock Glacier Mapper: set up engine"))
        self.resize(760, 640)
        self._process: TalkingProcess | None = None
        self._probes: list[QProcess] = []
        self._build()
        self._show_state()
        self._find_pythons()

    def reject(self) -> None:
        """Close the window, but not on a running installation without asking."""
        if self._process is not None:
            question = tr("The engine's set-up is still running. Stop it?")
            if QMessageBox.question(self, self.windowTitle(), question) != QMessageBox.StandardButton.Yes:
                return
            self._process.cancel()
            self._process.waitForFinished(GRACE_MS)
        for probe in self._probes:
            probe.kill()
            probe.waitForFinished(GRACE_MS)
        super().reject()

    def _build(self) -> None:
        explanation = QLabel(
            tr(
                "Rock glaciers are detected by a computing engine of its own, so that QGIS and its Python packages stay untouched. "
                "It is installed once, into your user folder, from the Python package index (about 1.2 GB; with CUDA some GB more)."
            )
        )
        explanation.setWordWrap(True)
        self._state = QLabel()
        folder = QLineEdit(str(environment_folder()))
        folder.setReadOnly(True)

        self._pythons = QComboBox()
        self._pythons.setToolTip(tr("The Python that the engine's environment is made with: 3.11 or later."))
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip(tr("Choose another Python"))
        browse.clicked.connect(self._ask_for_python)
        pythons = QHBoxLayout()
        pythons.addWidget(self._pythons, 1)
        pythons.addWidget(browse)

        self._cuda = QComboBox()
        self._cuda.addItem(tr("where an NVIDIA driver can use it"), "auto")
        self._cuda.addItem(tr("yes"), "yes")
        self._cuda.addItem(tr("no, compute on the processor"), "no")

        self._training = QCheckBox(tr("Also what training needs (torch and others, about {:g} GB)").format(TRAINING_GB))
        self._training.setToolTip(
            tr(
                "To train a network on your own outlines, or to adapt one to them. Detection and review do not need it. "
                "Linux gets NVIDIA's libraries along with torch, with or without a GPU; without one, training runs on the processor. "
                "Unticked, an update takes these packages away again."
            )
        )
        self._training.setChecked(training_state() is not EngineState.MISSING)
        self._training_state = QLabel()
        self._training_state.setWordWrap(True)
        training = QVBoxLayout()
        training.addWidget(self._training)
        training.addWidget(self._training_state)

        self._interpreter = QgsFileWidget()
        self._interpreter.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        self._interpreter.lineEdit().setPlaceholderText(tr("the engine's own environment, in the folder above"))
        self._interpreter.setToolTip(tr("For those who manage Python themselves: a Python that has requirements/engine.txt installed."))
        self._interpreter.setFilePath(str(chosen_interpreter() or ""))
        self._interpreter.fileChanged.connect(self._choose_interpreter)

        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow(tr("Engine"), self._state)
        form.addRow(tr("Folder"), folder)
        form.addRow(tr("Made with Python"), pythons)
        form.addRow(tr("CUDA libraries"), self._cuda)
        form.addRow(tr("Training"), training)
        form.addRow(tr("Run with"), self._interpreter)

        self._install_button = QPushButton(tr("Install"))
        self._install_button.clicked.connect(self._install)
        self._check_button = QPushButton(tr("Check"))
        self._check_button.setToolTip(tr("Versions, devices that really work, models, and what is missing"))
        self._check_button.clicked.connect(self._check)
        self._remove_button = QPushButton(tr("Remove"))
        self._remove_button.clicked.connect(self._remove)
        self._cancel_button = QPushButton(tr("Cancel"))
        self._cancel_button.clicked.connect(self._cancel)
        actions = QHBoxLayout()
        for button in (self._install_button, self._check_button, self._remove_button):
            actions.addWidget(button)
        actions.addStretch(1)
        actions.addWidget(self._cancel_button)

        self._progress = QProgressBar()
        self._doing = QLabel()
        self._log = QPlainTextEdit()
        self._log.setReadOnly(True)
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)

        layout = QVBoxLayout(self)
        layout.addWidget(explanation)
        layout.addLayout(form)
        layout.addLayout(actions)
        layout.addWidget(self._progress)
        layout.addWidget(self._doing)
        layout.addWidget(self._log, 1)
        layout.addWidget(closing)

    def _show_state(self) -> None:
        state = engine_state()
        text = {
            EngineState.READY: tr("Installed and of this plugin's version."),
            EngineState.OUTDATED: tr("Installed, but of another version than this plugin. Update it."),
            EngineState.MISSING: tr("Not installed yet."),
        }[state]
        if chosen_interpreter():
            text = tr("Runs with the Python chosen below.") if state is EngineState.READY else tr("The Python chosen below does not exist.")
        self._state.setText(text)
        training_text = {
            EngineState.READY: tr("Installed."),
            EngineState.OUTDATED: tr("Installed, but of another version than this plugin. Update it."),
            EngineState.MISSING: tr("Not installed."),
        }[training_state()]
        if chosen_interpreter():
            training_text = tr("Up to the Python chosen below: requirements/training.txt says what it needs. Check tells what it has.")
        self._training_state.setText(training_text)
        busy = self._process is not None
        self._training.setEnabled(not busy and not chosen_interpreter())
        is_made = environment_folder().is_dir()
        self._install_button.setText({EngineState.OUTDATED: tr("Update"), EngineState.READY: tr("Update")}.get(state, tr("Install")))
        self._install_button.setEnabled(not busy and self._pythons.count() > 0 and not chosen_interpreter())
        self._check_button.setEnabled(not busy and state is not EngineState.MISSING)
        self._remove_button.setEnabled(not busy and is_made and self._pythons.count() > 0)
        self._cancel_button.setEnabled(busy)

    def _find_pythons(self) -> None:
        for candidate in python_candidates():
            self._probe(candidate, is_chosen=False)

    def _probe(self, python: Path, is_chosen: bool) -> None:
        """Ask a Python for its version; it joins the list when it answers well."""
        probe = QProcess(self)
        probe.setProcessEnvironment(child_environment())

        def heard(*_: Any) -> None:
            version = bytes(probe.readAllStandardOutput().data()).decode("ascii", "replace").strip()
            numbers = tuple(int(part) for part in version.split(".")) if version.replace(".", "").isdigit() else ()
            if numbers[:2] >= OLDEST_PYTHON:
                self._pythons.addItem(f"{python} ({version})", str(python))
                if is_chosen:
                    self._pythons.setCurrentIndex(self._pythons.count() - 1)
                self._show_state()
            elif is_chosen:
                self._say(tr("{} is no Python of 3.11 or later that can make environments. {}").format(python, version))

        probe.finished.connect(heard)
        self._probes.append(probe)
        probe.start(str(python), ["-I", "-c", PYTHON_PROBE])

    def _ask_for_python(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, tr("A Python of 3.11 or later"))
        if path:
            self._probe(Path(path), is_chosen=True)

    def _choose_interpreter(self, path: str) -> None:
        if path:
            QgsSettings().setValue(INTERPRETER_SETTING, path)
        else:
            QgsSettings().remove(INTERPRETER_SETTING)
        self._show_state()

    def _install(self) -> None:
        training = "--training" if self._training.isChecked() else "--no-training"
        self._change("--cuda", self._cuda.currentData(), training, then=self._check_if_ready)

    def _change(self, *options: str, then: Callable[[Message], None]) -> None:
        arguments = ["-I", str(ENVIRONMENT_SCRIPT), "--folder", str(environment_folder()), *options, "--json"]
        self._start(self._pythons.currentData(), arguments, then=then)

    def _check_if_ready(self, end: Message) -> None:
        if end.get("type") == "result":
            self._check()

    def _check(self) -> None:
        job = to_json(DoctorJob(models_folders=(str(models_folder()),)))
        self._start(str(engine_python()), [str(ENGINE_PROGRAM), "run"], said=job, then=self._show_findings)

    def _show_findings(self, end: Message) -> None:
        for line in readable(end.get("result", {})):
            self._say(line)

    def _remove(self) -> None:
        question = tr("Remove the engine, {}? Your models and data stay.").format(environment_folder())
        if QMessageBox.question(self, self.windowTitle(), question) == QMessageBox.StandardButton.Yes:
            self._change("--remove", then=lambda _end: None)

    def _start(self, program: str, arguments: list[str], then: Callable[[Message], None], said: str = "") -> None:
        def ended(end: Message) -> None:
            process, self._process = self._process, None
            if process is not None:
                process.deleteLater()
            self._progress.setRange(0, 100)
            self._progress.setValue(0)
            self._doing.clear()
            self._show_state()
            then(end)

        self._progress.setRange(0, 0)
        self._process = TalkingProcess(self, self._hear, self._say, ended)
        self._show_state()
        self._process.start(program, arguments)
        if said:
            self._process.write(said.encode() + b"\n")

    def _hear(self, message: Message) -> None:
        text = str(message.get("text", ""))
        if message["type"] == "progress":
            self._progress.setRange(0, 100)
            self._progress.setValue(int(message.get("percent", 0)))
            if text and text != self._doing.text():
                self._doing.setText(text)
                self._say(text)
        elif message["type"] == "warning":
            self._say(tr("Warning: {}").format(text))
        elif message["type"] == "error":
            self._say(tr("Error: {}").format(text))
        elif text:
            self._say(text)

    def _say(self, text: str) -> None:
        self._log.appendPlainText(text)

    def _cancel(self) -> None:
        if self._process is not None:
            self._say(tr("Stopping…"))
            self._process.cancel()


def readable(value: Any, indent: str = "") -> Iterator[str]:
    """A result as lines of text, lists and objects indented."""
    pairs = value.items() if isinstance(value, dict) else ((None, entry) for entry in value)
    for key, entry in pairs:
        label = f"{key}: " if key is not None else "- "
        if isinstance(entry, (dict, list)) and entry:
            yield f"{indent}{label}".rstrip()
            yield from readable(entry, indent + "    ")
        else:
            shown = {True: tr("yes"), False: tr("no"), None: "-"}.get(entry, entry) if isinstance(entry, (bool, type(None))) else entry
            yield f"{indent}{label}{shown if shown not in ([], {}) else tr('none')}"
