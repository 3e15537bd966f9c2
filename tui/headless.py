"""A run without a screen: the same engine process, followed or asked from the command line."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import messages as p
from engine.errors import Advice, UserError
from engine.events import (
    CorpusReady,
    CorpusSummary,
    Evaluated,
    Saved,
    SaveFailed,
    State,
    StateChanged,
    Stepped,
)
from engine.runs import load_standing, open_past
from engine.service.client import Engine, EngineEnded, launch
from tui import remarks
from tui.advice import on_command_line
from tui.progress_line import Report, number
from tui.run.asking import START_SILENCE, until_gone
from tui.sanitize import visible
from tui.units import measures


class Training:
    """Trains a run until its limit or a signal, and tells a report what happens.

    SIGINT and SIGTERM save and end the run; SIGHUP leaves it training, for `lstm-tui attach`. A
    report that nobody hears any more ends it as SIGPIPE would.
    """

    def __init__(
        self, folder: Path, report: Report, known_by: str, first: Sequence[p.AnyCommand] = ()
    ) -> None:
        """`first` is to be done before training goes on."""
        self._folder = folder
        self._first = first
        self._report = report
        self._known_by = known_by
        self._engine: Engine | None = None
        self._signal: signal.Signals | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._started = False
        self._running = False
        """Whether it has trained since it was started here."""
        self._goes_on = False
        """Whether the engine stays, with what it could not save."""
        self._finished = False
        self._problem = ""
        """Why the run was ended, if it could not go on."""
        self._advice: Advice = ""
        self._unsaved = ""
        """Why the newest checkpoint could not be written, if it could not."""
        self._last: Stepped | None = None
        self._valid: Evaluated | None = None
        self._text: CorpusSummary | None = None
        self.summary: dict[str, Any] = {}
        """The end of the run as a record, once it has ended here."""

    async def run(self) -> int:
        """The exit code. Raises UserError where the run can't go on, EngineEnded if it died."""
        self._catch_signals()
        if self._report.unheard:
            self._on_signal(signal.SIGPIPE)
        self._engine = engine = await launch(self._folder)
        engine.patience = START_SILENCE
        try:
            if self._signal not in (None, signal.SIGHUP):
                await self._leave()
            if engine.welcome.status.config.training.patience is not None:
                self._report.recall(open_past(self._folder, engine.welcome.recorded).spans())
            status = engine.welcome.status
            if status.corpus is not None:
                self._tell_text(status.corpus)
            await self._enter(status.state, status.reason, status.advice)
            await self._follow(engine)
        finally:
            await engine.close()
        if self._signal is signal.SIGHUP:
            return 128 + signal.SIGHUP
        if not self._goes_on:
            await until_gone(self._folder)
        if problem := self._problem or self._unsaved:
            raise UserError(f"{problem} {self._help()}".strip())
        self.summary, sentences = self._summary()
        self._report.finish(self.summary, sentences)
        return 0 if self._finished or self._signal is None else 128 + self._signal

    def _help(self) -> str:
        """What would help, as options; where the engine goes on without us, how to reach it."""
        assert self._engine is not None
        name = visible(self._folder.name)
        if self._goes_on:
            pid = self._engine.pid
            return (
                f"Its engine (process {pid}) still holds the run and tries to save once a minute: "
                f"make room, or come back to it with `lstm-tui attach {name}`; `kill {pid}` has it "
                "try once more and end."
            )
        source = self._engine.welcome.status.config.corpus.source
        return on_command_line(self._advice, corpus=visible(source), name=name)

    # --- signals ------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for caught in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Ignored is how nohup and a shell's background jobs ask to be left alone.
            if signal.getsignal(caught) is not signal.SIG_IGN:
                loop.add_signal_handler(caught, self._on_signal, caught)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signal is None:
            self._signal = number
            # Without a start there would be nothing to leave training: `_enter` leaves later.
            if self._engine is not None and (self._started or number is not signal.SIGHUP):
                self._leaving = asyncio.create_task(self._leave())
        elif number is signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: don't wait; the engine goes on saving

    async def _leave(self) -> None:
        """Do what the signal asks; the engine's events end then."""
        assert self._engine is not None
        with suppress(EngineEnded):  # the end of its events tells
            if self._signal is signal.SIGHUP:
                await self._engine.call(p.Detach())
                await self._engine.close()
            else:
                self._report.say("Saving…")
                await self._shut_down(save=True)

    # --- the run ------------------------------------------------------------------------------

    async def _follow(self, engine: Engine) -> None:
        """Hear the run's events until the engine ends."""
        try:
            async for events in engine.events():
                for event in events:
                    match event:
                        case Stepped():
                            self._last = event
                        case Evaluated(split="valid"):
                            self._valid = event
                        case CorpusReady(corpus=corpus):
                            self._tell_text(corpus)
                        case Saved():
                            self._unsaved = ""
                        case SaveFailed():
                            self._unsaved = event.reason
                        case StateChanged(state=state, reason=reason, advice=advice):
                            await self._enter(state, reason, advice)
                if self._signal is not signal.SIGHUP:
                    self._report.apply(events)
                if self._report.unheard:
                    self._on_signal(signal.SIGPIPE)
        except EngineEnded:
            if self._signal is None and not self._finished and not self._problem:
                raise
        if self._leaving is not None:
            await self._leaving

    def _tell_text(self, corpus: CorpusSummary) -> None:
        self._text = corpus
        self._report.tell_text(corpus)

    async def _enter(self, state: State, reason: str, advice: Advice) -> None:
        """Start the run once it is ready, end it once it is finished or can't go on."""
        if self._signal not in (None, signal.SIGHUP):
            return  # it is being ended
        if state in ("ready", "paused", "stopped") and not self._started:
            await self._start(reason)
        elif state == "finished":
            self._finished = True
            await self._shut_down(save=True)
        elif state == "failed":
            self._problem, self._advice = reason, advice
            await self._shut_down(save=False)
        elif state == "running":
            self._running = True
        elif state == "paused" and reason and self._running:
            self._problem, self._advice = reason, advice
            await self._shut_down(save=True)

    async def _start(self, note: str) -> None:
        assert self._engine is not None
        self._started = True
        if note:
            self._report.say(note)
        try:
            for command in (*self._first, p.Start()):
                await self._engine.call(command)
        except UserError as refusal:
            self._problem, self._advice = str(refusal), refusal.advice
            await self._shut_down(save=True)
        if self._signal is signal.SIGHUP:
            await self._leave()

    async def _shut_down(self, *, save: bool) -> None:
        assert self._engine is not None
        try:
            await self._engine.call(p.Shutdown(save=save))
        except EngineEnded:
            pass  # the end of its events tells
        except UserError as refusal:  # it goes on, with what it could not save
            self._problem = self._unsaved or self._problem or str(refusal)
            self._goes_on = True
            await self._engine.close()

    def _summary(self) -> tuple[dict[str, Any], list[str]]:
        """The end of the run as a record, and in sentences."""
        assert self._engine is not None
        name, valid, text = self._folder.name, self._valid, self._text
        tokenizer = self._engine.welcome.status.config.corpus.tokenizer
        saved = load_standing(self._folder)
        known_by = self._known_by
        outcome = "finished" if self._finished else "interrupted"
        if saved is None:
            record = {"type": "Summary", "run": name, "outcome": outcome, "saved": False}
            if self._last is None:
                return record, ["Interrupted before the first step: nothing is kept."]
            return record, ["Nothing is kept: the weights were never saved while they were finite."]
        record = {
            "type": "Summary",
            "run": name,
            "folder": str(self._folder),
            "outcome": outcome,
            "step": saved.step,
            "epoch": self._last.epoch if self._last else None,
            "valid_loss": valid.loss if valid else None,
            "valid_perplexity": valid.perplexity if valid else None,
            "valid_bits_per_character": valid.bits_per_character if valid else None,
            "tokenizer": tokenizer,
            "vocabulary": text.vocabulary if text else None,
            "unknown_rate": text.unknown_rate if text else None,
            "remarks": [remarks.on_command_line(remark) for remark in text.remarks] if text else [],
            "saved": True,
        }
        measured = (
            ", ".join([f"valid loss {number(valid.loss, 4)}", *measures(valid, tokenizer)])
            if valid
            else "not validated since it was started"
        )
        lost = self._last is not None and self._last.step > saved.step
        return record, [
            *([f"What came after step {saved.step:,} was not kept: not finite."] if lost else []),
            f"{outcome.capitalize()} at step {saved.step:,}: {measured}.",
            f"Saved in {self._folder}.",
            f"It writes by `lstm-tui generate {known_by}`; `lstm-tui open {known_by}` shows it.",
        ]
