"""The trainer: a generator of moments, each with its events, that reads top to bottom.

Only between two moments may anything be changed from outside (`learning_rate`, `clip_mode`,
`clip_threshold`), saved or looked at, so every change lands on a step boundary.

Random numbers: initialisation, data, dropout and samples each draw from a generator of their own,
all derived from one seed; samples from the same numbers each time. Evaluation draws none.
"""

import math
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import Tensor

from engine.config import ClipMode, RunConfig
from engine.embeddings.files import StartingVectors
from engine.errors import UserError
from engine.events import (
    AnyEvent,
    Averaging,
    Evaluated,
    ExactLoss,
    NonFinite,
    Progress,
    Sampled,
    Stepped,
)
from engine.measures import clip_fraction, finite
from engine.model.lstm import LSTMLanguageModel, detached
from engine.sizes import sparse_gradients
from engine.text.batches import BatchCursor
from engine.text.corpus import Corpus
from engine.training.candidates import CandidateSampler
from engine.training.clipping import Clipped, clip, first_non_finite
from engine.training.looks import measurable, measure, write
from engine.training.norms import NormHistory
from engine.training.optimisers import Average, build_optimiser, stalled
from engine.training.precision import pick_dtype
from engine.training.schedules import factor
from engine.training.seeds import seeds_of
from engine.training.sparse import add_up
from engine.training.throughput import Throughput
from engine.training.validations import Validations

SAVE_SECONDS = 60.0
"""Time between checkpoints where training.save_every is 0."""
EXACT_EVERY = 100
"""Steps between two exact losses where the loss is sampled, or one for 100 words of the vocabulary,
as their time grows with it: that stays below a hundredth."""
ADAPTIVE_AFTER = 10
"""Norms that adaptive clipping has to see before it takes their percentile."""


@dataclass(frozen=True)
class CheckpointDue:
    """Between two steps: the owner of the trainer should save it now."""

    step: int
    best: bool
    """Whether the newest validation was the best so far."""


Moment = tuple[AnyEvent | CheckpointDue, ...]
"""What happened together: one event, or with it what follows from it."""
StepTold = tuple[Stepped, *tuple[ExactLoss | NonFinite, ...]]
PLAIN = (
    "step",
    "seconds",
    "learning_rate",
    "clip_mode",
    "clip_threshold",
    "clipped_steps",
    "non_finite_steps",
    "non_finite_in_a_row",
    "sampled_at",
    "vectors",
)
"""Attributes of the trainer that are its state as they are."""


class Trainer:
    """Trains one model on one corpus.

    Raises UserError where the corpus is too small for the configuration, or has no validation split
    that early stopping could go by.
    """

    def __init__(
        self,
        config: RunConfig,
        corpus: Corpus,
        device: torch.device,
        model: type[LSTMLanguageModel] = LSTMLanguageModel,
    ) -> None:
        training = config.training
        if training.patience is not None and not measurable(corpus, "valid"):
            raise UserError(
                "training.patience counts validations, and the corpus has no validation split: "
                "give it one by corpus.valid_fraction, or choose another limit."
            )
        self.seeds = seeds_of(training.seed)
        self.config = config
        self.corpus = corpus
        self.device = device
        torch.manual_seed(self.seeds.model)
        self.data_random = torch.Generator().manual_seed(self.seeds.data)
        self.dropout_random = torch.Generator(device).manual_seed(self.seeds.dropout)
        self.model = model(
            len(corpus.tokenizer.vocabulary),
            config.model,
            config.regularisation,
            self.dropout_random,
        ).to(device)
        self.model.training_dtype = pick_dtype(training.precision, device)
        self.groups = list(self.model.parameter_groups())
        self.optimiser = build_optimiser(config.optimiser, self.model)
        self.average: Average | None = None
        """nt-asgd's, once it has begun."""
        self.cursor = BatchCursor(
            corpus.splits["train"],
            training.batch_size,
            training.bptt,
            self.data_random if training.random_bptt else None,
        )
        self.carried = self.model.initial_state(training.batch_size)
        self.candidates: CandidateSampler | None = None
        counts = corpus.tokenizer.vocabulary.counts
        if training.candidates is not None and training.candidates < len(counts):
            self.candidates = CandidateSampler(counts, training.candidates, self.data_random)
        self.model.sparse_gradients = sparse_gradients(config, len(counts), device.type)
        self._exact_every = max(EXACT_EVERY, len(counts) // 100)

        self.step = 0
        self.seconds = 0.0
        self.learning_rate = config.optimiser.learning_rate
        self.clip_mode: ClipMode = config.clipping.mode
        self.clip_threshold = config.clipping.threshold
        self.norms = NormHistory()
        self.clipped_steps = 0
        self.non_finite_steps = 0
        self.non_finite_in_a_row = 0
        self.validations = Validations()
        self.sampled_at = 0
        """The step of the newest sample."""
        self.vectors = ""
        """Fingerprint of the file of vectors that the embedding started from, if it did."""
        self.frozen: Tensor | None = None
        """Which rows of the embedding (vocabulary,) keep their vectors: uint8; None where all
        learn."""
        self._saved_time = time.monotonic()
        self._throughput = Throughput()

    @property
    def eval_model(self) -> LSTMLanguageModel:
        """The model that is evaluated, asked and kept: the average where there is one."""
        return self.model if self.average is None else self.average.model

    @property
    def epoch(self) -> float:
        """Passes over the training text so far."""
        return self.cursor.epoch + self.cursor.row / self.cursor.rows

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1, by whichever limit comes first; 0 without one."""
        training = self.config.training
        shares = [0.0]
        if training.steps is not None:
            shares.append(self.step / training.steps)
        if training.epochs is not None:
            shares.append(self.epoch / training.epochs)
        if training.minutes is not None:
            shares.append(self.seconds / (60 * training.minutes))
        return min(1.0, max(shares))

    @property
    def limit_reached(self) -> str:
        """The limit that ends the run here, for people; empty while there is none."""
        training = self.config.training
        if training.steps is not None and self.step >= training.steps:
            return "training.steps"
        if training.epochs is not None and self.epoch >= training.epochs:
            return "training.epochs"
        if training.minutes is not None and self.seconds >= 60 * training.minutes:
            return "training.minutes"
        if training.patience is not None and self.validations.stale >= training.patience:
            return "training.patience"
        return ""

    @property
    def looks_due(self) -> bool:
        """Whether a validation or a sample is to be made before anything else."""
        at = (self.validations.steered_at, self.validations.ended_at)
        measured = self.step in at or not self._can_validate
        return not measured or self._sample_due()

    def train(self) -> Iterator[AnyEvent | CheckpointDue]:
        """Train until a limit is reached, and yield all that happens, one event after the other:
        see `moments`."""
        for moment in self.moments():
            yield from moment

    def moments(self) -> Iterator[Moment]:
        """Train until a limit is reached, and yield all that happens.

        Where the run ends it is measured, and nothing more: it may go on from there, and must then
        be the run that had not ended.
        """
        while True:
            if self._validation_due():
                yield from self._validate()
            if self._sample_due():
                yield (self.sample(),)
            past = self.validations
            loss = past.loss_at(self.step)
            if self.limit_reached and past.steered_at != self.step and self._can_validate:
                loss = yield from self._measure_end()
            best = loss is not None and loss < past.to_beat
            if best or self._checkpoint_due():
                self._saved_time = time.monotonic()
                past.best_loss = loss if best else past.best_loss
                yield (CheckpointDue(self.step, best),)
            if self.limit_reached:
                return
            yield self.take_step()

    @torch.no_grad()
    def start_from(self, starting: StartingVectors) -> None:
        """Let the embedding of a trainer that took no step start from a file's vectors."""
        weight = self.model.embedding.weight
        rows = torch.from_numpy(starting.rows).to(self.device)
        vectors = torch.from_numpy(starting.vectors).to(self.device)
        weight[rows, : vectors.shape[1]] = vectors
        self.vectors = starting.fingerprint
        if self.config.model.vectors_frozen:
            self.frozen = torch.zeros(len(weight), dtype=torch.uint8, device=self.device)
            self.frozen[rows] = 1

    # --- its state ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that the run needs to go on from here as if it had never stopped, but for the weights
        to use (`eval_model`): the sum of what each part has to keep, tensors and plain values."""
        state = {name: getattr(self, name) for name in PLAIN}
        for part in (self.validations, self.cursor, self.norms):
            state |= part.state_dict()
        state |= _named("optimiser.", self.optimiser.state_dict())
        state["averaged_steps"] = self.average.steps if self.average else 0
        if self.average is not None:
            weights = {name: each.detach() for name, each in self.model.named_parameters()}
            state |= _named("trained.", weights)
        if self.frozen is not None:
            state["frozen"] = self.frozen
        for index, (h, c) in enumerate(self.carried):
            state |= {f"carried.{index}.h": h, f"carried.{index}.c": c}
        return state | {f"random.{name}": r.get_state() for name, r in self._generators.items()}

    def load_state_dict(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Put back a state, and the weights to use with it; random state last.

        Raises ValueError where it doesn't fit, or a generator's state is none.
        """
        self.average = None
        if state["averaged_steps"]:
            self.average = Average(self.model)
            self.average.steps = state["averaged_steps"]
            self.model.load_weights(_under("trained.", state))
        self.eval_model.load_weights(weights)
        self.optimiser.load_state_dict(_under("optimiser.", state))
        for name in PLAIN:
            setattr(self, name, state[name])
        frozen = state.get("frozen")
        self.frozen = None if frozen is None else frozen.to(self.device, copy=True)
        for part in (self.validations, self.cursor, self.norms):
            part.load_state_dict(state)
        parts = ((f"carried.{n}.h", f"carried.{n}.c") for n in range(self.config.model.layers))
        self.carried = tuple((state[h].to(self.device), state[c].to(self.device)) for h, c in parts)
        for name, random in self._generators.items():
            try:
                random.set_state(state[f"random.{name}"])
            except (KeyError, RuntimeError, TypeError):
                raise ValueError(f"random.{name} is no generator's state") from None

    @property
    def _generators(self) -> dict[str, torch.Generator]:
        return {
            "data": self.data_random,
            "dropout": self.dropout_random,
        }

    # --- a step -------------------------------------------------------------------------------

    def take_step(self) -> StepTold:
        """Take one optimiser step on the next window of text, whatever the run's limits are.

        A step that can't be computed, for want of memory say, leaves everything as it was: the run
        may be saved then, and is the one that never tried."""
        place = self.cursor.state_dict()
        states = [(random, random.get_state()) for random in self._generators.values()]
        try:
            return self._take_step()
        except Exception:
            self.cursor.load_state_dict(place)
            for random, state in states:
                random.set_state(state)
            raise

    def _take_step(self) -> StepTold:
        began = time.perf_counter()
        if self.cursor.at_start:
            self.carried = self.model.initial_state(self.cursor.batch_size)
        learning_rate = self.learning_rate * factor(
            self.config.schedule, self.step, self.progress, self.validations.plateau_decays
        )
        inputs, targets = self.cursor.next()
        if self.config.training.random_bptt:
            learning_rate *= len(inputs) / self.cursor.bptt
        self.model.train()
        self.optimiser.zero_grad()
        loss, penalty, carried, exact = self.model.loss(
            inputs.to(self.device),
            targets.to(self.device),
            self.carried,
            None if self.candidates is None else self.candidates.draw(),
            exactly=self.step % self._exact_every == 0,
        )
        torch.autograd.backward(loss if penalty is None else loss + penalty)
        add_up(self.model.parameters())
        self._spare_frozen()
        threshold = self._threshold()
        rule = "norm" if self.clip_mode == "adaptive" else self.clip_mode
        clipped = clip(loss, self.groups, rule, threshold)
        skipped = not clipped.finite and self.config.training.non_finite != "let-it-happen"
        if skipped:
            self.carried = self.model.initial_state(self.cursor.batch_size)
        else:
            self._update(learning_rate)
            self.carried = detached(carried)
        self.step, self.validations.ended_at = self.step + 1, 0
        self._count(clipped)
        ended = time.perf_counter()
        self.seconds += ended - began
        self._throughput.add(targets.numel(), began, ended)
        stepped = self._stepped(clipped, learning_rate, threshold, skipped)
        told: list[ExactLoss | NonFinite] = []
        if exact is not None:
            measured, sampled = finite(exact.item()), finite(clipped.loss)
            told.append(ExactLoss(step=self.step, loss=measured, sampled_loss=sampled))
        if not clipped.finite:
            tensor, value = first_non_finite(clipped.loss, self.model)
            in_a_row = self.non_finite_in_a_row
            told.append(NonFinite(step=self.step, tensor=tensor, value=value, in_a_row=in_a_row))
        return stepped, *told

    def _threshold(self) -> float:
        """What clipping goes by at this step."""
        if self.clip_mode != "adaptive" or self.norms.total < ADAPTIVE_AFTER:
            return self.clip_threshold
        return self.norms.percentiles(self.config.clipping.percentile)[0]

    def _spare_frozen(self) -> None:
        """Rows that are frozen have no gradient: neither clipping nor an optimiser knows them."""
        gradient = self.model.embedding.weight.grad
        if self.frozen is None or gradient is None:
            return
        if gradient.is_sparse:
            gradient.values()[self.frozen[gradient.indices()[0]].bool()] = 0
        else:
            gradient[self.frozen.bool()] = 0

    def _update(self, learning_rate: float) -> None:
        frozen, weight = self.frozen, self.model.embedding.weight
        decays = frozen is not None and self.config.optimiser.weight_decay > 0
        kept = weight.detach()[frozen.bool()] if frozen is not None and decays else None
        self.optimiser.step(learning_rate)
        if frozen is not None and kept is not None:
            weight.detach()[frozen.bool()] = kept
        if self.average is not None:
            self.average.update(self.model)

    def _count(self, clipped: Clipped) -> None:
        if clipped.finite:
            self.norms.add(clipped.norm_before)
            self.clipped_steps += clipped.changed
            self.non_finite_in_a_row = 0
        else:
            self.non_finite_steps += 1
            self.non_finite_in_a_row += 1

    def _stepped(
        self, clipped: Clipped, learning_rate: float, threshold: float, skipped: bool
    ) -> Stepped:
        median, p90, p99 = self.norms.percentiles(50, 90, 99)
        return Stepped(
            step=self.step,
            epoch=self.epoch,
            loss=finite(clipped.loss),
            learning_rate=learning_rate,
            norm_before=finite(clipped.norm_before),
            norm_after=finite(clipped.norm_after),
            groups_before={name: finite(norm) for name, norm in clipped.groups_before.items()},
            groups_after={name: finite(norm) for name, norm in clipped.groups_after.items()},
            norm_median=median,
            norm_p90=p90,
            norm_p99=p99,
            clip_mode=self.clip_mode,
            clip_threshold=threshold,
            clipped=clipped.changed,
            clip_fraction=clip_fraction(self.clipped_steps, self.step, self.non_finite_steps),
            skipped=skipped,
            sampled=self.candidates is not None,
            non_finite_steps=self.non_finite_steps,
            seconds=self.seconds,
            tokens_per_second=self._throughput.rate,
        )

    # --- looking ------------------------------------------------------------------------------

    def _validate(self) -> Iterator[Moment]:
        """Measure the validation loss, and let it steer: plateau, averaging, early stopping."""
        for event in self._measured("valid", self.validations.to_beat):
            if not isinstance(event, Evaluated):
                yield (event,)
                continue
            self.validations.steered_at = self.step
            if event.loss is None:
                yield (event,)
                continue
            averages = self._steer(event.loss)
            told = msgspec.structs.replace(event, steers=True, stale=self.validations.stale)
            yield (told, Averaging(step=self.step)) if averages else (told,)

    def _measure_end(self) -> Generator[Moment, None, float | None]:
        """Measure the validation loss where the run ends, beside the validations that steer, and
        sample where those do. Returns the loss."""
        loss, self.validations.ended_at = None, self.step
        for event in self._measured("valid", self.validations.to_beat):
            loss = event.loss if isinstance(event, Evaluated) else None
            yield (event,)
        if not self.config.training.sample_every:
            sampled_at = self.sampled_at
            sampled = self.sample()
            self.sampled_at = sampled_at
            yield (sampled,)
        return loss

    def _steer(self, loss: float) -> bool:
        """Take in a validation. Returns whether averaging begins."""
        self.validations.take(loss)
        begins = (
            self.config.optimiser.name == "nt-asgd"
            and self.average is None
            and stalled(self.validations.losses, self.config.optimiser.trigger)
        )
        if begins:
            self.average = Average(self.model)
        return begins

    def evaluate(self, split: str) -> Iterator[Progress | Evaluated]:
        """Measure a split's loss, telling of progress; nothing of the training changes. It is no
        best one, since no checkpoint keeps it.

        Raises UserError where the corpus has no such split.
        """
        return self._measured(split, -math.inf)

    def _measured(self, split: str, to_beat: float) -> Iterator[Progress | Evaluated]:
        self.rest()
        yield from measure(self.eval_model, self.corpus, split, step=self.step, to_beat=to_beat)

    def sample(self) -> Sampled:
        """A short text from the model as it stands, after the prompt and by the seed that all
        samples of a run have; no text where it has exploded."""
        self.sampled_at = self.step
        self.rest()
        random = torch.Generator().manual_seed(self.seeds.samples)
        prompt = self.config.training.sample_prompt
        text = write(self.eval_model, self.corpus.tokenizer, random, prompt)
        return Sampled(step=self.step, text=text)

    def rest(self) -> None:
        """To be called when something else than training comes: the rate shown leaves it out."""
        self._throughput.rest()

    @property
    def _can_validate(self) -> bool:
        return measurable(self.corpus, "valid")

    def _validation_due(self) -> bool:
        """Whether training validates at this step, wherever the run ends."""
        if self.validations.steered_at == self.step or not self._can_validate:
            return False
        every = self.config.training.evaluate_every
        return self.step % every == 0 if every else self.cursor.at_start

    def _sample_due(self) -> bool:
        if self.step in (0, self.sampled_at):
            return False
        every = self.config.training.sample_every
        return self.step % every == 0 if every else self.validations.steered_at == self.step

    def _checkpoint_due(self) -> bool:
        every = self.config.training.save_every
        if every:
            return self.step > 0 and self.step % every == 0
        return time.monotonic() - self._saved_time >= SAVE_SECONDS


def _named(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def _under(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """What of a state is named so, by the rest of its names."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
