"""Take the pictures of training in a real QGIS window: ``python scripts/screenshot_training.py TRAINING [FOLDER]``.

Run it with the engine's Python. TRAINING is the folder of a training, whose curves are drawn. FOLDER, docs/images where none is named,
receives ``training_curves.png`` and ``training_dialog.png``; resources/help a copy of the first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from qgis_window import ROOT, Window, lacking, run_in_qgis, work_in_qgis
from screenshot_review import shrink

LONGEST_S = 120
HELP_PICTURE = ROOT / "resources" / "help" / "trainingcurves.png"


def work(order: dict[str, Any], log: list[str]) -> None:
    """Inside QGIS."""
    window, folder = Window(), Path(order["folder"])
    window.choose("Training curves")
    curves = window.plugin._curves
    curves.resize(760, 640)
    os.chdir(Path(order["training"]).parent)
    curves.show_training(Path(order["training"]).name)  # pictures show no path of this computer
    steps = curves.charts["loss"]._last_x
    for chart in curves.charts.values():
        chart.mark(0.75 * steps)
    window.rest(1)
    curves.grab().save(str(folder / "training_curves.png"))
    curves.close()
    import processing  # noqa: PLC0415

    dialog = processing.createAlgorithmDialog("rockglacier:trainnetwork", {"SAMPLES": "samples", "OUTPUT": "my_training", "MINUTES": 120})
    dialog.resize(900, 640)
    dialog.show()
    window.rest(1)
    dialog.grab().save(str(folder / "training_dialog.png"))
    dialog.close()


def main() -> int:
    """Start QGIS with this file as its start-up script; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("training", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "docs" / "images")
    parser.add_argument("--theme", default="", help="of QGIS's window")
    options = parser.parse_args()
    if lacking():
        sys.exit(f"Error: this needs {lacking()}.")
    settings = f"[UI]\nUITheme={options.theme}\n" if options.theme else ""
    with tempfile.TemporaryDirectory() as profile:
        pictures = Path(profile, "pictures")
        pictures.mkdir()
        order = {"folder": str(pictures), "training": str(options.training.resolve())}
        user = {"XDG_DATA_HOME": str(Path(profile, "user"))}
        done, report = run_in_qgis(Path(__file__), order, Path(profile, "qgis"), LONGEST_S, settings, user)
        for picture in sorted(pictures.iterdir()):
            shrink(picture, options.folder / picture.name)
    if done and options.folder == ROOT / "docs" / "images":
        shutil.copyfile(options.folder / "training_curves.png", HELP_PICTURE)
    sys.stdout.write(report)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "inside_qgis":
    work_in_qgis(ORDER, work)  # noqa: F821 given by the start-up script
