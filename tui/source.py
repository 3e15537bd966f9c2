"""The text a user names, as a run keeps it."""

from engine.paths import named_path
from engine.text.reading import BUILT_IN, check_beginning, resolve


def named_source(text: str) -> str:
    """A built-in corpus as it is, anything else as an absolute path or pattern; there may be
    nothing there. Raises UserError where it can't be one."""
    text = text.strip()
    return text if text in BUILT_IN else str(named_path(text, "The text"))


def chosen_source(text: str) -> str:
    """The same. Raises UserError also where there is no such text, or none that anything could be
    learnt from."""
    source = named_source(text)
    if source not in BUILT_IN:
        check_beginning(resolve(source))
    return source
