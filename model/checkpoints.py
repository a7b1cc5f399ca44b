"""Checkpoints of a training: written whole or not at all, the one before kept, read without running any code in them.

A checkpoint is a file of ``torch.save`` that holds tensors, numbers and texts only:

=============== ==========================================================================================
``format``      of the checkpoint, :data:`FORMAT`
``description`` what ``training.json`` says: network, settings, samples, recipe
``weights``     of the network as it is used: the moving average where there is one
``step``, ``epoch``, ``seconds`` how far the training was
``threshold``, ``temperature``, ``scores`` of a finished training, chosen and counted on its validation samples
``course``      (last and previous only) everything else that going on needs: raw weights, optimiser, best score ...
=============== ==========================================================================================
"""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engine.errors import EngineError
from engine.outputs import whole_file
from engine.reporting import Reporter

FORMAT = 1
CHECKPOINTS = "checkpoints"
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
ZIP, PICKLE = b"PK\x03\x04", b"\x80"


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint; the file that had the name stays until the new one is whole.

    Raises
    ------
    EngineError
        those of :func:`engine.outputs.whole_file`: ``disk_full``, ``output_folder``.
    """
    with whole_file(path) as new, open(new, "wb") as file:
        try:
            torch.save({"format": FORMAT, **state}, file)
        except RuntimeError as error:  # torch's own words for a write that failed, with the system's error behind them, or none
            raise _os_error(error) or OSError(str(error)) from error


def write_last(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the last checkpoint of a training folder; the one that was the last becomes the previous one."""
    place = folder / CHECKPOINTS
    place.mkdir(exist_ok=True)
    new = place / f"new-{LAST}"
    write_checkpoint(new, state)
    with contextlib.suppress(FileNotFoundError):
        os.replace(place / LAST, place / PREVIOUS)
    os.replace(new, place / LAST)


def read_last(folder: Path, reporter: Reporter) -> dict[str, Any] | None:
    """The last checkpoint of a training folder, the previous one where that is damaged, None where there is none.

    Raises
    ------
    EngineError
        those of :func:`read_checkpoint`, when the previous one cannot be read either.
    """
    return first_readable([folder / CHECKPOINTS / LAST, folder / CHECKPOINTS / PREVIOUS], reporter)


def first_readable(paths: list[Path], reporter: Reporter | None) -> dict[str, Any] | None:
    """The first of some checkpoints that is not damaged, None where none is there."""
    failure: EngineError | None = None
    for path in filter(Path.is_file, paths):
        try:
            state = read_checkpoint(path)
        except EngineError as error:
            if error.code != "corrupt_checkpoint":
                raise
            failure = failure or error
            continue
        if failure and reporter:
            reporter.warning("corrupt_checkpoint", f"{failure.text} {path.name}, of step {state['step']}, is used instead.")
        return state
    if failure:
        raise failure
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint as it was written, on the CPU.

    Raises
    ------
    EngineError
        ``not_a_network`` no checkpoint of this program; ``corrupt_checkpoint`` a damaged one; ``pickle_refused`` a file that holds
        code, which is not run.
    """
    with open(path, "rb") as file:
        start = file.read(len(ZIP))
    if start.startswith(PICKLE):
        raise _refused(path)
    if start != ZIP:
        if start and start.strip(b"\0"):
            raise EngineError("not_a_network", f"{path} is no checkpoint of a training: choose one (.ckpt), or the folder of a training.")
        raise _damaged(path, "it is empty")
    try:
        with zipfile.ZipFile(path) as archive:  # torch reads over what changed in a tensor
            if damaged := archive.testzip():
                raise _damaged(path, f"the checksum of {damaged} is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path) from error
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(state, dict) or not {"format", "description", "weights"} <= set(state):
        raise EngineError(
            "not_a_network", f"{path} holds weights, but not which network they belong to: it is no checkpoint of a training."
        )
    if state["format"] != FORMAT:
        raise EngineError("not_a_network", f"{path} is of format {state['format']}; this version reads {FORMAT}. Update the plugin.")
    return dict(state)


def _refused(path: Path) -> EngineError:
    return EngineError(
        "pickle_refused", f"{path} is a pickle, which may hold any program; it is not opened. Use a checkpoint that this program wrote."
    )


def _damaged(path: Path, why: str) -> EngineError:
    return EngineError("corrupt_checkpoint", f"The checkpoint {path} is damaged ({why}).")


def _os_error(error: BaseException) -> OSError | None:
    """The system's error behind another one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause
