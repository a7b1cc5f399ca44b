"""A model folder read back as a network that can be trained on. Its state stands in ``model.onnx`` under its own names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn

from engine.card import ModelCard, read_card
from engine.errors import EngineError
from engine.inference import open_network
from engine.reporting import SilentReporter
from model.batch_norms import make_identity, norms_after_convolutions
from model.export import PREFIX, ProbabilityNetwork
from model.networks import NETWORKS, BandStatistics, Network, RandomForest, create_network
from model.networks.network import STATISTICS
from model.trained_network import TrainedNetwork, as_option

LARGEST_DIFFERENCE = {"fp32": 1e-3, "fp16": 0.1}
"""Of probabilities that the network in torch and the one in the file give, by the card's precision."""
FOLDED_BIAS = (".weight_bias", ".bias")
"""Ends of the name of the bias that a convolution has from a folded batch norm."""
KNOWN = {
    "format", "name", "title", "version", "bands", "nir", "gsd_m", "tile_px", "overlap", "threshold", "classes", "sha256", "opset",
    "network", "normalisation", "calibration", "precision", "storage", "size_mb", "qualification", "views",
    "evaluation", "computes_in", "export",
}  # fmt: skip
"""What a card says of the file itself; the rest is about how the network came to be."""


def read_model_folder(folder: str | Path) -> TrainedNetwork:
    """The network of a model folder that this project exported, on the CPU, in eval mode.

    Batch norms that an older version folded into the convolutions come back as ones that only add a bias: the same function, whose
    batch norms have to be kept as they are (or be calibrated anew) in further training. Weights kept in fewer bits come back as they are
    in the file. Counts of batches (``num_batches_tracked``) are not kept.

    Raises
    ------
    EngineError
        ``not_trainable`` for a model that was made by other means, that computes in int8, or whose network this version does not have;
        those of :func:`engine.card.read_card`.
    """
    card = read_card(Path(folder))
    said = card.document.get("network")
    if not isinstance(said, dict) or said.get("name") not in NETWORKS:
        raise _not_trainable(card, "it was not exported by this project, so nothing but its ONNX file is known.")
    precision = card.document.get("precision", "fp32")
    if precision not in LARGEST_DIFFERENCE:
        raise _not_trainable(card, f"it computes in {precision}. Take the fp32 version of the same model, or the checkpoint it came from.")
    temperature = float(card.document.get("calibration", {}).get("temperature", 1.0))
    try:
        model = onnx.load(card.network, load_external_data=False)
        network = create_network(said["name"], _statistics(card), **{name: as_option(value) for name, value in said["options"].items()})
    except (KeyError, TypeError, ValueError, DecodeError) as error:
        raise _not_trainable(card, f"its card names a network that this version cannot build. ({error})") from error
    if isinstance(network, RandomForest):
        network.take_onnx_model(model)
    else:
        _restore(network, kept_values(model))
    network.eval()
    views = int(card.document.get("views", 1))
    _check_agreement(ProbabilityNetwork(network, temperature, views), card, LARGEST_DIFFERENCE[precision])
    return TrainedNetwork(
        network=network,
        name=said["name"],
        gsd_m=card.gsd_m,
        tile_px=card.tile_px,
        threshold=card.threshold,
        temperature=temperature,
        nir=card.nir,
        views=views,
        about={
            **{name: value for name, value in card.document.items() if name not in KNOWN},
            "from_model": {"name": card.name, "version": card.version, "sha256": card.sha256, "precision": precision},
        },
    )


def kept_values(model: ModelProto) -> dict[str, NDArray[Any]]:
    """The values that a file keeps, by name; of those kept in fewer bits, what they are once they are loaded."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.output[0].startswith(PREFIX) and all(name in values for name in node.input):
            inputs = [values[name] for name in node.input]
            if node.op_type == "Cast":
                values[node.output[0]] = inputs[0].astype(np.float32)
            elif node.op_type == "Mul":
                values[node.output[0]] = inputs[0] * inputs[1]
    return values


def _restore(network: Network, values: Mapping[str, NDArray[Any]]) -> None:
    """Bring what a file keeps into a network; batch norms that are not in it are in the convolutions before them."""

    def kept(name: str) -> Tensor | None:
        return torch.from_numpy(values[PREFIX + name].astype(np.float32)) if PREFIX + name in values else None

    state = network.state_dict()
    found = {name: value for name in state if (value := kept(name)) is not None and value.shape == state[name].shape}
    network.load_state_dict(found, strict=False)
    modules = dict(network.named_modules())
    norms = {norm for norm, module in modules.items() if isinstance(module, nn.BatchNorm2d)}
    if all(f"{norm}.running_mean" in found for norm in norms):
        return
    for convolution, norm in norms_after_convolutions(network).items():
        if f"{norm}.running_mean" not in found:
            bias = next((value for end in FOLDED_BIAS if (value := kept(convolution + end)) is not None), None)
            make_identity(modules[norm], bias if bias is not None and modules[convolution].bias is None else torch.zeros(1))


def _statistics(card: ModelCard) -> BandStatistics:
    return BandStatistics(*(tuple(card.document["normalisation"][name][band] for band in card.bands) for name in STATISTICS))


@torch.no_grad()
def _check_agreement(network: ProbabilityNetwork, card: ModelCard, largest: float) -> None:
    stack = np.random.default_rng(1).random((1, len(card.bands), card.tile_px, card.tile_px), dtype=np.float32)
    stack[:, :, : card.tile_px // 8] = np.nan
    wanted = open_network(card, "cpu", 1, SilentReporter()).run(stack)
    given = network(torch.from_numpy(stack))[:, 0].numpy()
    difference = float(np.abs(given - wanted).max())
    if not difference <= largest:
        raise _not_trainable(
            card, f"its file computes something else than the network its card names (probabilities differ by {difference:.2g})."
        )


def _not_trainable(card: ModelCard, why: str) -> EngineError:
    return EngineError("not_trainable", f"The model {card.folder} can detect, but cannot be trained on or exported again: {why}")
