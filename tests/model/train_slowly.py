"""A training that takes its time, to be killed: ``python train_slowly.py FOLDER STEPS``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from engine.reporting import SilentReporter  # noqa: E402
from model.training import Hardware, TrainingResult, TrainingSettings, run_training  # noqa: E402
from tests.model.tiny_network import ABOUT, Tiny  # noqa: E402
from tests.model.training_batches import Batch, InEpochs  # noqa: E402


class Slow(InEpochs):
    """The same batches, later."""

    def __getitem__(self, number: int) -> Batch:
        time.sleep(0.2)
        return super().__getitem__(number)


def train(folder: Path, steps: int, batches: InEpochs) -> TrainingResult:
    """A training that writes a checkpoint after each step."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    settings = TrainingSettings(steps=steps, checkpoint_seconds=0)
    return run_training(
        Tiny(), batches, settings, folder, SilentReporter(), about=ABOUT, validation=InEpochs(), hardware=Hardware("cpu")
    )  # fmt: skip


if __name__ == "__main__":
    train(Path(sys.argv[1]), int(sys.argv[2]), Slow())
