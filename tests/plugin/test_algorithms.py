"""What the algorithms ask for and hand over, and what they refuse before the engine starts."""

from __future__ import annotations

import html
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from qgis.core import Qgis, QgsProcessingContext, QgsProcessingModelAlgorithm, QgsProcessingOutputLayerDefinition
from qgis.PyQt.QtCore import QUrl

from tests.plugin.samples import save, tile_polygon_layer, write_raster

SENSORS = ["auto", "reflectance", "sentinel2_l2a", "landsat_c2_l2", "planetscope_sr", "gaofen_pms", "naip", "custom"]

# name: (type, default, optional, advanced)
PARAMETERS = {
    "preparespectralstack": {
        "INPUT": ("raster", None, False, False),
        "RED": ("band", 1, False, False),
        "GREEN": ("band", 2, False, False),
        "BLUE": ("band", 3, False, False),
        "NIR": ("band", 4, True, False),
        "SENSOR": ("enum", "auto", False, False),
        "SCALE": ("number", 1.0, False, True),
        "OFFSET": ("number", 0.0, False, True),
        "RESOLUTION": ("number", 0.0, False, False),
        "OUTPUT": ("rasterDestination", None, False, False),
    },
    "detectrockglaciers": {
        "INPUT": ("raster", None, False, False),
        "MODEL": ("string", "", True, False),
        "THRESHOLD": ("number", None, True, False),
        "OVERLAP": ("number", None, True, False),
        "DEVICE": ("enum", "auto", False, False),
        "MASK": ("source", None, True, False),
        "BATCH_SIZE": ("number", 0, False, True),
        "OUTPUT": ("sink", None, False, False),
        "PROBABILITY": ("rasterDestination", None, True, False),
    },
    "postprocesspolygons": {
        "INPUT": ("source", None, False, False),
        "MIN_AREA": ("number", 22000.0, False, False),
        "FILL_HOLES": ("boolean", True, False, False),
        "REQUIRE_SUPPORT": ("boolean", True, False, False),
        "UNITE": ("boolean", True, False, True),
        "BOUNDARY": ("enum", "tiles", False, False),
        "SMOOTHING": ("number", None, True, False),
        "PROBABILITY": ("raster", None, True, False),
        "AREA_LO_LEVEL": ("number", 0.7, False, True),
        "AREA_HI_LEVEL": ("number", 0.3, False, True),
        "DEM": ("raster", None, True, False),
        "NOT_ASSESSABLE": ("layer", None, True, False),
        "NOT_ASSESSABLE_CLASSES": ("string", ">=1", True, True),
        "PERMAFROST": ("layer", None, True, False),
        "PERMAFROST_PRESET": ("enum", "custom", False, False),
        "PERMAFROST_CLASSES": ("string", "1", True, False),
        "PERMAFROST_FIELD": ("string", "", True, True),
        "PERMAFROST_BUFFER": ("number", 1.0, False, True),
        "PERMAFROST_MIN_FRACTION": ("number", 0.5, False, False),
        "PERMAFROST_ACTION": ("enum", "flag", False, False),
        "PERMAFROST_SOURCE": ("string", "", True, True),
        "OUTPUT": ("sink", None, False, False),
        "RAW": ("sink", None, True, False),
        "RESTRICTED": ("sink", None, True, False),
        "REPORT": ("sink", None, True, False),
    },
    "splitoutlines": {
        "INPUT": ("source", None, False, False),
        "PROBABILITY": ("raster", None, True, False),
        "DEM": ("raster", None, True, False),
        "MIN_AREA": ("number", 10000.0, False, False),
        "MIN_SCORE": ("number", 0.5, False, False),
        "OUTPUT": ("sink", None, False, False),
        "SYSTEMS": ("sink", None, True, False),
        "CUTS": ("sink", None, True, False),
    },
    "compareinventories": {
        "INVENTORIES": ("multilayer", None, False, False),
        "AREA_OF_INTEREST": ("source", None, True, False),
        "CHANGED_IOU": ("number", 0.8, False, False),
        "SLIVER": ("number", 0.05, False, True),
        "RESOLUTION": ("number", 10.0, False, True),
        "OUTPUT": ("sink", None, True, False),
        "AGREEMENT": ("rasterDestination", None, True, False),
        "DISAGREEMENTS": ("sink", None, True, False),
        "CONSENSUS": ("sink", None, True, False),
        "OPERATORS": ("sink", None, True, False),
    },
    "mergereviews": {
        "SESSIONS": ("multilayer", None, False, False),
        "SAME_IOU": ("number", 0.95, False, False),
        "OUTPUT": ("fileDestination", None, False, False),
    },
    "finishreview": {
        "SESSION": ("file", None, False, False),
        "FORM": ("enum", "rgik", False, False),
        "ACCURACY": ("boolean", True, False, False),
        "STACKS": ("multilayer", None, True, False),
        "OPERATOR": ("string", "", True, False),
        "IMAGERY": ("string", "", True, False),
        "AREA_OF_INTEREST": ("source", None, True, False),
        "FOLDER": ("folderDestination", None, False, False),
    },
    "designsample": {
        "PREDICTED": ("source", None, False, False),
        "AREA_OF_INTEREST": ("source", None, True, False),
        "PROBABILITY": ("raster", None, True, False),
        "RING_WIDTH": ("number", 100.0, False, False),
        "HIGH_PROBABILITY": ("number", 0.3, False, False),
        "SIZE": ("number", 0, False, False),
        "STANDARD_ERROR": ("number", 0.01, False, False),
        "ALLOCATION": ("enum", "proportional", False, False),
        "MIN_PER_STRATUM": ("number", 50, False, False),
        "ANTICIPATED_PREDICTED": ("number", 0.8, False, True),
        "ANTICIPATED_RING": ("number", 0.85, False, True),
        "ANTICIPATED_PROBABLE": ("number", 0.8, False, True),
        "ANTICIPATED_REST": ("number", 0.99, False, True),
        "SEED": ("number", 1, False, True),
        "OUTPUT": ("sink", None, False, False),
    },
    "estimatearea": {
        "SAMPLE": ("source", None, False, False),
        "REFERENCE_FIELD": ("field", "reference", False, False),
        "TABLE": ("sink", None, True, False),
        "JSON": ("fileDestination", None, True, False),
    },
    "assessaccuracy": {
        "PREDICTED": ("source", None, False, False),
        "REFERENCE": ("source", None, False, False),
        "AREA_OF_INTEREST": ("source", None, True, False),
        "PROBABILITY": ("raster", None, True, False),
        "DEM": ("raster", None, True, False),
        "MATCH_RULE": ("enum", "overlap", False, False),
        "MIN_OVERLAP": ("number", 0.5, False, True),
        "MIN_IOU": ("number", 0.5, False, True),
        "SLIVER": ("number", 0.05, False, True),
        "PIXEL_SIZE": ("number", 10.0, False, True),
        "OUTPUT": ("sink", None, True, False),
        "TABLE": ("sink", None, True, False),
        "REPORT": ("fileDestination", None, True, False),
        "JSON": ("fileDestination", None, True, False),
        "FIGURES": ("folderDestination", None, True, False),
    },
    "addattributes": {
        "INPUT": ("source", None, False, False),
        "DEM": ("raster", None, True, False),
        "DEM_SOURCE": ("string", "", True, False),
        "SOLAR_MONTHS": ("string", "1-12", True, False),
        "RASTERS": ("multilayer", None, True, False),
        "RASTER_SOURCES": ("matrix", None, True, True),
        "OUTPUT": ("sink", None, False, False),
    },
    "falllines": {
        "INPUT": ("source", None, False, False),
        "DEM": ("raster", None, False, False),
        "OUTPUT": ("sink", None, False, False),
    },
    "exportinventory": {
        "INPUT": ("source", None, False, False),
        "FORM": ("enum", "rgik", False, False),
        "RESTRICTED": ("source", None, True, False),
        "AREA_OF_INTEREST": ("source", None, True, False),
        "MARKERS": ("source", None, True, True),
        "OPERATOR": ("string", "", True, False),
        "IMAGERY": ("string", "", True, False),
        "FIELD_MAPPING": ("matrix", None, True, True),
        "OUTPUT": ("fileDestination", None, False, False),
    },
    "preparetrainingsamples": {
        "STACKS": ("multilayer", None, True, False),
        "OUTLINES": ("source", None, True, False),
        "NEGATIVES": ("source", None, True, False),
        "RECIPE": ("enum", "blocks", False, False),
        "RESOLUTION": ("number", None, True, False),
        "SIZE": ("number", None, True, False),
        "VALIDATION_SHARE": ("number", None, True, True),
        "BACKGROUND": ("number", None, True, True),
        "IMAGES": ("file", None, True, True),
        "MASKS": ("file", None, True, True),
        "NEGATIVE_IMAGES": ("file", None, True, True),
        "SEED": ("number", 1, False, True),
        "OUTPUT": ("folderDestination", None, False, False),
        "FOOTPRINTS": ("sink", None, True, False),
        "CONTACT_SHEET": ("fileDestination", None, True, False),
    },
    "evaluatenetwork": {
        "MODEL": ("string", "", True, False),
        "SAMPLES": ("file", None, True, False),
        "SPLIT": ("enum", "validation", False, False),
        "THRESHOLD": ("number", None, True, False),
        "DEVICE": ("enum", "auto", False, False),
        "IMAGES": ("file", None, True, True),
        "MASKS": ("file", None, True, True),
        "NEGATIVE_IMAGES": ("file", None, True, True),
        "LOW_SNOW": ("number", 0.1, False, True),
        "BATCH_SIZE": ("number", 0, False, True),
        "REPORT": ("fileDestination", None, True, False),
        "TABLE": ("fileDestination", None, True, False),
        "JSON": ("fileDestination", None, True, False),
        "WORST": ("fileDestination", None, True, False),
        "BEST": ("fileDestination", None, True, False),
    },
    "trainnetwork": {
        "SAMPLES": ("file", None, False, False),
        "RECIPE": ("enum", "modern", False, False),
        "NETWORK": ("string", "", True, False),
        "START": ("string", "imagenet", False, False),
        "EPOCHS": ("number", None, True, False),
        "MINUTES": ("number", None, True, False),
        "DEVICE": ("enum", "auto", False, False),
        "ESTIMATE": ("boolean", False, False, False),
        "CROP": ("number", None, True, True),
        "BATCH_SIZE": ("number", None, True, True),
        "ACCUMULATE": ("number", None, True, True),
        "LEARNING_RATE": ("number", None, True, True),
        "PATIENCE": ("number", None, True, True),
        "LOSS": ("enum", None, True, True),
        "NETWORK_OPTIONS": ("string", "", True, True),
        "PRECISION": ("enum", "auto", False, True),
        "GPUS": ("number", 0, False, True),
        "WORKERS": ("number", 0, False, True),
        "SEED": ("number", 1, False, True),
        "TENSORBOARD": ("boolean", False, False, True),
        "NEW_MODEL": ("string", "", True, False),
        "OUTPUT": ("folderDestination", None, False, False),
    },
    "minehardnegatives": {
        "SAMPLES": ("file", None, False, False),
        "STACKS": ("multilayer", None, False, False),
        "OUTLINES": ("source", None, True, False),
        "AREAS": ("source", None, True, False),
        "MODEL": ("string", "", True, False),
        "TARGET_IOU": ("number", 0.8, False, False),
        "ROUNDS": ("number", 5, False, False),
        "MARGIN": ("number", 100.0, False, True),
        "MIN_AREA": ("number", 22000.0, False, True),
        "PER_ROUND": ("number", None, True, True),
        "RECIPE": ("enum", "modern", False, False),
        "NETWORK": ("string", "", True, False),
        "EPOCHS": ("number", None, True, False),
        "MINUTES": ("number", None, True, False),
        "DEVICE": ("enum", "auto", False, False),
        "SEED": ("number", 1, False, True),
        "OUTPUT": ("folderDestination", None, False, False),
    },
    "exportnetwork": {
        "TRAINING": ("file", None, True, False),
        "PRECISION": ("enum", "fp32", False, False),
        "SAMPLES": ("file", None, True, False),
        "THRESHOLD": ("number", None, True, False),
        "TITLE": ("string", "", True, False),
        "LICENCE": ("string", "", True, False),
        "VERSION": ("string", "1.0", True, False),
        "CHECKPOINT": ("file", None, True, True),
        "NEW_MODEL": ("string", "", True, False),
    },
    "adaptmodel": {
        "MODEL": ("string", "", True, False),
        "STACKS": ("multilayer", None, True, False),
        "OUTLINES": ("source", None, True, False),
        "MINUTES": ("number", 10.0, False, False),
        "DEVICE": ("enum", "auto", False, False),
        "IMAGES": ("file", None, True, True),
        "MASKS": ("file", None, True, True),
        "NEGATIVE_IMAGES": ("file", None, True, True),
        "SEED": ("number", 1, False, True),
        "NEW_MODEL": ("string", "", True, False),
        "JSON": ("fileDestination", None, True, False),
    },
    "startreview": {
        "PREDICTED": ("source", None, False, False),
        "MANUAL": ("source", None, True, False),
        "RESTRICTED": ("source", None, True, False),
        "IMAGERY": ("raster", None, True, False),
        "PROBABILITY": ("raster", None, True, False),
        "DEM": ("raster", None, True, False),
        "AREA_OF_INTEREST": ("source", None, True, False),
        "TILE_SIZE": ("number", 2000.0, False, False),
        "OPERATOR": ("string", "", True, False),
        "SLIVER": ("number", 0.05, False, True),
        "OUTPUT": ("fileDestination", None, False, False),
    },
    "updatereview": {
        "SESSION": ("file", None, False, False),
        "PREDICTED": ("source", None, True, False),
        "MANUAL": ("source", None, True, False),
        "PROBABILITY": ("raster", None, True, False),
        "AREA_OF_INTEREST": ("source", None, True, False),
        "OUTPUT": ("fileDestination", None, False, False),
    },
    "importinventory": {
        "INPUT": ("source", None, False, False),
        "FIELD_MAPPING": ("matrix", None, True, True),
        "OUTPUT": ("sink", None, False, False),
        "RESTRICTED": ("sink", None, True, False),
        "MARKERS": ("sink", None, True, False),
    },
}
OUTPUTS = {
    "addattributes": {"OUTPUT": "outputVector", "COUNT": "outputNumber", "WITH_TERRAIN": "outputNumber"},
    "preparespectralstack": {"OUTPUT": "outputRaster"},
    "detectrockglaciers": {
        "OUTPUT": "outputVector",
        "PROBABILITY": "outputRaster",
        "COUNT": "outputNumber",
        "TILES": "outputNumber",
        "DEVICE_USED": "outputString",
    },
    "postprocesspolygons": {
        "OUTPUT": "outputVector",
        "RAW": "outputVector",
        "RESTRICTED": "outputVector",
        "REPORT": "outputVector",
        "COUNT": "outputNumber",
        "TOTAL_AREA": "outputNumber",
        "RESTRICTED_COUNT": "outputNumber",
    },
    "splitoutlines": {
        **dict.fromkeys(("OUTPUT", "SYSTEMS", "CUTS"), "outputVector"),
        **dict.fromkeys(("COUNT", "SYSTEMS_COUNT", "CUTS_MADE", "CUTS_PROPOSED"), "outputNumber"),
    },
    "compareinventories": {
        "OUTPUT": "outputVector",
        "AGREEMENT": "outputRaster",
        "DISAGREEMENTS": "outputVector",
        "CONSENSUS": "outputVector",
        "OPERATORS": "outputVector",
        **dict.fromkeys(("NEW", "MISSED", "SPLIT", "MERGED", "REGROUPED", "CHANGED", "UNCHANGED"), "outputNumber"),
        "DISAGREEMENT_COUNT": "outputNumber",
        "CONSENSUS_COUNT": "outputNumber",
    },
    "mergereviews": {
        "OUTPUT": "outputFile",
        **dict.fromkeys(("COUNT", "DECIDED", "CONFLICTS", "MERGED", "ADDED"), "outputNumber"),
    },
    "finishreview": {
        "FOLDER": "outputFolder",
        **dict.fromkeys(("INVENTORY", "ACCURACY_JSON", "EFFORT_JSON", "EFFORT_TABLE"), "outputFile"),
        **dict.fromkeys(("ACCURACY_REPORT", "EFFORT_REPORT"), "outputHtml"),
        "SAMPLES": "outputFolder",
        **dict.fromkeys(("KEPT", "RESTRICTED", "REJECTED", "UNDECIDED", "SAMPLES_COUNT", "MINUTES", "EDITED_SHARE"), "outputNumber"),
        **dict.fromkeys(("PRODUCERS_ACCURACY", "USERS_ACCURACY"), "outputNumber"),
    },
    "designsample": {
        "OUTPUT": "outputVector",
        "COUNT": "outputNumber",
        "AREA_KM2": "outputNumber",
        "ANTICIPATED_AREA_CI_KM2": "outputNumber",
    },
    "estimatearea": {
        "TABLE": "outputVector",
        "JSON": "outputFile",
        **dict.fromkeys(("AREA_KM2", "AREA_CI_KM2", "MAPPED_AREA_KM2", "LABELLED", "UNLABELLED"), "outputNumber"),
        **dict.fromkeys(("OVERALL_ACCURACY", "USERS_ACCURACY", "PRODUCERS_ACCURACY"), "outputNumber"),
        **dict.fromkeys(("OVERALL_ACCURACY_CI", "USERS_ACCURACY_CI", "PRODUCERS_ACCURACY_CI"), "outputNumber"),
    },
    "assessaccuracy": {
        "OUTPUT": "outputVector",
        "TABLE": "outputVector",
        "REPORT": "outputHtml",
        "JSON": "outputFile",
        "FIGURES": "outputFolder",
        "PRODUCERS_ACCURACY": "outputNumber",
        "USERS_ACCURACY": "outputNumber",
        "F1": "outputNumber",
        "IOU": "outputNumber",
        "AREA_DEVIATION": "outputNumber",
    },
    "falllines": {"OUTPUT": "outputVector", "COUNT": "outputNumber", "WITHOUT": "outputNumber"},
    "exportinventory": {"OUTPUT": "outputFile", "COUNT": "outputNumber"},
    "evaluatenetwork": {
        "REPORT": "outputHtml",
        **dict.fromkeys(("TABLE", "JSON", "WORST", "BEST"), "outputFile"),
        **dict.fromkeys(("COUNT", "IOU", "PRECISION", "RECALL", "F1", "MIOU"), "outputNumber"),
        **dict.fromkeys(("NEGATIVES_MARKED", "CALIBRATION_ERROR", "BEST_THRESHOLD"), "outputNumber"),
        "DEVICE_USED": "outputString",
    },
    "trainnetwork": {
        **dict.fromkeys(("OUTPUT", "MODEL_FOLDER"), "outputFolder"),
        **dict.fromkeys(("CHECKPOINT", "CURVES", "METRICS"), "outputFile"),
        **dict.fromkeys(("IOU", "F1", "PRECISION_OF_CLASS", "RECALL_OF_CLASS", "CALIBRATION_ERROR", "CHOSEN_THRESHOLD"), "outputNumber"),
        **dict.fromkeys(("BEST_EPOCH", "EPOCHS_DONE", "STEPS_DONE", "MINUTES_SPENT"), "outputNumber"),
        **dict.fromkeys(("EXPECTED_MEMORY", "EXPECTED_MINUTES"), "outputNumber"),
        **dict.fromkeys(("MODEL_NAME", "STOPPED_BY", "DEVICE_USED"), "outputString"),
    },
    "minehardnegatives": {
        **dict.fromkeys(("OUTPUT", "MODEL_FOLDER", "GROWN_SAMPLES"), "outputFolder"),
        "HARD_NEGATIVES": "outputVector",
        **dict.fromkeys(("CONTACT_SHEET", "TABLE"), "outputFile"),
        "REASON": "outputString",
        **dict.fromkeys(("IOU", "BEST_ROUND", "ROUNDS_DONE", "NEGATIVES"), "outputNumber"),
    },
    "exportnetwork": {
        "MODEL_FOLDER": "outputFolder",
        "MODEL_NAME": "outputString",
        **dict.fromkeys(("SIZE_MB", "CHOSEN_THRESHOLD", "EVALUATED"), "outputNumber"),
    },
    "adaptmodel": {
        "MODEL_FOLDER": "outputFolder",
        "MODEL_NAME": "outputString",
        "JSON": "outputFile",
        **dict.fromkeys(("OLD_IOU", "NEW_IOU", "PLACES"), "outputNumber"),
        "CHOSEN": "outputString",
        "IS_WORSE": "outputBoolean",
    },
    "startreview": {
        "OUTPUT": "outputFile",
        **dict.fromkeys(("COUNT", "PREDICTED_COUNT", "MANUAL_COUNT", "RESTRICTED_COUNT", "SUSPECTS", "TILES"), "outputNumber"),
        **dict.fromkeys(("ONE_TO_ONE", "SEVERAL_MANUAL", "SEVERAL_PREDICTED", "SEVERAL_OF_BOTH", "MISSED", "FALSE"), "outputNumber"),
        "TILE_SIZE_USED": "outputNumber",
    },
    "updatereview": {
        "OUTPUT": "outputFile",
        **dict.fromkeys(("COUNT", "UNDECIDED", "FOUND", "LOST", "MOVED", "UNCHANGED", "DECIDED"), "outputNumber"),
        **dict.fromkeys((f"MANUAL_{name}" for name in ("FOUND", "LOST", "MOVED", "UNCHANGED", "DECIDED")), "outputNumber"),
        "IS_UNCHANGED": "outputBoolean",
    },
    "preparetrainingsamples": {
        "OUTPUT": "outputFolder",
        "FOOTPRINTS": "outputVector",
        "CONTACT_SHEET": "outputFile",
        **dict.fromkeys(("COUNT", "TRAIN", "VALIDATION", "POSITIVE", "NEGATIVE"), "outputNumber"),
    },
    "importinventory": {
        "OUTPUT": "outputVector",
        "RESTRICTED": "outputVector",
        "MARKERS": "outputVector",
        "COUNT": "outputNumber",
        "FORM": "outputString",
    },
}
NAMES = list(PARAMETERS)


@pytest.mark.parametrize("name", NAMES)
def test_parameters(algorithm, name):
    found = {
        parameter.name(): (
            parameter.type(),
            parameter.defaultValue(),
            bool(parameter.flags() & Qgis.ProcessingParameterFlag.Optional),
            bool(parameter.flags() & Qgis.ProcessingParameterFlag.Advanced),
        )
        for parameter in algorithm(name).parameterDefinitions()
    }
    assert found == PARAMETERS[name]
    assert list(found) == list(PARAMETERS[name])


@pytest.mark.parametrize("name", NAMES)
def test_outputs(algorithm, name):
    assert {output.name(): output.type() for output in algorithm(name).outputDefinitions()} == OUTPUTS[name]


@pytest.mark.parametrize(
    ("name", "parameter", "options"),
    [
        ("preparespectralstack", "SENSOR", SENSORS),
        ("detectrockglaciers", "DEVICE", ["auto", "cuda", "cpu"]),
        ("postprocesspolygons", "PERMAFROST_ACTION", ["flag", "drop"]),
        ("postprocesspolygons", "BOUNDARY", ["tiles", "probability"]),
        ("finishreview", "FORM", ["rgik", "rgik_release", "rogi_ch", "tprogi", "rgi7", "global2026"]),
        ("exportinventory", "FORM", ["rgik", "rgik_release", "rogi_ch", "tprogi", "rgi7", "global2026"]),
        ("assessaccuracy", "MATCH_RULE", ["intersection", "overlap", "iou"]),
        ("designsample", "ALLOCATION", ["proportional", "optimal"]),
        ("preparetrainingsamples", "RECIPE", ["blocks", "paper", "hu"]),
        ("trainnetwork", "RECIPE", ["modern", "paper"]),
        ("trainnetwork", "PRECISION", ["auto", "32", "bf16", "16"]),
        ("trainnetwork", "LOSS", ["dice", "dice+cross_entropy", "dice+cross_entropy+boundary", "tversky", "tversky+cross_entropy"]),
        ("minehardnegatives", "RECIPE", ["modern", "paper"]),
        ("exportnetwork", "PRECISION", ["fp32", "fp16", "int8"]),
        ("evaluatenetwork", "SPLIT", ["validation", "train", "all"]),
        ("evaluatenetwork", "DEVICE", ["auto", "cuda", "cpu"]),
        (
            "postprocesspolygons",
            "PERMAFROST_PRESET",
            ["custom", "zou_zhao", "ncdc", "obu_probability", "obu_zones", "cci_fraction", "gruber_pzi", "cao_pzi"],
        ),
    ],
)
def test_enums_are_static_strings(algorithm, name, parameter, options):
    definition = algorithm(name).parameterDefinition(parameter)
    assert definition.options() == options
    assert definition.usesStaticStrings()


@pytest.mark.parametrize("name", NAMES)
def test_help(algorithm, name):
    candidate = algorithm(name)
    for parameter in candidate.parameterDefinitions():
        assert parameter.help(), parameter.name()
    text = candidate.shortHelpString()
    assert text == html.unescape(text) and "<" not in text and "\n" not in text
    assert candidate.tags() and candidate.groupId() in ("mapping", "inventory", "accuracy", "review", "training") and candidate.group()
    assert Path(QUrl(candidate.helpUrl()).toLocalFile()).is_file()
    assert Path(candidate.svgIconPath()).is_file() and not candidate.icon().isNull()


def test_the_chain_asks_for_what_its_steps_ask_for(algorithm):
    chain = algorithm("rockglacierchain")
    asked = [parameter.name() for parameter in chain.parameterDefinitions() if not parameter.isDestination()]
    known = {name for parameters in PARAMETERS.values() for name in parameters}
    assert set(asked) <= known and asked[0] == "INPUT" and {"SENSOR", "PERMAFROST", "MODEL"} <= set(asked)
    assert {output.name() for output in chain.outputDefinitions()} == {"stack", "probability", "tile_polygons", "outlines"}
    assert chain.displayName() == chain.create({}).displayName() == "Map rock glaciers (scene to outlines)"


def test_the_shipped_model_is_what_its_script_makes(plugin, tmp_path):
    root = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location("make_model3", root / "scripts" / "make_model3.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made, shipped = script.build(), QgsProcessingModelAlgorithm()
    assert made.toFile(str(tmp_path / "made.model3")) and shipped.fromFile(str(script.TARGET))
    made.fromFile(str(tmp_path / "made.model3"))
    assert made.toVariant() == shipped.toVariant()
    assert shipped.validate() == (True, [])


@pytest.fixture
def refused(algorithm):
    """What an algorithm says against parameters before it runs; empty when it accepts them."""

    def check(name, parameters):
        fine, message = algorithm(name).checkParameterValues(parameters, QgsProcessingContext())
        assert fine == (not message)
        return message

    return check


class TestPrepareChecks:
    NAME = "preparespectralstack"

    @pytest.mark.parametrize(
        ("parameters", "words"),
        [
            ({}, []),
            ({"NIR": 0}, []),
            ({"NIR": ""}, []),
            ({"NIR": None}, []),
            ({"NIR": 5}, ["NIR is band 5", "4 bands", "leave NIR empty"]),
            ({"RED": 7}, ["RED is band 7", "4 bands"]),
            ({"RED": 2}, ["same band"]),
            ({"RED": 4, "NIR": 0}, []),
            ({"SENSOR": "custom", "SCALE": 0.0}, ["SCALE"]),
            ({"SENSOR": "spot5"}, ["SENSOR"]),
            ({"RESOLUTION": -1}, ["RESOLUTION"]),
            ({"OUTPUT": "/tmp/stack.img"}, ["GeoTIFF", ".img"]),
            ({"OUTPUT": QgsProcessingOutputLayerDefinition("/tmp/stack.png")}, ["GeoTIFF"]),
            ({"OUTPUT": QgsProcessingOutputLayerDefinition("TEMPORARY_OUTPUT")}, []),
        ],
    )
    def test_values(self, refused, scene, parameters, words):
        message = refused(self.NAME, {"INPUT": str(scene), "OUTPUT": "/tmp/stack.tif", **parameters})
        assert bool(message) == bool(words)
        for word in words:
            assert word in message

    def test_three_bands(self, refused, tmp_path):
        scene = write_raster(tmp_path / "rgb.tif", np.ones((3, 8, 8), np.uint8))
        assert "NIR is band 4" in refused(self.NAME, {"INPUT": str(scene), "OUTPUT": "/tmp/stack.tif"})
        assert not refused(self.NAME, {"INPUT": str(scene), "NIR": 0, "OUTPUT": "/tmp/stack.tif"})

    def test_a_scene_that_qgis_cannot_open(self, refused, tmp_path):
        (tmp_path / "cut_off.tif").write_bytes(b"II*\0\xff\xff\0\0")
        assert "damaged" in refused(self.NAME, {"INPUT": str(tmp_path / "cut_off.tif"), "OUTPUT": "/tmp/stack.tif"})
        assert "not found" in refused(self.NAME, {"INPUT": str(tmp_path / "nowhere.tif"), "OUTPUT": "/tmp/stack.tif"})


class TestDetectChecks:
    NAME = "detectrockglaciers"

    @pytest.mark.parametrize(
        ("parameters", "words"),
        [
            ({}, []),
            ({"THRESHOLD": 0.4, "OVERLAP": 50}, []),
            ({"THRESHOLD": "", "OVERLAP": None}, []),
            ({"THRESHOLD": 1.5}, ["THRESHOLD"]),
            ({"THRESHOLD": 0}, ["THRESHOLD", "between 0 and 1"]),
            ({"OVERLAP": 95}, ["OVERLAP"]),
            ({"BATCH_SIZE": -2}, ["BATCH_SIZE"]),
            ({"DEVICE": "tpu"}, ["DEVICE"]),
            ({"MODEL": "no such model"}, ["There is no model no such model", "Installed"]),
            ({"PROBABILITY": "/tmp/probability.jpg"}, ["GeoTIFF"]),
        ],
    )
    def test_values(self, refused, stack, parameters, words):
        message = refused(self.NAME, {"INPUT": str(stack), "OUTPUT": "TEMPORARY_OUTPUT", **parameters})
        assert bool(message) == bool(words)
        for word in words:
            assert word in message

    def test_a_model_folder_is_accepted(self, refused, stack, tmp_path):
        (tmp_path / "my model").mkdir()
        (tmp_path / "my model" / "model.json").write_text("{}")
        assert not refused(self.NAME, {"INPUT": str(stack), "MODEL": str(tmp_path / "my model"), "OUTPUT": "TEMPORARY_OUTPUT"})


class TestPostprocessChecks:
    NAME = "postprocesspolygons"

    @pytest.mark.parametrize(
        ("parameters", "refuses"),
        [
            ({}, False),
            ({"PERMAFROST_CLASSES": "1, 3"}, False),
            ({"PERMAFROST_CLASSES": ">=0.5"}, False),
            ({"PERMAFROST_CLASSES": " < -1.5 "}, False),
            ({"PERMAFROST_CLASSES": ""}, False),
            ({"PERMAFROST_CLASSES": "1-3"}, False),
            ({"PERMAFROST_CLASSES": ">="}, True),
            ({"PERMAFROST_CLASSES": ">0.1, <0.5"}, True),
            ({"PERMAFROST_CLASSES": "1,,3"}, True),
            ({"PERMAFROST_MIN_FRACTION": 1.2}, True),
            ({"MIN_AREA": -1}, True),
            ({"PERMAFROST_ACTION": "delete"}, True),
            ({"PERMAFROST": "/no/such/map.tif"}, True),
            ({"PERMAFROST_PRESET": "zou_zhao", "PERMAFROST_BUFFER": 2}, False),
            ({"PERMAFROST_PRESET": "zou"}, True),
            ({"BOUNDARY": "probability"}, True),
            ({"PERMAFROST_BUFFER": -1}, True),
            ({"SMOOTHING": 0}, False),
            ({"SMOOTHING": ""}, False),
            ({"SMOOTHING": -5}, True),
            ({"PROBABILITY": "/no/such/map.tif"}, True),
            ({"AREA_LO_LEVEL": 0.3, "AREA_HI_LEVEL": 0.3}, True),
            ({"NOT_ASSESSABLE_CLASSES": "3,8-11"}, False),
            ({"NOT_ASSESSABLE_CLASSES": ">="}, True),
            ({"NOT_ASSESSABLE": "/no/such/map.tif"}, True),
            ({"RESTRICTED": "TEMPORARY_OUTPUT"}, True),
        ],
    )
    def test_values(self, refused, tmp_path, parameters, refuses):
        polygons = save(tile_polygon_layer(), tmp_path / "tiles.gpkg")
        message = refused(self.NAME, {"INPUT": str(polygons), "OUTPUT": "TEMPORARY_OUTPUT", **parameters})
        assert bool(message) == refuses
        for name in parameters if refuses else ():
            assert name.lower().split("_")[0] in message.lower()


def test_defaults_are_those_of_the_jobs(module, algorithm):
    jobs = module("jobs")
    for name, job in (
        ("preparespectralstack", jobs.PrepareJob("", "")),
        ("detectrockglaciers", jobs.DetectJob("", "")),
        ("postprocesspolygons", jobs.PostprocessJob("", "")),
        ("exportinventory", jobs.ExportInventoryJob("", "")),
        ("importinventory", jobs.ImportInventoryJob("", "")),
        ("addattributes", jobs.AttributesJob("", "")),
        ("assessaccuracy", jobs.AssessJob("", "")),
        ("compareinventories", jobs.CompareInventoriesJob(())),
        ("designsample", jobs.DesignSampleJob("", "")),
        ("estimatearea", jobs.EstimateAreaJob("")),
        ("mergereviews", jobs.MergeReviewsJob((), "")),
        ("finishreview", jobs.FinishReviewJob("", "")),
        ("trainnetwork", jobs.TrainJob("", "")),
        ("minehardnegatives", jobs.MineHardNegativesJob("", "")),
        ("exportnetwork", jobs.ExportNetworkJob("", "")),
        ("adaptmodel", jobs.AdaptJob()),
    ):
        for parameter in algorithm(name).parameterDefinitions():
            if hasattr(job, parameter.name().lower()) and not parameter.isDestination() and parameter.name() != "INPUT":
                assert (parameter.defaultValue() or None) == (getattr(job, parameter.name().lower()) or None), parameter.name()
