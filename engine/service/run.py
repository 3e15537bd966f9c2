"""A run as its engine has it: what questions are answered from, and what is told of it."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config import RunConfig
from engine.errors import Advice, UserError
from engine.events import AnyEvent, Progress, State, StateChanged
from engine.files import identity
from engine.messages.envelope import Status
from engine.service.record import Record

if TYPE_CHECKING:
    from engine.embeddings.history import WordHistory
    from engine.embeddings.space import Vectors
    from engine.model.lstm import LSTMLanguageModel
    from engine.text.corpus import Corpus
    from engine.text.tokenizer import Tokenizer
    from engine.training.plain_rnn import Beside
    from engine.training.trainer import Trainer


@dataclass
class Agenda:
    """What is to be done of training and measuring, an event at a time."""

    training: Iterator[Any] | None = None
    """The trainer's moments; None before the first step, and after a limit."""
    evaluations: list[Iterator[Any]] = field(default_factory=list)
    """Asked for by the user, before the next step."""
    unfinished: Iterator[Any] | None = None
    """What is in the middle of an evaluation."""
    single_steps: int = 0
    """Asked for, each by a command, and not yet taken."""

    @property
    def waits(self) -> bool:
        """Whether there is something to do in a run that rests."""
        return bool(self.single_steps or self.evaluations or self.unfinished)


class Run:
    """A run as it stands between two steps. What it hasn't yet, or can't have, is None."""

    def __init__(
        self, folder: Path, config: RunConfig, record: Record, *, asking: bool = False
    ) -> None:
        """`asking` says that the run is only asked: it is neither trained nor written to."""
        self.folder = folder
        self.config = config
        self.record = record
        self.asking = asking
        self.agenda = Agenda()
        self.state: State = "preparing"
        self.reason = ""
        self.advice: Advice = ""
        self.progress: Progress | None = None
        self.corpus: Corpus | None = None
        """The text it trains on."""
        self.tokenizer: Tokenizer | None = None
        self.trainer: Trainer | None = None
        self.saved_model: LSTMLanguageModel | None = None
        """A saved model that can't be trained on."""
        self.saved_step = 0
        """Of that model."""
        self.file_vectors: Vectors | None = None
        """Those of a file, of the tokenizer's words, where there is no run at all."""
        self.history: WordHistory | None = None
        """What is kept of the embedding's past; None until it is asked, or trained."""
        self.plain: Beside | None = None
        """A plain RNN to compare with; None until it is asked for."""
        self.changed_limits: list[tuple[str, float | None, float | None]] = []
        """Since the newest checkpoint: name, before, now. They are told once the run goes on, since
        looking writes nothing."""
        self.parameters = 0
        self.groups: list[str] = []
        self.device = ""
        self.threads = 0
        self.precision = "float32"
        self._identity = identity(folder)

    @property
    def step(self) -> int:
        """Steps that the model was trained for."""
        return self.saved_step if self.trainer is None else self.trainer.step

    @property
    def model(self) -> "LSTMLanguageModel | None":
        """The model that is asked; None until it is built."""
        return self.saved_model if self.trainer is None else self.trainer.eval_model

    @property
    def folder_is_gone(self) -> bool:
        """Whether the run's folder is no longer where it was, or another is in its place."""
        try:
            return identity(self.folder) != self._identity
        except OSError:  # a disk that doesn't answer now may do so at the next look
            return False

    @property
    def busy(self) -> bool:
        """Whether there is something of its agenda to do now."""
        if self.trainer is None or self.state in ("preparing", "failed"):
            return False
        return self.state == "running" or self.agenda.waits

    @property
    def between_steps(self) -> bool:
        """Whether no evaluation is half done."""
        return self.agenda.unfinished is None

    # --- what has to be there -----------------------------------------------------------------

    def require_tokenizer(self) -> "Tokenizer":
        """The tokenizer. Raises UserError before the corpus is read."""
        if self.tokenizer is None:
            raise UserError(self.reason or "The corpus is still being read: wait a moment.")
        return self.tokenizer

    def require_model(self) -> "tuple[Tokenizer, LSTMLanguageModel]":
        """The model, with its tokenizer. Raises UserError before it is built."""
        if self.tokenizer is None or self.model is None:
            raise UserError(
                self.reason or "The model is still being built: wait a moment.", self.advice
            )
        return self.tokenizer, self.model

    def require_trainer(self) -> "Trainer":
        """The trainer. Raises UserError where there is none to command."""
        if self.trainer is None or self.state == "failed":
            waiting = "The engine is still preparing: wait a moment."
            why = self._only_asked if self.saved_model else waiting
            raise UserError(self.reason or why, self.advice)
        return self.trainer

    def check_may_write(self) -> None:
        """Raises UserError where the run is only asked."""
        if self.asking:
            raise UserError(self.reason or self._only_asked)

    @property
    def _only_asked(self) -> str:
        return f"{self.folder.name} was opened to be asked only."

    def require_rest(self) -> "Trainer":
        """The trainer, for what can't go on beside training. Raises UserError."""
        trainer = self.require_trainer()
        if self.busy:
            raise UserError("Training is running: pause it first.", "pause-first")
        return trainer

    def fault(self) -> str:
        """Why the model in training is not worth keeping, as a clause; empty where it is."""
        from engine.training.rehearsal import fault

        assert self.trainer is not None
        return fault(self.trainer)

    # --- telling ------------------------------------------------------------------------------

    def publish(self, event: AnyEvent) -> None:
        """Tell of an event with the next batch, and record it."""
        self.record.add(event)

    def set_state(self, state: State, reason: str = "", advice: Advice = "") -> None:
        """Change the state and tell it at once."""
        if state != "preparing":
            self.progress = None if self.between_steps else self.progress
        self.state, self.reason, self.advice = state, reason, advice
        logging.info("%s after step %d %s", state, self.step, reason)
        self.publish(StateChanged(state=state, reason=reason, advice=advice))
        self.record.flush()

    def fail(self, reason: str, advice: Advice = "") -> None:
        """The run can't go on."""
        self.progress = None
        self.set_state("failed", reason, advice)

    def tell_progress(self, task: str) -> None:
        """Tell at once of something whose end can't be known."""
        self.progress = Progress(task=task, done=0, total=0)
        self.publish(self.progress)
        self.record.flush()

    def status(self) -> Status:
        """The run as it stands."""
        trainer, config = self.trainer, self.config
        return Status(
            run=self.folder.name,
            folder=str(self.folder),
            pid=os.getpid(),
            state=self.state,
            reason=self.reason,
            advice=self.advice,
            config=config,
            step=self.step,
            epoch=trainer.epoch if trainer else 0.0,
            learning_rate=trainer.learning_rate if trainer else config.optimiser.learning_rate,
            clip_mode=trainer.clip_mode if trainer else config.clipping.mode,
            clip_threshold=trainer.clip_threshold if trainer else config.clipping.threshold,
            parameters=self.parameters,
            groups=self.groups,
            device=self.device,
            threads=self.threads,
            precision=self.precision,
            corpus=self.corpus.summary if self.corpus else None,
            progress=self.progress,
            asking=self.asking,
        )


def describe(error: Exception) -> str:
    """A sentence for something unforeseen; the traceback is in the log."""
    text = str(error).split("\n")[0][:200]
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate" in text:
        return "Out of memory: make training.batch_size, training.bptt or the model smaller."
    return f"An unexpected error ended this ({type(error).__name__}: {text}); see its log."
