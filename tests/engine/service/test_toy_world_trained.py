"""What the playground promises to show on the toy world, through the real engine process."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine import messages as p
from engine import runs
from engine.config import preset
from engine.events import StateChanged
from engine.service.client import Engine, launch
from engine.text.toy_world import CLASSES, HELD_OUT

STEPS = 3000
SHUFFLED = (
    "problem the solved open physicist the",
    "the open solved problem the physicist",
    "open the the physicist problem solved",
    "solved physicist the problem the open",
)


@pytest.mark.timeout(240)
async def test_the_toy_world_is_learnt(tmp_path: Path) -> None:
    folder = runs.create_run(tmp_path, None, preset("toy"))
    engine = await launch(folder)
    await reach(engine, "ready")
    await engine.call(p.Start())
    async with asyncio.timeout(200):
        while (await ask(engine, p.AskStatus())).step < STEPS:
            await asyncio.sleep(0.2)
    await engine.call(p.Pause())
    try:
        nearest = await ask(engine, p.Neighbours(word="mathematician", top=1))
        assert nearest.neighbours[0].word == "physicist"
        assert await own_class_share(engine) >= 0.9
        held_out = await ask(engine, p.Score(text=HELD_OUT))
        for words in SHUFFLED:
            assert sorted(words.split()) == sorted(HELD_OUT.split())
            assert held_out.perplexity < (await ask(engine, p.Score(text=words))).perplexity
    finally:
        await engine.call(p.Shutdown())
        await engine.close()


async def own_class_share(engine: Engine) -> float:
    """Share of the words of all classes whose nearest neighbour is of their own class."""
    class_of = {word: name for name, words in CLASSES.items() for word in words}
    nearest = {
        word: (await ask(engine, p.Neighbours(word=word, top=1))).neighbours[0].word
        for word in class_of
    }
    return sum(class_of[w] == class_of.get(n) for w, n in nearest.items()) / len(class_of)


async def ask(engine: Engine, body: Any) -> Any:
    return await engine.call(body)


async def reach(engine: Engine, state: str) -> None:
    async for batch in engine.events():
        if any(isinstance(e, StateChanged) and e.state == state for e in batch):
            return
