"""What the playground promises to show on the toy world, through the real engine process."""

import asyncio
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import messages as p
from engine import runs
from engine.config import preset, replace
from engine.embeddings.space import Space
from engine.events import StateChanged
from engine.service.client import Engine, launch
from engine.text.corpus import open_corpus
from engine.text.toy_world import CLASSES, HELD_OUT
from engine.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("real_processes")

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
        nearest = await ask(engine, p.WordQuery(query="mathematician", top=1))
        assert nearest.neighbours[0].word == "physicist"
        assert await own_class_share(engine) >= 0.9
        held_out = await perplexity(engine, HELD_OUT)
        for words in SHUFFLED:
            assert sorted(words.split()) == sorted(HELD_OUT.split())
            assert held_out < await perplexity(engine, words)
    finally:
        await engine.call(p.Shutdown())
        await engine.close()


async def own_class_share(engine: Engine) -> float:
    """Share of the words of all classes whose nearest neighbour is of their own class."""
    class_of = {word: name for name, words in CLASSES.items() for word in words}
    nearest = {
        word: (await ask(engine, p.WordQuery(query=word, top=1))).neighbours[0].word
        for word in class_of
    }
    return sum(class_of[w] == class_of.get(n) for w, n in nearest.items()) / len(class_of)


async def perplexity(engine: Engine, line: str) -> float:
    """Of a line, behind the end of another."""
    *_, totals = [each async for each in engine.stream(p.Surprise(text=f"\n{line}\n"))]
    assert isinstance(totals, p.SurpriseTotals)
    return totals.perplexity


async def ask(engine: Engine, body: Any) -> Any:
    return await engine.call(body)


async def reach(engine: Engine, state: str) -> None:
    async for batch in engine.events():
        if any(isinstance(e, StateChanged) and e.state == state for e in batch):
            return


# --- the presets ------------------------------------------------------------------------------


def toy(name: str, **changes: Any) -> Trainer:
    torch.set_num_threads(1)
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    config = replace(preset(name), paths)
    return Trainer(config, open_corpus(config.corpus), torch.device("cpu"))


def trained(trainer: Trainer, steps: int) -> float:
    """The mean loss of the last 100 of so many steps; infinite where one of them was no number."""
    losses = [trainer.take_step()[0].loss for _ in range(steps)][-100:]
    return math.inf if None in losses else statistics.fmean(filter(None, losses))


SCHOLARS = ("mathematician", "physicist")


def places(trainer: Trainer) -> tuple[int, int]:
    """Of each scholar among the neighbours of the other."""
    vocabulary = trainer.corpus.tokenizer.vocabulary
    space = Space(
        vocabulary.tokens, trainer.model.embedding.weight.detach().numpy(), vocabulary.readable
    )
    first, second = (space.meant(vocabulary.id(word)) for word in SCHOLARS)
    return space.ranks(first, second)


@pytest.mark.parametrize("name", ["toy", "toy-clipping"])
def test_before_training_the_scholars_are_apart(name: str) -> None:
    assert min(places(toy(name))) > 10


def test_in_toy_clipping_it_is_clipping_that_decides() -> None:
    with_, without = toy("toy-clipping"), toy("toy-clipping", clipping__mode="off")
    knowing_nothing = math.log(len(with_.corpus.tokenizer.vocabulary))
    assert trained(with_, 1000) < 1.5
    assert trained(without, 300) > 10 * knowing_nothing
    trained(with_, 1000)
    assert max(places(with_)) <= 3


@pytest.mark.parametrize("name", ["toy", "toy-clipping"])
def test_a_rate_a_thousand_times_too_high_explodes_without_clipping(name: str) -> None:
    trainer = toy(name)
    before = trained(trainer, 200)
    trainer.clip_mode = "off"
    trainer.learning_rate = min(1000.0, 1000 * trainer.learning_rate)
    assert trained(trainer, 100) > 5 * before
