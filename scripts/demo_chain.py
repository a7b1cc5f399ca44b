"""Run the chain on one scene through ``qgis_process`` and tell what came out: ``demo_chain.py SCENE FOLDER [--permafrost FILE] ...``.

The outputs take their names in FOLDER when every step was done; a failed run leaves what is there untouched.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OUTPUTS = ("stack.tif", "probability.tif", "tile_polygons.gpkg", "outlines.gpkg", "map.png")
NOISE = ("QStandardPaths:", "ERROR:\tAn error was encountered while checking parameter values")
"""How lines begin that QGIS adds to the words that matter."""


class StepFailed(Exception):
    """A step ended without a result; the text is the engine's own."""


class Chain:
    """The steps of a demo, with the seconds that each of them took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, step: str, doing: str, algorithm: str, **inputs: Any) -> dict[str, Any]:
        """The results of one algorithm.

        Raises
        ------
        StepFailed
            with what ``qgis_process`` said.
        """
        with self._timed(step, doing):
            command = ["qgis_process", "--json", "run", algorithm, "-"]
            done = subprocess.run(command, input=json.dumps({"inputs": inputs}), capture_output=True, text=True, check=False)
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = {}
        if done.returncode != 0 or "results" not in answer:
            raise StepFailed(what_went_wrong(answer, done.stderr))
        results: dict[str, Any] = answer["results"]
        return results

    def draw(self, *arguments: str | Path) -> None:
        """Draw the map.

        Raises
        ------
        StepFailed
            with what QGIS said.
        """
        with self._timed("map", "Drawing the map"):
            command = [sys.executable, Path(__file__).with_name("demo_map.py"), *arguments]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StepFailed(what_went_wrong({}, done.stderr))

    @contextmanager
    def _timed(self, step: str, doing: str) -> Iterator[None]:
        start = time.monotonic()
        with said(doing):
            yield
        self.seconds[step] = time.monotonic() - start


@contextmanager
def said(doing: str) -> Iterator[None]:
    """A line on standard error that says what is being done; at a terminal it counts the seconds."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{doing} ...\n")
        sys.stderr.flush()
        yield
        return
    ended = threading.Event()

    def count() -> None:
        start = time.monotonic()
        while True:
            sys.stderr.write(f"\r{doing} ... {time.monotonic() - start:.0f} s ")
            sys.stderr.flush()
            if ended.wait(1.0):
                sys.stderr.write("\n")
                return

    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    try:
        yield
    finally:
        ended.set()
        counter.join()


def what_went_wrong(answer: dict[str, Any], stderr: str) -> str:
    """The error's own words in an answer of ``qgis_process``, without what Qt says about itself."""
    logged = answer.get("log", {}).get("errors", [])
    lines = [str(entry.get("message", entry) if isinstance(entry, dict) else entry) for entry in logged] or stderr.splitlines()
    kept = [line.strip().removeprefix("ERROR:").strip() for line in lines if line.strip() and not line.startswith(NOISE)]
    return "\n".join(dict.fromkeys(kept)) or "qgis_process ended without a word."


def run_chain(options: argparse.Namespace, workplace: Path) -> list[str]:
    """Run the steps, their outputs in ``workplace``; the summary's lines."""
    stack, probability, tile_polygons, outlines, drawn = (workplace / name for name in OUTPUTS)
    chain = Chain()
    chain.run("prepare", "Preparing the spectral stack", "rockglacier:preparespectralstack", INPUT=str(options.scene), OUTPUT=str(stack))
    detected = chain.run(
        "detect",
        "Detecting rock glaciers",
        "rockglacier:detectrockglaciers",
        INPUT=str(stack),
        OUTPUT=str(tile_polygons),
        PROBABILITY=str(probability),
    )
    permafrost = (
        {"PERMAFROST": str(options.permafrost), "PERMAFROST_CLASSES": "1", "PERMAFROST_ACTION": "flag"} if options.permafrost else {}
    )
    mapped = chain.run(
        "post-process",
        "Post-processing the polygons",
        "rockglacier:postprocesspolygons",
        INPUT=str(tile_polygons),
        OUTPUT=str(outlines),
        PROBABILITY=str(probability),
        **({"DEM": str(options.dem)} if options.dem else {}),
        **permafrost,
    )
    manual = ["--manual", options.manual, "--manual-name", options.manual_name] if options.manual else []
    chain.draw(stack, outlines, drawn, "--title", options.title, "--source", options.source, *manual)
    timings = ", ".join(f"{step} {seconds:.1f}" for step, seconds in chain.seconds.items())
    return [
        f"Rock glaciers  {mapped['COUNT']:.0f} outlines, {mapped['TOTAL_AREA']:.3f} km2 "
        f"(from {detected['COUNT']:.0f} polygons in {detected['TILES']:.0f} tiles)",
        f"Device         {detected['DEVICE_USED']}",
        f"Seconds        {timings}; {sum(chain.seconds.values()):.1f} in all",
        f"Files          {', '.join(OUTPUTS)} in {options.folder}",
    ]


def main() -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description="Run the chain on one scene through qgis_process.")
    parser.add_argument("scene", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--permafrost", type=Path, help="permafrost raster, class 1")
    parser.add_argument("--dem", type=Path, help="elevation model")
    parser.add_argument("--manual", type=Path, help="outlines to draw beside those found")
    parser.add_argument("--manual-name", default="Manual outlines")
    parser.add_argument("--title", required=True)
    parser.add_argument("--source", required=True)
    options = parser.parse_args()
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        workplace = Path(tempfile.mkdtemp(prefix=".demo-", suffix=".part", dir=options.folder))
    except OSError as error:
        sys.stderr.write(f"Error: {options.folder} may not be written: {error.strerror}.\n")
        return 1
    try:
        summary = run_chain(options, workplace)
        for name in OUTPUTS:
            (workplace / name).replace(options.folder / name)
    except StepFailed as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nCancelled.\n")
        return 130
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    sys.stdout.write("\n".join(summary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
