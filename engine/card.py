"""A model is a folder: ``model.onnx`` and its card ``model.json``. What the engine needs stands in the card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError

CARD_FORMAT = 1
BUNDLED_MODELS = Path(__file__).resolve().parent.parent / "model" / "bundled"


@dataclass(frozen=True)
class ModelCard:
    """The part of a card that the engine reads; ``document`` is the whole of it.

    ``bands`` names of the input's channels in order; ``nir`` "required" or "optional" (optional: the network copes
    with NaN in nir, evi and savi); ``gsd_m`` ground sampling distance in metres; ``tile_px`` tile side in pixels of
    that size; ``overlap`` of neighbouring tiles in percent, 0-90; ``threshold`` probability 0-1.
    """

    folder: Path
    name: str
    title: str
    version: str
    bands: tuple[str, ...]
    nir: str
    gsd_m: float
    tile_px: int
    overlap: float
    threshold: float
    licence: str
    sha256: str
    document: dict[str, Any]

    @property
    def network(self) -> Path:
        """The ONNX file."""
        return self.folder / "model.onnx"


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder, its ONNX file checked against the card's sha256.

    Raises
    ------
    EngineError
        ``model_missing`` no folder, card or network; ``model_card`` a card that lacks or misstates a value;
        ``model_damaged`` the network is not the one the card describes.
    """
    path = folder / "model.json"
    if not path.is_file() or not (folder / "model.onnx").is_file():
        raise EngineError("model_missing", f"{folder} is not a model folder: it needs model.json and model.onnx.")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != CARD_FORMAT:
            raise EngineError(
                "model_card", f"{path} has card format {document['format']}; this version reads format {CARD_FORMAT}. Update the plugin."
            )
        card = ModelCard(
            folder=folder,
            name=str(document["name"]),
            title=str(document["title"]),
            version=str(document["version"]),
            bands=tuple(document["bands"]),
            nir=str(document["nir"]),
            gsd_m=float(document["gsd_m"]),
            tile_px=int(document["tile_px"]),
            overlap=float(document["overlap"]),
            threshold=float(document["threshold"]),
            licence=str(document["licence"]),
            sha256=str(document["sha256"]),
            document=document,
        )
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise EngineError("model_card", f"{path} is not a usable model card: {error!r}.") from error
    _check_values(card, path)
    with open(card.network, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != card.sha256:
        raise EngineError(
            "model_damaged", f"{card.network} is not the network that its card describes (sha256 differs). Install the model again."
        )
    return card


def _check_values(card: ModelCard, path: Path) -> None:
    wrong = [
        text
        for holds, text in (
            (card.nir in ("required", "optional"), "nir must be required or optional"),
            (card.gsd_m > 0, "gsd_m must be positive"),
            (card.tile_px >= 16, "tile_px must be 16 or more"),
            (0 <= card.overlap <= 90, "overlap must be 0-90 percent"),
            (0 < card.threshold < 1, "threshold must lie between 0 and 1"),
            (len(card.bands) > 0, "bands are missing"),
        )
        if not holds
    ]
    if wrong:
        raise EngineError("model_card", f"{path}: {'; '.join(wrong)}.")


def installed_models(models_folders: Iterable[str | Path] = ()) -> dict[str, Path]:
    """Name -> folder of the models in the given folders and the bundled ones; the first of a name wins."""
    found: dict[str, Path] = {}
    for parent in (*map(Path, models_folders), BUNDLED_MODELS):
        if parent.is_dir():
            for folder in sorted(parent.iterdir()):
                if (folder / "model.json").is_file():
                    found.setdefault(folder.name, folder)
    return found


def find_model(model: str, models_folders: Iterable[str | Path] = ()) -> ModelCard:
    """The card of a model given by name, by folder, or by nothing (the bundled one).

    Raises
    ------
    EngineError
        ``model_missing`` when there is none, with the names that there are; those of :func:`read_card`.
    """
    models = installed_models(models_folders)
    if not model:
        bundled = sorted(BUNDLED_MODELS.glob("*/model.json"))
        if not bundled:
            raise EngineError("model_missing", "This copy of the plugin holds no bundled model. Choose a model folder.")
        return read_card(bundled[0].parent)
    if model in models:
        return read_card(models[model])
    if Path(model).is_dir():
        return read_card(Path(model))
    raise EngineError("model_missing", f"There is no model {model!r}. Installed: {', '.join(models) or 'none'}. A model folder works too.")
