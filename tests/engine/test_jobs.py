"""The contract between QGIS and the engine, and the values that are refused before any work."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EngineError
from engine.parameters import check_job
from jobs import (
    JOB_TYPES,
    AdaptJob,
    AssessJob,
    AttributesJob,
    CompareInventoriesJob,
    CompareNetworksJob,
    DesignSampleJob,
    DetectJob,
    DoctorJob,
    EstimateAreaJob,
    EvaluateNetworkJob,
    ExportInventoryJob,
    ExportNetworkJob,
    FallLinesJob,
    FinishReviewJob,
    ImportInventoryJob,
    Job,
    MergeReviewsJob,
    MineHardNegativesJob,
    ModelsJob,
    PostprocessJob,
    PrepareJob,
    SamplesJob,
    SplitJob,
    StartReviewJob,
    TrainJob,
    UpdateReviewJob,
    from_json,
    to_json,
)

PREPARE = PrepareJob("scene.tif", "stack.tif")
DETECT = DetectJob("stack.tif", "tile_polygons.gpkg")
POSTPROCESS = PostprocessJob("tile_polygons.gpkg", "outlines.gpkg")
SPLIT = SplitJob("outlines.gpkg", "units.gpkg", probability="probability.tif")
FALL_LINES = FallLinesJob("outlines.gpkg", "dem.tif", "fall_lines.gpkg")
ATTRIBUTES = AttributesJob("outlines.gpkg", "attributes.gpkg")
EXPORT = ExportInventoryJob("outlines.gpkg", "inventory.gpkg")
IMPORT = ImportInventoryJob("inventory.gpkg", "outlines.gpkg")
ASSESS = AssessJob("outlines.gpkg", "reference.gpkg", json="accuracy.json")
COMPARE = CompareInventoriesJob(("older.gpkg", "newer.gpkg"), "changes.gpkg")
DESIGN = DesignSampleJob("outlines.gpkg", "points.gpkg")
ESTIMATE = EstimateAreaJob("points.gpkg")
SAMPLES = SamplesJob("samples", ("stack.tif",), "outlines.gpkg")
EVALUATE = EvaluateNetworkJob(images="positive", masks="mask", json="evaluation.json")
TRAIN = TrainJob("samples", "training")
ADAPT = AdaptJob("own-model", images="positive", masks="mask")
EXPORT_NETWORK = ExportNetworkJob("training", "model")
MINE = MineHardNegativesJob("samples", "mining", ("stack.tif",), areas="areas.gpkg", outlines="outlines.gpkg")
START = StartReviewJob("outlines.gpkg", "review.gpkg", manual="manual.gpkg")
UPDATE = UpdateReviewJob("review.gpkg", "review.gpkg", predicted="outlines.gpkg")
MERGE = MergeReviewsJob(("ada.gpkg", "bo.gpkg"), "review.gpkg")
COMPARE_NETWORKS = CompareNetworksJob("networks.toml", "comparison")
FINISH = FinishReviewJob("review.gpkg", "finished")
JOBS = (
    ADAPT,
    PREPARE,
    DETECT,
    POSTPROCESS,
    SPLIT,
    ATTRIBUTES,
    EXPORT,
    IMPORT,
    ASSESS,
    COMPARE,
    DESIGN,
    ESTIMATE,
    FALL_LINES,
    START,
    UPDATE,
    MERGE,
    FINISH,
    SAMPLES,
    EVALUATE,
    TRAIN,
    EXPORT_NETWORK,
    MINE,
    COMPARE_NETWORKS,
    ModelsJob(),
    DoctorJob(("models",)),
)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.command)
def test_a_job_survives_its_journey(job: Job) -> None:
    line = to_json(job)
    assert "\n" not in line
    assert from_json(line) == job


def test_text_of_any_language_survives() -> None:
    job = dataclasses.replace(PREPARE, input="Öztal/冰川 'a' \"b\".tif")
    assert from_json(to_json(job)) == job
    assert to_json(job).isascii()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "Expecting value"),
        ("not json", "Expecting value"),
        ("[1]", "JSON object"),
        ('{"command": "prepare"}', "protocol"),
        ('{"protocol": 0, "command": "prepare"}', "version"),
        ('{"protocol": 1, "command": "dance"}', "unknown command"),
        ('{"protocol": 1, "command": ["prepare"]}', "unknown command"),
        ('{"protocol": 1, "command": "prepare", "input": "a", "output": "b", "speed": 1}', "speed"),
        ('{"protocol": 1, "command": "prepare", "input": "a"}', "output"),
    ],
)
def test_what_is_no_job_is_refused(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_json(line)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.command)
def test_defaults_are_allowed(job: Job) -> None:
    check_job(job)


def test_every_command_has_a_job() -> None:
    assert {job.command for job in JOBS} == set(JOB_TYPES)


@pytest.mark.parametrize(
    ("job", "changes"),
    [
        (PREPARE, {"red": 0}),
        (PREPARE, {"red": -1}),
        (PREPARE, {"nir": -1}),
        (PREPARE, {"red": "1"}),
        (PREPARE, {"red": 1.5}),
        (PREPARE, {"red": True}),
        (PREPARE, {"green": 1}),
        (PREPARE, {"sensor": "landsat"}),
        (PREPARE, {"scale": 0.0}),
        (PREPARE, {"scale": float("nan")}),
        (PREPARE, {"resolution": -1.0}),
        (PREPARE, {"resolution": float("inf")}),
        (PREPARE, {"input": ""}),
        (PREPARE, {"output": ""}),
        (PREPARE, {"output": None}),
        (DETECT, {"threshold": 0.0}),
        (DETECT, {"threshold": 1.1}),
        (DETECT, {"threshold": -0.1}),
        (DETECT, {"overlap": -1.0}),
        (DETECT, {"overlap": 90.5}),
        (DETECT, {"device": "gpu"}),
        (DETECT, {"batch_size": -1}),
        (DETECT, {"models_folders": "models"}),
        (DETECT, {"probability": ""}),
        (POSTPROCESS, {"min_area": -1.0}),
        (POSTPROCESS, {"fill_holes": "yes"}),
        (POSTPROCESS, {"permafrost_min_fraction": 1.5}),
        (POSTPROCESS, {"permafrost_action": "keep"}),
        (POSTPROCESS, {"permafrost_preset": "zou"}),
        (POSTPROCESS, {"permafrost_buffer": -1.0}),
        (POSTPROCESS, {"boundary": "contour"}),
        (POSTPROCESS, {"boundary": "probability"}),
        (POSTPROCESS, {"smoothing": -5.0}),
        (POSTPROCESS, {"area_lo_level": 0.0}),
        (POSTPROCESS, {"area_hi_level": 0.8}),
        (POSTPROCESS, {"restricted": "restricted.gpkg"}),
        (SPLIT, {"min_area": -1.0}),
        (SPLIT, {"min_score": 2.0}),
        (ATTRIBUTES, {"solar_months": "0-13"}),
        (ATTRIBUTES, {"rasters": ("maat.tif",)}),
        (EXPORT, {"form": "rgi"}),
        (EXPORT, {"field_mapping": ("Comment",)}),
        (ASSESS, {"match_rule": "touch"}),
        (ASSESS, {"min_iou": 1.5}),
        (ASSESS, {"min_overlap": 0.0}),
        (ASSESS, {"sliver": -0.1}),
        (ASSESS, {"pixel_size": 0.0}),
        (COMPARE, {"inventories": ("one.gpkg",)}),
        (COMPARE, {"names": ("older",)}),
        (COMPARE, {"inventory_layers": ("older",)}),
        (COMPARE, {"resolution": 0.0}),
        (DESIGN, {"standard_error": 0.0}),
        (DESIGN, {"min_per_stratum": 1}),
        (DESIGN, {"ring_width": -1.0}),
        (DESIGN, {"allocation": "equal"}),
        (DESIGN, {"anticipated_rest": 1.1}),
        (SAMPLES, {"recipe": "random"}),
        (SAMPLES, {"stacks": ()}),
        (SAMPLES, {"outlines": None}),
        (SAMPLES, {"images": "chips"}),
        (SAMPLES, {"resolution": 0.0}),
        (SAMPLES, {"size": 8}),
        (SAMPLES, {"seed": -1}),
        (SAMPLES, {"validation_share": 1.0}),
        (SAMPLES, {"background": -1.0}),
        (EVALUATE, {"samples": "samples"}),
        (EVALUATE, {"images": None}),
        (EVALUATE, {"masks": None}),
        (EVALUATE, {"split": "test"}),
        (EVALUATE, {"threshold": 0.0}),
        (EVALUATE, {"low_snow": 1.5}),
        (EVALUATE, {"device": "gpu"}),
        (EVALUATE, {"batch_size": -1}),
        (ADAPT, {"images": None}),
        (ADAPT, {"masks": None}),
        (ADAPT, {"outlines": "outlines.gpkg"}),
        (ADAPT, {"minutes": 0.0}),
        (ADAPT, {"seed": -1}),
        (ADAPT, {"device": "gpu"}),
        (dataclasses.replace(ADAPT, images=None, masks=None, stacks=("stack.tif",)), {"outlines": None}),
        (dataclasses.replace(ADAPT, images=None, stacks=("stack.tif",), outlines="o.gpkg"), {"masks": "mask"}),
        (TRAIN, {"samples": ""}),
        (TRAIN, {"output": ""}),
        (TRAIN, {"model": ""}),
        (TRAIN, {"recipe": "blocks"}),
        (TRAIN, {"start": "nowhere.ckpt"}),
        (TRAIN, {"start": ""}),
        (TRAIN, {"network_options": ("output stride",)}),
        (TRAIN, {"epochs": 0}),
        (TRAIN, {"batch_size": 0}),
        (TRAIN, {"accumulate": 0}),
        (TRAIN, {"crop": 16}),
        (TRAIN, {"learning_rate": 0.0}),
        (TRAIN, {"loss": "hinge"}),
        (TRAIN, {"patience": -1}),
        (TRAIN, {"precision": "8"}),
        (TRAIN, {"device": "gpu"}),
        (TRAIN, {"gpus": -1}),
        (TRAIN, {"minutes": 0.0}),
        (TRAIN, {"seed": -1}),
        (TRAIN, {"workers": -1}),
        (EXPORT_NETWORK, {"checkpoint": ""}),
        (EXPORT_NETWORK, {"output": ""}),
        (EXPORT_NETWORK, {"precision": "fp8"}),
        (dataclasses.replace(EXPORT_NETWORK, precision="int8", samples="samples"), {"samples": None}),
        (EXPORT_NETWORK, {"threshold": 1.0}),
        (EXPORT_NETWORK, {"version": ""}),
        (MINE, {"samples": ""}),
        (MINE, {"output": ""}),
        (MINE, {"stacks": ()}),
        (MINE, {"margin": -1.0}),
        (MINE, {"min_area": -1.0}),
        (MINE, {"per_round": 0}),
        (MINE, {"target_iou": 0.0}),
        (MINE, {"target_iou": 1.01}),
        (MINE, {"rounds": 0}),
        (MINE, {"recipe": "blocks"}),
        (MINE, {"epochs": 0}),
        (MINE, {"minutes": 0.0}),
        (MINE, {"device": "gpu"}),
        (MINE, {"seed": -1}),
        (MERGE, {"sessions": ("ada.gpkg",)}),
        (MERGE, {"sessions": ("ada.gpkg", "./ada.gpkg")}),
        (MERGE, {"same_iou": 0.0}),
        (COMPARE_NETWORKS, {"config": ""}),
        (COMPARE_NETWORKS, {"config": "networks.yaml"}),
        (COMPARE_NETWORKS, {"output": ""}),
        (FINISH, {"session": ""}),
        (FINISH, {"folder": ""}),
        (FINISH, {"form": "rgi"}),
        (START, {"tile_size": 0.0}),
        (START, {"sliver": 1.0}),
        (UPDATE, {"session": ""}),
        (UPDATE, {"area_of_interest": "area.gpkg", "predicted": None}),
    ],
    ids=str,
)
def test_a_value_out_of_its_range_is_named(job: Job, changes: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as raised:
        check_job(dataclasses.replace(job, **changes))
    assert raised.value.code == "parameter"
    assert next(iter(changes)) in raised.value.text


def test_permafrost_classes_are_read_before_the_work() -> None:
    check_job(dataclasses.replace(POSTPROCESS, permafrost="map.tif", permafrost_classes=">=0.5"))
    with pytest.raises(EngineError) as raised:
        check_job(dataclasses.replace(POSTPROCESS, permafrost="map.tif", permafrost_classes=">="))
    assert raised.value.code == "map_classes"


@pytest.mark.parametrize(
    ("job", "changes"),
    [
        (PREPARE, {"output": "scene.tif"}),
        (PREPARE, {"output": "./folder/../scene.tif"}),
        (DETECT, {"probability": "stack.tif"}),
        (DETECT, {"mask": "tile_polygons.gpkg"}),
        (POSTPROCESS, {"output": "tile_polygons.gpkg"}),
        (POSTPROCESS, {"permafrost": "outlines.gpkg"}),
        (POSTPROCESS, {"restricted": "tile_polygons.gpkg", "dem": "dem.tif"}),
        (SPLIT, {"cuts": "outlines.gpkg"}),
        (ATTRIBUTES, {"dem": "attributes.gpkg"}),
        (ATTRIBUTES, {"rasters": ("maat=attributes.gpkg|product|2000-2010",)}),
        (ASSESS, {"output": "reference.gpkg"}),
        (COMPARE, {"output": "newer.gpkg"}),
        (ESTIMATE, {"table": "points.gpkg"}),
        (START, {"output": "manual.gpkg"}),
        (UPDATE, {"output": "outlines.gpkg"}),
        (FALL_LINES, {"output": "dem.tif"}),
        (COMPARE_NETWORKS, {"output": "networks.toml"}),
        (TRAIN, {"output": "samples"}),
        (MINE, {"output": "samples"}),
        (MINE, {"samples": "mining/samples"}),
    ],
    ids=str,
)
def test_an_output_never_replaces_an_input(job: Job, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("scene.tif").touch()
    with pytest.raises(EngineError) as raised:
        check_job(dataclasses.replace(job, **changes))
    assert raised.value.code == "output_is_input"


def test_a_link_to_the_input_is_the_input(tmp_path: Path) -> None:
    scene = tmp_path / "scene.tif"
    scene.touch()
    link = tmp_path / "link.tif"
    try:
        link.symlink_to(scene)
    except OSError:
        pytest.skip("this system makes no links")
    with pytest.raises(EngineError) as raised:
        check_job(PrepareJob(str(scene), str(link)))
    assert raised.value.code == "output_is_input"


def test_two_outputs_do_not_share_a_file() -> None:
    with pytest.raises(EngineError, match="both"):
        check_job(dataclasses.replace(DETECT, output="a.gpkg", probability="./a.gpkg"))


@pytest.mark.parametrize(
    ("job", "changes"),
    [
        (PREPARE, {"output": "stack.img"}),
        (DETECT, {"output": "a.shp"}),
        (DETECT, {"probability": "p.png"}),
        (POSTPROCESS, {"output": "a"}),
        (ASSESS, {"report": "a.pdf"}),
        (START, {"output": "review.geojson"}),
        (UPDATE, {"output": "review.shp"}),
    ],
    ids=str,
)
def test_a_format_that_is_not_written_is_named(job: Job, changes: dict[str, Any]) -> None:
    with pytest.raises(EngineError) as raised:
        check_job(dataclasses.replace(job, **changes))
    assert raised.value.code == "output_format"


def test_json_numbers_without_a_point_are_numbers() -> None:
    line = json.dumps({"protocol": 1, "command": "prepare", "input": "a", "output": "b.tif", "resolution": 4})
    check_job(from_json(line))
