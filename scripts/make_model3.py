"""Write resources/models/rock_glacier_chain.model3: the three algorithms in a row, for the toolbox and the model designer.

Runs with the Python that imports QGIS: ``QT_QPA_PLATFORM=offscreen python3 scripts/make_model3.py``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterNumber,
)
from qgis.PyQt.QtCore import QPointF

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "resources" / "models" / "rock_glacier_chain.model3"

STEPS: dict[str, dict[str, Any]] = {
    "prepare": {
        "algorithm": "rockglacier:preparespectralstack",
        "asked": ("INPUT", "RED", "GREEN", "BLUE", "NIR", "SENSOR", "SCALE", "OFFSET"),
        "taken": {},
        "kept": {"OUTPUT": "Stack"},
    },
    "detect": {
        "algorithm": "rockglacier:detectrockglaciers",
        "asked": ("MODEL", "THRESHOLD", "DEVICE"),
        "taken": {"INPUT": ("prepare", "OUTPUT")},
        "kept": {"PROBABILITY": "Probability", "OUTPUT": "Tile polygons"},
    },
    "postprocess": {
        "algorithm": "rockglacier:postprocesspolygons",
        "asked": ("MIN_AREA", "DEM", "PERMAFROST", "PERMAFROST_PRESET", "PERMAFROST_CLASSES", "PERMAFROST_ACTION"),
        "taken": {"INPUT": ("detect", "OUTPUT"), "PROBABILITY": ("detect", "PROBABILITY")},
        "kept": {"OUTPUT": "Outlines"},
    },
}
"""What each step asks the person for, takes from a step before, and keeps as an output of the whole."""


def build() -> QgsProcessingModelAlgorithm:
    """The model, made as the model designer makes it."""
    model = QgsProcessingModelAlgorithm()
    model.setName("rockglacierchain")
    model.setGroup("Mapping")
    row, help_texts = 0, {}
    for column, (child_id, step) in enumerate(STEPS.items()):
        algorithm = QgsApplication.processingRegistry().algorithmById(step["algorithm"])
        child = QgsProcessingModelChildAlgorithm(step["algorithm"])
        child.setChildId(child_id)
        child.setDescription(algorithm.displayName())
        child.setPosition(QPointF(500 + 260 * column, 150 + 200 * column))
        for name in step["asked"]:
            component = QgsProcessingModelParameter(name)
            component.setPosition(QPointF(150 + 240 * column, 60 + 60 * row))
            definition = algorithm.parameterDefinition(name).clone()
            source = QgsProcessingModelChildParameterSource.fromModelParameter(name)
            if name == "NIR":
                definition, source = nir_band(definition.defaultValue())
            model.addModelParameter(definition, component)
            child.addParameterSources(name, [source])
            help_texts[name] = definition.help() or algorithm.parameterDefinition(name).help()
            row += 1
        for name, (source_id, output) in step["taken"].items():
            child.addParameterSources(name, [QgsProcessingModelChildParameterSource.fromChildOutput(source_id, output)])
        outputs = {}
        for number, (name, title) in enumerate(step["kept"].items()):
            output = QgsProcessingModelOutput(title, title)
            output.setChildId(child_id)
            output.setChildOutputName(name)
            output.setPosition(QPointF(760 + 260 * column, 110 + 200 * column + 70 * number))
            help_texts[title] = algorithm.parameterDefinition(name).help()
            outputs[title] = output
        child.setModelOutputs(outputs)
        model.addChildAlgorithm(child)
    model.setParameterOrder([name for step in STEPS.values() for name in step["asked"]])
    model.setHelpContent(
        {
            **help_texts,
            "ALG_DESC": "From a scene to rock glacier outlines in one go: Prepare spectral stack, Detect rock glaciers and Post-process "
            "polygons with their usual values. Each step is also an algorithm of its own, with more choices.",
        }
    )
    return model


def nir_band(default: int) -> tuple[QgsProcessingParameterNumber, QgsProcessingModelChildParameterSource]:
    """The near-infrared band as a number: a model hands "not given" on as "none", and this scene does have one by default."""
    definition = QgsProcessingParameterNumber("NIR", "Near-infrared band (0: none)", defaultValue=default, minValue=0)
    definition.setHelp("Number of the band. 0 for a scene without near-infrared: the stack then holds no EVI and SAVI.")
    return definition, QgsProcessingModelChildParameterSource.fromExpression(f"coalesce(@NIR, {default})")


def main() -> None:
    """Start QGIS, register the algorithms of this checkout, build the model and save it."""
    application = QgsApplication([], False)
    application.initQgis()
    with tempfile.TemporaryDirectory() as plugins:
        Path(plugins, "rock_glacier_mapper").symlink_to(ROOT)
        sys.path.insert(0, plugins)
        from rock_glacier_mapper.processing_provider.provider import RockGlacierProvider  # noqa: PLC0415

        provider = RockGlacierProvider()  # Python's half of it has to outlive its use
        QgsApplication.processingRegistry().addProvider(provider)
        model = build()
    if problems := model.validate()[1]:
        sys.exit(f"The model is not valid: {problems}")
    if not model.toFile(str(TARGET)):
        sys.exit(f"{TARGET} could not be written.")
    application.exitQgis()


if __name__ == "__main__":
    main()
