#!/usr/bin/env python3
"""The learning curve of ``rock-glacier adapt``: class IoU on other places of a region, before and after, by the number of places given.

    python benchmarks/benchmark_adaptation.py --data ../shared/data/chile_andes --models FOLDER [--places 1 3 5 10] [--draws 3]

FOLDER holds a model folder for each region (A, B, C, D) that was trained without it. A place is a chip with those that show nearly the
same ground (of the chips that share ground with either, at least 0.7 share it with both); places are drawn at random around chips with
little snow. Scored are the chips with little snow that share no ground with those that were given, as ``overlaps.csv`` lists it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from engine.evaluate import evaluate  # noqa: E402
from engine.reporting import SilentReporter  # noqa: E402
from jobs import AdaptJob, EvaluateNetworkJob  # noqa: E402
from model.adapt import adapt  # noqa: E402
from model.samples import LOW_SNOW, Chip, read_chips, read_overlaps  # noqa: E402

ALIKE = 0.7
FEWEST_SCORED = 8
TRIES = 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--regions", nargs="+", default=["A", "B", "C", "D"])
    parser.add_argument("--places", nargs="+", type=int, default=[1, 3, 5, 10])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--negatives", type=int, default=0, help="chips without rock glaciers to give as well")
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {arguments.minutes:g} minutes each")
    print(f"{'places':>6} {'region':>6} {'draw':>4} {'given':>5} {'scored':>6} {'before':>7} {'after':>7} {'gain':>7}  chosen, minutes")
    for count in arguments.places:
        gains = [gain for region in arguments.regions if (gain := of_region(region, count, arguments)) is not None]
        if gains:
            print(f"{count:>6} mean over {len(gains)} regions: gain {np.mean(gains):+.3f}, worst region {min(gains):+.3f}", flush=True)


def of_region(region: str, count: int, arguments: argparse.Namespace) -> float | None:
    """Mean gain over the draws of a region; None where it has not enough places."""
    gains = []
    for draw, (given, scored) in enumerate(draws(arguments.data, region, count, arguments.draws)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part, chips in (("given", given), ("scored", scored)):
                link(arguments.data, chips, folder / part)
            negatives = sorted((arguments.data / "negative").glob("*.png"))[: arguments.negatives]
            if negatives:
                (folder / "negatives").mkdir()
                for path in negatives:
                    (folder / "negatives" / path.name).symlink_to(path.resolve())
            job = AdaptJob(
                output=str(folder / "own"),
                model=str(arguments.models / region),
                images=str(folder / "given" / "images"),
                masks=str(folder / "given" / "masks"),
                negatives=str(folder / "negatives") if negatives else None,
                minutes=arguments.minutes,
                seed=draw + 1,
            )
            found = adapt(job, SilentReporter())
            before, after = (iou(model, folder / "scored") for model in (str(job.model), str(job.output)))
        gains.append(after - before)
        print(
            f"{count:>6} {region:>6} {draw + 1:>4} {len(given):>5} {len(scored):>6} {before:>7.3f} {after:>7.3f} {after - before:>+7.3f}  "
            f"{found['chosen']}, {found['minutes']:.1f}",
            flush=True,
        )
    return float(np.mean(gains)) if gains else None


def draws(data: Path, region: str, count: int, most: int) -> Iterator[tuple[list[str], list[str]]]:
    """Chips to give, and chips to score, of random draws of ``count`` places."""
    chips: list[Chip] = [chip for chip in read_chips(data) if chip.region == region]
    near: dict[str, set[str]] = {chip.name: {chip.name} for chip in chips}
    for a, b in read_overlaps(data):
        if a in near and b in near:
            near[a].add(b)
            near[b].add(a)
    low = [chip.name for chip in chips if chip.snow < LOW_SNOW]
    random = np.random.default_rng((0, ord(region[0]), count))
    made = 0
    for _ in range(TRIES):
        given: set[str] = set()
        places = 0
        for seed in random.permutation(low):
            if seed not in given:
                given |= {name for name in near[seed] if len(near[seed] & near[name]) >= ALIKE * len(near[seed] | near[name])}
                places += 1
            if places == count:
                break
        reached = set().union(*(near[name] for name in given))
        scored = [name for name in low if name not in reached]
        if places == count and len(scored) >= FEWEST_SCORED:
            made += 1
            yield sorted(given), scored
        if made == most:
            return


def link(data: Path, chips: list[str], folder: Path) -> None:
    for name, source in (("images", "positive"), ("masks", "mask")):
        (folder / name).mkdir(parents=True)
        for chip in chips:
            (folder / name / f"{chip}.png").symlink_to((data / source / f"{chip}.png").resolve())


def iou(model: str, folder: Path) -> float:
    job = EvaluateNetworkJob(model=model, images=str(folder / "images"), masks=str(folder / "masks"))
    return float(evaluate(job, SilentReporter())["pixels"]["rock_glacier"]["iou"] or 0.0)


if __name__ == "__main__":
    main()
