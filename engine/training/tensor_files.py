"""Tensor files (safetensors) that may be damaged or hostile: what a checkpoint of a run has to hold
is known beforehand, and nothing is read into memory before the file is seen to hold just that.

The format: eight bytes with the length of the header, the header (JSON: name, dtype, shape and
place of each tensor), the data. See https://github.com/huggingface/safetensors.
"""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from engine.config import OptimiserName, RunConfig
from engine.files import open_plain
from engine.sizes import Shapes, layer_sizes, weight_shapes
from engine.training.norms import NormHistory

MAX_HEADER = 1 << 20
"""Bytes."""
MAX_RANDOM = 1 << 14
"""Bytes of a random generator's state; a CPU's has 5,056."""
_BYTES = {"F32": 4, "I64": 8, "U8": 1}


class Spec(NamedTuple):
    """What a tensor is."""

    dtype: str
    shape: tuple[int, ...]


class Layout(NamedTuple):
    """The tensors a file has to hold."""

    always: dict[str, Spec]
    together: list[dict[str, Spec]]
    """Of each either all or none."""


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor as the header tells of it."""

    dtype: str
    shape: list[Annotated[int, Meta(ge=0)]]
    data_offsets: tuple[int, int]


def weights_layout(config: RunConfig, vocabulary: int) -> Layout:
    """Of model.safetensors."""
    return Layout(_floats("", weight_shapes(config.model, vocabulary)), [])


def state_layout(config: RunConfig, vocabulary: int, averaged: bool) -> Layout:
    """Of state.safetensors; `averaged` says whether nt-asgd has begun to average."""
    shapes = weight_shapes(config.model, vocabulary)
    always = {"norms": Spec("I64", NormHistory().counts.shape)}
    for index, units in enumerate(layer_sizes(config.model)[1:]):
        for part in "hc":
            shape = (1, config.training.batch_size, units)
            always[f"carried.{index}.{part}"] = Spec("F32", shape)
    if config.model.vectors_frozen:
        always["frozen"] = Spec("U8", (vocabulary,))
    if averaged:
        always |= _floats("trained.", shapes)
    return Layout(always, [_moments(config.optimiser.name, shapes)])


def _moments(optimiser: OptimiserName, shapes: Shapes) -> dict[str, Spec]:
    """What the optimiser keeps of each parameter once it has taken a step."""
    if optimiser not in ("adam", "adamw"):
        return _floats("optimiser.", shapes, ".momentum_buffer")
    steps = {f"optimiser.{name}.step": Spec("F32", ()) for name in shapes}
    means = _floats("optimiser.", shapes, ".exp_avg")
    return means | _floats("optimiser.", shapes, ".exp_avg_sq") | steps


def _floats(prefix: str, shapes: Shapes, suffix: str = "") -> dict[str, Spec]:
    return {f"{prefix}{name}{suffix}": Spec("F32", shape) for name, shape in shapes.items()}


def read_tensor_file(path: Path, size: int, layout: Layout) -> bytes:
    """The bytes of a tensor file that holds what `layout` asks for and, as the random generators'
    states, tensors `random.*`.

    Raises ValueError where it holds anything else or isn't `size` bytes, OSError, and MemoryError
    where this machine has too little.
    """
    with open_plain(path) as file:
        if os.fstat(file.fileno()).st_size != size:
            raise ValueError(f"{path.name} was cut short")
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER, size):
            raise ValueError(f"{path.name} has an impossible header")
        entries = msgspec.json.decode(file.read(length), type=dict[str, _Entry])
        found = {name: Spec(entry.dtype, tuple(entry.shape)) for name, entry in entries.items()}
        _compare(found, layout, path.name)
        if size != 8 + length + _bytes(found.values()):
            raise ValueError(f"{path.name} has the wrong size for its tensors")
        if size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            raise MemoryError
        file.seek(0)
        return file.read(size)


def _compare(found: Mapping[str, Spec], layout: Layout, file: str) -> None:
    expected = dict(layout.always)
    for part in layout.together:
        if not part.keys().isdisjoint(found):
            expected |= part
    for name, spec in found.items():
        if name.startswith("random.") and spec.dtype == "U8" and _bytes([spec]) <= MAX_RANDOM:
            continue
        if expected.pop(name, None) != spec:
            raise ValueError(
                f"{file} holds {name[:80]!r} as {spec.dtype[:8]} {str(list(spec.shape))[:40]}, "
                "which doesn't belong there"
            )
    if expected:
        raise ValueError(f"{file} lacks {min(expected)}")


def _bytes(specs: Iterable[Spec]) -> int:
    """Bytes of data. Only of dtypes that were compared."""
    return sum(_BYTES[spec.dtype] * math.prod(spec.shape) for spec in specs)
