"""Measure one of the SECTIONS: each line is a Message in JSON."""

import sys
from collections.abc import Iterator

import msgspec

from engine.bench.results import Message
from engine.events import Progress

TRAINING_SECONDS = 10.0
GENERATION_SECONDS = 5.0
NEIGHBOURS_SECONDS = 2.0


def measure(section: str) -> Iterator[Message]:
    """Measure one section, such as `training-10000`: a kind, and the words of the vocabulary."""
    what, _, number = section.partition("-")
    vocabulary = int(number)
    yield Progress(task=f"{what}, {vocabulary:,} words", done=0, total=0)
    if what == "memory":  # before torch makes this process large
        from engine.bench import memory

        yield memory.measure(vocabulary)
        return
    import torch

    from engine.bench import looking, training

    torch.set_flush_denormal(True)
    match what:
        case "training":
            yield from training.measure(vocabulary, TRAINING_SECONDS)
        case "generation":
            yield from looking.measure_generation(vocabulary, GENERATION_SECONDS)
        case "neighbours":
            size = looking.MODEL.embedding_size
            yield from looking.measure_neighbours(vocabulary, size, NEIGHBOURS_SECONDS)


if __name__ == "__main__":
    for message in measure(sys.argv[1]):
        print(msgspec.json.encode(message).decode(), flush=True)  # noqa: T201
