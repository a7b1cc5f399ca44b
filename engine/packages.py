"""The packages of requirements/: which of them are here, and what is said of those that are not.

torch and what else training needs are installed only where a person asked for them. A command that needs them lives in model/ and
begins with :func:`require_training_packages`, which :mod:`engine.cli` calls before it imports the command's module.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine import environment
from engine.environment import STAMP, TRAINING_REQUIREMENTS, wanted_requirements
from engine.errors import EngineError

REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^]]*])?==(?P<version>[^\s;]+)\s*(?:;\s*sys_platform\s*(?P<sign>[!=]=)\s*\"(?P<platform>\w+)\")?"
)
STAND_INS = {"onnxruntime-gpu": "onnxruntime"}
"""A package that does the same work, on the CPU alone."""

TRAINING_PROBE = """
import json, torch
device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
squared = (torch.full((1,), 3.0, device=device) ** 2).item()
name = {"cuda": lambda: torch.cuda.get_device_name(), "mps": lambda: "Apple GPU", "cpu": lambda: "CPU"}[device]()
print(json.dumps({"state": "works" if squared == 9 else f"computes wrongly (3 x 3 = {squared})", "device": name}))
"""
PROBE_SECONDS = 300


def unmet(requirements: str) -> Iterator[tuple[str, str, str | None]]:
    """Name, wanted version and installed version (None: not installed) of the packages that are not as a requirements file wants them."""
    for wanted in REQUIREMENT.finditer(requirements):
        if wanted["platform"] and (sys.platform == wanted["platform"]) != (wanted["sign"] == "=="):
            continue
        found = _installed_version(wanted["name"]) or _installed_version(STAND_INS.get(wanted["name"], ""))
        if found != wanted["version"]:
            yield wanted["name"], wanted["version"], found


def require_training_packages() -> None:
    """Raise an EngineError ``training_missing``, with what to press or type, where a package that training needs is not installed.

    Another version than the wanted one passes: who manages Python by hand may have good reasons for it. Doctor names it.
    """
    missing = [name for name, _, found in unmet(wanted_requirements(TRAINING_REQUIREMENTS)) if found is None]
    if missing:
        raise training_missing(f"{', '.join(missing)} not installed")


def training_missing(what: str) -> EngineError:
    """The error of a command that cannot train here, with the way to mend it."""
    return EngineError(
        "training_missing",
        f"The packages that training needs are not all there ({what}). In QGIS: Raster > Rock Glacier Mapper > Set up engine…, tick "
        f'"Also what training needs", press Update. In a terminal: {install_training_command()}',
    )


def training_state() -> dict[str, Any]:
    """Whether a network can be trained here.

    torch is asked in a process of its own, which computes on the device: importing it takes seconds and up to a GB of memory.

    Returns
    -------
    ``state`` "works", "not installed", or what is wrong; ``device`` that a network would be trained on, None where it cannot;
    ``versions`` name -> version of the packages that training needs and are here
    """
    names = [match["name"] for match in REQUIREMENT.finditer(TRAINING_REQUIREMENTS.read_text(encoding="utf-8"))]
    versions = {name: version for name in names if (version := _installed_version(name))}
    missing = [name for name in names if name not in versions]
    if "torch" not in versions:
        return {"state": "not installed", "device": None, "versions": {}}
    if missing:
        return {"state": f"{', '.join(missing)} not installed", "device": None, "versions": versions}
    try:
        probe = subprocess.run(
            [sys.executable, "-I", "-c", TRAINING_PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"state": f"torch did not answer within {PROBE_SECONDS} s", "device": None, "versions": versions}
    if probe.returncode:
        last = (probe.stderr.strip().splitlines() or [f"exit status {probe.returncode}"])[-1]
        return {"state": f"torch cannot be used: {last}", "device": None, "versions": versions}
    return {**json.loads(probe.stdout.strip().splitlines()[-1]), "versions": versions}


def install_training_command() -> str:
    """What installs the packages for training into the environment that this runs in."""
    if (Path(sys.prefix) / STAMP).is_file():
        maker = getattr(sys, "_base_executable", sys.executable)  # on Windows a running Python cannot be replaced
        return shell_command(maker, environment.__file__, "--folder", sys.prefix, "--training")
    return shell_command(sys.executable, "-m", "pip", "install", "-r", TRAINING_REQUIREMENTS)


def shell_command(*words: str | Path) -> str:
    """A command line that can be pasted into this machine's terminal."""
    texts = list(map(str, words))
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name) if name else None
    except importlib.metadata.PackageNotFoundError:
        return None
