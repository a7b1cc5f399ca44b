"""Model folders: found by name or place, and refused when they are not what their card says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from engine import card as card_module
from engine.card import find_model, installed_models, read_card
from engine.errors import EngineError

NETWORK = b"a network"


def model_folder(parent: Path, name: str = "compact", **changes: Any) -> Path:
    """A model folder whose network is never run; a change to None leaves the value out."""
    document = {
        "format": 1,
        "name": name,
        "title": "A compact model",
        "version": "1",
        "bands": ["red", "green", "blue", "nir", "evi", "savi"],
        "nir": "optional",
        "gsd_m": 10.0,
        "tile_px": 128,
        "overlap": 50,
        "threshold": 0.5,
        "licence": "GPL-2.0-or-later",
        "sha256": hashlib.sha256(NETWORK).hexdigest(),
    } | changes
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(NETWORK)
    (folder / "model.json").write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    return folder


@pytest.fixture(autouse=True)
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundled"
    monkeypatch.setattr(card_module, "BUNDLED_MODELS", folder)
    return folder


def test_a_card(tmp_path: Path) -> None:
    card = read_card(model_folder(tmp_path, scores={"iou": 0.5}))
    assert (card.name, card.gsd_m, card.tile_px, card.overlap, card.threshold) == ("compact", 10.0, 128, 50.0, 0.5)
    assert card.bands[3] == "nir"
    assert card.document["scores"] == {"iou": 0.5}
    assert card.network.read_bytes() == NETWORK


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"format": None},
        {"bands": None},
        {"bands": []},
        {"nir": "maybe"},
        {"gsd_m": 0},
        {"gsd_m": "ten"},
        {"tile_px": 8},
        {"overlap": 95},
        {"threshold": 0},
        {"threshold": 1},
        {"sha256": None},
    ],
    ids=str,
)
def test_a_card_that_lacks_or_misstates_a_value(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = model_folder(tmp_path, **changes)
    with pytest.raises(EngineError) as raised:
        read_card(folder)
    assert raised.value.code == "model_card"
    assert str(folder) in raised.value.text


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_card_that_is_no_card(tmp_path: Path, text: str) -> None:
    folder = model_folder(tmp_path)
    (folder / "model.json").write_text(text)
    with pytest.raises(EngineError) as raised:
        read_card(folder)
    assert raised.value.code == "model_card"


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
def test_a_folder_without_card_or_network(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path)
    (folder / name).unlink()
    with pytest.raises(EngineError) as raised:
        read_card(folder)
    assert raised.value.code == "model_missing"


def test_a_network_that_its_card_does_not_describe(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "model.onnx").write_bytes(NETWORK[:-1])
    with pytest.raises(EngineError, match="sha256") as raised:
        read_card(folder)
    assert raised.value.code == "model_damaged"


class TestFinding:
    def test_the_bundled_model_is_the_default(self, bundled: Path, tmp_path: Path) -> None:
        model_folder(bundled, "bundled")
        model_folder(tmp_path / "mine", "another")
        assert find_model("", [tmp_path / "mine"]).name == "bundled"

    def test_by_name(self, bundled: Path, tmp_path: Path) -> None:
        model_folder(bundled, "bundled")
        model_folder(tmp_path / "mine", "another")
        assert find_model("another", [tmp_path / "mine"]).name == "another"

    def test_the_first_of_a_name_wins(self, bundled: Path, tmp_path: Path) -> None:
        model_folder(bundled, "compact")
        mine = model_folder(tmp_path / "mine", "compact")
        assert find_model("compact", [tmp_path / "mine"]).folder == mine

    def test_by_folder(self, tmp_path: Path) -> None:
        folder = model_folder(tmp_path / "elsewhere", "compact")
        assert find_model(str(folder)).folder == folder

    def test_an_unknown_name_is_told_with_those_that_there_are(self, bundled: Path) -> None:
        model_folder(bundled, "compact")
        with pytest.raises(EngineError, match="compact") as raised:
            find_model("big")
        assert raised.value.code == "model_missing"

    def test_nothing_is_bundled(self) -> None:
        with pytest.raises(EngineError) as raised:
            find_model("")
        assert raised.value.code == "model_missing"

    def test_what_is_no_model_folder_is_passed_over(self, bundled: Path, tmp_path: Path) -> None:
        model_folder(bundled, "compact")
        (bundled / "notes").mkdir()
        (bundled / "readme.txt").touch()
        assert list(installed_models([tmp_path / "none"])) == ["compact"]
