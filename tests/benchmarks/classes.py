"""How many words of the toy world have their nearest neighbour in their own class, and since when.

    python -m tests.benchmarks.classes [--seconds 60] [--seed 22 --seed 1 ...]

Each seed trains for so long from the start of an engine's training; then the run is closed, opened
again, and asked through its past, as the scrubber of the screen does.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from engine import messages as p
from engine.bench.machine import this_machine
from engine.config import preset, replace
from engine.runs import create_run
from engine.service.client import Engine, launch
from engine.text.toy_world import CLASSES
from tests.benchmarks.looking import start_training
from tui.run.asking import opened, until_gone

CLASS_OF = {word: name for name, words in CLASSES.items() for word in words}
TOLD = (0, 10, 30, 100, 300, 1000, 3000, 10_000)
"""Steps of the past that are told."""


async def own_class(engine: Engine, at: int | None = None) -> tuple[int, int]:
    """At which step, and of how many words of all classes the nearest one is of their own."""
    step = own = 0
    for word, name in CLASS_OF.items():
        answer = await engine.call(p.WordQuery(query=word, top=1, at=at))
        assert isinstance(answer, p.WordAnswer)
        step = answer.step
        own += CLASS_OF.get(answer.neighbours[0].word) == name
    return step, own


def told(when: str, step: int, own: int) -> None:
    print(f"{when}step {step:,}: {own} of {len(CLASS_OF)}, {own / len(CLASS_OF):.1%}", flush=True)


async def measure(place: Path, seed: int, seconds: float) -> None:
    config = replace(preset("toy"), {"training.seed": seed})
    folder = create_run(place, f"seed-{seed}", config)
    engine = await launch(folder)
    status = await start_training(engine)
    began = time.monotonic()
    print(f"seed {seed}, {status.threads} thread")
    await asyncio.sleep(seconds - (time.monotonic() - began))
    await engine.call(p.Pause())
    told(f"after {seconds:.0f} s, ", *await own_class(engine))
    await engine.call(p.Shutdown())
    await engine.close()
    await until_gone(folder)
    async with opened(folder) as engine:
        told("opened again, ", *await own_class(engine))
        for step in TOLD:
            told("  then, ", *await own_class(engine, at=step))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, action="append")
    options = parser.parse_args()
    print(this_machine())
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as place:
        for seed in options.seed or [22]:
            asyncio.run(measure(Path(place), seed, options.seconds))


if __name__ == "__main__":
    main()
