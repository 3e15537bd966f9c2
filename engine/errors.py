"""The one exception meant for the user's eyes."""

from engine.visible import visible

MOST = 10_000
"""Characters: two paths as long as can be, and what is said of them."""


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what, where, what to do.

    It may hold names and words that are not ours: what a terminal would obey, and what can't be
    encoded, is made visible, line ends too, and of a huge one the middle is left out.
    """

    def __init__(self, message: str) -> None:
        if len(message) > MOST:
            message = f"{message[: MOST // 2]} … {message[-MOST // 2 :]}"
        super().__init__(visible(message))
