"""The trainer: a generator of events that reads top to bottom.

The moment between two events is the only one at which anything may be changed from outside
(`learning_rate`, `clip_mode`, `clip_threshold`) or looked at, so every change lands on a step
boundary.
Random numbers: torch's own generator belongs to initialisation and dropout and is drawn from by
nothing else while training; samples draw from a generator of their own.
"""

import itertools
import math
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from engine.config import ClipMode, RunConfig
from engine.errors import UserError
from engine.events import AnyEvent, Evaluated, NonFinite, Progress, Sampled, Stepped
from engine.explore.generation import generate, start_token
from engine.measures import perplexity
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import Corpus
from engine.training.batches import BatchCursor
from engine.training.clipping import clip, first_non_finite
from engine.training.evaluation import total_loss
from engine.training.schedules import factor

SAMPLE_TOKENS = 40
SMALL_STEP = 2e8
"""Floating-point operations of a step below which a second thread costs more than it brings."""
SAVE_SECONDS = 60.0
"""Time between checkpoints where training.save_every is 0."""


@dataclass(frozen=True)
class CheckpointDue:
    """Between two steps: the owner of the trainer should save it now."""

    step: int


def pick_device() -> torch.device:
    """CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_threads(trainer: "Trainer") -> int:
    """The number asked for; else one for each core, and one alone for a tiny model."""
    training = trainer.config.training
    if training.threads:
        return training.threads
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    operations = 6 * parameters * training.batch_size * training.bptt
    return 1 if operations < SMALL_STEP else _cores()


def _cores() -> int:
    """Processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Trainer:
    """Trains one model on one corpus.

    Raises UserError where the corpus is too small for the configuration.
    """

    def __init__(self, config: RunConfig, corpus: Corpus, device: torch.device) -> None:
        torch.manual_seed(config.training.seed)
        self.config = config
        self.corpus = corpus
        self.device = device
        self.model = LSTMLanguageModel(len(corpus.tokenizer.vocabulary), config.model).to(device)
        self.groups = list(self.model.parameter_groups())
        self.optimiser = _build_optimiser(config, self.model)
        self.cursor = BatchCursor(
            corpus.splits["train"], config.training.batch_size, config.training.bptt
        )
        self.carried = self.model.initial_state(config.training.batch_size)
        self.sampling = torch.Generator().manual_seed(config.training.seed)

        self.step = 0
        self.seconds = 0.0
        self.learning_rate = config.optimiser.learning_rate
        self.clip_mode: ClipMode = config.clipping.mode
        self.clip_threshold = config.clipping.threshold
        self.best_valid_loss: float | None = None
        self.evaluated_at = 0
        self.sampled_at = 0
        self.non_finite_in_a_row = 0
        self._saved_time = time.monotonic()
        self._throughput = _Throughput()

    @property
    def epoch(self) -> float:
        """Passes over the training text so far."""
        return self.step / self.cursor.windows

    @property
    def total_steps(self) -> int | None:
        """Steps until the limit in steps or epochs, whichever is first; None without one."""
        training = self.config.training
        limits = [] if training.steps is None else [training.steps]
        if training.epochs is not None:
            limits.append(math.ceil(training.epochs * self.cursor.windows))
        return min(limits, default=None)

    @property
    def limit_reached(self) -> str:
        """The limit that ends the run here, for people; empty while there is none."""
        training = self.config.training
        if self.total_steps is not None and self.step >= self.total_steps:
            by_steps = training.steps == self.total_steps
            return f"training.{'steps' if by_steps else 'epochs'}"
        if training.minutes is not None and self.seconds >= 60 * training.minutes:
            return "training.minutes"
        return ""

    def train(self) -> Iterator[AnyEvent | CheckpointDue]:
        """Train until a limit is reached, and yield all that happens."""
        while True:
            if self._evaluation_due():
                yield from self.evaluate()
            if self._sample_due():
                yield self.sample()
            if self._checkpoint_due():
                yield CheckpointDue(self.step)
            if self.limit_reached:
                return
            yield from self._take_step()

    def _take_step(self) -> Iterator[AnyEvent]:
        began = time.perf_counter()
        if self.cursor.at_start:
            self.carried = self.model.initial_state(self.cursor.batch_size)
        inputs, targets = self.cursor.next()
        learning_rate = self.learning_rate * factor(
            self.config.schedule, self.step, self.total_steps
        )
        self.model.train()
        self.optimiser.zero_grad()
        loss, carried = self.model.loss(
            inputs.to(self.device), targets.to(self.device), self.carried
        )
        torch.autograd.backward(loss)
        clipped = clip(loss, self.groups, self.clip_mode, self.clip_threshold)
        if clipped.finite:
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate
            self.optimiser.step()
            self.carried = (carried[0].detach(), carried[1].detach())
            self.non_finite_in_a_row = 0
        else:
            self.carried = self.model.initial_state(self.cursor.batch_size)
            self.non_finite_in_a_row += 1
        self.step += 1
        ended = time.perf_counter()
        self.seconds += ended - began
        self._throughput.add(targets.numel(), began, ended)
        yield Stepped(
            step=self.step,
            epoch=self.epoch,
            loss=_finite(clipped.loss),
            learning_rate=learning_rate,
            norm_before=_finite(clipped.norm_before),
            norm_after=_finite(clipped.norm_after),
            groups_before={name: _finite(norm) for name, norm in clipped.groups_before.items()},
            groups_after={name: _finite(norm) for name, norm in clipped.groups_after.items()},
            clip_mode=self.clip_mode,
            clip_threshold=self.clip_threshold,
            clipped=clipped.changed,
            skipped=not clipped.finite,
            seconds=self.seconds,
            tokens_per_second=self._throughput.rate,
        )
        if not clipped.finite:
            tensor, value = first_non_finite(clipped.loss, self.model)
            yield NonFinite(
                step=self.step, tensor=tensor, value=value, in_a_row=self.non_finite_in_a_row
            )

    def evaluate(self, split: str = "valid") -> Iterator[Progress | Evaluated]:
        """Measure a split's loss, telling of progress; nothing of the training changes.

        Raises UserError where the corpus has no such split.
        """
        tokens = self.corpus.splits.get(split)
        if tokens is None or len(tokens) < 2:
            raise UserError(f"The corpus has no {split} split to evaluate on.")
        began = time.perf_counter()
        loss = math.nan
        for total, count in total_loss(self.model, tokens):
            loss = total / count
            yield Progress(task="evaluating", done=count, total=len(tokens) - 1, unit="tokens")
        best = False
        if split == "valid":
            self.evaluated_at = self.step
            best = self.best_valid_loss is None or loss < self.best_valid_loss
            self.best_valid_loss = loss if best else self.best_valid_loss
        self._throughput.rest()
        yield Evaluated(
            step=self.step,
            split=split,
            loss=loss,
            perplexity=perplexity(loss),
            tokens=len(tokens) - 1,
            seconds=time.perf_counter() - began,
            best=best,
        )

    def sample(self) -> Sampled:
        """A short text from the model as it stands."""
        self.sampled_at = self.step
        tokenizer = self.corpus.tokenizer
        ids = generate(
            self.model,
            [start_token(tokenizer)],
            random=self.sampling,
            banned=tokenizer.vocabulary.unknown,
        )
        text = tokenizer.decode(list(itertools.islice(ids, SAMPLE_TOKENS)))
        self._throughput.rest()
        return Sampled(step=self.step, text=text.strip())

    def saved(self) -> None:
        """To be called when a checkpoint has been written."""
        self._saved_time = time.monotonic()
        self._throughput.rest()

    def rest(self) -> None:
        """To be called when training pauses, so that the rate shown leaves the pause out."""
        self._throughput.rest()

    def _evaluation_due(self) -> bool:
        tokens = self.corpus.splits.get("valid")
        if tokens is None or len(tokens) < 2 or self.evaluated_at == self.step:
            return False
        every = self.config.training.evaluate_every or self.cursor.windows
        return self.step % every == 0 or bool(self.limit_reached)

    def _sample_due(self) -> bool:
        if self.step in (0, self.sampled_at):
            return False
        every = self.config.training.sample_every
        return self.step % every == 0 if every else self.evaluated_at == self.step

    def _checkpoint_due(self) -> bool:
        every = self.config.training.save_every
        if every:
            return self.step > 0 and self.step % every == 0
        return time.monotonic() - self._saved_time >= SAVE_SECONDS


class _Throughput:
    """Tokens per second over the last second or so of unbroken training."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, float]] = deque()
        self._tokens = 0
        self._seconds = 0.0
        self._last_end: float | None = None

    def add(self, tokens: int, began: float, ended: float) -> None:
        """A step; what passed since the step before counts too, unless `rest` was called."""
        seconds = ended - (began if self._last_end is None else self._last_end)
        self._last_end = ended
        self._steps.append((tokens, seconds))
        self._tokens += tokens
        self._seconds += seconds
        while self._seconds - self._steps[0][1] > 1:
            oldest_tokens, oldest_seconds = self._steps.popleft()
            self._tokens -= oldest_tokens
            self._seconds -= oldest_seconds

    def rest(self) -> None:
        self._last_end = None

    @property
    def rate(self) -> float:
        return self._tokens / max(1e-9, self._seconds)


def _build_optimiser(config: RunConfig, model: LSTMLanguageModel) -> torch.optim.Optimizer:
    rate, decay = config.optimiser.learning_rate, config.optimiser.weight_decay
    if config.optimiser.name == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay, fused=True)
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
