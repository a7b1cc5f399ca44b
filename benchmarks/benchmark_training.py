"""What a step of training takes: seconds, the share that loading samples costs, memory.

    python benchmarks/benchmark_training.py [--network dednet-compact] [--recipe modern] [--crop 256] [--batch-size 8] [--device auto]
        [--precision auto] [--workers 0] [--samples 32] [--side 256] [--epochs 3]

Samples of noise with rectangles are written as *Prepare training samples* writes them, and trained on twice: as they are loaded and changed
for each step, and with one batch that is in memory already. The difference is what waiting for samples costs; the first epoch, with all
that is done once, does not count. Seconds of computing are those of this process, which say more than the clock on a busy machine.
Memory is the peak of this process, or what torch allocated on the GPU.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from engine.reporting import SilentReporter
from engine.sample_files import read_samples
from jobs import TrainJob
from model.loading import Array
from model.training import Hardware, run_training
from model.training_preparation import PreparedTraining, prepared
from tests.model.sample_folders import sample_folder


class Same:
    """A batch that is there already, as often as asked for."""

    def __init__(self, batch: tuple[Array, Array, Array], length: int) -> None:
        self._batch, self._length = batch, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, _: int) -> tuple[Array, Array, Array]:
        return self._batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default=None)
    parser.add_argument("--recipe", default="modern", choices=("modern", "paper"))
    parser.add_argument("--crop", type=int, default=None)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--side", type=int, default=256, help="pixels of a sample; 500 are those of the paper")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    hardware = Hardware(options.device, options.precision, 1, options.workers)
    with tempfile.TemporaryDirectory() as place:
        folder = sample_folder(Path(place) / "samples", "+" * (options.samples // 2) + "-" * (options.samples // 2), "", options.side)
        job = TrainJob(
            str(folder),
            str(Path(place) / "training"),
            network=options.network,
            recipe=options.recipe,
            crop=options.crop,
            batch_size=options.batch_size,
            start="random",
        )
        samples = read_samples(folder)
        task = prepared(job, samples, SilentReporter())
        batches = task.batches(samples, 1, hardware.loaders)
        first, again = loading_seconds(batches, task.recipe.batch_size)
        loaded = seconds_per_step(task, batches, options.epochs, hardware, Path(place) / "loaded")
        memory = peak_memory(hardware)
        ready = seconds_per_step(task, Same(batches[0], len(batches)), options.epochs, hardware, Path(place) / "ready")
    print(f"{task.name}, crop {task.recipe.crop}, batch {task.recipe.batch_size}, {hardware.arithmetic}, {hardware.name}")
    print(f"{hardware.loaders} loading processes, {torch.get_num_threads()} threads")
    for name, (clock, computing) in {"as loaded": loaded, "batch in memory": ready}.items():
        print(f"{name:<16} {clock:.3f} s a step by the clock, {computing:.3f} s of computing")
    print(f"{100 * min(1.0, ready[0] / loaded[0]):.0f} % of the time is the network's")
    print(f"{1000 * first:.0f} ms of computing to read and change a sample, {1000 * again:.0f} ms when it was read before")
    print(f"{memory:.2f} GB at the peak")


def loading_seconds(batches: Any, size: int) -> tuple[float, float]:
    """Seconds for a sample, in this process: first epoch, second epoch."""
    found = []
    for epoch in range(2):
        begin = time.process_time()
        for number in range(len(batches)):
            batches[epoch * len(batches) + number]
        found.append((time.process_time() - begin) / (len(batches) * size))
    return found[0], found[1]


def seconds_per_step(task: PreparedTraining, batches: Any, epochs: int, hardware: Hardware, folder: Path) -> tuple[float, float]:
    """By the clock, of all epochs but the first; of computing, of all."""
    settings = task.recipe.settings(epochs * len(batches), 0.0, 1)
    about = {"name": task.name, "gsd_m": 10.0, "tile_px": task.recipe.crop, "nir": "optional", "training": {}, "training_data": []}
    begin = time.process_time()
    run_training(task.network, batches, settings, folder, SilentReporter(), about=about, hardware=hardware)
    computing = (time.process_time() - begin) / settings.steps
    with open(folder / "epochs.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return (float(rows[-1]["seconds"]) - float(rows[0]["seconds"])) / (int(rows[-1]["step"]) - int(rows[0]["step"])), computing


def peak_memory(hardware: Hardware) -> float:
    """GB."""
    if hardware.on_gpu:
        return torch.cuda.max_memory_allocated() / 1e9
    import resource  # noqa: PLC0415 not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


if __name__ == "__main__":
    main()
