"""The network: an onnxruntime session on the GPU or the CPU, and what it says about a batch of tiles."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.card import ModelCard
from engine.environment import CUDA_OF_ONNXRUNTIME, driver_cuda_version
from engine.errors import EngineError
from engine.reporting import Reporter

INPUT, OUTPUT = "stack", "probability"
BATCH_ON_CUDA = 8
BATCH_ON_CPU = 1
SILENT, ERRORS = 4, 3
CUDA = "CUDAExecutionProvider"
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "cudnn_conv_use_max_workspace": "1",
    "use_tf32": "1",
    "arena_extend_strategy": "kSameAsRequested",
}
CUDA_NEEDS = (
    f"It takes an NVIDIA graphics card, a driver for CUDA {CUDA_OF_ONNXRUNTIME} or later, and NVIDIA's libraries: "
    "python3 engine/environment.py --cuda yes."
)
OUT_OF_MEMORY = ("out of memory", "failed to allocate", "bad allocation", "bad_alloc", "alloc_failed", "available memory of")
TOLERATED_EXCESS = 1e-3
"""How far rounding may carry a probability beyond 0 and 1."""


@dataclass
class Network:
    """A loaded network.

    ``device`` "CUDA" or "CPU"; ``batch_size`` tiles in one go (halved when memory does not suffice);
    ``seconds`` spent inside onnxruntime so far.
    """

    session: Any
    card: ModelCard
    device: str
    batch_size: int
    reporter: Reporter
    seconds: float = 0.0

    def run(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of each pixel of some tiles.

        Parameters
        ----------
        tiles : (n, channels, rows, cols) reflectance 0-1 and indices, NaN where not observed; any n

        Returns
        -------
        (n, rows, cols) probability 0-1

        Raises
        ------
        EngineError
            ``model_output`` when the network answers with something else than probabilities, ``model_card`` when its
            answer has another size than its card promises, ``out_of_memory``, ``network_failed``.
        """
        answers: list[NDArray[np.float32]] = [np.empty((0, *tiles.shape[2:]), np.float32)]
        done = 0
        while done < len(tiles):
            batch = tiles[done : done + self.batch_size]
            try:
                answers.append(self._run_batch(batch))
            except EngineError:
                raise
            except Exception as error:  # onnxruntime's exceptions have no other common class
                self._make_room(error)
                continue
            done += len(batch)
        return np.concatenate(answers)

    def _run_batch(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(batch)
        if self.device == "CUDA" and count < self.batch_size:  # cuDNN tunes anew for every batch size it meets
            batch = np.concatenate([batch, np.zeros((self.batch_size - count, *batch.shape[1:]), np.float32)])
        started = time.perf_counter()
        (answer,) = self.session.run([OUTPUT], {INPUT: batch})
        self.seconds += time.perf_counter() - started
        expected = (len(batch), 1, *batch.shape[2:])
        if answer.shape != expected:
            raise EngineError(
                "model_card",
                f"The model {self.card.name} answers a batch of shape {batch.shape} with {answer.shape} instead of {expected}: "
                "model.json and model.onnx do not belong together.",
            )
        lowest, highest = float(answer[:count].min()), float(answer[:count].max())  # NaN comes through both
        if not (lowest >= -TOLERATED_EXCESS and highest <= 1 + TOLERATED_EXCESS):
            raise EngineError(
                "model_output",
                f"The model {self.card.name} answers with values from {lowest:.4g} to {highest:.4g}, which are no probabilities. "
                "It is damaged, or was exported without its last step; install another version of it.",
            )
        return np.asarray(answer[:count, 0], np.float32)

    def _make_room(self, error: Exception) -> None:
        if not any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY):
            raise EngineError("network_failed", f"The model {self.card.name} failed on the {self.device}: {error}") from error
        if self.batch_size == 1:
            raise EngineError(
                "out_of_memory",
                f"One tile of the model {self.card.name} needs more memory than the {self.device} has left. "
                "Close other programs, run with DEVICE cpu, or choose a smaller model.",
            ) from error
        self.batch_size //= 2
        self.reporter.warning(
            "out_of_memory", f"The memory of the {self.device} does not suffice; going on with batches of {self.batch_size} tiles."
        )


def open_network(card: ModelCard, device: str, batch_size: int, reporter: Reporter) -> Network:
    """Load a model's network on the device asked for.

    Parameters
    ----------
    device : ``cuda``, ``cpu``, or ``auto``: CUDA where it really works, else the CPU
    batch_size : tiles in one go, 0 = as the device likes it

    Raises
    ------
    EngineError
        ``no_cuda`` when CUDA is asked for and does not work, with what to install; ``model_damaged`` when the network
        cannot be loaded; ``model_card`` when its input or output is not what its card says; those of :meth:`Network.run`.
    """
    if device != "cpu":
        problem = cuda_problem()
        if not problem:
            session = _open_session(card, [(CUDA, CUDA_OPTIONS), "CPUExecutionProvider"])
            network = Network(session, card, "CUDA", batch_size or BATCH_ON_CUDA, reporter)
            problem = _warm_up(network)
            if not problem:
                return network
        if device == "cuda":
            raise EngineError("no_cuda", f"CUDA cannot be used: {problem} {CUDA_NEEDS} Or choose DEVICE auto or cpu.")
        reporter.info(f"The network runs on the CPU: {problem}")
    session = _open_session(card, ["CPUExecutionProvider"])
    return Network(session, card, "CPU", batch_size or BATCH_ON_CPU, reporter)


def cuda_problem() -> str:
    """What keeps onnxruntime from CUDA, as far as it is known before a session is tried; empty when nothing does."""
    if CUDA not in onnxruntime.get_available_providers():
        return "onnxruntime is installed without CUDA."
    version = driver_cuda_version()
    if version is None:
        return "no NVIDIA driver was found."
    if version[0] < CUDA_OF_ONNXRUNTIME:
        return f"the NVIDIA driver runs CUDA {version[0]}.{version[1]}, the engine needs {CUDA_OF_ONNXRUNTIME}. Update the driver."
    return ""


def _warm_up(network: Network) -> str:
    """Run a batch on CUDA; what is wrong in words, empty when it really works."""
    if network.session.get_providers()[0] != CUDA:
        return (
            "there is a driver, but NVIDIA's libraries are missing or do not fit; python3 engine/environment.py --cuda yes installs them."
        )
    tile = network.card.tile_px
    try:
        network.run(np.zeros((network.batch_size, len(network.card.bands), tile, tile), np.float32))
    except EngineError as error:
        if error.code in ("network_failed", "out_of_memory"):
            return error.text
        raise
    network.seconds = 0.0
    return ""


def _open_session(card: ModelCard, providers: list[Any]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = ERRORS
    # threads that spin while they wait take the cores from the thread that outlines and blends, and from other programs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wants_cuda = providers[0] != "CPUExecutionProvider"
    with _quiet() if wants_cuda else contextlib.nullcontext():
        if wants_cuda:
            with contextlib.suppress(Exception):  # it only helps to find libraries; the session tells what came of it
                onnxruntime.preload_dlls()
        try:
            session = onnxruntime.InferenceSession(card.network, options, providers=providers, enable_fallback=0)
        except Exception as error:  # onnxruntime's exceptions have no other common class
            if wants_cuda:
                return _open_session(card, ["CPUExecutionProvider"])
            raise EngineError(
                "model_damaged", f"{card.network} cannot be loaded as a network: it is damaged or too new for this engine. ({error})"
            ) from error
    _check_interface(session, card)
    return session


def _check_interface(session: Any, card: ModelCard) -> None:
    """Hold a session's input and output against the card; sizes that the file leaves open are not compared."""
    tile = card.tile_px
    for kind, ports, name, channels in (
        ("input", session.get_inputs(), INPUT, len(card.bands)),
        ("output", session.get_outputs(), OUTPUT, 1),
    ):
        port = next((port for port in ports if port.name == name), None)
        expected = (None, channels, tile, tile)
        fits = (
            port is not None
            and (kind == "output" or len(ports) == 1)
            and port.type == "tensor(float)"
            and len(port.shape) == 4
            and all(not isinstance(given, int) or wanted in (None, given) for given, wanted in zip(port.shape, expected, strict=True))
        )
        if not fits:
            there = ", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)
            raise EngineError(
                "model_card",
                f"The network of {card.folder} does not fit its card: its {kind} should be {name}, float, "
                f"(batch, {channels}, {tile}, {tile}); it has {there}.",
            )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime from writing about missing libraries: standard output carries the engine's messages alone."""
    onnxruntime.set_default_logger_severity(SILENT)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(ERRORS)


def available_cores() -> int:
    """Processor cores that this process may use."""
    if platform.system() == "Linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
