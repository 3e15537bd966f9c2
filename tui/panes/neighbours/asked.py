"""What is asked of the word vectors, pinned and chosen: one for all views of the laboratory."""

from pathlib import Path

from textual.message import Message

from engine.errors import UserError
from engine.messages import View
from engine.text.queries import parse_query, split_query
from tui.panes.laboratory import AskingView
from tui.run.session import Session
from tui.units import UNITS

MOST_LISTED = 2_000
"""Words of a list that are taken."""
_MOST_READ = 1 << 20
"""Bytes of a file with such a list."""


class Asked:
    """What the user wants to know. All views read it; what changes it says so (`View.Changed`)."""

    def __init__(self, query: str, sentence: str) -> None:
        self.query = query
        """As it is typed: see `engine.text.queries`."""
        self.sentence = sentence
        """Whose tokens are compared with one another."""
        self.view = View()
        """Which vectors, seen how, and which words may be answered."""
        self.multiply = False
        """Whether analogies are found by 3CosMul."""
        self.listed: list[str] = []
        """Words of a list: answers may be limited to them, and a map be made of them."""
        self.pins: list[str] = []
        """Words whose neighbours stay on the screen."""
        self.at: int | None = None
        """The step of the past that is asked; None for now."""

    @property
    def words(self) -> list[str]:
        """Those of the query; empty where it can't be understood."""
        try:
            return [term.text for term in parse_query(self.query).terms]
        except UserError:
            return []

    @property
    def word(self) -> str:
        """The word asked for, where it is one."""
        return self.words[0] if len(self.words) == 1 else ""


class WordView(AskingView):
    """A view of the laboratory of words."""

    class Ask(Message):
        """This is to be asked for from now on."""

        def __init__(self, query: str) -> None:
            super().__init__()
            self.query = query

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked = asked

    @property
    def unit(self) -> str:
        """What a token of the run that is shown is called."""
        return unit_of(self.session)

    def waiting(self, without_model: str) -> str:
        """What stands where an answer is to be: it is on its way, or there is no model for it."""
        asking = self.session is not None and self.session.answering
        return "Asking the model …" if asking else without_model


def unit_of(session: Session | None) -> str:
    """What a token of a run is called."""
    return UNITS[session.status.config.corpus.tokenizer].one if session else "word"


def typed(word: str) -> str:
    """A token as a query of it is typed: in quotes where it would be read as something else."""
    parts = split_query(word)
    plain = [(part.text, part.operator) for part in parts] == [(word, False)]
    return word if plain or '"' in word else f'"{word}"'


def listed(text: str) -> list[str]:
    """The words of a list that was typed, or that is in the file whose path was. Raises UserError
    where that can't be read."""
    path = Path(text.strip()).expanduser()
    if "/" in text and path.is_file():
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_READ).decode("utf-8-sig", "replace")
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror}.") from None
    elif "/" in text.strip()[1:] and " " not in text.strip():
        raise UserError(f"There is no file {text.strip()}: give the path of a list, or words.")
    return list(dict.fromkeys(text.replace(",", " ").split()))[:MOST_LISTED]
