"""The contract between QGIS and the engine: one job goes in, a stream of messages comes out.

The only module that both processes import, so: the standard library alone, syntax of Python 3.9.

A job travels as one line of JSON on the engine's standard input, ``{"protocol": 1, "command": "prepare", "input": ...}``.
The engine answers with JSON lines on its standard output, each with a ``type``:

========== ==================================================================================
type       further keys
========== ==================================================================================
progress   ``percent`` 0-100 (float), ``text`` what is being done
info       ``text``
warning    ``code`` stable, ``text`` for a person
result     ``result``: the command's results (paths, counts, areas), always the last line
error      ``code`` stable, ``text`` what is wrong and what to do, always the last line
========== ==================================================================================

Closing the engine's standard input asks it to cancel; it then answers with an ``error`` of code ``cancelled``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Optional, Union

PROTOCOL = 1

SENSORS = ("auto", "reflectance", "sentinel2_l2a", "landsat_c2_l2", "planetscope_sr", "gaofen_pms", "naip", "custom")
DEVICES = ("auto", "cuda", "cpu")
PERMAFROST_ACTIONS = ("flag", "drop")
STACK_BANDS = ("red", "green", "blue", "nir", "evi", "savi")


@dataclass(frozen=True)
class PrepareJob:
    """Scene to spectral stack.

    ``red`` ... ``nir`` are band numbers from 1; ``nir`` 0 means that the scene has no near-infrared band.
    ``scale`` and ``offset`` serve ``sensor="custom"``: reflectance = DN * scale + offset.
    ``resolution`` is the ground sampling distance of the stack in metres, 0 = as the scene has it.
    """

    command: ClassVar[str] = "prepare"
    input: str
    output: str
    red: int = 1
    green: int = 2
    blue: int = 3
    nir: int = 4
    sensor: str = "auto"
    scale: float = 1.0
    offset: float = 0.0
    resolution: float = 0.0


@dataclass(frozen=True)
class DetectJob:
    """Spectral stack to tile polygons and a blended probability raster.

    ``model`` is the name of an installed model or a model folder, empty for the bundled one; ``models_folders`` are
    searched for names, in order, before the bundled models. ``threshold`` (0-1) and ``overlap`` (percent of a tile)
    default to the model's card. ``batch_size`` 0 lets the engine choose for the device. ``mask`` is a polygon file
    to look in (with ``mask_layer`` where the file holds several).
    """

    command: ClassVar[str] = "detect"
    input: str
    output: str
    probability: Optional[str] = None
    model: str = ""
    models_folders: tuple[str, ...] = ()
    threshold: Optional[float] = None
    overlap: Optional[float] = None
    device: str = "auto"
    batch_size: int = 0
    mask: Optional[str] = None
    mask_layer: Optional[str] = None


@dataclass(frozen=True)
class PostprocessJob:
    """Tile polygons to rock glacier outlines (Lin et al. 2024, section 3.4.2).

    ``min_area`` in square metres. ``permafrost`` is a raster or polygon file; ``permafrost_classes`` the values that
    count as permafrost (``"1"``, ``"1,3"``) or a condition (``">=0.5"``); ``permafrost_field`` the attribute that
    holds the value in a polygon file, empty when every polygon is permafrost.
    ``permafrost_min_fraction`` (0-1) is the share of an outline's area that must lie in permafrost.
    """

    command: ClassVar[str] = "postprocess"
    input: str
    output: str
    input_layer: Optional[str] = None
    min_area: float = 22000.0
    fill_holes: bool = True
    require_support: bool = True
    permafrost: Optional[str] = None
    permafrost_layer: Optional[str] = None
    permafrost_field: str = ""
    permafrost_classes: str = "1"
    permafrost_min_fraction: float = 0.5
    permafrost_action: str = "flag"


@dataclass(frozen=True)
class ModelsJob:
    """List the installed and the bundled models."""

    command: ClassVar[str] = "models"
    models_folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class DoctorJob:
    """Report versions, the execution providers that really work, models, and what is missing."""

    command: ClassVar[str] = "doctor"
    models_folders: tuple[str, ...] = ()


Job = Union[PrepareJob, DetectJob, PostprocessJob, ModelsJob, DoctorJob]
JOB_TYPES: dict[str, Any] = {job.command: job for job in (PrepareJob, DetectJob, PostprocessJob, ModelsJob, DoctorJob)}


def to_json(job: Job) -> str:
    """One line of JSON for the engine's standard input."""
    return json.dumps({"protocol": PROTOCOL, "command": job.command, **dataclasses.asdict(job)})


def from_json(line: str) -> Job:
    """The job that a line of JSON describes.

    Raises
    ------
    ValueError
        when the line is no JSON object, of another protocol, or names an unknown command or parameter.
    """
    document: Any = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError("a job is a JSON object")
    protocol = document.pop("protocol", None)
    if protocol != PROTOCOL:
        raise ValueError(f"the job speaks protocol {protocol}, this engine speaks {PROTOCOL}: plugin and engine differ in version")
    command = document.pop("command", None)
    if not isinstance(command, str) or command not in JOB_TYPES:
        raise ValueError(f"unknown command {command!r}; known are {', '.join(JOB_TYPES)}")
    job_type = JOB_TYPES[command]
    known = {field.name for field in dataclasses.fields(job_type)}
    unknown = sorted(set(document) - known)
    if unknown:
        raise ValueError(f"unknown parameter {', '.join(unknown)} for {command}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in document.items()}
    try:
        job: Job = job_type(**values)
    except TypeError as error:
        raise ValueError(f"incomplete {command} job: {error}") from error
    return job
