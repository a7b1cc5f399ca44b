"""A program in the engine's place: ``false_engine.py BEHAVIOUR FOLDER POLYGONS ENGINE run``.

It keeps the job in FOLDER/job.json, all jobs in FOLDER/jobs.jsonl, and its environment in FOLDER/environment.json, then behaves as told: by
FOLDER/behaviours.json where that has the command, else by BEHAVIOUR. FOLDER/results.json may hold more of the results, by command.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any


def say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def of_command(path: Path, command: str, otherwise: Any) -> Any:
    return json.loads(path.read_text()).get(command, otherwise) if path.exists() else otherwise


def main(behaviour: str, folder: Path, polygons: str) -> int:
    job = json.loads(sys.stdin.readline())
    (folder / "job.json").write_text(json.dumps(job))
    with (folder / "jobs.jsonl").open("a") as file:
        file.write(json.dumps(job) + "\n")
    behaviour = of_command(folder / "behaviours.json", job["command"], behaviour)
    (folder / "environment.json").write_text(json.dumps(dict(os.environ)))
    say(type="progress", percent=10.0, text="Starting")
    if behaviour == "garbage":
        print("Traceback? No: a library that talks.\n{broken json\n[1, 2]", flush=True)
    elif behaviour == "error":
        say(type="error", code="no_crs", text="scene.tif has no coordinate reference system.")
        return 1
    elif behaviour == "killed":
        print("out of memory, probably", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour == "silent":
        print("nobody expected this", file=sys.stderr, flush=True)
        return 3
    elif behaviour == "slow":
        say(type="progress", percent=20.0, text="Working")
        sys.stdin.read()
        (folder / "cancelled").touch()
        say(type="error", code="cancelled", text="Cancelled.")
        return 130
    elif behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(type="progress", percent=20.0, text="Working")
        time.sleep(600)
    elif behaviour == "verbose":
        for number in range(20_000):
            say(type="info", text=f"line {number} " + "x" * 80)
    for number in range(1, 4):
        say(type="progress", percent=20.0 + 20 * number, text=f"tile {number} of 3")
    say(type="info", text="auto: taken as Sentinel-2 L2A")
    say(type="warning", code="clipped", text="A few pixels are brighter than 1.")
    model = Path({"train": job.get("model"), "export": job.get("output"), "adapt": job.get("output")}.get(job["command"]) or folder)
    if model != folder:
        model.mkdir(parents=True, exist_ok=True)
        (model / "model.json").write_text('{"title": "of one\'s own"}')
    for name in ("output", "probability"):
        if job.get(name) and job["command"] not in ("train", "export", "adapt", "mine_hard_negatives"):
            shutil.copy(polygons, job[name]) if name == "output" and polygons else Path(job[name]).write_bytes(b"II*\0")
    result = {"count": 3, "tiles": 9, "device_used": "CPU", "total_area_km2": 0.14, "restricted_count": 0, "output": job.get("output")}
    result |= of_command(folder / "results.json", job["command"], {})
    print(json.dumps({"type": "result", "result": result}), end="" if behaviour == "no_newline" else "\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
