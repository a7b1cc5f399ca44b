"""How the review dock bears a session of many outlines: a real QGIS window on a virtual display.

    python benchmarks/benchmark_review_dock.py [--outlines 44000] [--session FOLDER]

The session of benchmark_review.py; --session takes the folder that its --keep left. Opening is timed from the dock's own command until
the first outline is shown and the map has its place; the next outline from the action until the map has moved, the rendering apart;
a decision from the call until its row is in the journal. Memory is what the process holds more than before the session was opened, most
of it at any time until a hundred outlines were shown: first without the map's rendering, then the same session with it. QGIS of the
system, packages of the engine's tests.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from qgis_window import ROOT, Window, lacking, run_in_qgis, work_in_qgis

LONGEST_S = 900
STEPS = 50


def main() -> None:
    """Make the session where none is given, open it in QGIS, print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlines", type=int, default=44_000)
    parser.add_argument("--session", type=Path, help="folder that benchmark_review.py --keep left")
    options = parser.parse_args()
    if lacking():
        sys.exit(f"Error: this needs {lacking()}.")
    with tempfile.TemporaryDirectory() as name:
        folder = options.session or Path(name, "session")
        if options.session is None:
            command = [sys.executable, str(ROOT / "benchmarks" / "benchmark_review.py"), "--outlines", str(options.outlines)]
            subprocess.run([*command, "--keep", str(folder)], check=True)
        profile = Path(name, "qgis")
        profile.mkdir()
        _, report = run_in_qgis(Path(__file__), {"session": str((folder / "review.gpkg").resolve())}, profile, LONGEST_S)
    sys.stdout.write(report)


def resident_mb() -> float:
    """Memory that this process holds, in MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def walk(window: Window, dock: Any, log: list[str]) -> float:
    """Go to the next outline, and decide, fifty times each; most memory meanwhile, MB."""
    window.rest(5)
    most = resident_mb()
    for what, name in (("next outline", "next"), ("decision (accept, and on to the next)", "accept")):
        taken = []
        for _ in range(STEPS):
            shown = dock.review.current
            started = time.perf_counter()
            dock.commands[name].trigger()
            taken.append(1000 * (time.perf_counter() - started))
            if dock.review.current == shown:
                raise RuntimeError(f"{name} does not go on")
            window.rest(0.3)
            most = max(most, resident_mb())
        log.append(f"{what}: {statistics.median(taken):.0f} ms, longest of {STEPS} {max(taken):.0f} ms")
    return most


def measure(order: dict[str, Any], log: list[str]) -> None:
    """Inside QGIS: open, walk, decide."""
    window = Window()
    window.plugin.show_review()
    dock = window.plugin._dock
    window.rest(2)
    canvas = window.iface.mapCanvas()
    canvas.setRenderFlag(False)
    before = resident_mb()
    started = time.perf_counter()
    dock.open_session(Path(order["session"]))
    seconds = time.perf_counter() - started
    if not dock.review or not dock.review.current:
        raise RuntimeError("no outline is shown")
    log.append(f"{dock.review.queue.total} outlines, first one shown after {seconds:.2f} s")
    log.append(f"memory: {before:.0f} MB before, {walk(window, dock, log) - before:.0f} MB more at most, rendering apart")
    canvas.setRenderFlag(True)
    log.append("with the map's rendering:")
    log.append(f"memory: {walk(window, dock, log) - before:.0f} MB more at most")
    written = []
    for _ in range(STEPS):
        uid = dock.review.current
        started = time.perf_counter()
        dock.review.mark_uncertain([uid])
        written.append(1000 * (time.perf_counter() - started))
        window.rest(0.05)
    log.append(f"decision written to disk: {statistics.median(written):.1f} ms, longest of {STEPS} {max(written):.1f} ms")
    started = time.perf_counter()
    uids = [dock.review.queue.uid_at(row) for row in range(len(dock.review.queue))]
    dock.review.accept(uids)
    log.append(f"accepting all {len(uids)} at once: {time.perf_counter() - started:.1f} s; memory {resident_mb() - before:.0f} MB more")
    started = time.perf_counter()
    dock.review.undo()
    log.append(f"undoing that: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    dock.close_session()
    log.append(f"saving and closing: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
elif __name__ == "inside_qgis":
    work_in_qgis(ORDER, measure)  # noqa: F821 given by the start-up script
