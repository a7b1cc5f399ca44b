"""A trained network as a model folder: ``model.onnx`` and its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx_ir.passes import Sequential, common
from onnxscript import optimizer
from torch import Tensor, nn

from engine.card import CARD_FORMAT, ModelCard, read_card
from engine.outputs import whole_file
from engine.terminal import plain
from model.batch_norms import folded
from model.networks import Network, RandomForest
from model.networks.network import STATISTICS, parameter_count
from model.views import seen

OPSET = 18
"""onnxruntime's CUDA provider resizes on the processor from opset 19 on in many releases."""
PREFIX = "network."
"""Of the names that the network's state has in a file."""
OVERLAP = 50.0
"""Of neighbouring tiles, percent, as Lin et al. (2024) have it."""
LICENCE = "not stated; whoever trained it decides"
STORAGES = {
    "fp16": "weights stand in the file in 16 bits and are brought to float32 when it is loaded; the arithmetic is that of float32",
    "int8": "weights stand in the file in 8 bits, with a scale for each output channel, and are brought to float32 when it is loaded; the "
    "arithmetic is that of float32",
}
SMALLEST_SHORTENED = 1024
"""Numbers from which on a weight is worth storing in fewer bits."""


class ProbabilityNetwork(nn.Module):
    """What is exported: stack (N, bands, rows, cols), NaN where not observed -> probability (N, 1, rows, cols), 0-1.

    ``views``: 1, or 8: the mean of the logits of the eight symmetries, see :mod:`model.views`.
    """

    def __init__(self, network: nn.Module, temperature: float = 1.0, views: int = 1) -> None:
        super().__init__()
        self.network, self.temperature, self.views = network, temperature, views

    def forward(self, stack: Tensor) -> Tensor:
        return torch.sigmoid(seen(self.network, stack, self.views) / self.temperature)


def onnx_model(network: Network, tile: int = 128, temperature: float = 1.0, views: int = 1) -> ModelProto:
    """A network as ONNX of opset 18: input ``stack``, output ``probability``, any batch, rows and columns.

    The network's state stands in it under its own names, behind ``network.``, batch norms as they are: onnxruntime folds them into
    the convolutions when it loads the file, and :mod:`model.model_folder` gets a network back that can be trained on.

    Parameters
    ----------
    network : stack (N, bands, rows, cols) -> logit (N, 1, rows, cols)
    tile : side of the example that is traced, in pixels
    temperature : by which the logit is divided, see :mod:`model.calibration`
    """
    return network.onnx_model(temperature) if isinstance(network, RandomForest) else traced(network, tile, temperature, views)


def half_precision(network: Network) -> Network:
    """A copy that computes in float16 after the normalisation, which stays in float32: holes and wide ranges end there.

    Batch norms are folded into the convolutions before anything is rounded.
    """
    network = folded(network).half()
    network.normalise.float()
    network.normalise.register_forward_hook(lambda _module, _inputs, normalised: normalised.half())
    return network


def traced(network: Network, tile: int, temperature: float, views: int = 1) -> ModelProto:
    """The graph of a network as torch writes it, with named dimensions and nothing that only a debugger reads."""
    bands = len(network.bands)
    example = torch.rand(2, bands, tile, tile)
    example[:, 3:, :4] = torch.nan
    dynamic = {"stack": {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}
    program = torch.onnx.export(
        ProbabilityNetwork(network, temperature, views).eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["stack"],
        output_names=["probability"],
        dynamic_shapes=dynamic,
        verbose=False,
        optimize=False,  # it would fold batch norms into convolutions and merge equal values: the state could not be read back
    )
    assert program is not None
    model: ModelProto = onnx_ir.serde.serialize_model(_tidied(program.model))
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


def _tidied(model: onnx_ir.Model) -> onnx_ir.Model:
    """Without what torch's way of writing adds: functions, constants to compute, nodes that do nothing."""
    common.InlinePass()(model)
    optimizer.fold_constants_ir(model, onnx_shape_inference=True, should_fold=_touches_no_state)
    tidying = Sequential(
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    )
    return tidying(model).model


def _touches_no_state(node: onnx_ir.Node) -> bool | None:
    return False if any(value is not None and (value.name or "").startswith(PREFIX) for value in node.inputs) else None


def shortened(model: ModelProto, storage: str) -> ModelProto:
    """The same model with its weights in fewer bits, and nodes behind them that onnxruntime computes once, when it loads the file.

    (It does not do so with ``DequantizeLinear``, which it keeps for arithmetic in 8 bits: twice the time of a tile.)

    Parameters
    ----------
    storage : one of ``STORAGES``
    """
    kept: list[TensorProto] = []
    nodes = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if not tensor.name.startswith(PREFIX) or values.dtype != np.float32 or values.ndim < 2 or values.size < SMALLEST_SHORTENED:
            kept.append(tensor)
            continue
        stored, whole = f"{tensor.name}.{storage}", tensor.name
        if storage == "int8":
            highest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
            scale = np.where(highest > 0, highest / 127, 1).astype(np.float32)
            kept += [
                numpy_helper.from_array(np.rint(values / scale).astype(np.int8), stored),
                numpy_helper.from_array(scale, f"{tensor.name}.scale"),
            ]
            whole = f"{tensor.name}.steps"
            nodes.append(helper.make_node("Mul", [whole, f"{tensor.name}.scale"], [tensor.name]))
        else:
            kept.append(numpy_helper.from_array(values.astype(np.float16), stored))
        nodes.append(helper.make_node("Cast", [stored], [whole], to=TensorProto.FLOAT))
    graph = helper.make_graph(
        [*sorted(nodes, key=lambda node: node.op_type), *model.graph.node], model.graph.name, model.graph.input, model.graph.output, kept
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


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
    storage: str = "fp32",
    precision: str = "fp32",
    model: ModelProto | None = None,
    views: int = 1,
) -> ModelCard:
    """Export a network and write its card beside it; the folder's name is the model's.

    Parameters
    ----------
    gsd_m : ground sampling distance the network was trained at, metres
    tile_px : tile side, pixels; overlap : percent; threshold : 0-1
    nir : ``required`` or ``optional``
    temperature : of :func:`model.calibration.fit_temperature`; 1 for a network that is not calibrated
    about : what a person wants to know: training data, command, scores, limits; kept in the card as it is
    storage : of the weights in the file: ``fp32``, or one of ``STORAGES``, which make the file smaller and change nothing else
    precision, model : what it computes in, and the graph that does; None = that of :func:`onnx_model`, in ``fp32``
    views : see :class:`ProbabilityNetwork`; eight take eight times as long
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx_model(network, tile_px, temperature, views) if model is None else model
    model = model if storage == "fp32" else shortened(model, storage)
    properties = {
        "bands": ",".join(network.bands),
        "gsd_m": f"{gsd_m:g}",
        "tile_px": str(tile_px),
        "overlap": f"{overlap:g}",
        "threshold": f"{threshold:g}",
    }
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    with whole_file(folder / "model.onnx") as path:
        path.write_bytes(model.SerializeToString(deterministic=True))
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
        "size_mb": round((folder / "model.onnx").stat().st_size / 1e6, 3),
        "opset": OPSET,
        "precision": precision,
        **({"views": views} if views != 1 else {}),
        **({"storage": {"kind": storage, "what": STORAGES[storage]}} if storage != "fp32" else {}),
        "network": {"name": network_name, "parameters": parameter_count(network), "options": asdict(network.options)},
        "normalisation": {
            "kind": normalise.kind,
            **{name: dict(zip(network.bands, _as_written(getattr(normalise, name)), strict=True)) for name in STATISTICS},
        },
        **({"calibration": {"kind": "temperature, inside the network", "temperature": temperature}} if temperature != 1 else {}),
        **about,
    }
    with whole_file(folder / "model.json") as path:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return read_card(folder)


def add_to_card(folder: Path, values: Mapping[str, Any]) -> None:
    """Let the card of a model folder say more."""
    with whole_file(folder / "model.json") as path:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        path.write_text(json.dumps(document | plain(dict(values)), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _as_written(values: Tensor) -> list[float]:
    """float32 as the shortest decimals that give them back."""
    return [float(str(value)) for value in values.flatten().numpy()]


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
