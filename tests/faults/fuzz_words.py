"""Questions to word vectors of any shape, answered as gensim's KeyedVectors answers them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

import numpy as np
import torch

from engine.config import preset
from engine.text.corpus import open_corpus
from engine.training.trainer import Trainer
from tests.beside_gensim import Both, Table, degenerate

if TYPE_CHECKING:
    from tests.faults.fuzz import Case

STEPS = 100
"""Of the training of some vectors."""
KINDS = ("neighbours", "centroid", "analogy", "3CosMul", "odd", "pair")


@contextmanager
def target(_: Path) -> Iterator["Case"]:
    """A question of any kind to any table: random, trained, of whole numbers (many ties); half of
    them with rows that are empty, alike, opposite, tiny or huge."""
    config = preset("toy")
    trainer = Trainer(config, open_corpus(config.corpus), torch.device("cpu"))
    for _ in range(STEPS):
        trainer.take_step()
    trained: Table = trainer.model.embedding.weight.detach().numpy()

    def case(random: Random) -> str:
        numbers = np.random.default_rng(random.getrandbits(32))
        shape = random.randint(12, 300), random.randint(2, 80)
        match random.choice(("random", "whole", "trained")):
            case "random":
                table = numbers.normal(size=shape).astype(np.float32)
            case "whole":
                table = numbers.integers(-1, 2, (shape[0], 4)).astype(np.float32)
            case _:
                table = trained
        if random.random() < 0.5:
            table = degenerate(table, numbers)
        both, kind = Both(table, random.getrandbits(32)), random.choice(KINDS)
        with catch_warnings():
            simplefilter("ignore")  # gensim's, of rows without a direction
            _ask(both, kind)
        return kind

    yield case


def _ask(both: Both, kind: str) -> None:
    match kind:
        case "neighbours":
            both.most_similar(both.draw(1, 1), [])
        case "centroid":
            both.most_similar(both.draw(2, 5), [])
        case "analogy":
            both.most_similar(both.draw(1, 4), both.draw(1, 2))
        case "3CosMul":
            both.most_similar_cosmul(both.draw(1, 3), both.draw(0, 2))
        case "odd":
            both.doesnt_match(both.draw(3, 6))
        case _:
            both.pair(*both.draw(2, 2, different=True))
