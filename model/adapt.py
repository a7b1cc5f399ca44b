"""The command ``adapt``: a model and a few outlines of a person's own area to a model of their own. docs/adapting.md describes it.

Held-back outlines decide: the network is adapted two or three times without some of the places, and what it then says of these places
tells whether it got worse, and where the threshold lies.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine import __version__
from engine.card import ModelCard, find_model
from engine.errors import EngineError
from engine.outputs import whole_folder, written_json
from engine.probability_accuracy import DEFINITIONS
from engine.reporting import Reporter, StagedReporter
from engine.terminal import plain
from jobs import STACK_BANDS, AdaptJob
from model.adaptation_choice import NOISE, Calibrated, Said, calibrated, together
from model.augmentation import Augmentation
from model.batch_norms import keep_batch_norms
from model.export import write_model_folder
from model.networks import Network, RandomForest
from model.networks.network import parameter_count
from model.own_ground import Own, OwnGround, clearness, read_own_ground
from model.sample_batches import SampleTiles
from model.samples import Array, Batches, SceneSource, Source, as_batch, simulated_scene
from model.trained_network import TrainedNetwork, read_trained
from model.training import run_training
from model.training_settings import Hardware, TrainingSettings
from model.views import VIEWS, seen

STEPS = 100
"""Of each training; more of them learn the own outlines by heart."""
BATCH, BACKGROUND, SIMULATED = 8, 1, 2
"""Samples of a batch; among them those without rock glaciers and simulated ones, which keep what the network knew."""
BLEND = 0.5
"""Share of the way from the old weights to the new ones: most of what is learnt, little of what is forgotten."""
SETTINGS: dict[str, Any] = {"learning_rate": 1e-3, "encoder_share": 0.3, "averaging": 0.97, "warm_up": 0.1}
SCENES, SCENE_PX, FIRST_SCENE = 10, 320, 40_000
CHECKED_SCENES, FIRST_CHECKED, CHECKED_WINDOWS = 4, 50_000, 24
"""Simulated scenes to see what was forgotten; training shows others."""
MOST_HELD_BACK = 64
"""Samples of a kind that are looked at for scores."""
CLEAR = 0.1
"""Snow up to which a sample counts in scores, where there are such."""
SMALL = 10_000_000
"""Parameters of a network that can be run eight times on every tile."""
RESERVED = 0.15
"""Of the minutes, for all but training."""
FILES = ("model.onnx", "model.json")
FORGOTTEN = 0.8
"""Share of the IoU on simulated landscapes below which a person is told."""
TOLD = (
    "adapted_from", "chosen", "is_worse", "samples", "folds", "held_back", "simulated", "blend", "views", "threshold", "temperature",
    "steps", "minutes", "device_used",
)  # fmt: skip
"""Of the result, in the card."""

HOW = {
    "held_back": "outlines of places that the network in question was not adapted on: it was adapted once without each part of the places, "
    "and what it then said of that part is counted together. Temperature and threshold were chosen on the same, which flatters "
    "after slightly. before: the old model with its own threshold; after: what was written; trained: with trained weights. "
    "Where samples with less than 10 % snow are held back, only these count",
    "place": "samples that share ground, directly or over others; chips: as overlaps.csv says, or where masks fit onto each other",
    "blend": "share of the way from the old weights to those trained on all outlines (Wortsman et al. 2022)",
    "views": "the mean over the eight symmetries of a tile",
    "simulated": "rock glacier IoU on simulated landscapes that no training saw, each at its best threshold: what was forgotten",
    **DEFINITIONS,
}


@dataclass(frozen=True)
class Candidate:
    """What the new model may be: ``kind`` adapted, recalibrated (old weights) or unchanged; ``views``; and what it ``said`` of what was
    held back."""

    kind: str
    views: int
    choice: Calibrated
    said: Said | None = None


def best_of(old: Candidate, trained: Candidate, unchanged: Candidate) -> Candidate:
    """The candidate to take: trained weights, unless they did worse on what was held back than the best of the old ones, more than chance
    and the smaller number of outlines explain."""
    without = old if old.choice.iou >= unchanged.choice.iou else unchanged
    return trained if trained.choice.iou >= without.choice.iou - NOISE else without


def adapt(job: AdaptJob, reporter: Reporter) -> dict[str, Any]:
    """Adapt a model to a person's own ground and write it as a new model folder; the old one stays as it is.

    Returns
    -------
    ``output`` (folder), ``name``, ``chosen`` (``adapted``, ``recalibrated``: old weights), ``is_worse`` (training made held-back outlines
    worse, so the old weights were kept; None where nothing could be held back), ``adapted_from`` (``name``, ``version``, ``sha256``),
    ``samples`` (``positive``, ``negative``, ``places``), ``folds``, ``held_back`` (``before``, ``after``, ``trained``: figures, None where
    nothing could be held back), ``simulated`` (``before``, ``after``: IoU), ``blend``, ``views``, ``threshold``, ``temperature`` (each with
    ``before``, ``after``), ``steps``, ``minutes``, ``device_used``, ``json``

    Raises
    ------
    EngineError
        ``not_adaptable`` for a network that cannot be trained in steps or reads other bands than a stack has; ``band_missing`` when the
        model needs near-infrared and the images have none; those of :func:`engine.card.find_model`,
        :func:`model.trained_network.read_trained`, :func:`model.own_ground.read_own_ground`, :func:`model.training.run_training`,
        :func:`engine.outputs.whole_folder`; Cancelled.

    Source
    ------
    Wortsman et al. (2022), Robust fine-tuning of zero-shot models; Guo et al. (2017), On calibration of modern neural networks.
    """
    hardware = Hardware(job.device, "32")
    hardware.check()
    reporter.progress(0.0, "Opening the model")
    card = find_model(job.model, job.models_folders)
    output = Path(job.output or f"{card.name}-adapted").absolute()
    if output == card.folder.absolute():
        raise EngineError("output_is_input", f"The output {output} is the model to start from, which stays. Give another folder.")
    output.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        folder = files.enter_context(whole_folder(output, FILES))
        workplace = Path(files.enter_context(TemporaryDirectory()))
        start = read_trained(card.folder)
        _check_network(start, card)
        ground = read_own_ground(job, start.gsd_m, start.tile_px, workplace, StagedReporter(reporter, 0.02, 0.1))
        if start.nir == "required" and not ground.has_nir:
            raise EngineError(
                "band_missing", f"The model {card.name} needs near-infrared, which your images do not have. Choose another model."
            )
        task = Adaptation(job, start, ground, hardware, workplace)
        task.simulate(StagedReporter(reporter, 0.1, 0.15))
        result = task.run(StagedReporter(reporter, 0.15, 0.92))
        _tell(result, reporter)
        reporter.progress(0.92, "Writing the model")
        numbers = plain(
            {
                "output": str(output),
                "name": output.name,
                "adapted_from": {"name": card.name, "version": card.version, "sha256": card.sha256},
                **result,
                "minutes": round(task.minutes, 2),
                "device_used": hardware.name,
                "json": job.json,
            }
        )
        _write(folder, task, card, numbers, job)
        if job.json is not None:
            document = {**numbers, "inputs": _inputs(job), "definitions": HOW, "software": _software(), "date": _now()}
            files.enter_context(written_json(job.json, document))
        reporter.progress(0.99, "Writing the model")
    reporter.progress(1.0, "Adapted")
    return dict(numbers)


def _check_network(start: TrainedNetwork, card: ModelCard) -> None:
    if isinstance(start.network, RandomForest):
        raise EngineError(
            "not_adaptable", f"The model {card.name} is a random forest, which is not trained in steps. Train it anew instead."
        )
    if other := [band for band in start.network.bands if band not in STACK_BANDS]:
        raise EngineError("not_adaptable", f"The model {card.name} reads {', '.join(other)}, which spectral stacks and chips do not have.")


class Adaptation:
    """The course of an adaptation; ``network`` is the new one in the end."""

    def __init__(self, job: AdaptJob, start: TrainedNetwork, ground: OwnGround, hardware: Hardware, workplace: Path) -> None:
        self._job, self.start, self._ground, self._hardware, self._workplace = job, start, ground, hardware, workplace
        self._begin = time.monotonic()
        self.network: Network = start.network
        self.views = VIEWS if parameter_count(start.network) <= SMALL else start.views
        self._old = {name: value.clone() for name, value in start.network.state_dict().items()}
        self._scenes: SceneSource | None = None
        self._steps = 0

    @property
    def minutes(self) -> float:
        """Since the beginning."""
        return (time.monotonic() - self._begin) / 60

    def simulate(self, reporter: Reporter) -> None:
        """Make the simulated landscapes that training shows between the person's own."""
        scenes = []
        for number in range(SCENES):
            reporter.progress(number / SCENES, "Simulating landscapes")
            scenes.append(self._scene(FIRST_SCENE + number))
        self._scenes = SceneSource(scenes, round(1.4 * self.start.tile_px))

    def _scene(self, seed: int) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
        scene = simulated_scene(seed, max(SCENE_PX, 2 * self.start.tile_px), self.start.gsd_m, self._workplace / "scenes")
        return scene.reflectance, scene.truth

    def run(self, reporter: Reporter) -> dict[str, Any]:
        """Try, choose, and train on all; what of it goes into the result."""
        ground, job = self._ground, self._job
        everything = list(range(len(ground.samples)))
        folds = ground.folds(job.seed)
        parts = len(folds) + 1
        reporter.progress(0.0, "Looking at your outlines with the old model")
        shown = [i for _, held in folds for i in held] if folds else everything
        before = self._look(self._old, shown, self.start.views)
        old = self._candidate("recalibrated", self._look(self._old, shown, self.views))
        said = []
        for number, (kept, held) in enumerate(folds):
            stage = StagedReporter(reporter, 0.05 + 0.9 * number / parts, 0.05 + 0.9 * (number + 1) / parts)
            new = self._train(kept, number, parts - number, stage, f"Trying without part {number + 1} of {len(folds)}")
            said.append(self._look(self._blended(new), held, self.views))
        trained = self._candidate("adapted", together(said)) if said else None
        chosen = Candidate("adapted", self.views, self._surer) if trained is None else best_of(old, trained, self._unchanged(before))
        after = self._old
        if chosen.kind == "adapted":
            stage = StagedReporter(reporter, 0.05 + 0.9 * len(folds) / parts, 0.95)
            after = self._blended(self._train(everything, len(folds), 1, stage, "Training on all your outlines"))
        simulated = {
            "before": self._simulated(self._old, self.start.views),
            "after": self._simulated(after, chosen.views),
        }
        self.network.load_state_dict(after)
        self.network.eval()
        counts = {"positive": int((ground.place >= 0).sum()), "negative": int((ground.place < 0).sum()), "places": ground.places}

        def counted(one: Candidate | None) -> dict[str, Any] | None:
            return one.said.figures(one.choice.temperature, one.choice.threshold) if one is not None and one.said is not None else None

        held_back = {"before": counted(self._unchanged(before)), "after": counted(chosen), "trained": counted(trained)}
        self.views, self.choice = chosen.views, chosen.choice
        return {
            "chosen": chosen.kind,
            "is_worse": None if trained is None else chosen is not trained,
            "samples": counts,
            "folds": len(folds),
            "held_back": held_back if folds else None,
            "simulated": simulated,
            "blend": BLEND if chosen.kind == "adapted" else 0.0,
            "views": {"before": self.start.views, "after": chosen.views},
            "threshold": {"before": self.start.threshold, "after": chosen.choice.threshold},
            "temperature": {"before": self.start.temperature, "after": chosen.choice.temperature},
            "steps": self._steps,
        }

    @property
    def _own(self) -> Calibrated:
        """Temperature and threshold of the old model."""
        return Calibrated(self.start.temperature, self.start.threshold)

    @property
    def _surer(self) -> Calibrated:
        """Those to expect of trained weights: the threshold half-way to one half, since training makes a network surer."""
        odds = math.sqrt(self.start.threshold / (1 - self.start.threshold))
        return Calibrated(self.start.temperature, round(odds / (1 + odds), 3))

    def _candidate(self, kind: str, said: Said) -> Candidate:
        expected = self._surer if kind == "adapted" else self._own
        return Candidate(kind, self.views, calibrated(said, expected, self._ground.places), said)

    def _unchanged(self, before: Said) -> Candidate:
        own = self._own
        return Candidate("unchanged", self.start.views, replace(own, iou=before.iou(own.temperature, own.threshold)), before)

    def _blended(self, new: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: torch.lerp(old, new[name], BLEND) if old.is_floating_point() else old for name, old in self._old.items()}

    def _train(self, chosen: Sequence[int], number: int, left: int, reporter: Reporter, text: str) -> dict[str, Tensor]:
        """The weights after a training on some of the samples."""
        network = deepcopy(self.start.network)
        network.load_state_dict(self._old)
        keep_batch_norms(network)
        if not self._ground.has_nir:  # nothing is learnt about what is not seen
            for name, parameter in network.named_parameters():
                parameter.requires_grad_("spectral" not in name)
        settings = TrainingSettings(
            steps=STEPS,
            minutes=max(0.02, ((1 - RESERVED) * self._job.minutes - self.minutes) / left),
            seed=self._job.seed + number,
            checkpoint_seconds=1e9,
            **SETTINGS,
        )
        about = {
            "name": self.start.name,
            "gsd_m": self.start.gsd_m,
            "tile_px": self.start.tile_px,
            "nir": self.start.nir,
            "training": {},
            "training_data": [],
        }
        done = run_training(
            network,
            self._batches([self._ground.samples[i] for i in chosen], settings.seed),
            settings,
            self._workplace / f"training-{number}",
            _Saying(reporter, text),
            about=about,
            hardware=self._hardware,
        )
        self._steps += done.step
        return done.network.state_dict()

    def _batches(self, own: Sequence[Own], seed: int) -> Batches:
        positive = [one for one in own if one.is_positive]
        negative = [one for one in own if not one.is_positive]
        count = BATCH - SIMULATED - (BACKGROUND if negative else 0)
        sources: list[tuple[Source, int]] = [(OwnSource(positive), count)]
        if negative:
            sources.append((OwnSource(negative), BACKGROUND))
        assert self._scenes is not None
        sources.append((self._scenes, SIMULATED))
        return Batches(sources, self.start.tile_px, Augmentation(), seed, self.start.network.bands)

    def _look(self, weights: Mapping[str, Tensor], shown: Sequence[int], views: int) -> Said:
        """What a network says of samples: of clear ones where there are such, of at most 64 of a kind."""
        samples = self._ground.samples
        found: list[int] = []
        for is_positive in (True, False):
            kind = [i for i in shown if samples[i].is_positive is is_positive]
            clear = [i for i in kind if samples[i].snow < CLEAR] or kind
            order = np.random.default_rng((self._job.seed, 3)).permutation(len(clear))[:MOST_HELD_BACK]
            found += [clear[i] for i in order]
        if negatives := [i for i in found if not samples[i].is_positive]:
            most = max(1, len(found) - len(negatives))
            found = [i for i in found if samples[i].is_positive] + negatives[:most]
        tiles = SampleTiles(self._ground.folder, [samples[i].row for i in found], self.start.network.bands, self.start.tile_px, BATCH // 2)
        return self._said(weights, (tiles[number] for number in range(len(tiles))), views)

    def _simulated(self, weights: Mapping[str, Tensor], views: int) -> float:
        """IoU on simulated landscapes, whatever the threshold."""
        tile = self.start.tile_px
        source = SceneSource([self._scene(FIRST_CHECKED + number) for number in range(CHECKED_SCENES)], tile)
        rng = np.random.default_rng(self._job.seed)

        def window() -> tuple[Array, Array]:
            reflectance, truth = source.draw(rng)
            reflectance[3] = reflectance[3] if self._ground.has_nir else np.nan
            return reflectance, truth.astype(np.float32)

        batches = (as_batch([window()], self.start.network.bands) for _ in range(CHECKED_WINDOWS))
        return round(self._said(weights, batches, views).highest_iou(), 4)

    @torch.no_grad()
    def _said(self, weights: Mapping[str, Tensor], batches: Any, views: int) -> Said:
        self.network.load_state_dict(dict(weights))
        device = "cuda" if self._hardware.on_gpu else "cpu"
        network = self.network.to(device).eval()
        logits, truths = [], []
        for stack, truth, weight in batches:
            counts = weight > 0
            logits.append(seen(network, torch.from_numpy(stack).to(device), views).cpu().numpy()[counts])
            truths.append(truth[counts])
        network.to("cpu")
        return Said(np.concatenate(logits).astype(np.float32), np.concatenate(truths).astype(np.float32))


class OwnSource:
    """Samples of the person's own ground, drawn at random; snow-covered ones seldom."""

    def __init__(self, own: Sequence[Own]) -> None:
        self._own = own
        weights = np.array([clearness(one) for one in own])
        self._chances = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
        """See :class:`model.samples.Source`."""
        one = self._own[rng.choice(len(self._own), p=self._chances)]
        return one.reflectance.copy(), one.mask


class _Saying(StagedReporter):
    """Says what a training is for instead of the training's own remarks."""

    def __init__(self, reporter: Reporter, text: str) -> None:
        super().__init__(reporter, 0.0, 1.0)
        self._text = text

    def progress(self, fraction: float, text: str = "") -> None:
        super().progress(min(fraction, 0.999), f"{self._text}: {text[0].lower()}{text[1:]}" if text else self._text)


def _tell(result: Mapping[str, Any], reporter: Reporter) -> None:
    """What a person should know of the outcome."""
    held_back, simulated = result["held_back"], result["simulated"]
    if held_back is None:
        reporter.warning(
            "adapted_model_unchecked",
            "All outlines are of one place: none could be held back, so nobody knows whether the model got better elsewhere. Outline "
            "rock glaciers in two places or more, apart from each other.",
        )
    elif result["is_worse"]:
        ious = [held_back[name]["rock_glacier"]["iou"] or 0.0 for name in ("trained", "before", "after")]
        reporter.warning(
            "adapted_model_worse",
            f"Training on your outlines made the model worse on those that were held back (IoU {ious[0]:.3f}; the old one {ious[1]:.3f}). "
            f"The new model keeps the old weights ({result['chosen']}, IoU {ious[2]:.3f}). More outlines, of more places, may help.",
        )
    if simulated["after"] < FORGOTTEN * simulated["before"]:
        reporter.warning(
            "adapted_model_forgot",
            f"On simulated landscapes the new model finds less than the old one (IoU {simulated['before']:.3f} before, "
            f"{simulated['after']:.3f} after): use it for your own area only.",
        )


def _write(folder: Path, task: Adaptation, card: ModelCard, numbers: Mapping[str, Any], job: AdaptJob) -> None:
    """The new model folder. What the old card says of scores is that of the old model."""
    start = task.start
    told = {name: numbers[name] for name in TOLD}
    about = {name: value for name, value in start.about.items() if name not in ("scores", "from_model", "made", "adaptation")}
    own = {"what": f"{_counted(numbers['samples'])}, of the person who adapted it", "source": ", ".join(_inputs(job).values())}
    write_model_folder(
        folder,
        task.network,
        title=f"{card.title}, adapted",
        version=card.version,
        gsd_m=start.gsd_m,
        tile_px=start.tile_px,
        overlap=card.overlap,
        threshold=task.choice.threshold,
        nir=start.nir,
        licence=card.licence,
        network_name=start.name,
        about={
            **about,
            "made": _now()[:10],
            "training_data": [*about.get("training_data", []), own],
            "adaptation": {
                **told,
                "command": _command(job),
                "seed": job.seed,
                "inputs": _inputs(job),
                "software": _software(),
                "definitions": HOW,
                "earlier": start.about.get("adaptation"),
            },
            **({"scores_before_adaptation": start.about["scores"]} if "scores" in start.about else {}),
        },
        temperature=task.choice.temperature,
        views=task.views,
    )


def _counted(samples: Mapping[str, int]) -> str:
    return f"{samples['positive']} samples with rock glaciers in {samples['places']} places, {samples['negative']} without"


def _inputs(job: AdaptJob) -> dict[str, str]:
    """Names of the files that were given, without the folders of this machine."""
    given = {name: getattr(job, name) for name in ("images", "masks", "negatives", "outlines")}
    stacks = ", ".join(Path(stack).name for stack in job.stacks)
    return {**{name: Path(path).name for name, path in given.items() if path}, **({"stacks": stacks} if stacks else {})}


def _command(job: AdaptJob) -> str:
    given = _inputs(job)
    parts = ["rock-glacier adapt", *(f"--{name} {value}" for name, value in given.items() if name != "stacks")]
    parts += [f"--stacks {Path(stack).name}" for stack in job.stacks]
    return " ".join([*parts, f"--minutes {job.minutes:g}", f"--seed {job.seed}"])


def _software() -> dict[str, str]:
    return {"name": "Rock Glacier Mapper", "version": __version__, "torch": torch.__version__}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
