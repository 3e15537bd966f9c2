"""A model's held-out loss by two conventions, from the run's best checkpoint.

    python -m tests.benchmarks.conventions RUN [--windows 4000] [--length 256]

Ours: every token of the validation split, with the state carried throughout. nanoGPT's: the mean
over random windows of 256 characters, each from an empty state.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch

from engine.evaluation.held_out import summed_loss, total_loss, window_features
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import open_corpus
from engine.training.checkpoint import Checkpoint, to_go_back_to
from tests.benchmarks.machine import tell_machine

BATCH = 50
"""Windows read side by side."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--windows", type=int, default=4000)
    parser.add_argument("--length", type=int, default=256)
    options = parser.parse_args()
    tell_machine("torch")
    checkpoint = Checkpoint(to_go_back_to(options.run, "best")[0])
    config = checkpoint.training.config
    tokens = open_corpus(config.corpus).splits["valid"]
    model = LSTMLanguageModel(len(checkpoint.tokenizer.vocabulary), config.model)
    checkpoint.load_weights(model)
    for total, count in total_loss(model, tokens):
        whole = total / count
    print(f"carried through {count:,} tokens: {whole:.4f} nats a token")
    mean, error = of_windows(model, tokens, options.windows, options.length)
    print(
        f"{options.windows:,} random windows of {options.length} from an empty state: "
        f"{mean:.4f} nats a token (standard error {error:.4f})"
    )


def of_windows(
    model: LSTMLanguageModel, tokens: np.ndarray, windows: int, length: int
) -> tuple[float, float]:
    """The mean loss of so many windows, and its standard error; nats a token."""
    starts = np.random.default_rng(0).integers(0, len(tokens) - length, windows)
    losses = []
    for begin in range(0, windows, BATCH):
        picked = starts[begin : begin + BATCH]
        rows = np.stack([tokens[start : start + length + 1] for start in picked], axis=1)
        read = torch.from_numpy(rows.astype(np.int64))
        state = model.initial_state(len(picked))
        features, targets, _ = window_features(model, read[:-1], read[1:], state)
        losses.append(summed_loss(model, features, targets) / targets.numel())
    return float(np.mean(losses)), float(np.std(losses) / math.sqrt(len(losses)))


if __name__ == "__main__":
    main()
