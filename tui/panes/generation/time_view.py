"""Through time: what the model wrote after one prompt, by one seed, while it was trained."""

from bisect import bisect_left

from textual import work
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from typing_extensions import override

from engine.errors import UserError
from engine.messages import AnyQuestion, Sample, Samples, ThroughTime
from engine.service.client import EngineEnded
from tui.keys import no_model, sentence
from tui.numbers import counted
from tui.panes.generation.text_view import TextView
from tui.run.session import Session
from tui.sanitize import content, visible
from tui.widgets.flow import Flow
from tui.widgets.room import Room
from tui.widgets.text import MUTED, Block, fit

_LEAST_BESIDE = 60
"""Columns from which on two samples stand side by side, not one below the other."""


class TimeView(TextView):
    """Two samples: one that is kept, and the one that is leafed to."""

    ID = "through_time"
    NAME = "through time"
    ABOUT = "How the same prompt was answered at each evaluation, two of them side by side."
    DEFAULT_CSS = """
    TimeView {
        #time-head { height: 1; text-wrap: nowrap; }
        #kept-head, #leafed-head { height: 1; }
        &.-roomy #time-body { layout: horizontal; }
        &.-roomy #leafed { padding: 0 0 0 2; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._samples: Samples | None = None
        self._of: tuple[Session, int] | None = None
        """Of which run, and how many samples it had, the answer is."""
        self._now: int | None = None
        """The step that was leafed to; None for the newest."""
        self._kept: int | None = None
        """The step of the other one; None for the first."""
        self._refusal = ""

    @property
    @override
    def hint(self) -> str:
        return sentence(
            "{walk_back} {walk_on} leaf through · {walk_first} {walk_last} first, newest · "
            "{pick} keep beside"
        )

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="time-head", explains=False)
        with Room(id="time-body"):
            for side in ("kept", "leafed"):
                with Container(id=side):
                    yield Block(id=f"{side}-head", explains=False)
                    yield Flow(id=f"{side}-text", follows=False)

    @override
    def draw(self, session: Session | None) -> None:
        self.set_class(self.content_size.width >= _LEAST_BESIDE, "-roomy")
        if session is not None:
            self._keep_up(session)
        head = self.query_one("#time-head", Block)
        found = self._samples
        none = found is None or not found.samples
        self.query_one("#time-body").display = not none
        if found is None or none:
            told = content(self._refusal, "$text-warning") if self._refusal else None
            head.show(told or Content.styled(_none_yet(session), MUTED))
            return
        head.show(_head(found, self.content_size.width))
        for side, place in (("kept", self._place(self._kept, 0)), ("leafed", self._here)):
            sample = found.samples[place]
            title = self.query_one(f"#{side}-head", Block)
            title.show(_title(sample, place, len(found.samples)))
            flow = self.query_one(f"#{side}-text", Flow)
            flow.show((), _written(sample, found.prompt))

    @property
    def _here(self) -> int:
        return self._place(self._now, -1)

    def _place(self, step: int | None, otherwise: int) -> int:
        """Of a step among the samples, or where it is gone of the next one behind it."""
        samples = self._samples.samples if self._samples is not None else []
        if step is None:
            return otherwise % len(samples)
        return min(bisect_left([each.step for each in samples], step), len(samples) - 1)

    @override
    def walk(self, change: int) -> None:
        if self._samples is not None and self._samples.samples:
            samples = self._samples.samples
            place = max(0, min(len(samples) - 1, self._here + change))
            self._now = samples[place].step if place < len(samples) - 1 else None
            self.redraw()

    @override
    def walk_to(self, *, first: bool) -> None:
        samples = self._samples.samples if self._samples is not None else []
        self._now = samples[0].step if first and samples else None
        self.redraw()

    def pick(self) -> None:
        """Keep the sample that is seen on the left, beside those leafed to."""
        if self._samples is not None and self._samples.samples:
            self._kept = self._samples.samples[self._here].step
            self.redraw()

    @override
    def clear(self) -> None:
        self._samples = self._of = self._now = self._kept = None
        self._refusal = ""

    @override
    def refused(self, _question: AnyQuestion, reason: str) -> None:
        self._refusal = reason

    # --- what is asked --------------------------------------------------------------------------

    def _keep_up(self, session: Session) -> None:
        """Ask again as soon as there is another sample."""
        of = session, len(session.history.samples)
        if session.answering and of != self._of:
            self._of = of
            self._ask(session)

    @work(exclusive=True)
    async def _ask(self, session: Session) -> None:
        question = ThroughTime()
        try:
            answer = await session.engine.call(question)
        except UserError as error:
            self.refused(question, str(error))
        except EngineEnded:
            return
        else:
            if session is self.session and isinstance(answer, Samples):
                self._samples, self._refusal = answer, ""
        self.stale = True


def _none_yet(session: Session | None) -> str:
    if reason := no_model(session):
        return f"{reason} What the model wrote while it was trained shows here."
    return sentence(
        "No sample is written yet: one is at each evaluation, {start_pause} trains and {evaluate} "
        "evaluates now. training.sample_prompt of a new run ({new_run}) says what they go on from."
    )


def _head(found: Samples, width: int) -> Content:
    prompt = f"after “{visible(found.prompt)}”" if found.prompt else "after no prompt"
    left_out = found.total - len(found.samples)
    more = f", {left_out:,} more left out" if left_out > 0 else ""
    told = f"{counted(len(found.samples), 'sample')}{more} · seed {found.seed} · {prompt}"
    return Content.styled(fit(told, width), MUTED)


def _title(sample: Sample, place: int, among: int) -> Content:
    return Content.assemble(
        (f"step {sample.step:,}", "bold"), (f"  {place + 1:,} of {among:,}", MUTED)
    )


def _written(sample: Sample, prompt: str) -> Content:
    """What was written, the prompt in bold where the sample goes on from it."""
    text = content(sample.text, keep_newlines=True)
    known = len(visible(prompt, keep_newlines=True)) if sample.text.startswith(prompt) else 0
    return text.stylize("bold", 0, known)
