"""What training a model takes of a machine's memory, before it is built.

An estimate from below: what has to lie in memory at the same moment of a step, without the
program itself, the text and what an allocator rounds up. What would fit is never refused.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

from engine.config import RunConfig
from engine.model.lstm import layer_sizes
from engine.model.output import CHUNK
from engine.text.corpus import Corpus
from engine.training.tensor_files import weight_shapes

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_FLOAT = 4
"""Bytes."""
_LAYER_FLOATS, _OUTPUT_FLOATS = 12, 3
"""That a step keeps, for each token, of each unit of an LSTM layer (gates, cell, output, dropout)
and of each number that goes into the output layer."""
_LARGE = 0.25
"""Share of the whole from which on a part is worth making smaller."""


@dataclass(frozen=True)
class Need:
    """Bytes that training takes, by what they grow with."""

    vocabulary: int
    """Embedding and output layer: weights, gradient, what the optimiser keeps."""
    layers: int
    """The same of the LSTM layers."""
    window: int
    """What a step keeps of its tokens."""

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.vocabulary + self.layers + self.window

    @property
    def settings(self) -> str:
        """Those that make it smaller, the most effective first."""
        parts = [
            (self.vocabulary, "corpus.max_vocabulary or model.embedding_size"),
            (self.layers, "model.hidden_size or model.layers"),
            (self.window, "training.batch_size or training.bptt"),
        ]
        large = [part for part in sorted(parts, reverse=True) if part[0] >= _LARGE * self.total]
        return ", ".join(settings for _, settings in large)


def training_need(config: RunConfig, corpus: Corpus, device: torch.device) -> Need:
    """What a run of this configuration on this text needs in the device's memory."""
    vocabulary = len(corpus.tokenizer.vocabulary)
    longest = config.training.batch_size * config.training.bptt
    tokens = min(longest, len(corpus.splits["train"]))
    shapes = weight_shapes(config.model, vocabulary)
    sizes = {name: _FLOAT * math.prod(shape) for name, shape in shapes.items()}
    layers = sum(size for name, size in sizes.items() if name.startswith(("lstm.", "projection.")))
    tables = sum(sizes.values()) - layers
    copies = 2 + _kept_copies(config)  # the weights, their gradient, what the optimiser keeps
    # A tied weight has two gradients for a moment, as embedding and as output layer.
    beside = sizes["embedding.weight"] if config.model.tied else 0
    return Need(
        vocabulary=copies * tables + beside,
        layers=copies * layers,
        window=_FLOAT * _window_floats(config, vocabulary, tokens, device),
    )


def _kept_copies(config: RunConfig) -> int:
    """Tensors as large as the weights that last from step to step, beside them."""
    optimiser = config.optimiser
    if optimiser.name in ("adam", "adamw"):
        return 2
    return (optimiser.momentum > 0) + (optimiser.name == "nt-asgd")


def _window_floats(config: RunConfig, vocabulary: int, tokens: int, device: torch.device) -> int:
    """Floats that a step on a window of so many tokens keeps at once."""
    sizes = layer_sizes(config.model)
    kept = sum(inputs + _LAYER_FLOATS * units for inputs, units in pairwise(sizes))
    compared = min(config.training.candidates or vocabulary, vocabulary)
    logits = tokens * compared
    if device.type == "cpu" and compared == vocabulary:
        logits = min(logits, max(CHUNK, vocabulary))  # some rows at a time
    return tokens * (kept + _OUTPUT_FLOATS * sizes[-1]) + logits


def too_large(config: RunConfig, corpus: Corpus, device: torch.device) -> str:
    """Why this machine can't train such a model, in a sentence with its price; empty where it can,
    as far as can be told beforehand."""
    need, free = training_need(config, corpus, device), free_memory(device)
    if need.total <= free:
        return ""
    return (
        f"Training this model takes about {_gib(need.total)} of memory and this machine has "
        f"{_gib(free)} free: make {need.settings} smaller."
    )


def _gib(size: int) -> str:
    return f"{size / (1 << 30):,.1f} GiB"


def free_memory(device: torch.device) -> int:
    """Bytes that this process could still take on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    meminfo = _fields(_PROC / "meminfo")
    if "MemAvailable" not in meminfo:  # not Linux: what is in use can't be told
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    machine = 1024 * (meminfo["MemAvailable"] + meminfo.get("SwapFree", 0))
    return min([machine, *_group_limits()])


def _group_limits() -> Iterator[int]:
    """Bytes that each control group this process is in, of either version, has left."""
    try:
        lines = (_PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            root, limit, usage, cached = "", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, usage = "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file"
        else:
            continue
        top = _GROUPS / root
        group = top / place.lstrip("/")
        while group.is_relative_to(top):
            allowed, used = _number(group / limit), _number(group / usage)
            if allowed is not None and used is not None:
                yield allowed - used + _fields(group / "memory.stat").get(cached, 0)
            group = group.parent


def _number(path: Path) -> int | None:
    """The number in a file of the system; None where there is none, or the word max."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _fields(path: Path) -> dict[str, int]:
    """The numbers in a file of the system, by name."""
    try:
        lines = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}
