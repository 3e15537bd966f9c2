"""A run as its engine conducts it, without the process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.config import RunConfig
from engine.events import AnyEvent
from engine.messages import AnyQuestion
from engine.messages.envelope import decode_from_engine
from engine.runs import load_config
from engine.service.answers import answer
from engine.service.conductor import Conductor
from engine.service.preparing import build, open_corpus
from engine.service.record import Record
from engine.service.run import Run
from engine.service.server import Client
from engine.text.tokenizer import Tokenizer


def conducted(
    folder: Path,
    send: Callable[[list[AnyEvent]], None] = lambda events: None,
    *,
    asking: bool = False,
) -> Conductor:
    """The run in a folder, opened; asked only, without its text."""
    run = Run(folder, load_config(folder), Record(folder, send), asking=asking)
    conductor = Conductor(run)
    if not asking:
        open_corpus(run, lambda _: None)
    build(run, conductor.saver)
    return conductor


class FakeClient(Client):
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def send_frame(self, data: bytes) -> None:
        self.sent.append(decode_from_engine(data[4:]))

    def _soon(self, action: Callable[[], None]) -> None:
        pass


def model_of(tokenizer: Tokenizer, model: Any, config: RunConfig | None = None) -> Run:
    """A run of which there is a model alone, after 3 steps."""
    run = Run(Path("run"), config or RunConfig(), Record(Path("run"), lambda events: None))
    run.tokenizer, run.saved_model, run.saved_step = tokenizer, model, 3
    return run


def trained(trainer: Any) -> Run:
    """The run of a trainer, without a folder."""
    run = Run(Path("run"), trainer.config, Record(Path("run"), lambda events: None))
    run.corpus, run.tokenizer, run.trainer = trainer.corpus, trainer.corpus.tokenizer, trainer
    return run


def parts(question: AnyQuestion, run: Run) -> Iterator[Any]:
    """All that is answered in turn: what is streamed, None between, and the last answer."""
    last = yield from answer(question, run)
    if last is not None:
        yield last


def ask(question: AnyQuestion, run: Run) -> Any:
    """The one answer, or the last of several."""
    *_, last = parts(question, run)
    return last
