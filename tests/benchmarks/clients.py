"""What training keeps beside clients that behave badly, and how soon SIGTERM is heard beside them.

    python -m tests.benchmarks.clients [--rounds 5] [--seconds 10] [--vocabulary 10000]

`ptb-small` on a synthetic text, with one client that only listens. Each kind of client (see
tests/faults/clients.py), in a process of its own, comes for a while and goes, in turns with times
without it; at last it stays, and the engine is terminated beside it.
"""

import argparse
import asyncio
import multiprocessing
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.bench.synthetic import write_text
from engine.config import RunConfig, preset, replace
from engine.runs import create_run
from engine.service.client import Engine, EngineEnded, launch
from tests.benchmarks.looking import Watched, start_training
from tests.benchmarks.machine import tell_machine
from tests.faults.clients import KINDS, beside

WARM_UP = 5.0
"""Seconds of training before the first round."""
SETTLE = 2.0
"""Seconds between a client's coming or going and the measurement."""


@contextmanager
def misbehaving(folder: Path, kind: str) -> Iterator[None]:
    """Such a client in a process of its own, which costs this one's event loop nothing."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_misbehave, args=(folder, kind), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _misbehave(folder: Path, kind: str) -> None:
    with beside(folder, kind):
        time.sleep(3600)


async def measure(config: RunConfig, place: Path, options: argparse.Namespace) -> None:
    for kind in KINDS:
        engine = await launch(create_run(place, kind, config))
        watched = Watched(engine)
        following = asyncio.create_task(watched.follow())
        await start_training(engine)
        await asyncio.sleep(WARM_UP)
        kept = []
        for _ in range(options.rounds):
            alone, _ = await watched.rates(options.seconds)
            with misbehaving(engine.folder, kind):
                await asyncio.sleep(SETTLE)
                beside_it, _ = await watched.rates(options.seconds)
            await asyncio.sleep(SETTLE)
            after, _ = await watched.rates(options.seconds)
            kept.append(beside_it / statistics.mean([alone, after]))
        with misbehaving(engine.folder, kind):
            await asyncio.sleep(SETTLE)
            heard, ended = await terminate(engine, following)
        await engine.close()
        print(
            f"{kind}: training keeps {statistics.median(kept):.1%} of {after:.1f} steps/s in the "
            f"median, {min(kept):.1%} to {max(kept):.1%} (aim: at least 95%); SIGTERM is heard "
            f"after {heard:.2f} s (aim: at most 1) and the engine gone after {ended:.2f} s",
            flush=True,
        )


async def terminate(engine: Engine, following: "asyncio.Task[None]") -> tuple[float, float]:
    """Seconds from SIGTERM until the engine says goodbye, and until its process is gone."""
    began = time.monotonic()
    os.kill(engine.pid, signal.SIGTERM)
    with suppress(EngineEnded):
        await following
    heard = time.monotonic() - began
    while os.waitpid(engine.pid, os.WNOHANG) == (0, 0):
        await asyncio.sleep(0.01)
    return heard, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="of a measurement")
    parser.add_argument("--vocabulary", type=int, default=10_000)
    options = parser.parse_args()
    tell_machine("torch", "msgspec")
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as name:
        place = Path(name)
        os.environ["LSTM_TUI_CACHE"] = str(place / "cache")
        os.environ["LSTM_TUI_STATE"] = str(place / "state")
        write_text(place / "zipf.txt", options.vocabulary, 300_000)
        changes = {"corpus.source": str(place / "zipf.txt"), "training.epochs": 1000}
        config = replace(preset("ptb-small"), changes)
        asyncio.run(measure(config, place / "models", options))


if __name__ == "__main__":
    main()
