"""Completes the word under the cursor of a query from the vocabulary, the most frequent first."""

from collections.abc import Callable

from textual.suggester import Suggester
from typing_extensions import override

from engine.errors import UserError
from engine.messages import CompleteWord, Completions
from engine.service.client import EngineEnded
from engine.text.queries import split_query
from tui.run.session import Session


class WordSuggester(Suggester):
    """Asks the engine of the run that is shown."""

    def __init__(self, session: Callable[[], Session | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._session = session

    @override
    async def get_suggestion(self, value: str) -> str | None:
        session, parts = self._session(), split_query(value)
        if session is None or session.ended or not parts:
            return None
        last = parts[-1]
        if last.operator or last.end != len(value) or not value.endswith(last.text):
            return None
        try:
            answer = await session.engine.call(CompleteWord(beginning=last.text, top=1))
        except (UserError, EngineEnded):
            return None
        if not isinstance(answer, Completions) or not answer.words:
            return None
        return value[: len(value) - len(last.text)] + answer.words[0]
