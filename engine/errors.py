"""The one exception meant for the user's eyes."""

from typing import Literal

from engine.visible import visible

Advice = Literal[
    "",
    "calm",
    "start-over",
    "raise-limit",
    "pause-first",
    "train-first",
    "resume",
    "other-place",
    "list-settings",
]
"""What would help, for whoever shows it to say in words of its own: keys, or options.

calm: a lower learning rate, clipping, going back to a good checkpoint. start-over: the same, but
there is no checkpoint. raise-limit: a later limit of the run. pause-first: it can't go on beside
training. train-first: there is no checkpoint to be asked, or no run. resume: the run is there
already, and can go on. other-place: models can be kept elsewhere. list-settings: all can be
listed."""

MOST = 10_000
"""Characters: two paths as long as can be, and what is said of them."""


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what, where, what to do.

    It may hold names and words that are not ours: what a terminal would obey, and what can't be
    encoded, is made visible, line ends too, and of a huge one the middle is left out.
    """

    def __init__(self, message: str, advice: Advice = "") -> None:
        if len(message) > MOST:
            message = f"{message[: MOST // 2]} … {message[-MOST // 2 :]}"
        super().__init__(visible(message))
        self.advice: Advice = advice
