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
from typing import Any, ClassVar, Optional, Union, get_args

PROTOCOL = 1

SENSORS = ("auto", "reflectance", "sentinel2_l2a", "landsat_c2_l2", "planetscope_sr", "gaofen_pms", "naip", "custom")
DEVICES = ("auto", "cuda", "cpu")
PERMAFROST_ACTIONS = ("flag", "drop")
PERMAFROST_PRESETS = ("custom", "zou_zhao", "ncdc", "obu_probability", "obu_zones", "cci_fraction", "gruber_pzi", "cao_pzi")
INVENTORY_FORMS = ("rgik", "rgik_release", "rogi_ch", "tprogi", "rgi7", "global2026")
BOUNDARIES = ("tiles", "probability")
MATCH_RULES = ("intersection", "overlap", "iou")
ALLOCATIONS = ("proportional", "optimal")
SAMPLE_RECIPES = ("blocks", "paper", "hu")
EVALUATED_SPLITS = ("validation", "train", "all")
TRAINING_RECIPES = ("modern", "paper")
TRAINING_PRECISIONS = ("auto", "32", "bf16", "16")
TRAINING_STARTS = ("imagenet", "random")
TRAINING_LOSSES = ("dice", "dice+cross_entropy", "dice+cross_entropy+boundary", "tversky", "tversky+cross_entropy")
USUAL_NETWORKS = (
    *("dednet-compact", "dednet-hrnet-w18", "dednet-hrnet-w32", "dednet-hrnet-w48", "dednet-resnet50"),
    *("cdnet-compact", "cdnet-hrnet-w48", "msnet", "deeplabv3plus", "deeplabv3plus-xception71", "unet", "segnet", "random_forest"),
    *("dualpyramid-convnextv2-atto", "dualpyramid-convnextv2-tiny"),
)
"""Of those that model/networks has, the ones that a list in QGIS offers."""
MODEL_PRECISIONS = ("fp32", "fp16", "int8")
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
    """Tile polygons to rock glacier outlines (Lin et al. 2024, section 3.4.2), with their uncertainty.

    ``min_area`` in square metres. ``permafrost`` is a raster or polygon file; ``permafrost_preset`` the product it is, which
    says what counts, or ``custom``: then ``permafrost_classes`` are the values that count as permafrost (``"1"``, ``"1,3"``)
    or a condition (``">=0.5"``) and ``permafrost_field`` the attribute that holds the value in a polygon file, empty when
    every polygon is permafrost. ``permafrost_min_fraction`` (0-1) is the share of an outline's area, with a buffer of
    ``permafrost_buffer`` cells around it, that must lie in permafrost.

    ``boundary``: outlines are bounded by the union of ``tiles``, or cut back to the contour of the blended ``probability``.
    ``smoothing`` in metres, None = from the size of the pixels, 0 = the pixel edges stay. ``probability`` is Detect's blended
    raster, ``area_lo_level`` and ``area_hi_level`` the probabilities (0-1) whose contours bound an outline's area.
    ``not_assessable`` is a raster or polygon file of snow, cloud and shadow. ``report`` (table), ``raw`` (outlines before
    smoothing) and ``restricted`` (restricted footprints, needs ``dem``) are further outputs.
    """

    command: ClassVar[str] = "postprocess"
    input: str
    output: str
    input_layer: Optional[str] = None
    min_area: float = 22000.0
    fill_holes: bool = True
    require_support: bool = True
    unite: bool = True
    boundary: str = "tiles"
    permafrost: Optional[str] = None
    permafrost_layer: Optional[str] = None
    permafrost_field: str = ""
    permafrost_classes: str = "1"
    permafrost_min_fraction: float = 0.5
    permafrost_action: str = "flag"
    permafrost_preset: str = "custom"
    permafrost_buffer: float = 1.0
    permafrost_source: str = ""
    smoothing: Optional[float] = None
    probability: Optional[str] = None
    area_lo_level: float = 0.7
    area_hi_level: float = 0.3
    dem: Optional[str] = None
    not_assessable: Optional[str] = None
    not_assessable_layer: Optional[str] = None
    not_assessable_classes: str = ">=1"
    report: Optional[str] = None
    raw: Optional[str] = None
    restricted: Optional[str] = None


@dataclass(frozen=True)
class SplitJob:
    """Outlines that hold several rock glaciers to systems (RGS) and their units (RGU).

    ``output`` receives the units, ``systems`` the parents, ``cuts`` the lines of cuts made and proposed, with their
    scores. ``min_area``: the smallest unit in square metres; ``min_score`` (0-1): cuts with less are proposed, not made.
    """

    command: ClassVar[str] = "split"
    input: str
    output: str
    input_layer: Optional[str] = None
    probability: Optional[str] = None
    dem: Optional[str] = None
    systems: Optional[str] = None
    cuts: Optional[str] = None
    min_area: float = 10000.0
    min_score: float = 0.5


@dataclass(frozen=True)
class AttributesJob:
    """Outlines with the attributes of an inventory.

    ``rasters``: further rasters whose mean over each outline becomes a field, each ``FIELD=PATH`` or
    ``FIELD=PATH|SOURCE|PERIOD``. ``solar_months``: months that the potential incoming solar radiation is summed over,
    such as ``1-12`` or ``6-9``; empty = not computed. ``dem_source``: name of the elevation model, its file name when empty.
    """

    command: ClassVar[str] = "attributes"
    input: str
    output: str
    input_layer: Optional[str] = None
    dem: Optional[str] = None
    dem_source: str = ""
    rasters: tuple[str, ...] = ()
    solar_months: str = "1-12"


@dataclass(frozen=True)
class ExportInventoryJob:
    """Outlines to an inventory in a published form, one of ``INVENTORY_FORMS``.

    ``output``: .gpkg (all layers), .geojson or .shp (a file for each of several layers: NAME_PM, NAME_GO). ``markers``: primary
    markers of rock glaciers that have no outline. ``field_mapping``: further or other fields, each ``TO=FROM``.
    """

    command: ClassVar[str] = "export_inventory"
    input: str
    output: str
    input_layer: Optional[str] = None
    form: str = "rgik"
    restricted: Optional[str] = None
    restricted_layer: Optional[str] = None
    area_of_interest: Optional[str] = None
    area_of_interest_layer: Optional[str] = None
    markers: Optional[str] = None
    markers_layer: Optional[str] = None
    operator: str = ""
    imagery: str = ""
    field_mapping: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportInventoryJob:
    """An inventory in a published form to outlines with this project's field names.

    ``restricted`` receives the restricted outlines, which otherwise stay in ``output`` with ``outline_type`` Restricted;
    ``markers`` the primary markers that have no outline. ``field_mapping``: each ``TO=FROM``.
    """

    command: ClassVar[str] = "import_inventory"
    input: str
    output: str
    input_layer: Optional[str] = None
    restricted: Optional[str] = None
    markers: Optional[str] = None
    field_mapping: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssessJob:
    """Accuracy of predicted against reference outlines.

    ``output``: polygon layer of correspondences; ``table``: one row per correspondence (.csv, .gpkg); ``json``: all numbers;
    ``report``: one HTML page; ``figures``: folder for the report's figures as PNG and SVG. ``match_rule`` is the rule that
    the summary names; all three are computed. Overlaps under ``sliver`` (0-1) of both outlines are ignored. ``dem``: elevation
    model, for boundary distances of front, sides and upslope section.
    """

    command: ClassVar[str] = "assess"
    predicted: str
    reference: str
    predicted_layer: Optional[str] = None
    reference_layer: Optional[str] = None
    output: Optional[str] = None
    table: Optional[str] = None
    json: Optional[str] = None
    report: Optional[str] = None
    figures: Optional[str] = None
    area_of_interest: Optional[str] = None
    area_of_interest_layer: Optional[str] = None
    probability: Optional[str] = None
    dem: Optional[str] = None
    match_rule: str = "overlap"
    min_overlap: float = 0.5
    min_iou: float = 0.5
    sliver: float = 0.05
    pixel_size: float = 10.0


@dataclass(frozen=True)
class CompareInventoriesJob:
    """Inventories of the same ground against each other: two in time order, or those of k operators.

    ``output``: the outlines with their class of change (two inventories) or agreement (any number); ``agreement``: raster of
    the share of operators; ``disagreements``: where they differ, worst first; ``consensus``: outlines of the majority;
    ``operators``: table of each operator's bias. ``names``: of the inventories, their file names when not given;
    ``inventory_layers``: the layer of each file, where files hold several, empty where not.
    """

    command: ClassVar[str] = "compare_inventories"
    inventories: tuple[str, ...]
    output: Optional[str] = None
    agreement: Optional[str] = None
    disagreements: Optional[str] = None
    consensus: Optional[str] = None
    operators: Optional[str] = None
    inventory_layers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    area_of_interest: Optional[str] = None
    area_of_interest_layer: Optional[str] = None
    sliver: float = 0.05
    changed_iou: float = 0.8
    resolution: float = 10.0


@dataclass(frozen=True)
class DesignSampleJob:
    """A stratified random sample of points to label by eye, from which areas and accuracy follow with confidence intervals.

    Strata: predicted rock glacier, a ring of ``ring_width`` metres around it, background of a probability of at least
    ``high_probability`` (meant for a threshold of 0.5, moved with that of the raster), the rest. ``size`` 0 = as many as
    ``standard_error`` of the overall accuracy needs, when the map is right in the ``anticipated_...`` share (0-1) of each
    stratum. ``allocation``: points in proportion to a stratum's area, or so that the standard error is smallest; at least
    ``min_per_stratum`` in each.
    """

    command: ClassVar[str] = "design_sample"
    predicted: str
    output: str
    predicted_layer: Optional[str] = None
    area_of_interest: Optional[str] = None
    area_of_interest_layer: Optional[str] = None
    probability: Optional[str] = None
    ring_width: float = 100.0
    high_probability: float = 0.3
    size: int = 0
    standard_error: float = 0.01
    allocation: str = "proportional"
    min_per_stratum: int = 50
    anticipated_predicted: float = 0.8
    anticipated_ring: float = 0.85
    anticipated_probable: float = 0.8
    anticipated_rest: float = 0.99
    seed: int = 1


@dataclass(frozen=True)
class EstimateAreaJob:
    """Area and accuracy with confidence intervals from a labelled sample of :class:`DesignSampleJob`."""

    command: ClassVar[str] = "estimate_area"
    sample: str
    sample_layer: Optional[str] = None
    reference_field: str = "reference"
    table: Optional[str] = None
    json: Optional[str] = None


@dataclass(frozen=True)
class FallLinesJob:
    """The fall line of each outline: the longest line downslope within it, from its roots to its front."""

    command: ClassVar[str] = "fall_lines"
    input: str
    dem: str
    output: str
    input_layer: Optional[str] = None


@dataclass(frozen=True)
class StartReviewJob:
    """Predicted and manual outlines to a review session (:mod:`review_session`), a GeoPackage of its own.

    ``manual``, ``restricted`` (restricted outlines of the predicted ones), ``imagery``, ``probability``, ``dem`` where there are
    any. ``area_of_interest``: what is searched tile by tile, the extent of imagery and outlines when not given; ``tile_size`` in
    metres. Overlaps under ``sliver`` (0-1) of both outlines are ignored.
    """

    command: ClassVar[str] = "start_review"
    predicted: str
    output: str
    predicted_layer: Optional[str] = None
    manual: Optional[str] = None
    manual_layer: Optional[str] = None
    restricted: Optional[str] = None
    restricted_layer: Optional[str] = None
    imagery: Optional[str] = None
    probability: Optional[str] = None
    dem: Optional[str] = None
    area_of_interest: Optional[str] = None
    area_of_interest_layer: Optional[str] = None
    tile_size: float = 2000.0
    sliver: float = 0.05
    operator: str = ""


@dataclass(frozen=True)
class UpdateReviewJob:
    """A review session with newly predicted or newly drawn outlines, every decision kept.

    What is not given stays as it is in the session; with no new layer at all, those that the session was made from are read again.
    ``area_of_interest``: where the new detection looked; predicted outlines elsewhere stay. ``output`` may be the session itself,
    which is then replaced when all is done.
    """

    command: ClassVar[str] = "update_review"
    session: str
    output: str
    predicted: Optional[str] = None
    predicted_layer: Optional[str] = None
    manual: Optional[str] = None
    manual_layer: Optional[str] = None
    probability: Optional[str] = None
    area_of_interest: Optional[str] = None
    area_of_interest_layer: Optional[str] = None


@dataclass(frozen=True)
class MergeReviewsJob:
    """The sessions of several people to one; where they disagree, the outline is unreviewed again and says why.

    Boundaries that share at least ``same_iou`` (0-1) of their joint area are the same.
    """

    command: ClassVar[str] = "merge_reviews"
    sessions: tuple[str, ...]
    output: str
    same_iou: float = 0.95


@dataclass(frozen=True)
class FinishReviewJob:
    """What comes out of a review session, in a folder: inventory, accuracy report, effort report, training samples.

    ``form``, ``imagery``, ``operator`` and ``area_of_interest`` as in :class:`ExportInventoryJob`; ``stacks``: spectral stacks
    to take training samples from, none = no samples. ``accuracy``: predicted outlines against the reviewed ones.
    """

    command: ClassVar[str] = "finish_review"
    session: str
    folder: str
    form: str = "rgik"
    accuracy: bool = True
    stacks: tuple[str, ...] = ()
    operator: str = ""
    imagery: str = ""
    area_of_interest: Optional[str] = None
    area_of_interest_layer: Optional[str] = None


@dataclass(frozen=True)
class SamplesJob:
    """Spectral stacks and outlines to training samples: a folder of images and masks with one table that says everything.

    ``outlines`` with a field ``status``, as a review session has them: accepted, edited and added ones are rock glaciers, rejected ones
    background, others unknown. ``negatives``: polygons of look-alikes. ``recipe``: spatial ``blocks``; ``paper`` (Lin et al. 2024);
    ``hu`` (Hu et al. 2023). ``resolution`` in metres, ``size`` (pixels along a sample's side), ``validation_share`` (0-1) and
    ``background`` (negative samples for each positive one, filled up with random background): None = as the recipe has them.
    ``images`` and ``masks``: folders of chips (.png) instead of stacks and outlines; ``negatives`` is then a folder of chips, too.
    """

    command: ClassVar[str] = "samples"
    output: str
    stacks: tuple[str, ...] = ()
    outlines: Optional[str] = None
    outlines_layer: Optional[str] = None
    negatives: Optional[str] = None
    negatives_layer: Optional[str] = None
    images: Optional[str] = None
    masks: Optional[str] = None
    recipe: str = "blocks"
    resolution: Optional[float] = None
    size: Optional[int] = None
    validation_share: Optional[float] = None
    background: Optional[float] = None
    contact_sheet: Optional[str] = None
    seed: int = 1


@dataclass(frozen=True)
class EvaluateNetworkJob:
    """How well a model marks rock glaciers in samples (a folder of :class:`SamplesJob`) or in chips, pixel by pixel.

    ``model``, ``models_folders``, ``threshold``, ``device`` and ``batch_size`` as in :class:`DetectJob`. ``split``: the side of ``samples``
    to evaluate on. ``images``, ``masks`` and ``negatives``: folders of chips (.png) instead of ``samples``. ``low_snow``: chips with a
    smaller share of snow (0-1) get figures of their own. ``json``: all numbers; ``table``: a row for each sample (.csv, .gpkg);
    ``report``: one HTML page; ``worst``, ``best``: pictures of the twelve samples that went worst and best (.png).
    """

    command: ClassVar[str] = "evaluate"
    model: str = ""
    models_folders: tuple[str, ...] = ()
    samples: Optional[str] = None
    split: str = "validation"
    images: Optional[str] = None
    masks: Optional[str] = None
    negatives: Optional[str] = None
    threshold: Optional[float] = None
    low_snow: float = 0.1
    device: str = "auto"
    batch_size: int = 0
    json: Optional[str] = None
    table: Optional[str] = None
    report: Optional[str] = None
    worst: Optional[str] = None
    best: Optional[str] = None


@dataclass(frozen=True)
class TrainJob:
    """A network trained on samples (a folder of :class:`SamplesJob`) in the folder ``output``; the same job again goes on where it stopped.

    ``network``: a name of model/networks; ``network_options``: fields of its options, NAME=JSON. ``recipe``: ``modern``, or ``paper``
    (Lin et al. 2024); what is None is as the recipe has it: ``epochs``, ``crop`` (pixels), ``batch_size``, ``accumulate`` (batches for
    each step), ``learning_rate``, ``loss``, ``patience`` (epochs without a better validation score after which it stops). ``start``:
    ``imagenet``, ``random``, or the file or folder of a trained network to go on from. ``gpus``: how many, 0 = all there are.
    ``minutes``: at most so much working time. ``workers``: processes that load samples. ``model``: a model folder to write at the end.
    ``estimate``: only say what memory and time it would take.
    """

    command: ClassVar[str] = "train"
    samples: str
    output: str
    network: Optional[str] = None
    recipe: str = "modern"
    start: str = "imagenet"
    network_options: tuple[str, ...] = ()
    epochs: Optional[int] = None
    crop: Optional[int] = None
    batch_size: Optional[int] = None
    accumulate: Optional[int] = None
    learning_rate: Optional[float] = None
    loss: Optional[str] = None
    patience: Optional[int] = None
    precision: str = "auto"
    device: str = "auto"
    gpus: int = 0
    minutes: Optional[float] = None
    seed: int = 1
    workers: int = 0
    model: Optional[str] = None
    tensorboard: bool = False
    estimate: bool = False


@dataclass(frozen=True)
class ExportNetworkJob:
    """A trained network (a checkpoint, or the folder of a training) to a model folder that Detect runs.

    ``precision``: ``fp32``; ``fp16`` for GPUs, normalisation stays in float32; ``int8`` (QDQ), calibrated on the training half of
    ``samples``, whose validation half says what it costs. ``threshold`` 0-1, None = as the training chose it.
    """

    command: ClassVar[str] = "export"
    checkpoint: str
    output: str
    precision: str = "fp32"
    samples: Optional[str] = None
    threshold: Optional[float] = None
    title: str = ""
    licence: str = ""
    version: str = "1.0"


@dataclass(frozen=True)
class AdaptJob:
    """A model and a few outlines of a person's own area to a model of their own.

    ``model``, ``models_folders``, ``device`` as in :class:`DetectJob`. The area: ``images`` and ``masks``, folders of chips (.png), with
    ``negatives``, a folder of chips without rock glaciers; or ``stacks`` and ``outlines``, whose field ``status`` counts as in
    :class:`SamplesJob`. ``output``: the model folder to write, None = beside where it is started, named after the model. ``minutes``: at
    most so much working time. ``json``: all numbers.
    """

    command: ClassVar[str] = "adapt"
    output: Optional[str] = None
    model: str = ""
    models_folders: tuple[str, ...] = ()
    images: Optional[str] = None
    masks: Optional[str] = None
    negatives: Optional[str] = None
    stacks: tuple[str, ...] = ()
    outlines: Optional[str] = None
    outlines_layer: Optional[str] = None
    minutes: float = 10.0
    device: str = "auto"
    seed: int = 1
    json: Optional[str] = None


@dataclass(frozen=True)
class MineHardNegativesJob:
    """Rounds of training and of negatives from what the network wrongly marks, until the validation IoU is good enough (Hu et al. 2023).

    ``samples``: a folder of :class:`SamplesJob` to begin with. ``stacks``: spectral stacks to mine, within ``areas`` (polygons without
    rock glaciers; None = everywhere), ``margin`` metres away from ``outlines`` (known rock glaciers). ``min_area``: smaller objects are
    no errors, square metres. ``per_round``: at most so many negatives, the worst; None = as many as the samples have positives for
    training. ``output``: a folder that holds the grown samples and each round's training; the same job again goes on there. ``model``: a
    trained network, checkpoint or model folder, that the first round mines with; None = one is trained first. It stops at
    ``target_iou`` (0-1), after ``rounds``, or when nothing is marked wrongly any more. ``network``, ``recipe``, ``epochs``, ``minutes``
    (of each round), ``device``, ``seed`` as in :class:`TrainJob`.
    """

    command: ClassVar[str] = "mine_hard_negatives"
    samples: str
    output: str
    stacks: tuple[str, ...] = ()
    areas: Optional[str] = None
    areas_layer: Optional[str] = None
    outlines: Optional[str] = None
    outlines_layer: Optional[str] = None
    margin: float = 100.0
    min_area: float = 22000.0
    per_round: Optional[int] = None
    model: Optional[str] = None
    target_iou: float = 0.8
    rounds: int = 5
    network: Optional[str] = None
    recipe: str = "modern"
    epochs: Optional[int] = None
    minutes: Optional[float] = None
    device: str = "auto"
    seed: int = 1


@dataclass(frozen=True)
class CompareNetworksJob:
    """A list of networks (a TOML file, see docs/networks.md) trained and evaluated on the same split and budget, and the table of them.

    ``output``: a folder; the same job again goes on where it stopped.
    """

    command: ClassVar[str] = "compare_networks"
    config: str
    output: str


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


Job = Union[
    PrepareJob,
    DetectJob,
    PostprocessJob,
    SplitJob,
    AttributesJob,
    ExportInventoryJob,
    ImportInventoryJob,
    AssessJob,
    CompareInventoriesJob,
    DesignSampleJob,
    EstimateAreaJob,
    FallLinesJob,
    StartReviewJob,
    UpdateReviewJob,
    MergeReviewsJob,
    FinishReviewJob,
    SamplesJob,
    EvaluateNetworkJob,
    TrainJob,
    ExportNetworkJob,
    AdaptJob,
    MineHardNegativesJob,
    CompareNetworksJob,
    ModelsJob,
    DoctorJob,
]
JOB_TYPES: dict[str, Any] = {job.command: job for job in get_args(Job)}


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
