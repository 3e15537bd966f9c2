"""How the gradient fades on its way back through a window: vanishing, seen (Pascanu et al. 2013,
"On the difficulty of training recurrent neural networks").
"""

import math
from collections.abc import Generator

import torch
from torch import Tensor
from torch.nn import functional

from engine.messages import GradientByTime
from engine.model.lstm import CarriedState, LSTMLanguageModel
from engine.training.trainer import Trainer

MOST_BUILT = 20_000_000
"""Parameters of a model that is built anew, at most: that takes some tenths of a second."""


def gradient_by_time(trainer: Trainer) -> GradientByTime:
    """The gradient of the last prediction of the next window by each token's vector.

    The loss is the mean over the batch of the last tokens' cross-entropy, the dropouts are off, and
    a time step's norm is over batch and vector. Beside it the same of the model before its first
    step. Nothing of the trainer changes.
    """
    work = gradient_in_turns(trainer)
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: GradientByTime = end.value
            return found


def gradient_in_turns(trainer: Trainer) -> Generator[None, None, GradientByTime]:
    """As `gradient_by_time`, with pauses in which training may go on."""
    model, cursor, step = trainer.model, trainer.cursor, trainer.step
    carried = model.initial_state(cursor.batch_size) if cursor.at_start else trainer.carried
    tokens, targets = (each.to(trainer.device) for each in cursor.peek())
    vocabulary = trainer.corpus.tokenizer.vocabulary.tokens
    norms, first = _norms(model, tokens, targets, carried)
    before: list[float] = []
    began = trainer.config.model.vectors is None  # by the seed alone
    if began and sum(each.numel() for each in model.parameters()) <= MOST_BUILT:
        yield
        untrained = untrained_model(trainer)
        yield
        before, _ = _norms(untrained, tokens, targets, untrained.initial_state(cursor.batch_size))
    return GradientByTime(
        step=step,
        norms=norms,
        ratio=_ratio(norms),
        tokens=[vocabulary[token] for token in tokens[:, 0].tolist()],
        token_norms=first,
        untrained=before,
        untrained_ratio=_ratio(before),
    )


def untrained_model(trainer: Trainer) -> LSTMLanguageModel:
    """The model as the run's seed began it. The random state of torch stays as it is."""
    config = trainer.config
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(trainer.seeds.model)
        model = LSTMLanguageModel(len(trainer.corpus.tokenizer.vocabulary), config.model)
    return model.to(trainer.device)


def _norms(
    model: LSTMLanguageModel, tokens: Tensor, targets: Tensor, state: CarriedState
) -> tuple[list[float], list[float]]:
    """For each time step of tokens (time, batch) the norm over the batch, and that of the first
    text's own loss."""
    model.eval()
    with torch.enable_grad():
        vectors = model.embed(tokens).detach().requires_grad_()
        features, _ = model.features_of_vectors(vectors, state)
        loss = functional.cross_entropy(model.output(features[-1]), targets[-1])
    (gradient,) = torch.autograd.grad(loss, vectors)
    # Squares of what has nearly vanished would be nothing in float32.
    squares = gradient.double().square().sum(2)
    own = squares[:, 0].sqrt() * tokens.shape[1]  # the loss is the mean over the texts
    return squares.sum(1).sqrt().tolist(), own.tolist()


def _ratio(norms: list[float]) -> float:
    """The mean of the first tenth over that of the last; NaN where there is none, or zero."""
    tenth = max(1, round(len(norms) / 10))
    last = sum(norms[-tenth:]) if norms else 0.0
    return sum(norms[:tenth]) / last if last else math.nan
