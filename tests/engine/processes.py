"""The engine as a real child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import Job, to_json

ROOT = Path(__file__).resolve().parents[2]


class Answer:
    """What the engine answered: exit ``status``, ``messages`` in order, the ``last`` of them, standard ``error``."""

    def __init__(self, status: int, output: str, error: str) -> None:
        self.status, self.error = status, error
        self.messages: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
        self.last = self.messages[-1]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]


def engine_process(*arguments: str, limits: Callable[[], None] | None = None, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "engine"), *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, encoding="utf-8", preexec_fn=limits, **pipes | options)  # noqa: PLW1509 no threads


def run_job(job: Job | str, limits: Callable[[], None] | None = None) -> Answer:
    """Run one job as QGIS does; standard input stays open until the engine is done."""
    process = engine_process("run", limits=limits)
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write((job if isinstance(job, str) else to_json(job)) + "\n")
    process.stdin.flush()
    output = process.stdout.read()
    status = process.wait(60)
    process.stdin.close()
    return Answer(status, output, process.stderr.read())
