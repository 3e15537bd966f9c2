"""The help topics of the running Python: English prose that is on every machine."""


def text() -> str:
    """All topics of `pydoc_data.topics`, by name, a blank line between two."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"
