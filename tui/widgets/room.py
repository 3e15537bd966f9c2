"""Room that other widgets share."""

from textual.containers import Container


class Room(Container):
    """What is in it covers all of it, so nothing of its own is drawn below that."""

    BLANK = True
