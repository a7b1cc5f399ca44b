"""A review in a real QGIS window by keyboard and mouse: ``python3 tests/plugin/review_in_window.py FOLDER [--theme "Night Mapping"]``.

Opens the sample session by the dock's button, judges ten outlines, edits a boundary, splits an outline, undoes, closes, opens again and
finishes. Pictures go to FOLDER, what was seen is checked as it is seen. ``test_review_end_to_end`` runs the same.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

SCRIPTS = str(Path(__file__).resolve().parents[2] / "scripts")
if SCRIPTS not in sys.path:
    sys.path.insert(0, SCRIPTS)

from qgis_window import ROOT, lacking, run_in_qgis, work_in_qgis  # noqa: E402 found there
from review_window import JOB_S, OPENING_S, ReviewWindow  # noqa: E402

SAMPLE = ROOT / "resources" / "sample"
LONGEST_S = 120


class Reviewer(ReviewWindow):
    """The parts of the review."""

    def judge_ten(self) -> dict[str, str]:
        """Ten outlines with the keys for each decision; what they are then, by uid."""
        expected = {}
        self.canvas.setFocus()
        steps = (
            ("A", "accepted"),
            ("U", "uncertain"),
            ("2", "rejected"),
            ("X 5", "rejected"),
            ("A", "accepted"),
            ("A", "accepted"),
            ("A", "accepted"),
            ("X 1", "rejected"),
            ("A", "accepted"),
            ("A", "accepted"),
        )
        for keys, status in steps:
            uid = self.review.current
            if keys == "X 5":
                self.press("X")
                self.picture("reasons")
                self.press("5")
            else:
                self.press(keys)
            expected[uid] = status
            self.expect(lambda uid=uid, status=status: self.status(uid) == status, 3, f"{keys} does not make an outline {status}")
            self.expect(lambda uid=uid: self.review.current != uid, 3, "a decision does not lead on")
        reasons = {self.review.queue.get(uid)["reason"] for uid in expected} - {None}
        assert reasons == {"moraine", "solifluction", "debris-covered glacier"}, reasons
        return expected

    def edit_one(self) -> str:
        """Move a vertex of the current outline with QGIS's vertex tool; the outline's uid."""
        uid = self.review.queue.next_uid(self.review.current, 1, True)
        self.go_to(uid)
        before = self.review.outline(uid)
        self.press("E")
        self.rest(1)
        corner = max(before.vertices(), key=lambda vertex: vertex.x())
        self.picture("editing")
        self.click(corner.x(), corner.y())
        self.click(corner.x() + 40, corner.y() + 10)
        self.expect(lambda: not self.review.outline(uid).equals(before), 5, "the vertex tool moved nothing")
        self.expect(lambda: self.status(uid) == "edited", 3, "an outline whose vertex was moved is not edited")
        self.rest(1)
        self.picture("edited")
        self.press("Escape Escape")
        self.expect(lambda: not self.dock.commands["edit"].isChecked(), 3, "Escape twice does not leave the edit")
        return uid

    def split_one(self) -> tuple[str, list[str]]:
        """Cut the largest outline along a line that is drawn across it; its uid and the new ones."""
        queue = self.review.queue
        rows = [queue.row_at(position) for position in range(len(queue))]
        uid = max((row for row in rows if row["source"] == "predicted"), key=lambda row: row["area_km2"])["uid"]
        self.go_to(uid)
        known = {row["uid"] for row in rows}
        self.press("K")
        self.rest(4)  # proposals come from the engine
        self.picture("split")
        box = self.review.outline(uid).boundingBox()
        middle, beyond = box.center().y(), 0.1 * box.width()
        self.click(box.xMinimum() - beyond, middle + 7)
        self.click(box.xMaximum() + beyond, middle + 7)
        self.canvas.setFocus()
        self.press("Return")
        self.expect(lambda: self.review.queue.total > len(known), 5, "the line cuts nothing")
        self.press("K")
        new = [queue.uid_at(position) for position in range(len(queue)) if queue.uid_at(position) not in known]
        self.picture("parts")
        return uid, new


def begin(order: dict[str, Any], log: list[str]) -> Reviewer:
    reviewer = Reviewer(Path(order["pictures"]))
    reviewer.open_dock()
    assert_keys_are_ours(reviewer.main)
    return reviewer


def assert_keys_are_ours(window: Any) -> None:
    """No other action of QGIS's window has a key of the review."""
    from qgis.PyQt.QtWidgets import QAction, QShortcut  # noqa: PLC0415

    ours, others = set(), set()
    for action in window.findChildren(QAction):
        is_ours = action.objectName().startswith("rockGlacierReview")
        (ours if is_ours else others).update(key.toString() for key in action.shortcuts())
    others.update(shortcut.key().toString() for shortcut in window.findChildren(QShortcut))
    assert {"A", "X", "E", "1", "8"} <= ours and not ours & others, ours & others


def review(order: dict[str, Any], log: list[str]) -> None:
    """The whole way in one QGIS."""
    from qgis.core import QgsProject  # noqa: PLC0415

    reviewer = begin(order, log)
    reviewer.picture("start")
    reviewer.open_sample()
    reviewer.picture("opened")
    expected = reviewer.judge_ten()
    reviewer.picture("judged")
    expected[reviewer.edit_one()] = "edited"
    uid, parts = reviewer.split_one()
    reviewer.canvas.setFocus()
    reviewer.press("Z")
    reviewer.expect(lambda: not any(part in reviewer.review.queue for part in parts), 3, "undo does not take the split back")
    reviewer.press("V F")
    reviewer.rest(4)
    reviewer.picture("views")
    reviewer.press("V F")
    position = reviewer.review.current
    session = reviewer.review.path
    reviewer.dock.commands["close"].trigger()
    assert reviewer.review is None and not QgsProject.instance().mapLayers(), "something is left of a closed session"
    reviewer.dock.start_page._recent.itemActivated.emit(reviewer.dock.start_page._recent.item(0))
    reviewer.expect(lambda: reviewer.review is not None, OPENING_S, "the session does not open again")
    assert reviewer.review.path == session and reviewer.review.current == position, "it does not open where it was"
    states = {uid: reviewer.status(uid) for uid in expected}
    assert states == expected, f"decisions changed: {states}, {expected}"
    reviewer.picture("reopened")
    finish(reviewer)
    log.append(f"{len(expected)} outlines judged, session {session}")


def finish(reviewer: Reviewer) -> None:
    """Write the results with the dialog."""
    from qgis.PyQt.QtWidgets import QDialog  # noqa: PLC0415

    reviewer.dock.commands["finish"].trigger()
    dialog = next(dialog for dialog in reviewer.dock.findChildren(QDialog) if dialog.isVisible())
    reviewer.rest(0.5)
    dialog.grab().save(str(reviewer.folder / "finish.png"))
    dialog.run_button.click()
    reviewer.expect(lambda: not dialog.bar.is_busy, JOB_S, "finishing does not end")
    reviewer.rest(0.3)
    dialog.grab().save(str(reviewer.folder / "finished.png"))
    inventory = Path(dialog._folder.filePath(), "inventory.gpkg")
    assert inventory.is_file(), dialog._outcome.text()
    dialog.close()


def killed(order: dict[str, Any], log: list[str]) -> None:
    """Decide, begin an edit, and be killed in the middle of it; what was decided is in the pictures' folder."""
    reviewer = begin(order, log)
    reviewer.open_sample()
    reviewer.canvas.setFocus()
    uid = reviewer.review.current
    reviewer.press("A E")
    Path(order["pictures"], "decided.txt").write_text(uid)
    os.kill(os.getpid(), signal.SIGKILL)


def quit_qgis(order: dict[str, Any], log: list[str]) -> None:
    """Decide, and close QGIS's window with the session open and a boundary being edited."""
    reviewer = begin(order, log)
    reviewer.open_sample()
    reviewer.canvas.setFocus()
    uid = reviewer.review.current
    reviewer.press("A E")
    Path(order["pictures"], "decided.txt").write_text(uid)


def after(order: dict[str, Any], log: list[str]) -> None:
    """Open the session again."""
    reviewer = begin(order, log)
    reviewer.open_sample()
    uid = Path(order["pictures"], "decided.txt").read_text()
    assert reviewer.status(uid) == "accepted", reviewer.status(uid)
    is_restored = any("restored" in text for text in reviewer.said())
    assert is_restored == order["restored"], reviewer.said()
    reviewer.picture("restored")
    reviewer.dock.close_session()


PARTS = {"review": review, "killed": killed, "quit": quit_qgis, "after": after}


def work(order: dict[str, Any], log: list[str]) -> None:
    """Inside QGIS."""
    PARTS[order["part"]](order, log)


def run(part: str, pictures: Path, profile: Path, engine: str = "", theme: str = "", restored: bool = False) -> tuple[bool, str]:
    """A part of the review in a QGIS of its own, with a user folder of its own beside the profile."""
    settings = f"[rock_glacier_mapper]\nengine_python={engine}\n" if engine else ""
    settings += f"[UI]\nUITheme={theme}\n" if theme else ""
    pictures.mkdir(parents=True, exist_ok=True)
    order = {"part": part, "pictures": str(pictures.resolve()), "quit": part == "quit", "restored": restored}
    temporary = profile / "tmp"  # what is in the system's own folder for such QGIS takes for temporary layers, and asks about
    temporary.mkdir(parents=True, exist_ok=True)
    variables = {"XDG_DATA_HOME": str(profile / "user"), "TMPDIR": str(temporary)}
    return run_in_qgis(Path(__file__), order, profile, LONGEST_S, settings, variables)


def checksums() -> dict[str, str]:
    """Of the sample as it ships."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(SAMPLE.rglob("*")) if path.is_file()}


def main() -> int:
    """Run the whole review; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--theme", default="")
    parser.add_argument(
        "--engine", default=str(Path.home() / ".local/share/rock-glacier-mapper/engine/bin/python"), help="the engine's Python"
    )
    options = parser.parse_args()
    if lacking():
        sys.exit(f"Error: this needs {lacking()}.")
    with tempfile.TemporaryDirectory() as profile:
        done, report = run("review", options.pictures, Path(profile), options.engine, options.theme)
    sys.stdout.write(report)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "inside_qgis":
    work_in_qgis(ORDER, work)  # noqa: F821 given by the start-up script
