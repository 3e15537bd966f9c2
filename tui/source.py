"""The text a user names, as a run keeps it."""

from engine.paths import named_path
from engine.text.reading import BUILT_IN, check_beginning, resolve


def chosen_source(text: str) -> str:
    """A built-in corpus as it is, anything else as an absolute path or pattern.

    Raises UserError where there is no such text, or none that anything could be learnt from.
    """
    text = text.strip()
    if text in BUILT_IN:
        return text
    source = str(named_path(text, "The text"))
    check_beginning(resolve(source))
    return source
