"""Our training step beside the plain PyTorch loop, both in the sizes of `ptb-small`."""

from collections.abc import Iterator

import torch

from engine.bench.race import Runner, race
from engine.bench.reference_loop import ReferenceLoop
from engine.bench.results import Race
from engine.bench.synthetic import synthetic_corpus
from engine.config import preset, replace
from engine.events import Progress
from engine.text.corpus import Corpus
from engine.training.device import pick_device, pick_threads
from engine.training.trainer import Trainer

PRESET = preset("ptb-small")


def measure(vocabulary: int, seconds: float) -> Iterator[Progress | Race]:
    """Tokens a second of both, with the threads that our trainer picks here."""
    corpus, device = synthetic_corpus(vocabulary), pick_device()
    trainer = make_trainer(corpus, device)
    threads = pick_threads(trainer)
    ours = Runner(our_turns(trainer), threads)
    reference = Runner(reference_turns(make_reference(corpus, device)), threads)
    yield from race("training", vocabulary, device.type, ours, reference, seconds)


def make_trainer(corpus: Corpus, device: torch.device) -> Trainer:
    """Ours, at the settings of the race."""
    return Trainer(replace(PRESET, {"corpus.source": corpus.summary.source}), corpus, device)


def make_reference(corpus: Corpus, device: torch.device) -> ReferenceLoop:
    """The plain loop, on the same text."""
    vocabulary = len(corpus.tokenizer.vocabulary)
    return ReferenceLoop(corpus.splits["train"], vocabulary, device=device)


def our_turns(trainer: Trainer) -> Iterator[int]:
    """The tokens of each step, once it is taken."""
    while True:
        trainer.take_step()
        yield trainer.config.training.batch_size * trainer.config.training.bptt


def reference_turns(loop: ReferenceLoop) -> Iterator[int]:
    """As `our_turns`."""
    batch_size = loop.inputs.shape[1]
    return (batch_size * loop.bptt for _ in loop.steps())
