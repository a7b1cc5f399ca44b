"""Where the engine and its data live on a person's machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_folder() -> Path:
    """The folder of this project's own files: the engine's environment in ``engine/``, the person's models in ``models/``."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "rock-glacier-mapper"


def models_folder() -> Path:
    """The folder that holds the person's model folders."""
    return user_folder() / "models"
