"""What works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import __version__
from engine.card import find_model, installed_models, read_card
from engine.environment import REQUIREMENTS, TRAINING_REQUIREMENTS, driver_cuda_version, wanted_requirements
from engine.errors import EngineError
from engine.packages import install_training_command, shell_command, training_state, unmet
from engine.places import user_folder
from engine.reporting import Reporter
from jobs import DoctorJob, ModelsJob

LEAST_FREE_DISK_GB = 1.0

VERSIONS: dict[str, Callable[[], str]] = {
    "numpy": lambda: _attribute("numpy", "__version__"),
    "rasterio": lambda: _attribute("rasterio", "__version__"),
    "GDAL": lambda: _attribute("rasterio", "__gdal_version__"),
    "shapely": lambda: _attribute("shapely", "__version__"),
    "GEOS": lambda: _attribute("shapely", "geos_version_string"),
    "pyproj": lambda: _attribute("pyproj", "__version__"),
    "PROJ": lambda: _attribute("pyproj", "proj_version_str"),
    "pyogrio": lambda: _attribute("pyogrio", "__version__"),
    "onnxruntime": lambda: _attribute("onnxruntime", "__version__"),
}


def models(job: ModelsJob, reporter: Reporter) -> dict[str, Any]:
    """The installed and the bundled models.

    Returns
    -------
    ``models``: one dict for each, with ``name``, ``title``, ``version``, ``gsd_m`` (metres), ``tile_px``, ``nir``, ``licence``,
    ``folder`` and ``state``: "ready", or what is wrong with it, then all but ``name`` and ``folder`` are null
    """
    return {"models": [_described(name, folder) for name, folder in installed_models(job.models_folders).items()]}


def doctor(job: DoctorJob, reporter: Reporter) -> dict[str, Any]:
    """Look at everything that the engine needs.

    Returns
    -------
    ``versions`` name -> version or what is wrong; ``python`` (path); ``providers`` CUDA and CPU -> "works", found by running
    a network on it, or what is wrong; ``gpu`` the driver in words;
    ``training`` as :func:`engine.packages.training_state`; ``models`` as :func:`models`; ``user_folder`` (path);
    ``free_disk_gb`` there; ``problems`` a list of ``text`` what is wrong and ``mend`` the command or deed that mends it
    """
    reporter.progress(0.1, "Looking at the packages")
    versions, problems = _versions()
    problems += _unmet_requirements()
    reporter.progress(0.4, "Running a network on each device")
    providers = {"CUDA": _cuda_state(), "CPU": _provider_state("CPUExecutionProvider")}
    cuda_version = driver_cuda_version()
    if cuda_version is not None and providers["CUDA"] != "works":
        mend = shell_command(sys.executable, REQUIREMENTS.parent.parent / "engine" / "environment.py", "--cuda", "yes")
        problems.append({"text": f"There is a GPU, but the network cannot run on it: {providers['CUDA']}", "mend": mend})
    if providers["CPU"] != "works":
        problems.append({"text": f"No network can be run: {providers['CPU']}", "mend": _install_command()})
    reporter.progress(0.6, "Asking torch, where training is installed")
    training = training_state()
    problems += _training_problems(training, cuda_version is not None)
    reporter.progress(0.8, "Looking at the models")
    listed = models(ModelsJob(models_folders=job.models_folders), reporter)["models"]
    for model in listed:
        if model["state"] != "ready":
            problems.append(
                {"text": f"The model {model['name']} cannot be used: {model['state']}", "mend": "Install the model again, or remove it."}
            )
    try:
        find_model("", job.models_folders)
    except EngineError as error:
        problems.append({"text": error.text, "mend": "Install Rock Glacier Mapper again."})
    home = next(place for place in (user_folder(), *user_folder().parents) if place.exists())
    free_disk_gb = shutil.disk_usage(home).free / 1e9
    if free_disk_gb < LEAST_FREE_DISK_GB:
        problems.append({"text": f"Only {free_disk_gb:.1f} GB are free at {home}.", "mend": "Free some space."})
    return {
        "versions": versions,
        "python": sys.executable,
        "providers": providers,
        "gpu": "no NVIDIA driver" if cuda_version is None else f"NVIDIA driver for CUDA {cuda_version[0]}.{cuda_version[1]}",
        "training": training,
        "models": listed,
        "user_folder": str(user_folder()),
        "free_disk_gb": round(free_disk_gb, 1),
        "problems": problems,
    }


def _described(name: str, folder: Path) -> dict[str, Any]:
    try:
        card = read_card(folder)
    except EngineError as error:
        nothing = dict.fromkeys(("title", "version", "gsd_m", "tile_px", "nir", "licence"))
        return {"name": name, **nothing, "folder": str(folder), "state": error.text}
    return {
        "name": name,
        "title": card.title,
        "version": card.version,
        "gsd_m": card.gsd_m,
        "tile_px": card.tile_px,
        "nir": card.nir,
        "licence": card.licence,
        "folder": str(folder),
        "state": "ready",
    }


def _attribute(module: str, name: str) -> str:
    return str(getattr(importlib.import_module(module), name))


def _versions() -> tuple[dict[str, str], list[dict[str, str]]]:
    versions = {"Rock Glacier Mapper": __version__, "Python": platform.python_version()}
    problems = []
    for name, version in VERSIONS.items():
        try:
            versions[name] = version()
        except (ImportError, OSError, AttributeError) as error:
            versions[name] = f"cannot be loaded ({error})"
            problems.append({"text": f"{name} cannot be loaded: {error}", "mend": _install_command()})
    return versions, problems


def _unmet_requirements() -> list[dict[str, str]]:
    problems = []
    for name, version, found in unmet(wanted_requirements()):
        there = f"{found} is installed" if found else "it is not installed"
        problems.append({"text": f"{name} should be {version}; {there}.", "mend": _install_command()})
    return problems


def _training_problems(training: dict[str, Any], has_driver: bool) -> list[dict[str, str]]:
    if training["state"] == "not installed":  # as most people have it
        return []
    if training["state"] != "works":
        return [{"text": f"No network can be trained: {training['state']}", "mend": install_training_command()}]
    problems = []
    for name, version, found in unmet(TRAINING_REQUIREMENTS.read_text(encoding="utf-8")):
        problems.append({"text": f"{name} should be {version} for training; {found} is installed.", "mend": install_training_command()})
    if has_driver and training["device"] == "CPU":
        mend = "Install a torch that is built for CUDA by hand." if sys.platform == "win32" else "Update the NVIDIA driver."
        problems.append({"text": "There is a GPU, but torch cannot use it: networks are trained on the CPU.", "mend": mend})
    return problems


def _install_command() -> str:
    return shell_command(sys.executable, "-m", "pip", "install", "-r", REQUIREMENTS)


def _cuda_state() -> str:
    try:
        from engine.inference import CUDA, cuda_problem  # noqa: PLC0415 what is missing is to be reported
    except ImportError as error:
        return f"onnxruntime cannot be loaded ({error})."
    return cuda_problem() or _provider_state(CUDA)


def _provider_state(provider: str) -> str:
    """ "works" when a network ran on an execution provider of onnxruntime, else what is wrong."""
    try:
        import numpy as np  # noqa: PLC0415
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        return f"onnxruntime cannot be loaded ({error})."
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        if provider != "CPUExecutionProvider":
            onnxruntime.preload_dlls()
        session = onnxruntime.InferenceSession(square_network(), options, providers=[provider], enable_fallback=0)
        if session.get_providers()[0] != provider:
            return "its libraries are missing or do not fit the driver."
        (squared,) = session.run(None, {"x": np.full((1, 1, 1, 1), 3, np.float32)})
    except Exception as error:  # onnxruntime's exceptions have no other common class
        return f"{error}".strip().splitlines()[0]
    return "works" if squared.item() == 9 else f"computes wrongly (3 x 3 = {squared.item()})."


def square_network() -> bytes:
    """An ONNX file of one convolution, y = x * x, small enough to be written by hand in protobuf's wire format.

    Numbers are the field numbers of onnx.proto (ONNX 1.14, opset 17).
    """

    def message(number: int, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return bytes([number << 3 | 2, len(content)]) + content

    def integer(number: int, value: int) -> bytes:
        return bytes([number << 3, value])

    def port(number: int, name: bytes) -> bytes:
        dimensions = message(2, *[message(1, integer(1, 1))] * 4)
        return message(number, message(1, name), message(2, message(1, integer(1, 1), dimensions)))

    node = message(1, message(1, b"x"), message(1, b"x"), message(2, b"y"), message(4, b"Conv"))
    graph = message(7, node, message(2, b"square"), port(11, b"x"), port(12, b"y"))
    return integer(1, 8) + graph + message(8, integer(2, 17))
