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


def why_no_training() -> str:
    """What a person does before a network can be trained; empty where one can. A chosen interpreter is taken at its word."""
    if chosen_interpreter() or training_state() is not EngineState.MISSING:
        return ""
    return tr(
        "Training needs more packages (torch and others, about {:g} GB), which are not installed. Open {}, tick “Also what training needs” "
        "and press {}."
    ).format(TRAINING_GB, menu_path(), tr("Install") if engine_state() is EngineState.MISSING else tr("Update"))


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


def named_models() -> dict[str, str]:
    """Name -> name and title of the same, for lists."""
    return {name: f"{name}: {title}" if title else name for name, title in installed_models().items()}


def model_folder(model: str) -> Path:
    """The folder of a model by name, the person's before a bundled one; what is no name of one is the path of a folder."""
    folders = (parent / model for parent in (models_folder(), BUNDLED_MODELS))
    return next((folder for folder in folders if (folder / "model.json").is_file()), Path(model))


def why_no_name(name: str) -> str:
    """Why a new model in the person's folder cannot be called so, in words; empty when it can."""
    if not name or name != Path(name).name or name.startswith(".") or set(name) & set('<>:"/\\|?*'):
        return tr("“{}” can be no name of a model. Take letters, digits, - and _.").format(name)
    if name in installed_models() or (models_folder() / name).exists():
        return tr("There is a model {} already. Give the new one another name.").format(name)
    return ""


def free_name(name: str) -> str:
    """A name for a new model that none has: this one, or it with a number."""
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if not why_no_name(one))


def name_for_adapted(model: str) -> str:
    """What a model made from another one is called by itself; ``model`` is empty for the bundled one."""
    return free_name((Path(model).name or min(card.parent.name for card in BUNDLED_MODELS.glob("*/model.json"))) + "-adapted")


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)
