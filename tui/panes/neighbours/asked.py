"""What is asked of the word vectors, pinned and chosen: one for all views of the laboratory."""

from tui.panes.laboratory import AskingView


class Asked:
    """What the user wants to know. Views read it, change it, and post `View.Changed`."""

    def __init__(self, query: str, sentence: str) -> None:
        self.query = query
        """As it is typed."""
        self.sentence = sentence
        """Whose tokens are compared with one another."""


class WordView(AskingView):
    """A view of the laboratory of words."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked = asked
