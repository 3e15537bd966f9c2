"""What the views of the laboratory of texts share: a cursor, and one question under way."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from engine.errors import UserError
from engine.messages import AnyAnswer, AnyQuestion
from engine.service.client import EngineEnded
from tui.panes.laboratory import View
from tui.run.session import Session
from tui.widgets.flow import Flow

if TYPE_CHECKING:
    Answers = AsyncGenerator[AnyAnswer, None]

SPELLING = ("character", "subword")
"""Tokenizers whose tokens spell the text out, white space too."""


class TextView(View):
    """A view in which one walks over a text; each key does what the view is about."""

    def __init__(self) -> None:
        super().__init__()
        self._revealed: object = None
        """The place in its text that was scrolled to last, and the room there was."""

    def reveal(self, flow: Flow, characters: int, place: object) -> None:
        """Scroll to where so many characters end, once for each place that is walked to: from then
        on the text is the user's to scroll."""
        if (place, flow.size) != self._revealed:
            self._revealed = place, flow.size
            flow.reveal(characters)

    def walk(self, change: int) -> None:
        """Go so many tokens on, or back."""

    def climb(self, change: int) -> None:
        """Go so many lines down, or up, in the list that belongs to the cursor."""

    def walk_to(self, *, first: bool) -> None:
        """Go to the beginning, or to the end."""

    def pick(self) -> None:
        """Take what was walked to."""

    def refused(self, question: AnyQuestion, reason: str) -> None:
        """Keep the engine's refusal, a sentence, for the next draw."""

    async def hear(self, session: Session, question: AnyQuestion) -> AsyncGenerator[AnyAnswer]:
        """The answers to a question, as long as its run is the one that is shown. A refusal is
        kept; leaving early tells the engine to stop."""
        try:
            async with aclosing(cast("Answers", session.engine.stream(question))) as answers:
                async for answer in answers:
                    if session is not self.session:
                        return
                    yield answer
                    self.stale = True
        except UserError as error:
            if session is self.session:
                self.refused(question, str(error))
        except EngineEnded:
            pass
        finally:
            self.stale = True
