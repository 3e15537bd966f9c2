"""What `lstm-tui train` tells while it trains: on a terminal, in a file, or as JSON."""

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from engine.config import TokenizerName, TrainingConfig
from engine.events import (
    AnyEvent,
    Averaging,
    CorpusSummary,
    Evaluated,
    NonFinite,
    Progress,
    RolledBack,
    SaveFailed,
    Stepped,
)
from tui.numbers import duration, short
from tui.output import OutputFailed, json_text
from tui.pace import TaskPace
from tui.remarks import in_brief, on_command_line
from tui.sanitize import visible
from tui.units import UNITS, early_stopping, in_short, measures

if TYPE_CHECKING:
    from engine.runs.past import Span


class Report:
    """Lines for a file or a pipe: what is worth keeping, and the progress every ten seconds."""

    progress_every = 10.0

    def __init__(
        self, out: TextIO, limits: TrainingConfig, tokenizer: TokenizerName = "word"
    ) -> None:
        """`tokenizer` says what the numbers are per."""
        self._out = out
        self._tally = Tally(limits, tokenizer)
        self._tokenizer = tokenizer
        self._patience = limits.patience
        self._text_told = False
        self._told = time.monotonic()
        self._ends = any((limits.steps, limits.epochs, limits.minutes, limits.patience))
        self.failed: OutputFailed | None = None
        """Why nothing more can be told, if so."""

    @property
    def unheard(self) -> bool:
        """Whether the run had better be saved and ended: its reader has left, or nothing of it can
        be told and it has no end of its own."""
        return self.failed is not None and (self.failed.reader_left or not self._ends)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write(f"{visible(text)}\n")

    def tell_text(self, corpus: CorpusSummary) -> None:
        """What there is to learn from, the first time."""
        if not self._text_told:
            self._text_told = True
            self.say(in_brief(corpus))
            for remark in corpus.remarks:
                self.say(f"Note: {on_command_line(remark)}")

    def apply(self, events: Iterable[AnyEvent]) -> None:
        """What happened, in order."""
        events = list(events)
        self._tally.apply(events)
        for event in events:
            if text := told(event, self._tokenizer):
                self.say(f"{text}{self._standing(event)}")
        now = time.monotonic()
        if now - self._told >= self.progress_every:
            self._told = now
            self._tell(self._tally)

    def recall(self, past: Iterable["Span"]) -> None:
        """What happened before, of which nothing is told again."""
        for span in past:
            self._tally.recall(span)

    def _standing(self, event: AnyEvent) -> str:
        """How near early stopping is after a validation that was not the best."""
        if not isinstance(event, Evaluated) or event.best:
            return ""
        standing = early_stopping(event.stale, self._patience)
        return f"  {standing}" if standing else ""

    def finish(self, summary: dict[str, Any], sentences: list[str]) -> None:  # noqa: ARG002
        """The end of the run, as a record for a program and as sentences for people."""
        for sentence in sentences:
            self.say(sentence)

    def clear(self) -> None:
        """Leave an empty line for whatever is printed next."""

    def _tell(self, tally: "Tally") -> None:
        self.say(tally.line())

    def _write(self, text: str) -> None:
        if self.failed is not None:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except OutputFailed as failed:
            if not failed.terminal_gone:
                self.failed = failed


class TerminalReport(Report):
    """The progress on one line rewritten in place, above it the lines that stay."""

    progress_every = 0.2

    def say(self, text: str) -> None:
        """Write it above the line of progress."""
        self._write(f"\r\x1b[K{visible(text)}\n")

    def clear(self) -> None:
        """Leave the line of progress empty."""
        self._write("\r\x1b[K")

    def _tell(self, tally: "Tally") -> None:
        # The last column stays free: a terminal that wraps there would begin a new line.
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[K{visible(tally.line(width))}")


class JsonReport(Report):
    """One JSON object a line: each Evaluated as in metrics.jsonl and what its perplexity is per,
    then the summary."""

    def say(self, text: str) -> None:
        """Records take no sentences."""

    def apply(self, events: Iterable[AnyEvent]) -> None:
        """Write a record for each evaluation."""
        for event in events:
            if isinstance(event, Evaluated):
                per = UNITS[self._tokenizer].per.removeprefix("per ")
                told = msgspec.to_builtins(event) | {"per": per}
                self._write(f"{json_text(told)}\n")

    def finish(self, summary: dict[str, Any], sentences: list[str]) -> None:  # noqa: ARG002
        """Write the record of the run."""
        self._write(f"{json_text(summary)}\n")


class Waiting:
    """How far something asked for has come, on a terminal's last line, once it took a second."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._on_terminal = out.isatty() and os.environ.get("TERM") != "dumb"
        self._asked = time.monotonic()
        self._told = 0.0
        self._pace = TaskPace()

    def tell(self, progress: Progress) -> None:
        """Show it, five times a second at most."""
        now = time.monotonic()
        left = self._pace.seconds_left(progress)
        if not self._on_terminal or now - self._asked < 1 or now - self._told < 0.2:
            return
        self._told = now
        width = shutil.get_terminal_size().columns - 1
        line = (
            _progress(progress) if left is None else f"{_progress(progress)}  {duration(left)} left"
        )
        self._write(f"\r\x1b[K{visible(line)[:width]}")

    def clear(self) -> None:
        """Leave an empty line for whatever is printed next."""
        if self._told:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone, its SIGHUP on the way
            self._out.write(text)
            self._out.flush()


class Tally:
    """The run in one line: where it is, how it learns, how fast, how long it will take."""

    def __init__(self, limits: TrainingConfig, tokenizer: TokenizerName = "word") -> None:
        """`tokenizer` says what the numbers are per."""
        from tui.run.history import History  # takes numpy

        self._limits = limits
        self._tokenizer = tokenizer
        self._progress: Progress | None = None
        self._history = History()

    def recall(self, span: "Span") -> None:
        """Take in a span of the run's past."""
        self._history.recall(span)

    def apply(self, events: Sequence[AnyEvent]) -> None:
        """Take in what happened, in order."""
        self._history.apply(events)
        for event in events:
            match event:
                case Stepped():
                    self._progress = None
                case Progress():
                    over = 0 < event.total <= event.done
                    self._progress = None if over else event

    def line(self, width: int | None = None) -> str:
        """At most `width` columns: what matters least is left out first."""
        history, last = self._history, self._history.last
        if self._progress is not None:
            return _progress(self._progress)[:width]
        if last is None:
            return (f"step {history.step:,}" if history.step else "preparing")[:width]
        valid = in_short(history.validation, self._tokenizer) if history.validation else ""
        seconds = history.pace.seconds_left(self._limits)
        parts = [  # (how soon it is left out, text)
            (0, f"step {last.step:,}"),
            (2, f"epoch {last.epoch:.2f}"),
            (0, f"loss {_number(last.loss)}{' sampled' if last.sampled else ''}"),
            (1, f"valid {valid}" if valid else ""),
            (6, f"lr {last.learning_rate:.3g}"),
            (5, f"norm {_number(last.norm_before)}→{_number(last.norm_after)}"),
            (4, f"clip {history.recent_clip_fraction:.0%}"),
            (3, f"{last.tokens_per_second:,.0f} tok/s"),
            (1, "" if seconds is None else f"{duration(seconds)} left"),
        ]
        text = ""
        for rank in range(6, -1, -1):
            text = "  ".join(part for soon, part in parts if part and soon <= rank)
            if rank < 2:  # what it is per, too
                text = text.replace(valid, valid.partition("/")[0])
            if width is None or len(text) <= width:
                break
        return text[:width]


def number(value: float | None, decimals: int) -> str:
    """A number that may not have been finite."""
    return "not finite" if value is None else f"{value:,.{decimals}f}"


def told(event: AnyEvent, tokenizer: TokenizerName) -> str:
    """The line that stays for an event worth one, else nothing."""
    match event:
        case Evaluated():
            parts = [f"step {event.step:,}", f"{event.split} loss {number(event.loss, 4)}"]
            parts += measures(event, tokenizer)
            return "  ".join([*parts, "best so far"] if event.best else parts)
        case NonFinite(in_a_row=1):  # of a run that has exploded every step is
            return f"step {event.step:,}  {event.value} in {event.tensor}"
        case RolledBack():
            return (
                f"step {event.from_step:,}  went back to step {event.step:,}, on at rate "
                f"{event.learning_rate:.3g}"
            )
        case Averaging():
            return f"step {event.step:,}  validation stalls: averaging the weights from here on"
        case SaveFailed():
            return f"step {event.step:,}  {event.reason}"
    return ""


def _progress(progress: Progress) -> str:
    total = f" of {progress.total:,}" if progress.total else ""
    done = f" {progress.done:,}{total} {progress.unit}" if progress.done or total else ""
    return f"{progress.task}{done}".rstrip()


def _number(value: float | None) -> str:
    return "not finite" if value is None else short(value, 3)
