"""What looking costs training: text streamed at 20 tokens a second, and neighbours each second.
And how evenly the text is shown (see `paced`): each token is laid open, as shading and the list of
others take it.

    python -m tests.benchmarks.looking [CORPUS] [--rounds 5] [--seconds 15] [--vocabulary 10000]
                                       [--words-alone]

One engine trains `ptb-small` throughout, on a synthetic text without a corpus; rounds in which
nobody looks and rounds in which somebody does take turns.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from engine import messages as p
from engine.bench.machine import this_machine
from engine.bench.synthetic import write_text
from engine.config import preset, replace
from engine.events import Stepped
from engine.runs import create_run
from engine.service.client import Engine, launch
from tui.panes.generation.pacing import paced

PER_SECOND = 20
BESIDE = 10
"""Other tokens told with each: what the laboratory asks for."""
LONGEST_GAP = 0.15
"""Seconds between two tokens, at most."""
WARM_UP = 5.0
"""Seconds of training before the first round, and of looking before its round."""


class Watched:
    """An engine that trains, and how far it has come."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.step = 0
        self.heard = asyncio.Event()
        """Set as a step is heard of."""
        self.pieces: list[float] = []
        """When each came."""

    async def follow(self) -> None:
        async for events in self.engine.events():
            self.step = max(
                [self.step, *(event.step for event in events if isinstance(event, Stepped))]
            )
            self.heard.set()

    async def read(self) -> None:
        query = p.Generate(tokens=1_000_000, per_second=PER_SECOND, alternatives=BESIDE)
        async for _ in paced(self.engine.stream(query), PER_SECOND):
            self.pieces.append(time.perf_counter())

    async def ask(self, word: str) -> None:
        while True:
            await self.engine.call(p.WordQuery(query=word))
            await asyncio.sleep(1)

    async def rates(self, seconds: float) -> tuple[float, float]:
        """Steps and pieces a second, over so many seconds."""
        step, pieces, began = await self.moment()
        await asyncio.sleep(seconds)
        last, written, ended = await self.moment()
        spent = ended - began
        return (last - step) / spent, (written - pieces) / spent

    async def moment(self) -> tuple[int, int, float]:
        """The steps and pieces so far, and when that is: as soon as the next step is heard of, so
        that no part of one is counted."""
        self.heard.clear()
        await self.heard.wait()
        return self.step, len(self.pieces), time.perf_counter()

    def gaps(self, seconds: float) -> list[float]:
        """Seconds between two pieces, over the last so many seconds, the longest last."""
        since = time.perf_counter() - seconds
        times = [each for each in self.pieces if each >= since]
        return sorted(after - before for before, after in pairwise(times))


async def start_training(engine: Engine) -> p.Status:
    """Start the run once it is prepared. Returns its status before that."""
    while True:
        status = await engine.call(p.AskStatus())
        assert isinstance(status, p.Status)
        if status.state != "preparing":
            await engine.call(p.Start())
            return status
        await asyncio.sleep(0.1)


async def measure(options: argparse.Namespace, place: Path) -> None:
    source, word = options.corpus, "the"
    if source is None:
        source, word = place / "zipf.txt", "w0"
        write_text(source, options.vocabulary, 300_000)
    changes = {"corpus.source": str(source.absolute()), "training.epochs": 1000}
    config = replace(preset("ptb-small"), changes)
    engine = await launch(create_run(place, "looking", config))
    watched = Watched(engine)
    following = asyncio.create_task(watched.follow())
    status = await start_training(engine)
    assert status.corpus is not None
    print(f"vocabulary of {status.corpus.vocabulary:,}, {status.threads} threads")
    await asyncio.sleep(WARM_UP)
    alone, looked, written, gaps = [], [], [], list[float]()
    for number in range(1, options.rounds + 1):
        alone.append((await watched.rates(options.seconds))[0])
        looking = [asyncio.create_task(watched.ask(word))]
        if not options.words_alone:
            looking.append(asyncio.create_task(watched.read()))
        await asyncio.sleep(WARM_UP)
        steps, pieces = await watched.rates(options.seconds)
        looked.append(steps)
        written.append(pieces)
        now = watched.gaps(options.seconds)
        gaps += now
        for task in looking:
            assert not task.done(), task
            task.cancel()
        print(
            f"round {number}: alone {alone[-1]:.2f}, looked at {steps:.2f} steps/s, "
            f"{pieces:.1f} tokens/s written, longest gap {1e3 * max(now, default=0):.0f} ms",
            flush=True,
        )
    kept = statistics.median(now / before for now, before in zip(looked, alone, strict=True))
    told = f"training keeps {kept:.1%} of its speed, the median of {options.rounds} pairs"
    if options.words_alone:
        print(f"{told} (aim: 97% or more)")
    else:
        print(
            f"{told} (aim: 90% or more), with {statistics.median(written):.1f} tokens/s written "
            f"(aim: {PER_SECOND})"
        )
    if gaps:
        late = sum(gap > LONGEST_GAP for gap in gaps)
        print(
            f"between two tokens {1e3 * statistics.median(gaps):.0f} ms at the median, "
            f"{1e3 * statistics.quantiles(gaps, n=100)[-1]:.0f} at the 99th percentile, "
            f"{1e3 * max(gaps):.0f} at most; {late} of {len(gaps)} longer than "
            f"{1e3 * LONGEST_GAP:.0f}"
        )
    await engine.call(p.Shutdown(save=False))
    following.cancel()
    await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15, help="of each half of a round")
    parser.add_argument("--vocabulary", type=int, default=10_000, help="of a synthetic text")
    parser.add_argument("--words-alone", action="store_true", help="neighbours, but no text")
    options = parser.parse_args()
    print(this_machine())
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as place:
        os.environ["LSTM_TUI_CACHE"] = f"{place}/cache"
        asyncio.run(measure(options, Path(place)))


if __name__ == "__main__":
    main()
