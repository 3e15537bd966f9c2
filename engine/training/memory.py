"""Whether training a model fits a machine's memory, before it is built: what would fit is never
refused.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from engine import sizes
from engine.config import RunConfig
from engine.sizes import Need
from engine.text.corpus import Corpus

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def training_need(config: RunConfig, corpus: Corpus, device: torch.device) -> Need:
    """What a run of this configuration on this text needs in the device's memory."""
    tokens = len(corpus.splits["train"])
    return sizes.training_need(config, len(corpus.tokenizer.vocabulary), tokens, device.type)


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
