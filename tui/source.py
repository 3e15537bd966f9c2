"""The text a user names, as a run keeps it."""

from pathlib import Path

from engine.text.reading import BUILT_IN, resolve


def chosen_source(text: str) -> str:
    """A built-in corpus as it is, anything else as an absolute path or pattern.

    Raises UserError where there is no such text.
    """
    text = text.strip()
    source = text if text in BUILT_IN else str(Path(text).expanduser().absolute())
    resolve(source)
    return source
