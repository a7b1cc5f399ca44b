"""How a running command talks: progress, notes, warnings, and the question whether to stop."""

from __future__ import annotations

from typing import Protocol

from engine.errors import Cancelled


class Reporter(Protocol):
    """What a command is given to talk to the person. Implementations are in engine.cli."""

    def progress(self, fraction: float, text: str = "") -> None:
        """Share of the work done, 0-1, and what is being done now.

        Raises Cancelled when the person cancelled, but not at 1: then the outputs have their names already.
        """

    def info(self, text: str) -> None:
        """A fact worth a line in the log."""

    def warning(self, code: str, text: str) -> None:
        """Something that may make the result wrong, with a stable code."""

    def check_cancelled(self) -> None:
        """Raise Cancelled when the person cancelled. Call it between pieces of work of about a second."""


class SilentReporter:
    """Keeps what it is told; for tests and for use as a library. ``cancel_after`` cancels at that progress call."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.infos: list[str] = []
        self.warnings: list[tuple[str, str]] = []
        self.fractions: list[float] = []
        self._cancel_after = cancel_after

    def progress(self, fraction: float, text: str = "") -> None:
        if fraction < 1:
            self.check_cancelled()
        self.fractions.append(fraction)

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warning(self, code: str, text: str) -> None:
        self.warnings.append((code, text))

    def check_cancelled(self) -> None:
        if self._cancel_after is not None and len(self.fractions) >= self._cancel_after:
            raise Cancelled


class StagedReporter:
    """Maps a stage's own 0-1 onto a part of the whole: ``StagedReporter(reporter, 0.2, 0.9)``."""

    def __init__(self, reporter: Reporter, start: float, end: float) -> None:
        self._reporter, self._start, self._span = reporter, start, end - start

    def progress(self, fraction: float, text: str = "") -> None:
        self._reporter.progress(self._start + self._span * fraction, text)

    def info(self, text: str) -> None:
        self._reporter.info(text)

    def warning(self, code: str, text: str) -> None:
        self._reporter.warning(code, text)

    def check_cancelled(self) -> None:
        self._reporter.check_cancelled()
