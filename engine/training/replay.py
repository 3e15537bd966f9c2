"""A recorded run trained once more, with all that was done to it, and compared bit by bit."""

import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.config import replace
from engine.embeddings.files import StartingVectors, starting_vectors
from engine.errors import UserError
from engine.events import AnyRecorded, Extent, Intervened, Progress, RolledBack, Saved, Stepped
from engine.messages import Replayed
from engine.runs import check_own_vectors, open_past, place, saved_checkpoints
from engine.runs.past import Past, Span, Told
from engine.runs.steps import MAX_WIDTH, MEASURED, SAMPLED, Layout, Rows, merge
from engine.training.checkpoint import LIMITS, Checkpoint, load_latest, save
from engine.training.trainer import Trainer

KNOBS = ("learning_rate", "clip_mode", "clip_threshold")


def replay(
    trainer: Trainer, folder: Path, extent: Extent | None = None
) -> Iterator[Progress | Replayed]:
    """Replay the record of the run in `folder`, whose trainer lends its corpus and device.

    A step is an answer each, so that the engine can do other things in between. The clock of the
    record takes the place of the real one, for limits and schedules in minutes. Raises UserError
    where there is nothing to replay, or what was done is not all there.
    """
    outline = _Outline(open_past(folder, extent))
    if not outline.last_step:
        raise UserError(f"{folder.name} has no step to replay: train it first.")
    saved, _ = load_latest(folder)
    config = replace(trainer.config, outline.first_limits)
    fresh = Trainer(config, trainer.corpus, trainer.device)
    if config.model.vectors is not None:
        began_with = saved.training.vectors if saved else ""
        fresh.start_from(_same_vectors(folder, fresh, config.model.vectors, began_with))
    second = _Second(fresh, outline, saved)
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        second.folder = Path(temporary)
        for span in open_past(folder, extent).spans():
            for _ in second.follow(span):
                done, total = second.trainer.step, outline.last_step
                yield Progress(task="replaying", done=done, total=total, unit="steps")
    notes = [*second.notes(), saved.exactness(second.trainer) if saved else ""]
    yield Replayed(
        steps=second.steps,
        first_difference=second.first_difference,
        weights_equal=second.weights_equal,
        note=" ".join(filter(None, notes)),
    )


def _same_vectors(folder: Path, trainer: Trainer, name: str, fingerprint: str) -> StartingVectors:
    """The vectors that the run began with. Raises UserError where they are no longer there."""
    check_own_vectors(folder, name)
    vocabulary = trainer.corpus.tokenizer.vocabulary
    try:
        found = starting_vectors(Path(name), vocabulary, trainer.config.model.embedding_size)
    except UserError as error:
        raise UserError(f"The run began with the vectors of {name}. {error}") from None
    if fingerprint and found.fingerprint != fingerprint:
        raise UserError(
            f"{name} isn't the file of vectors that the run began with: put that one back."
        )
    return found


class _Outline:
    """What has to be known of a record before it is replayed."""

    def __init__(self, past: Past) -> None:
        self.last_step = 0
        self.went_back = False
        self.first_limits: dict[str, float | str | None] = {}
        """The limits that were changed at a resume, as they were before."""
        for span in past.spans():
            self.last_step = max(self.last_step, int(span.rows["step"].max(initial=0)))
            for _, event in span.events:
                self.went_back |= isinstance(event, RolledBack)
                if isinstance(event, Intervened) and event.action in LIMITS:
                    self.first_limits.setdefault(event.action, event.old)
        if past.damaged:
            raise UserError(past.damage)


class _Second:
    """The run once more, step by step beside its record."""

    def __init__(self, trainer: Trainer, outline: _Outline, saved: Checkpoint | None) -> None:
        self.trainer = trainer
        self.folder = Path()
        """Where it keeps the checkpoints that it goes back to."""
        self.steps = 0
        self.first_difference: int | None = None
        self.weights_equal: bool | None = None
        self._outline = outline
        self._saved = saved
        self._thinned = self._lost = 0
        """Steps that were thinned in the record, and those whose numbers it lacks."""

    def follow(self, span: Span) -> Iterator[None]:
        """Take the steps of a span of the record, and do what was done between them."""
        events = deque(span.events)
        rows = zip(span.places.tolist(), span.counts.tolist(), strict=True)
        for index, (begin, count) in enumerate(rows):
            row = span.rows[index : index + 1]
            yield from self._up_to(begin, events)
            began, again = self.trainer.seconds, list[Stepped]()
            for number in range(1, count + 1):
                self._do_until(self.steps, events)
                again.append(self._take_step())
                if row["step"][0]:
                    seconds = float(row["seconds"][0])
                    passed = (seconds - began) * number / count
                    self.trainer.seconds = seconds if number == count else began + passed
                yield
            self._compare(span.layout, row, again)
        for told in list(events):
            yield from self._up_to(told.row, events)
            self._do_until(told.row, events)

    def _up_to(self, row: int, events: deque[Told]) -> Iterator[None]:
        """Take the steps before a row that the record lacks."""
        while self.steps < row:
            self._do_until(self.steps, events)
            self._lost += 1
            self._take_step()
            yield

    def _do_until(self, row: int, events: deque[Told]) -> None:
        while events and events[0].row <= row:
            self._do(events.popleft().event)

    def _take_step(self) -> Stepped:
        """Train to the end of the next step. The record has one more, so no limit ends the run: it
        would only where the second run is another one."""
        trainer = self.trainer
        before = trainer.seconds
        stepped = next((each for each in trainer.train() if isinstance(each, Stepped)), None)
        if stepped is None:
            stepped, *_ = trainer.take_step()
        self.steps += 1
        trainer.seconds = before
        if self._saved is not None and self._saved.training.step == stepped.step:
            self.weights_equal = self._saved.same_weights(trainer.eval_model)
        return stepped

    def _compare(self, layout: Layout, row: Rows, again: list[Stepped]) -> None:
        """Compare steps with the row they left: as precisely as it is recorded, and of several
        steps the least, the greatest and what the last of them said."""
        if not row["step"][0]:
            self._lost += 1
            return
        same: Rows = np.frombuffer(b"".join(map(layout.encode, again)), layout.step)
        if row.dtype == layout.older:
            self._thinned += len(again)
            same = merge(layout.summaries(same, int(row["row"][0])), MAX_WIDTH)
        if self.first_difference is None and _timeless(same) != _timeless(row):
            self.first_difference = again[0].step

    def _do(self, event: AnyRecorded) -> None:
        """What was done between two steps."""
        trainer = self.trainer
        match event:
            case Intervened(action=action, new=value) if action in KNOBS:
                setattr(trainer, action, value)
            case Intervened(action=action, new=value) if action in LIMITS:
                trainer.config = replace(trainer.config, {action: value})
            case Intervened(action="start"):
                trainer.non_finite_in_a_row = 0
            case Saved(best=best) if self._outline.went_back:
                save(self.folder, trainer, best=best)
            case RolledBack(step=step, learning_rate=rate):
                for path in saved_checkpoints(self.folder):
                    if place(path.name)[0] == step:
                        Checkpoint(path).restore(trainer)
                        break
                trainer.learning_rate = rate

    def notes(self) -> Iterator[str]:
        """Sentences on what could not be compared."""
        if self._lost:
            yield f"The record lacks the numbers of {self._lost:,} steps."
        if self._thinned and self.trainer.config.training.minutes is not None:
            yield (
                f"The run goes by minutes, and of its first {self._thinned:,} steps only some "
                "still have their time: differences have to be expected."
            )


def _timeless(rows: Rows) -> bytes:
    """Rows without what the clock says, without means, which depend on the order of sums, and
    without what older records don't say."""
    kept = rows.copy()
    for name in ("seconds", "tokens_per_second"):
        kept[name] = 0
    kept["flags"] &= ~np.uint8(SAMPLED)
    if "steps" in (kept.dtype.names or ()):
        for name in MEASURED:
            kept[name][..., 1] = 0
    return kept.tobytes()
