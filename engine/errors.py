"""The one exception meant for the user's eyes."""

from engine.visible import visible


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what, where, what to do.

    It may hold names and words that are not ours: what a terminal would obey, and what can't be
    encoded, is made visible, line ends too.
    """

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))
