"""One run, conducted: prepared, trained event by event, changed by commands, saved, asked.

It knows nothing of sockets. Whoever owns it calls `advance` while it is `busy`, and may call
anything else in between.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import msgspec

from engine import messages as p
from engine.config import RunConfig, replace
from engine.errors import Advice, UserError
from engine.events import (
    CorpusReady,
    Evaluated,
    Intervened,
    ModelReady,
    NonFinite,
    Progress,
    RolledBack,
    Saved,
    SaveFailed,
    State,
    StateChanged,
    Stepped,
)
from engine.files import identity
from engine.runs import check_own_text, load_config
from engine.service.record import Record

if TYPE_CHECKING:
    import torch

    from engine.model.lstm import LSTMLanguageModel
    from engine.text.corpus import Corpus
    from engine.text.tokenizer import Tokenizer
    from engine.training.checkpoint import Checkpoint
    from engine.training.trainer import Trainer

PAUSE_AFTER = 3
"""Non-finite steps in a row after which training pauses."""
LOWEST_RATE = 1e-9
"""A roll-back doesn't halve the rate below it."""
_UNTOUCHED = "The checkpoint before is untouched."
MAX_EVALUATIONS = 8
"""That wait to be made."""
TrainingCommand = p.Start | p.Pause | p.Step | p.Stop | p.SetKnob | p.Evaluate | p.GoBack
Answers = Iterator[p.AnyAnswer | None]


class Conductor:
    """The state of a run: see engine.events.State."""

    def __init__(self, folder: Path, record: Record, *, asking: bool = False) -> None:
        """`asking` says that the run is only asked: it is neither trained nor written to.

        Raises UserError where the folder holds no run.
        """
        self.folder = folder
        self.asking = asking
        self.config: RunConfig = load_config(folder)
        self._identity = identity(folder)
        self.state: State = "preparing"
        self.reason = ""
        self.advice: Advice = ""
        self.progress: Progress | None = None
        self.tokenizer: Tokenizer | None = None
        self.trainer: Trainer | None = None
        self._record = record
        self._corpus: Corpus | None = None
        self._parameters = 0
        self._groups: list[str] = []
        self._device = ""
        self._threads = 0
        self._precision = "float32"
        self._explored: LSTMLanguageModel | None = None
        """A saved model that can't be trained on, and its step."""
        self._explored_step = 0
        self._saved_step = -1
        """The step of the checkpoint that holds all there is to keep; -1 where none does."""
        self._save_failure: SaveFailed | None = None
        """The last that was told."""
        self.kept_step: int | None = None
        """The step of the newest checkpoint."""
        self._changed_limits: list[tuple[str, float | None, float | None]] = []
        """Since that checkpoint: told once the run goes on, since looking writes nothing."""
        self._training: Iterator[Any] | None = None
        self._evaluations: list[Iterator[Any]] = []
        """Asked for by the user, before the next step."""
        self._unfinished: Iterator[Any] | None = None
        """What is in the middle of an evaluation."""
        self._single_steps = 0
        """Asked for, each by a command, and not yet taken."""

    @property
    def step(self) -> int:
        return self._explored_step if self.trainer is None else self.trainer.step

    @property
    def model(self) -> "LSTMLanguageModel | None":
        """The model that is asked; None until it is built."""
        return self._explored if self.trainer is None else self.trainer.judged

    @property
    def folder_is_gone(self) -> bool:
        """Whether the run's folder is no longer where it was, or another is in its place."""
        return identity(self.folder) != self._identity

    @property
    def busy(self) -> bool:
        """Whether `advance` has something to do."""
        if self.trainer is None or self.state in ("preparing", "failed"):
            return False
        waiting = self._single_steps or self._evaluations or self._unfinished
        return self.state == "running" or bool(waiting)

    @property
    def between_steps(self) -> bool:
        """Whether no evaluation is half done."""
        return self._unfinished is None

    @property
    def unsaved(self) -> bool:
        """Whether there is something worth keeping that no checkpoint holds."""
        if self.asking or self.trainer is None or self.step == 0:
            return False
        return self._saved_step != self.step and not self.trainer.fault()

    # --- preparing ----------------------------------------------------------------------------

    def open_corpus(self, on_progress: Callable[[Progress], None]) -> None:
        """Read and encode the corpus; needs no torch. Raises UserError."""
        from engine.text.corpus import open_corpus

        check_own_text(self.folder, self.config.corpus.source)
        self._corpus = open_corpus(self.config.corpus, progress=on_progress)
        self.tokenizer = self._corpus.tokenizer
        self.publish(CorpusReady(corpus=self._corpus.summary))

    def build(self, corpus_problem: str = "") -> None:
        """Build the model and load the newest checkpoint. Without a corpus, whose problem is then
        given, a saved model can still be asked. Raises UserError where there is none."""
        import torch

        from engine.training.checkpoint import load_latest
        from engine.training.device import pick_device, pick_threads
        from engine.training.memory import too_large
        from engine.training.trainer import Trainer

        device = pick_device()
        self.tell_progress("building")
        checkpoint, note = load_latest(self.folder)
        if checkpoint is None and (self.asking or self._corpus is None):
            if corpus_problem:
                raise UserError(corpus_problem)
            raise UserError(
                f"{self.folder.name} has no checkpoint: nothing of it was saved that could be "
                "asked.",
                "train-first",
            )
        trainer, problem = None, corpus_problem
        if self._corpus is not None:
            problem = too_large(self.config, self._corpus, device)
        if self._corpus is not None and not problem:
            trainer = Trainer(self.config, self._corpus, device)
            wanted = self.config.training.threads
            saved = checkpoint.training.threads if checkpoint and not wanted else 0
            torch.set_num_threads(saved or pick_threads(trainer))
            if checkpoint is not None:
                try:
                    note = f"{note} {checkpoint.restore(trainer)}".strip()
                except UserError as error:
                    trainer, problem = None, str(error)
        self.kept_step = checkpoint.training.step if checkpoint else None
        if trainer is not None:
            told = self._record.rewind(trainer.step, checkpoint.path.name if checkpoint else "")
            note = f"{note} {told}".strip()
            self.trainer = trainer
            if checkpoint is not None:
                self._saved_step = trainer.step
                self._changed_limits = list(checkpoint.changed_limits(trainer))
        elif checkpoint is not None:
            can = "The saved model can be asked, not trained." if problem else ""
            note = f"{problem} {can}".strip()
            self._explore_only(checkpoint, device)
        else:
            raise UserError(problem)
        self._tell_model(device.type, torch.get_num_threads())
        self.set_state("ready" if self.step == 0 else "paused", note)

    def _explore_only(self, checkpoint: "Checkpoint", device: "torch.device") -> None:
        from engine.model.lstm import LSTMLanguageModel

        self.asking = True
        self.tokenizer = checkpoint.tokenizer
        model = LSTMLanguageModel(len(self.tokenizer.vocabulary), self.config.model).to(device)
        checkpoint.load_weights(model)
        self._explored, self._explored_step = model, checkpoint.training.step

    def _tell_model(self, device: str, threads: int) -> None:
        import torch

        assert self.model is not None
        self._parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self._groups = [name for name, _ in self.model.parameter_groups()]
        self._device, self._threads = device, threads
        dtype = self.model.training_dtype or torch.float32
        self._precision = str(dtype).removeprefix("torch.")
        status = self.status()
        fields = {name: getattr(status, name) for name in ModelReady.__struct_fields__}
        self.publish(ModelReady(**fields))

    # --- training -----------------------------------------------------------------------------

    def advance(self) -> None:
        """The next event: of an evaluation under way, else one asked for, else of training."""
        try:
            self._advance()
        except UserError as error:
            self._single_steps = 0
            self.set_state("paused", str(error))
        except Exception as error:
            logging.exception("training failed")
            self._training, self._unfinished, self._evaluations = None, None, []
            self.fail(describe(error))

    def _advance(self) -> None:
        assert self.trainer is not None
        if self._training is None:
            self._training = self.trainer.train()
        asked = self._evaluations[0] if self._evaluations else None
        source = self._unfinished or asked or self._training
        event = next(source, None)
        self._unfinished = source if isinstance(event, Progress) else None
        if event is not None:
            self._hear(event)
            while self.trainer.telling:
                self._hear(next(source))
        elif source is asked:
            self._evaluations.pop(0)
        else:
            self._training, self._single_steps = None, 0
            limit = self.trainer.limit_reached
            self._rest_saved("finished", f"Reached {limit}")

    def _rest_saved(self, state: State, done: str) -> None:
        """Save what there is to keep and rest in this state; `done` says what came before."""
        assert self.trainer is not None
        if self.unsaved and not self.save():
            self.set_state("paused", f"{done}, but it could not be saved.")
        elif self.step and self._saved_step != self.step:
            self.set_state(state, f"{done}. Not saved: {self.trainer.fault()}.", self._way_out)
        else:
            self.set_state(state, f"{done}." if state == "finished" else "")

    def _hear(self, event: Any) -> None:
        from engine.training.trainer import CheckpointDue

        self.progress = event if isinstance(event, Progress) else None
        if isinstance(event, CheckpointDue):
            self.save(best=event.best)
            return
        self.publish(event)
        if isinstance(event, Evaluated):
            self._saved_step = -1  # a record that went back to the checkpoint would lose it
        if isinstance(event, Stepped):
            self._single_steps = max(0, self._single_steps - 1)
        if isinstance(event, NonFinite):
            self._answer_non_finite(event)

    def _answer_non_finite(self, event: NonFinite) -> None:
        match self.config.training.non_finite:
            case "let-it-happen":
                pass
            case "roll-back":
                self._roll_back(event)
            case "stop":
                self._pause_for(event)
            case "skip":
                if event.in_a_row >= PAUSE_AFTER:
                    self._pause_for(event)

    def _pause_for(self, event: NonFinite) -> None:
        assert self.trainer is not None
        self._rest()
        self._single_steps = 0
        steps = "This step was" if event.in_a_row == 1 else f"{event.in_a_row} steps in a row were"
        fault = self.trainer.fault()
        self.set_state(
            "paused",
            f"{steps} not finite ({event.value} in {event.tensor}); the weights were left alone."
            + (f" No further step can help: {fault}." if fault else ""),
            self._way_out,
        )

    @property
    def _way_out(self) -> Advice:
        """Of a run whose steps are not finite."""
        return "start-over" if self.kept_step is None else "calm"

    def _roll_back(self, event: NonFinite) -> None:
        """Go back to the last good checkpoint, and on at half the rate."""
        assert self.trainer is not None
        from engine.training.checkpoint import load_latest

        try:
            checkpoint, _ = load_latest(self.folder)
        except UserError as error:
            logging.warning("%s", error)
            checkpoint = None
        rate = self.trainer.learning_rate / 2
        if checkpoint is None or rate < LOWEST_RATE:
            self._pause_for(event)
            return
        checkpoint.restore(self.trainer)
        self.trainer.learning_rate = rate
        self._saved_step = -1
        self._tell_gone_back(event.step)

    def _go_back(self, to: str) -> None:
        """Put the run back to a checkpoint, whose knobs come with it. Raises UserError."""
        trainer, before = self._resting_trainer(), self.step
        from engine.training.checkpoint import Checkpoint, to_go_back_to

        problem = ""
        for path in to_go_back_to(self.folder, to):
            try:
                checkpoint = Checkpoint(path)
                checkpoint.restore(trainer)
            except UserError as error:
                problem = problem or str(error)
                continue
            self._training, self._evaluations = None, []
            trainer.non_finite_in_a_row = 0
            self._tell_gone_back(before)
            if fault := trainer.fault():
                problem = problem or f"{path.name} is no good: {fault}."
                continue
            self._saved_step = -1  # until it is saved, a later checkpoint is the newest
            self.set_state("paused", f"Back at step {self.step:,}, as {path.name} was saved.")
            return
        raise UserError(problem or f"There is no checkpoint {to!r} to go back to.", "calm")

    def _tell_gone_back(self, before: int) -> None:
        """Tell that the run, which had taken `before` steps, stands at an earlier one."""
        assert self.trainer is not None
        self.publish(
            RolledBack(
                step=self.step,
                from_step=before,
                learning_rate=self.trainer.learning_rate,
                stale=self.trainer.stale_validations,
            )
        )

    def _rest(self) -> None:
        if self.trainer is not None:
            self.trainer.rest()

    def save(self, *, best: bool = False) -> str:
        """Write a checkpoint; returns its name. Where that fails it is told, and "" returned."""
        assert self.trainer is not None
        from engine.training.checkpoint import save

        began = time.monotonic()
        if self.folder_is_gone:
            return self._save_failed("Not saved: the run's folder is gone.")
        try:
            self._record.sync()
            name = save(self.folder, self.trainer, best=best)
        except OSError as error:
            logging.exception("saving failed")
            return self._save_failed(
                f"Can't save to {error.filename or self.folder}: {error.strerror}. "
                + ("Nothing of it is saved yet." if self.kept_step is None else _UNTOUCHED)
            )
        except UserError as error:
            return self._save_failed(str(error))
        self._saved_step = self.kept_step = self.step
        seconds = time.monotonic() - began
        self.publish(Saved(step=self.step, checkpoint=name, seconds=seconds, best=best))
        return name

    def _save_failed(self, reason: str) -> str:
        failure = SaveFailed(step=self.step, reason=reason)
        if failure != self._save_failure:
            self.publish(failure)
        self._save_failure = failure
        return ""

    def fail(self, reason: str, advice: Advice = "") -> None:
        """The run can't go on."""
        self.progress = None
        self.set_state("failed", reason, advice)

    # --- telling ------------------------------------------------------------------------------

    def publish(self, event: Any) -> None:
        self._record.add(event)

    def set_state(self, state: State, reason: str = "", advice: Advice = "") -> None:
        """Change the state and tell it at once."""
        if state != "preparing":
            self.progress = None if self.between_steps else self.progress
        self.state, self.reason, self.advice = state, reason, advice
        logging.info("%s after step %d %s", state, self.step, reason)
        self.publish(StateChanged(state=state, reason=reason, advice=advice))
        self._record.flush()

    def tell_progress(self, task: str) -> None:
        """Tell at once of something whose end can't be known."""
        self.progress = Progress(task=task, done=0, total=0)
        self.publish(self.progress)
        self._record.flush()

    def _intervene(self, action: str, old: float | str | None = None, new: Any = None) -> None:
        self.publish(Intervened(step=self.step, action=action, old=old, new=new))

    def status(self) -> p.Status:
        """The run as it stands."""
        trainer, config = self.trainer, self.config
        return p.Status(
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
            parameters=self._parameters,
            groups=self._groups,
            device=self._device,
            threads=self._threads,
            precision=self._precision,
            corpus=self._corpus.summary if self._corpus else None,
            progress=self.progress,
            asking=self.asking,
        )

    # --- commands -----------------------------------------------------------------------------

    def command(self, command: TrainingCommand) -> p.Done:
        """Carry out a command before the next step. Raises UserError where it can't be done, or
        can't be recorded."""
        trainer = self.require_trainer()
        if self.asking:
            raise UserError(self.reason or f"{self.folder.name} was opened to be asked only.")
        while self._changed_limits:
            self._intervene(*self._changed_limits.pop(0))
        match command:
            case p.Start():
                self._check_limit(trainer)
                self._record.open()
                trainer.non_finite_in_a_row = 0
                self._single_steps = 0
                self._intervene("start")
                self.set_state("running")
            case p.Step():
                self._check_limit(trainer)
                self._record.open()
                self._rest()
                self._intervene("step")
                self._single_steps += 1
                self.set_state("paused")
            case p.Pause():
                if self.state == "running" or self._single_steps:
                    self._rest()
                    self._single_steps = 0
                    self._intervene("pause")
                    self.set_state("paused")
            case p.Stop():
                self._rest()
                self._intervene("stop")
                self._single_steps = 0
                self._rest_saved("stopped", "Stopped")
            case p.Evaluate(split=split):
                if split not in trainer.corpus.splits:
                    raise UserError(f"The corpus has no {split} split to evaluate on.")
                if len(self._evaluations) >= MAX_EVALUATIONS:
                    raise UserError(f"{MAX_EVALUATIONS} evaluations wait already.")
                self._intervene("evaluate", new=split)
                self._evaluations.append(trainer.evaluate(split))
            case p.SetKnob(knob=knob, value=value):
                self._set_knob(trainer, knob, value)
            case p.GoBack(to=to):
                self._go_back(to)
            case _:
                assert_never(command)
        return p.Done(step=self.step)

    def require_trainer(self) -> "Trainer":
        """The trainer. Raises UserError where there is none to command."""
        if self.trainer is None or self.state == "failed":
            waiting = "The engine is still preparing: wait a moment."
            only_asked = f"{self.folder.name} was opened to be asked only."
            raise UserError(self.reason or (only_asked if self._explored else waiting), self.advice)
        return self.trainer

    def save_asked(self) -> p.Done:
        """Save at the user's wish. Raises UserError where that fails."""
        self.require_trainer()
        self._intervene("save")
        name = self.save()
        if not name:
            assert self._save_failure is not None
            raise UserError(f"The checkpoint could not be saved: {self._save_failure.reason}")
        return p.Done(step=self.step, note=name)

    def _check_limit(self, trainer: "Trainer") -> None:
        """Raises UserError where there is nothing left to do; the run may have been left before
        its last validation."""
        if trainer.limit_reached and not trainer.looks_due:
            raise UserError(
                f"The run has reached its limit, {trainer.limit_reached}.", "raise-limit"
            )

    def _set_knob(self, trainer: "Trainer", knob: p.Knob, value: float | str) -> None:
        old: float | str = getattr(trainer, knob)
        match knob:
            case "learning_rate":
                config = replace(self.config, {"optimiser.learning_rate": value})
                trainer.learning_rate = config.optimiser.learning_rate
            case "clip_mode":
                config = replace(self.config, {"clipping.mode": value})
                trainer.clip_mode = config.clipping.mode
            case "clip_threshold":
                config = replace(self.config, {"clipping.threshold": value})
                trainer.clip_threshold = config.clipping.threshold
        self._saved_step = -1
        self._intervene(knob, old, getattr(trainer, knob))

    # --- questions ----------------------------------------------------------------------------

    def answer(self, question: p.AnyQuestion) -> Answers:
        """The answer, or its pieces, with None where there is none yet. Raises UserError, also on
        the way."""
        match question:
            case p.Represent():
                yield self._represent(question)
            case p.Neighbours():
                yield self._neighbours(question)
            case p.Score():
                yield from self._score(question)
            case p.GradientFlow():
                from engine.training.gradient_flow import gradient_by_time

                yield gradient_by_time(self.require_trainer())
            case p.Generate():
                yield from self._generate(question)
            case p.EvaluateCorpus():
                yield from self._evaluate_corpus(question)
            case p.FindRate():
                from engine.training.rate_finder import find_rate

                yield from find_rate(self._resting_trainer())
            case p.Replay():
                from engine.training.replay import replay

                yield from replay(self._resting_trainer(), self.folder, self._record.extent)
            case _:
                assert_never(question)

    def _represent(self, query: p.Represent) -> p.Representation:
        """As soon as the corpus is read. Raises UserError before."""
        if self.tokenizer is None:
            raise UserError(self.reason or "The corpus is still being read: wait a moment.")
        from engine.service.queries import represent

        return represent(query, self.config, self.tokenizer, self.model)

    def _require_model(self) -> "tuple[Tokenizer, LSTMLanguageModel]":
        if self.tokenizer is None or self.model is None:
            raise UserError(
                self.reason or "The model is still being built: wait a moment.", self.advice
            )
        return self.tokenizer, self.model

    def _neighbours(self, query: p.Neighbours) -> p.NeighbourList:
        from engine.service.queries import neighbours

        return neighbours(query, *self._require_model(), self.step)

    def _score(self, query: p.Score) -> Iterator[p.TextScore | None]:
        from engine.service.queries import score

        return score(query, *self._require_model())

    def _generate(self, query: p.Generate) -> Iterator[p.TextPiece | None]:
        """Pieces of text, each from the weights of its moment."""
        tokenizer, model = self._require_model()
        from engine.service.queries import drawn_seed, text_stream, unknown_words

        if query.seed is None:
            query = msgspec.structs.replace(query, seed=drawn_seed())
        note = None
        for piece in text_stream(query, tokenizer, model):
            if piece is None:
                yield None
                continue
            note = unknown_words(query.prompt, tokenizer) if note is None else ""
            yield p.TextPiece(text=piece, step=self.step, seed=query.seed, note=note)

    def _evaluate_corpus(self, query: p.EvaluateCorpus) -> Answers:
        """Progress, then the score."""
        from engine.service.queries import evaluate_corpus

        tokenizer, model = self._require_model()
        corpus = self.trainer.corpus if self.trainer else None
        yield from evaluate_corpus(query, tokenizer, model, corpus, self.config.corpus, self.step)

    def _resting_trainer(self) -> "Trainer":
        """The trainer, for what can't go on beside training. Raises UserError."""
        trainer = self.require_trainer()
        if self.busy:
            raise UserError("Training is running: pause it first.", "pause-first")
        return trainer


def describe(error: Exception) -> str:
    """A sentence for something unforeseen; the traceback is in the log."""
    text = str(error).split("\n")[0][:200]
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate" in text:
        return "Out of memory: make training.batch_size, training.bptt or the model smaller."
    return f"An unexpected error ended this ({type(error).__name__}: {text}); see its log."
