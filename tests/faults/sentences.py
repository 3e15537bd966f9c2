"""What a message for the user has to be."""

from engine.visible import visible

LONGEST = 100_000
"""Characters: ten thousand, each shown by its code."""


def assert_sentence(message: str) -> None:
    """One sentence or two, on one line, that no terminal obeys and any can show.

    A UserError has made its own visible already, so of one that says nothing; of what is told by
    any other way it does.
    """
    assert message == visible(message), ascii(message)
    assert message and message[-1] in ".?!", ascii(message)
    assert len(message) <= LONGEST, ascii(message[:200])
    message.encode()
