"""The command ``export``: a trained network as a model folder, held against what it was made of and run by the engine itself."""

from __future__ import annotations

import platform
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import rasterio
import torch
from affine import Affine
from onnx import ModelProto

from engine import __version__, rasters
from engine.card import ModelCard, read_card
from engine.detect import detect
from engine.errors import EngineError
from engine.evaluate import evaluate
from engine.inference import cuda_problem, open_network
from engine.outputs import whole_folder
from engine.rasters import Grid
from engine.reporting import Reporter, SilentReporter, StagedReporter
from engine.sample_files import SampleSet, read_samples
from engine.stack import REFLECTANCE
from jobs import DetectJob, EvaluateNetworkJob, ExportNetworkJob
from model.export import LICENCE, OVERLAP, ProbabilityNetwork, add_to_card, half_precision, onnx_model, write_model_folder
from model.networks import Network, RandomForest
from model.parity import (
    FINITE,
    LIMITS,
    Agreement,
    Array,
    Look,
    Tile,
    agreement,
    as_written,
    float64_look,
    looked_at,
    random_tiles,
    sample_tiles,
    torch_look,
)
from model.quantisation import IN_FLOAT, METHODS, Quantisation
from model.trained_network import TrainedNetwork, read_trained

FILES = ("model.onnx", "model.json", "best.png", "worst.png")
CALIBRATION_TILES, COMPARED_TILES = 32, 64
OWN_ROUNDING = 10
"""Times the difference between a network in float32 and in float64 that an fp32 export may have."""
UTM = rasterio.crs.CRS.from_epsg(32632)
UNKNOWN = "unknown: the network came without a word of it"
MADE = {
    "fp32": "as trained",
    "fp16": "float16 from behind the normalisation to the logit, batch norms folded into the convolutions before; input, normalisation and "
    "output in float32. The CPU computes it in float32, so it is for GPUs",
    "int8": "8-bit weights for each channel and 8-bit activations (QDQ); input, normalisation and sigmoid in float32",
}


def export(job: ExportNetworkJob, reporter: Reporter) -> dict[str, Any]:
    """Write a trained network as a model folder.

    What is written is run beside the network in torch on random tiles and, where there are samples, on validation samples; it is refused
    beyond :data:`model.parity.LIMITS`. Then the engine reads the folder and runs Detect on a small stack; that it did stands in the card.
    int8 is calibrated in the ways of :data:`model.quantisation.METHODS`; of those whose IoU on validation samples stays, the one that
    moves the fewest pixels is kept. Where none stays within the limits, more and more layers are left in float32.

    Returns
    -------
    ``output``, ``precision``, ``size_mb``, ``sha256``, ``threshold``, ``parity`` (``random``, ``samples`` or None), ``tiles_per_second``
    of Detect, ``devices``, ``calibrated_by`` (None but for int8), ``evaluated`` (number of validation samples, 0 without)

    Raises
    ------
    EngineError
        ``precision`` for one that the network cannot have; ``parity`` beyond the limits; ``no_samples`` for int8 without training
        samples; those of :func:`model.trained_network.read_trained`, :func:`engine.sample_files.read_samples`,
        :func:`engine.outputs.whole_folder`, :func:`model.parity.sample_tiles`, :func:`engine.detect.detect` and
        :func:`engine.evaluate.evaluate`.
    """
    reporter.progress(0.0, "Reading the network")
    trained = read_trained(job.checkpoint, reporter)
    if isinstance(trained.network, RandomForest) and job.precision != "fp32":
        raise EngineError(
            "precision", f"A random forest has no weights that {job.precision} could hold: it compares numbers. Export it in fp32."
        )
    samples = read_samples(job.samples) if job.samples else None
    threshold = trained.threshold if job.threshold is None else job.threshold
    with whole_folder(job.output, FILES) as folder:
        network = trained.network.eval()
        plain = ProbabilityNetwork(network, trained.temperature, trained.views).eval()
        look = torch_look(plain)
        random = Compared(random_tiles(network.normalise, trained.tile_px), look, threshold, reporter)
        real = None
        if samples:
            split = "validation" if samples.of_split("validation") else "train"
            reporter.progress(0.05, "Running the network on samples")
            tiles = sample_tiles(samples, split, network.bands, trained.tile_px, COMPARED_TILES)
            real = Compared(tiles, look, threshold, reporter) if tiles else None
        reporter.progress(0.1, "Writing the network")
        made = MAKERS[job.precision](trained, samples, real, reporter)
        parity = _held(made, random, real, float64_look(plain), job.precision)
        reporter.progress(0.6, "Trying it in Detect")
        card = write_model_folder(
            folder,
            network,
            title=job.title or f"{trained.name}, {trained.gsd_m:g} m",
            version=job.version,
            gsd_m=trained.gsd_m,
            tile_px=trained.tile_px,
            overlap=OVERLAP,
            threshold=threshold,
            nir=trained.nir,
            licence=job.licence or trained.about.get("licence", LICENCE),
            network_name=trained.name,
            about=_about(job, trained, parity, made),
            temperature=trained.temperature,
            views=trained.views,
            precision=job.precision,
            model=made.model,
        )
        devices = ("cpu",) if cuda_problem() else ("cpu", "cuda")
        runs = [_qualified(card, device) for device in devices]
        add_to_card(folder, {"qualification": {"runtime": f"onnxruntime {onnxruntime.__version__}", "runs": runs, "parity": parity}})
        evaluated = 0
        if samples and samples.of_split("validation"):
            figures = evaluate(
                EvaluateNetworkJob(model=str(folder), samples=job.samples, worst=str(folder / "worst.png"), best=str(folder / "best.png")),
                StagedReporter(reporter, 0.7, 0.98),
            )
            evaluated = figures["samples"]["all"]
            told = ("inputs", "samples", "threshold", "pixels", "subsets", "negatives", "best_threshold", "definitions", "date")
            add_to_card(folder, {"evaluation": {name: figures[name] for name in told}})
        card = read_card(folder)
    reporter.progress(1.0, "Exported")
    return {
        "output": job.output,
        "precision": job.precision,
        "size_mb": card.document["size_mb"],
        "sha256": card.sha256,
        "threshold": threshold,
        "parity": parity,
        "tiles_per_second": runs[-1]["tiles_per_second"],
        "devices": [run["device"] for run in runs],
        "calibrated_by": made.said.get("calibration", {}).get("method"),
        "evaluated": evaluated,
    }


class Compared:
    """Tiles, and what the network in torch says of them."""

    def __init__(self, tiles: Sequence[Tile], look: Look, threshold: float, reporter: Reporter) -> None:
        self.tiles, self._threshold, self._reporter = tiles, threshold, reporter
        self._before = looked_at(tiles, look, reporter)

    def with_look(self, look: Look) -> Agreement:
        """How something else agrees."""
        return agreement(self.tiles, self._before, looked_at(self.tiles, look, self._reporter), self._threshold)

    def with_model(self, model: ModelProto) -> Agreement:
        """How an ONNX model agrees, on the CPU."""
        return self.with_look(_onnx_look(model))


class Made:
    """A model, and what its card says of how it was made beside its precision."""

    def __init__(self, model: ModelProto, said: dict[str, Any] | None = None) -> None:
        self.model, self.said = model, said or {}


def _exported(trained: TrainedNetwork, network: Network) -> ModelProto:
    return onnx_model(network, trained.tile_px, trained.temperature, trained.views)


def _fp32(trained: TrainedNetwork, _samples: SampleSet | None, _real: Compared | None, _reporter: Reporter) -> Made:
    return Made(_exported(trained, trained.network))


def _fp16(trained: TrainedNetwork, _samples: SampleSet | None, _real: Compared | None, _reporter: Reporter) -> Made:
    return Made(_exported(trained, half_precision(trained.network)))


def _int8(trained: TrainedNetwork, samples: SampleSet | None, real: Compared | None, reporter: Reporter) -> Made:
    """The best way to calibrate, with as many layers in 8 bits as the limits allow."""
    assert samples is not None
    calibration = sample_tiles(samples, "train", trained.network.bands, trained.tile_px, CALIBRATION_TILES)
    if not calibration or real is None:
        raise EngineError("no_samples", f"{samples.folder} holds no sample for training: int8 cannot be calibrated.")
    plain = _exported(trained, trained.network)
    with tempfile.TemporaryDirectory() as folder:
        quantisation = Quantisation(plain, [tile.stack for tile in calibration], Path(folder))
        for number, in_float in enumerate(IN_FLOAT):
            tried: list[tuple[Agreement, str, ModelProto]] = []
            for method in METHODS:
                reporter.progress(0.2 + 0.1 * number, f"Calibrating 8 bits: {method}")
                model = quantisation.model(method, in_float)
                tried.append((real.with_model(model), method, model))
            best, method, model = min(tried, key=lambda one: (one[0].iou_loss > LIMITS["int8"].iou_loss, one[0].flipped))
            if not best.beyond(LIMITS["int8"]):
                break
    said = {
        "method": method,
        "chosen_of": list(METHODS),
        "in_float32_too": IN_FLOAT[in_float] or None,
        "tiles": len(calibration),
        "samples": f"training half of {samples.folder.name}",
    }
    return Made(model, {"calibration": said})


MAKERS: dict[str, Callable[[TrainedNetwork, SampleSet | None, Compared | None, Reporter], Made]] = {
    "fp32": _fp32,
    "fp16": _fp16,
    "int8": _int8,
}


def _held(made: Made, random: Compared, real: Compared | None, in_float64: Look, precision: str) -> dict[str, Any]:
    """What a card says of the agreement. On noise no network is sure: reduced precision is judged there only where there is nothing else.

    A network that was hardly trained may enlarge what is rounded: it may differ as far as its own float32 does from its own float64.

    Raises
    ------
    EngineError
        ``parity`` beyond the limits.
    """
    on_random = random.with_model(made.model)
    on_samples = real.with_model(made.model) if real else None
    limits = LIMITS[precision]
    checked = [(random, on_random, limits)]
    if real and on_samples:
        checked = [(random, on_random, limits if precision == "fp32" else FINITE), (real, on_samples, limits)]
    for tiles, found, most in checked:
        allowed = most
        if most.difference is not None and found.difference > most.difference:
            allowed = replace(most, difference=max(most.difference, OWN_ROUNDING * tiles.with_look(in_float64).difference))
        if wrong := found.beyond(allowed):
            other = "" if precision == "fp32" else " Export it in fp32, or train it longer: it is unsure of too many pixels."
            raise EngineError("parity", f"In {precision} the network does not say what it says in torch: {wrong}.{other}")
    return {
        "of": "the network in torch (float32, CPU) and the exported one in onnxruntime (CPU)",
        "random": as_written(on_random, len(random.tiles)),
        "samples": as_written(on_samples, len(real.tiles)) if on_samples and real else None,
        "refused_beyond": {field.name: getattr(limits, field.name) for field in fields(limits)},
        "definitions": {
            "random": "patches and noise within the range of the training samples, with holes, without the last bands, of two sizes",
            "samples": "middles of samples, one tile each: validation samples where there are any",
            "largest_difference": "of two probabilities of a pixel",
            "refused_beyond": "fp32 may differ by ten times what the network's own float32 and float64 differ by, where that is more",
            "flipped_share": "of the pixels: on the other side of the threshold",
            "iou": "of rock glacier, over all these pixels together, in torch (before) and in onnxruntime (after)",
        },
    }


def _onnx_look(model: ModelProto) -> Look:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def look(stacks: Array) -> Array:
        return np.asarray(session.run(["probability"], {"stack": stacks})[0][:, 0], np.float32)

    return look


def _about(job: ExportNetworkJob, trained: TrainedNetwork, parity: dict[str, Any], made: Made) -> dict[str, Any]:
    """What the card says beside the numbers that the engine reads; what is not known is said not to be."""
    about = {name: value for name, value in trained.about.items() if name != "licence"}
    return {
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "training": UNKNOWN,
        "training_data": [{"what": UNKNOWN, "source": UNKNOWN, "licence": UNKNOWN}],
        "scores": UNKNOWN,
        "limits": [
            "Every outline needs a look by a person who knows rock glaciers.",
            "How it does on ground, imagery and seasons unlike those of its training data is unknown; expect worse than its scores.",
            f"It was made for pixels of {trained.gsd_m:g} m; other imagery is resampled to them.",
            "Snow, cloud and deep shadow hide rock glaciers from it.",
        ],
        **about,
        "computes_in": {"precision": job.precision, "what": MADE[job.precision], **made.said},
        "export": {
            "command": _command(job),
            "from": Path(job.checkpoint).name,
            "versions": {
                "rock glacier mapper": __version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
            },
        },
    }


def _command(job: ExportNetworkJob) -> str:
    """The job as it is typed, files and folders without where they lie."""
    words = ["rock-glacier", "export", Path(job.checkpoint).name, Path(job.output).name]
    default = ExportNetworkJob("", "")
    for field in fields(job)[2:]:
        if (value := getattr(job, field.name)) != getattr(default, field.name):
            words += [f"--{field.name}", Path(value).name if field.name == "samples" else f"{value}"]
    return shlex.join(words)


def _qualified(card: ModelCard, device: str) -> dict[str, Any]:
    """Run Detect with a model folder on a small stack whose edge is not observed, and say what ran.

    Raises
    ------
    EngineError
        ``qualification`` when the result is none; those of :func:`engine.detect.detect`.
    """
    side = card.tile_px + card.tile_px // 2
    collar = card.tile_px // 4
    with tempfile.TemporaryDirectory() as folder:
        stack, probability = Path(folder, "stack.tif"), Path(folder, "probability.tif")
        transform = Affine(card.gsd_m, 0, 500_000, 0, -card.gsd_m, 5_000_000)
        with rasters.write_geotiff(stack, Grid(UTM, transform, side, side), card.bands) as dataset:
            dataset.write(_synthetic_stack(card, side, collar))
        result = detect(
            DetectJob(
                str(stack), str(Path(folder, "tiles.gpkg")), probability=str(probability), model=str(card.folder), device=device, overlap=0
            ),
            SilentReporter(),
        )
        with rasterio.open(probability) as dataset:
            values = dataset.read(1)
    observed = np.isfinite(values)
    if observed[:, :collar].any() or not observed[:, collar:].all():
        raise EngineError(
            "qualification", f"In Detect the model gives probabilities where nothing was observed, or none elsewhere ({device})."
        )
    tiles = result["tiles"] - result["tiles_skipped"]
    return {
        "device": result["device_used"],
        "providers": open_network(card, device, 1, SilentReporter()).session.get_providers(),
        "tile_px": card.tile_px,
        "tiles": tiles,
        "tiles_per_second": float(f"{tiles / result['seconds_in_network']:.3g}"),
        "stack": f"{side} x {side} pixels, patches and noise, {collar} columns without data",
        "probability": [float(f"{values[observed].min():.4g}"), float(f"{values[observed].max():.4g}")],
    }


def _synthetic_stack(card: ModelCard, side: int, collar: int) -> Array:
    """(bands, side, side) values as its training samples have, nothing in the first columns."""
    rng = np.random.default_rng(2)
    normalisation = card.document["normalisation"]
    patches = rng.random((side // 8 + 1, side // 8 + 1)).repeat(8, axis=0).repeat(8, axis=1)[:side, :side]
    stack = np.empty((len(card.bands), side, side), np.float32)
    for values, band in zip(stack, card.bands, strict=True):
        low, high = normalisation["minimum"][band], normalisation["maximum"][band]
        values[:] = low + (high - low) * (0.8 * patches + 0.2 * rng.random((side, side)))
        if band in REFLECTANCE:
            values.clip(0, 1, out=values)
    stack[:, :, :collar] = np.nan
    return stack
