"""What precisions and storages of a network cost: size, seconds to load, milliseconds for a tile, and IoU on chips.

    python benchmarks/benchmark_export.py MODEL_FOLDER ... [--tile 352] [--runs 20] [--threads 1]
        [--images chips/positive --masks chips/mask] [--negatives chips/negative]

The models take turns, tile by tile, so that what else runs on the machine slows all of them alike; the fastest run and the median count.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.card import ModelCard, read_card
from engine.evaluate import evaluate
from engine.reporting import SilentReporter
from jobs import EvaluateNetworkJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--tile", type=int, default=352)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images")
    parser.add_argument("--masks")
    parser.add_argument("--negatives")
    options = parser.parse_args()
    cards = [read_card(folder) for folder in options.models]
    opened = [session(card, options.threads) for card in cards]
    times = np.array(
        [[seconds(one, card, options.tile) for (one, _), card in zip(opened, cards, strict=True)] for _ in range(options.runs)]
    )
    print(f"{'model':<28}{'precision':>10}{'storage':>9}{'MB':>8}{'load s':>8}{'ms min':>9}{'ms median':>11}{'IoU':>9}")
    for card, (_, loading), tile_times in zip(cards, opened, times.T * 1000, strict=True):
        said = card.document
        storage = said.get("storage", {}).get("kind", "-")
        size = card.network.stat().st_size / 1e6
        iou = f"{measured_iou(card, options):.4f}" if options.images else "-"
        print(
            f"{card.name:<28}{said.get('precision', 'fp32'):>10}{storage:>9}{size:>8.2f}{loading:>8.2f}"
            f"{tile_times.min():>9.1f}{np.median(tile_times):>11.1f}{iou:>9}"
        )


def session(card: ModelCard, threads: int) -> tuple[onnxruntime.InferenceSession, float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    started = time.perf_counter()
    opened = onnxruntime.InferenceSession(card.network, options, providers=["CPUExecutionProvider"])
    return opened, time.perf_counter() - started


def seconds(opened: onnxruntime.InferenceSession, card: ModelCard, tile: int) -> float:
    stack = np.random.default_rng(1).random((1, len(card.bands), tile, tile), dtype=np.float32)
    started = time.perf_counter()
    opened.run(None, {"stack": stack})
    return time.perf_counter() - started


def measured_iou(card: ModelCard, options: argparse.Namespace) -> float:
    job = EvaluateNetworkJob(model=str(card.folder), images=options.images, masks=options.masks, negatives=options.negatives, device="cpu")
    iou: float = evaluate(job, SilentReporter())["pixels"]["rock_glacier"]["iou"]
    return iou


if __name__ == "__main__":
    main()
