"""A trained network from wherever one is kept: a checkpoint, the folder of a training, a model folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.reporting import Reporter
from model.checkpoints import BEST, CHECKPOINTS, LAST, PREVIOUS, first_readable, read_checkpoint
from model.networks import BandStatistics, Network, create_network

DESCRIPTION = "training.json"
HALF = 0.5


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and what using it needs.

    ``network`` in evaluation mode, on the CPU; ``name`` in :data:`model.networks.NETWORKS`; ``gsd_m`` ground sampling distance, metres;
    ``tile_px`` side of a tile, pixels; ``threshold`` 0-1 of the probability sigmoid(logit / ``temperature``); ``nir`` "required" or
    "optional"; ``about`` what a card says beside these: training, training_data, scores ...; ``views`` as its model folder has them, see
    :class:`model.export.ProbabilityNetwork`.
    """

    network: Network
    name: str
    gsd_m: float
    tile_px: int
    threshold: float = HALF
    temperature: float = 1.0
    nir: str = "optional"
    about: dict[str, Any] = field(default_factory=dict)
    views: int = 1


def read_trained(path: str | Path, reporter: Reporter | None = None) -> TrainedNetwork:
    """The network of a checkpoint file, of a training folder (its best checkpoint) or of a model folder.

    Parameters
    ----------
    reporter : hears of a damaged checkpoint that another one stands in for

    Raises
    ------
    EngineError
        ``not_a_network``, ``corrupt_checkpoint``, ``pickle_refused`` from :func:`model.checkpoints.read_checkpoint`; ``other_network``
        when weights and description do not belong together; those of :func:`model.model_folder.read_model_folder`.
    """
    place = Path(path)
    if (place / "model.json").is_file():
        from model.model_folder import read_model_folder  # noqa: PLC0415 reads networks by way of this module

        return read_model_folder(place)
    if place.is_dir():
        state = first_readable([place / CHECKPOINTS / name for name in (BEST, LAST, PREVIOUS)], reporter)
        if state is None:
            raise EngineError("not_a_network", f"{place} holds no trained network: it is no folder of a training, and no model folder.")
        return trained(state, place)
    if not place.is_file():
        raise EngineError("not_a_network", f"There is no file or folder {place}.")
    return trained(read_checkpoint(place), place)


def trained(state: Mapping[str, Any], path: Path) -> TrainedNetwork:
    """The network of a checkpoint that was read from ``path``."""
    description = state["description"]
    network = built(description["network"])
    take_weights(network, state["weights"], path)
    return TrainedNetwork(
        network.eval(),
        description["network"]["name"],
        description["gsd_m"],
        description["tile_px"],
        state.get("threshold", HALF),
        state.get("temperature", 1.0),
        description["nir"],
        about={
            "training": {
                **description["training"],
                "settings": description["settings"],
                "steps": state["step"],
                "epochs": state["epoch"],
                "minutes": round(state["seconds"] / 60, 1),
            },
            "training_data": description["training_data"],
            **({"scores": state["scores"]} if "scores" in state else {}),
        },
    )


def described(name: str, network: Network) -> dict[str, Any]:
    """Name, options and band statistics of a network, as ``training.json`` and checkpoints hold them."""
    normalise = network.normalise
    statistics = {which: getattr(normalise, which).flatten().tolist() for which in ("minimum", "maximum", "mean")}
    return {
        "name": name,
        "options": json.loads(json.dumps(asdict(network.options))),
        "bands": list(network.bands),
        "statistics": statistics,
    }


def built(description: Mapping[str, Any]) -> Network:
    """The network of a description, with random weights."""
    options = {name: as_option(value) for name, value in description["options"].items()}
    try:
        return create_network(description["name"], BandStatistics(**{k: tuple(v) for k, v in description["statistics"].items()}), **options)
    except (TypeError, ValueError) as error:
        raise EngineError(
            "other_network", f"This version has no network such as {description['name']} with these options: {error}."
        ) from error


def as_option(value: Any) -> Any:
    """An option as JSON has it as the network's: lists become tuples."""
    return tuple(map(as_option, value)) if isinstance(value, list) else value


def take_weights(network: Network, weights: Mapping[str, Any], path: Path) -> None:
    """Load a state into a network.

    Raises
    ------
    EngineError
        ``other_network`` when it is that of another one.
    """
    try:
        network.load_state_dict(dict(weights))
    except (RuntimeError, KeyError) as error:
        detail = str(error).splitlines()[-1].strip()
        raise EngineError("other_network", f"{path} holds the weights of another network than its description says ({detail}).") from error
