"""Take the picture of the training curves in a real QGIS window: ``python scripts/screenshot_training.py TRAINING [PICTURE]``.

Run it with the engine's Python. TRAINING is the folder of a training; PICTURE the one in resources/help where none is named.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from qgis_window import ROOT, Window, lacking, run_in_qgis, work_in_qgis
from screenshot_review import shrink

LONGEST_S = 120
WIDTH, HEIGHT = 760, 640
MARKED = 0.75
"""Share of the steps where the values are read."""


def work(order: dict[str, Any], log: list[str]) -> None:
    """Inside QGIS."""
    window = Window()
    window.choose("Training curves")
    curves = window.plugin._curves
    curves.resize(WIDTH, HEIGHT)
    os.chdir(Path(order["training"]).parent)
    curves.show_training(Path(order["training"]).name)  # pictures show no path of this computer
    for chart in curves.charts.values():
        chart.mark(MARKED * chart._last_x)
    window.rest(1)
    curves.grab().save(order["picture"])


def main() -> int:
    """Start QGIS with this file as its start-up script; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("training", type=Path)
    parser.add_argument("picture", type=Path, nargs="?", default=ROOT / "resources" / "help" / "trainingcurves.png")
    parser.add_argument("--theme", default="", help="of QGIS's window")
    options = parser.parse_args()
    if lacking():
        sys.exit(f"Error: this needs {lacking()}.")
    settings = f"[UI]\nUITheme={options.theme}\n" if options.theme else ""
    with tempfile.TemporaryDirectory() as profile:
        picture = Path(profile, "curves.png")
        order = {"picture": str(picture), "training": str(options.training.resolve())}
        done, report = run_in_qgis(Path(__file__), order, Path(profile, "qgis"), LONGEST_S, settings)
        if done:
            shrink(picture, options.picture)
    sys.stdout.write(report)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "inside_qgis":
    work_in_qgis(ORDER, work)  # noqa: F821 given by the start-up script
