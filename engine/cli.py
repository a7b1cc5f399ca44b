"""The engine's command line, for people and for programs.

``rock-glacier COMMAND`` for people, the same with ``--json`` for scripts, and ``run``
for QGIS: one job as a line of JSON on standard input, whose end cancels. Nothing heavy is imported before the first
message is out.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import logging
import os
import signal
import sys
import tempfile
import threading
import traceback
import typing
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from engine import __version__
from engine.commands import ABOUT, CHOICES, HELP, METAVARS, MODULES
from engine.errors import Cancelled, EngineError
from engine.packages import require_training_packages, training_missing
from engine.places import models_folder
from engine.terminal import JsonReporter, TerminalReporter
from jobs import JOB_TYPES, Job, from_json

DONE, FAILED, CANCELLED = 0, 1, 130
"""Exit status; argparse adds 2 for wrong usage."""

OWN = {"engine", "jobs", "model"}
"""Packages of this project: where one of them lacks a name, that is its own error, and not mended by installing anything."""

BLOCK_CACHE_BYTES = 128_000_000
"""GDAL would take a share of the machine's memory, and grow into it with the scene."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 1 an error in the words of :class:`EngineError`, 2 wrong usage, 130 cancelled."""
    options = vars(_parser().parse_args(arguments))
    command, in_json = options.pop("command").replace("-", "_"), options.pop("json_lines", True)
    cancelled = threading.Event()
    _quieten_libraries()
    reporter: JsonReporter | TerminalReporter
    if in_json:
        reporter = JsonReporter(_reserved(1, 2), cancelled)
    else:
        log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 as long as the process
        reporter = TerminalReporter(_reserved(1, log.fileno()), _reserved(2, log.fileno()), log, cancelled)
    if command == "run":
        return _execute(lambda: _job_from_stdin(cancelled), reporter, cancelled)
    if "models_folders" in options:
        options["models_folders"] = (*options["models_folders"], str(models_folder()))
    return _execute(lambda: JOB_TYPES[command](**options), reporter, cancelled)


def _execute(get_job: Callable[[], Job], reporter: JsonReporter | TerminalReporter, cancelled: threading.Event) -> int:
    try:
        reporter.progress(0.0, "Starting")
        job = get_job()
        _cancel_on_signals(cancelled)
        result = run_job(job, reporter)
    except EngineError as error:
        reporter.error(error)
        return CANCELLED if isinstance(error, Cancelled) else FAILED
    except KeyboardInterrupt:
        reporter.error(Cancelled())
        return CANCELLED
    except Exception as error:  # noqa: BLE001 the last line of the stream is always a result or an error
        reporter.error(explained(error))
        return FAILED
    reporter.result(job.command, result)
    return DONE


def run_job(job: Job, reporter: Any) -> dict[str, Any]:
    """Check a job's values and run it."""
    from engine.parameters import check_job  # noqa: PLC0415

    check_job(job)
    command = _function_of(job.command)
    reporter.check_cancelled()
    if job.command in ("models", "doctor"):  # which work where rasterio does not
        return command(job, reporter)
    import rasterio  # noqa: PLC0415 heavy

    with rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE_BYTES):
        return command(job, reporter)


def _function_of(command: str) -> Callable[[Job, Any], dict[str, Any]]:
    """The function that runs a command; that of one in model/ only where torch is installed."""
    module = MODULES[command]
    is_in_model = module.startswith("model.")
    if is_in_model:
        require_training_packages()
    try:
        function: Callable[[Job, Any], dict[str, Any]] = getattr(importlib.import_module(module), command)
    except ImportError as error:
        if is_in_model and _root(error) not in OWN | sys.stdlib_module_names:
            raise training_missing(str(error)) from error
        raise
    return function


def _root(error: ImportError) -> str:
    """The package that could not be imported, or lacks a name; empty where the error does not tell."""
    return (error.name or "").partition(".")[0]


def explained(error: Exception) -> EngineError:
    """What nobody foresaw, in words; the traceback goes to standard error for the report."""
    from engine.outputs import is_disk_full  # noqa: PLC0415

    if isinstance(error, MemoryError):
        return EngineError(
            "memory",
            f"The machine's memory is used up. Close other programs, lower the batch size or work on a part of the scene. ({error})",
        )
    if is_disk_full(error):
        return EngineError("disk_full", f"A disk is full. Free some space or choose another output folder. ({error})")
    if isinstance(error, ImportError) and _root(error) not in OWN:
        return EngineError(
            "engine_incomplete",
            f"The engine's environment lacks something: {error}. Install the engine again; doctor says what is missing.",
        )
    traceback.print_exception(error)
    return EngineError(
        "internal",
        f"This should not have happened: {type(error).__name__}: {error}. Please report it, with the log: "
        "it is an error of Rock Glacier Mapper, not of your data.",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rock-glacier", description="Rock glacier outlines from optical satellite imagery: made, measured, published, assessed."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, job_type in JOB_TYPES.items():
        command_parser = commands.add_parser(command.replace("_", "-"), help=ABOUT[command], description=ABOUT[command])
        hints = typing.get_type_hints(job_type)
        fields = dataclasses.fields(job_type)
        for field in fields:
            _add_argument(command_parser, command, field, hints[field.name])
        lines = "--json-lines" if any(field.name == "json" for field in fields) else "--json"
        command_parser.add_argument(lines, dest="json_lines", action="store_true", help="answer with JSON lines on standard output")
    about_run = "One job as a line of JSON on standard input, whose end cancels; answers with JSON lines. For programs."
    commands.add_parser("run", help=about_run, description=about_run)
    return parser


class _Several(argparse.Action):
    """Several values as a tuple, as jobs hold them."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, tuple(values))


class _Appended(argparse.Action):
    """An option that may be given more than once, as a tuple."""

    def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), values))


def _add_argument(parser: argparse.ArgumentParser, command: str, field: dataclasses.Field[Any], hint: Any) -> None:
    text = HELP[command, field.name].replace("%", "%%")
    if field.default is dataclasses.MISSING:
        several: dict[str, Any] = {"nargs": "+", "action": _Several} if typing.get_origin(hint) is tuple else {}
        parser.add_argument(field.name, metavar=field.name.upper(), help=text, **several)
        return
    flag = "--" + field.name.replace("_", "-")
    if hint is bool:
        text += f" (default: {'yes' if field.default else 'no'})"
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default, help=text)
    elif typing.get_origin(hint) is tuple:
        parser.add_argument(flag.removesuffix("s"), dest=field.name, action=_Appended, default=(), metavar=METAVARS[field.name], help=text)
    else:
        kind = (typing.get_args(hint) or (hint,))[0]
        choices = CHOICES.get((command, field.name), CHOICES.get(field.name))
        metavar = None if choices else METAVARS[kind]
        if field.default not in (None, ""):
            text += f" (default: {field.default})"
        parser.add_argument(flag, type=kind, default=field.default, choices=choices, metavar=metavar, help=text)


def _reserved(descriptor: int, instead: int) -> TextIO:
    """A standard stream for the messages alone: what libraries write to it by themselves goes elsewhere from here on."""
    sys.stdout.flush()
    messages = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace", newline="\n", buffering=1)
    os.dup2(instead, descriptor)
    return messages


def _job_from_stdin(cancelled: threading.Event) -> Job:
    # Standard input is moved away from descriptor 0: on Windows, libraries that look at it while they load would
    # wait for the thread that reads it.
    descriptor = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(descriptor, 1)):
        line += byte
    threading.Thread(target=_cancel_at_end_of, args=(descriptor, cancelled), daemon=True).start()
    try:
        return from_json(line.decode("utf-8"))
    except ValueError as error:
        raise EngineError("job", f"No job could be read from standard input: {error}.") from error


def _cancel_at_end_of(descriptor: int, cancelled: threading.Event) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:
        pass
    cancelled.set()


def _cancel_on_signals(cancelled: threading.Event) -> None:
    def cancel(number: int, _frame: object) -> None:
        cancelled.set()
        signal.signal(number, signal.default_int_handler)  # a second one does not wait for the next check

    for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), cancel)


def _quieten_libraries() -> None:
    """What GDAL and others remark on is dealt with where they are used; raw remarks only frighten."""
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")
