"""What a message for the user has to be."""

from engine.visible import visible

LONGEST = 100_000
"""Characters: ten thousand, each shown by its code."""


def assert_sentence(error: Exception) -> None:
    """One sentence or two, on one line, that no terminal obeys and any can show."""
    message = str(error)
    assert message == visible(message), ascii(message)
    assert message and message[-1] in ".?!", ascii(message)
    assert len(message) <= LONGEST, ascii(message[:200])
    message.encode()
