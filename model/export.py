"""A trained network as a model folder: ``model.onnx`` and its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from engine.card import CARD_FORMAT, ModelCard, read_card
from engine.outputs import whole_file
from model.networks import Network, RandomForest
from model.networks.network import parameter_count

OPSET = 18
"""onnxruntime's CUDA provider resizes on the processor from opset 19 on in many releases."""


class ProbabilityNetwork(nn.Module):
    """What is exported: stack (N, bands, rows, cols), NaN where not observed -> probability (N, 1, rows, cols), 0-1."""

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, stack: Tensor) -> Tensor:
        return torch.sigmoid(self.network(stack) / self.temperature)


def export_onnx(network: Network, path: Path, metadata: Mapping[str, str], tile: int = 128, temperature: float = 1.0) -> None:
    """Write a network as one ONNX file of opset 18: input ``stack``, output ``probability``, any batch, rows and columns.

    Parameters
    ----------
    network : stack (N, bands, rows, cols) -> logit (N, 1, rows, cols)
    metadata : key and value texts for the file's ``metadata_props``
    tile : side of the example that is traced, in pixels
    temperature : by which the logit is divided, see :mod:`model.calibration`
    """
    model = network.onnx_model(temperature) if isinstance(network, RandomForest) else traced(network, tile, temperature)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    with whole_file(path) as new:
        new.write_bytes(model.SerializeToString(deterministic=True))


def traced(network: Network, tile: int, temperature: float) -> onnx.ModelProto:
    """The graph of a network as torch writes it, with named dimensions and nothing that only a debugger reads."""
    bands = len(network.bands)
    example = torch.rand(2, bands, tile, tile)
    example[:, 3:, :4] = torch.nan
    dynamic = {"stack": {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}
    program = torch.onnx.export(
        ProbabilityNetwork(network, temperature).eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["stack"],
        output_names=["probability"],
        dynamic_shapes=dynamic,
        verbose=False,
    )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    for value, channels in ((model.graph.input[0], bands), (model.graph.output[0], 1)):
        for dimension, size in zip(value.type.tensor_type.shape.dim, ("batch", channels, "rows", "columns"), strict=True):
            dimension.Clear()
            if isinstance(size, int):
                dimension.dim_value = size
            else:
                dimension.dim_param = size
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    return model


def write_model_folder(
    folder: Path,
    network: Network,
    *,
    title: str,
    version: str,
    gsd_m: float,
    tile_px: int,
    overlap: float,
    threshold: float,
    nir: str,
    licence: str,
    network_name: str,
    about: Mapping[str, Any],
    temperature: float = 1.0,
) -> ModelCard:
    """Export a network and write its card beside it; the folder's name is the model's.

    Parameters
    ----------
    gsd_m : ground sampling distance the network was trained at, metres
    tile_px : tile side, pixels; overlap : percent; threshold : 0-1
    nir : ``required`` or ``optional``
    temperature : of :func:`model.calibration.fit_temperature`; 1 for a network that is not calibrated
    about : what a person wants to know: training data, command, scores, limits; kept in the card as it is
    """
    folder.mkdir(parents=True, exist_ok=True)
    properties = {
        "bands": ",".join(network.bands),
        "gsd_m": f"{gsd_m:g}",
        "tile_px": str(tile_px),
        "overlap": f"{overlap:g}",
        "threshold": f"{threshold:g}",
    }
    export_onnx(network, folder / "model.onnx", properties, tile_px, temperature)
    normalise = network.normalise
    document = {
        "format": CARD_FORMAT,
        "name": folder.name,
        "title": title,
        "version": version,
        "licence": licence,
        "bands": list(network.bands),
        "nir": nir,
        "gsd_m": gsd_m,
        "tile_px": tile_px,
        "overlap": overlap,
        "threshold": threshold,
        "classes": ["background", "rock glacier"],
        "sha256": sha256(folder / "model.onnx"),
        "opset": OPSET,
        "network": {"name": network_name, "parameters": parameter_count(network), "options": asdict(network.options)},
        "normalisation": {
            "kind": normalise.kind,
            **{
                name: dict(zip(network.bands, [round(value, 5) for value in getattr(normalise, name).flatten().tolist()], strict=True))
                for name in ("minimum", "maximum", "mean")
            },
        },
        **({"calibration": {"kind": "temperature, inside the network", "temperature": round(temperature, 4)}} if temperature != 1 else {}),
        **about,
    }
    with whole_file(folder / "model.json") as path:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return read_card(folder)


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
