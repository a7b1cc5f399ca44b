"""Where the engine and the models are on this machine, and whether the engine fits this version of the plugin."""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from pathlib import Path

from qgis.core import QgsSettings

from .translation import tr

PLUGIN_FOLDER = Path(__file__).resolve().parent.parent
ENGINE_PROGRAM = PLUGIN_FOLDER / "engine"
ENVIRONMENT_SCRIPT = ENGINE_PROGRAM / "environment.py"
REQUIREMENTS = PLUGIN_FOLDER / "requirements" / "engine.txt"
TRAINING_REQUIREMENTS = PLUGIN_FOLDER / "requirements" / "training.txt"
TRAINING_GB = 5.5 if sys.platform == "linux" else 1.5
"""The same as ``engine.environment.TRAINING_GB``, which QGIS must not import."""
BUNDLED_MODELS = PLUGIN_FOLDER / "model" / "bundled"
INTERPRETER_SETTING = "rock_glacier_mapper/engine_python"


class EngineState(Enum):
    """What is found where the engine should be."""

    READY = "ready"
    OUTDATED = "outdated"
    MISSING = "missing"


def user_folder() -> Path:
    """The project's own folder on this machine; the same as ``engine.places.user_folder``, which QGIS must not import."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "rock-glacier-mapper"


def environment_folder() -> Path:
    """The engine's virtual environment."""
    return user_folder() / "engine"


def models_folder() -> Path:
    """The folder that holds the person's model folders."""
    return user_folder() / "models"


def chosen_interpreter() -> Path | None:
    """The Python that the person chose to run the engine with instead of the environment's own."""
    chosen = QgsSettings().value(INTERPRETER_SETTING, "", type=str)
    return Path(chosen) if chosen else None


def engine_python() -> Path:
    """The Python that runs the engine, whether it is there or not."""
    inside = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
    return chosen_interpreter() or environment_folder().joinpath(*inside)


def engine_state() -> EngineState:
    """Whether the engine is there and made from this version's requirements. A chosen interpreter is taken at its word."""
    if not engine_python().is_file():
        return EngineState.MISSING
    if chosen_interpreter():
        return EngineState.READY
    stamp = environment_folder() / "requirements.txt"
    is_current = stamp.is_file() and stamp.read_text("utf-8").split() == REQUIREMENTS.read_text("utf-8").split()
    return EngineState.READY if is_current else EngineState.OUTDATED


def training_state() -> EngineState:
    """The same for the packages that training needs, in the engine's own environment."""
    stamp = environment_folder() / "training.txt"
    if not stamp.is_file():
        return EngineState.MISSING
    wanted = TRAINING_REQUIREMENTS.read_text("utf-8").replace("-r engine.txt", REQUIREMENTS.read_text("utf-8"))
    return EngineState.READY if stamp.read_text("utf-8").split() == wanted.split() else EngineState.OUTDATED


def what_to_do(state: EngineState) -> str:
    """How a person makes the engine ready; empty when it is."""
    if state is EngineState.READY:
        return ""
    if chosen_interpreter():
        return tr("The Python chosen for the engine, {}, does not exist. Choose another one in {} or clear the QGIS setting {}.").format(
            engine_python(), menu_path(), INTERPRETER_SETTING
        )
    problem = tr("is of another version than this plugin") if state is EngineState.OUTDATED else tr("is not installed yet")
    return tr(
        "The computing engine {}. Install it in QGIS with {}, or in a terminal with: python3 {} --folder {} (Python 3.11 or later)."
    ).format(problem, menu_path(), _quoted(ENVIRONMENT_SCRIPT), _quoted(environment_folder()))


def menu_path() -> str:
    """Where the set-up dialog is found."""
    return tr("Raster > Rock Glacier Mapper > Set up engine…")


def installed_models() -> dict[str, str]:
    """Name -> title of the models in the person's folder and of the bundled ones; the first of a name wins."""
    found: dict[str, str] = {}
    for parent in (models_folder(), BUNDLED_MODELS):
        for card in sorted(parent.glob("*/model.json")):
            try:
                title = str(json.loads(card.read_text("utf-8")).get("title", ""))
            except (OSError, ValueError, AttributeError):
                title = tr("unreadable card")
            found.setdefault(card.parent.name, title)
    return found


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)
