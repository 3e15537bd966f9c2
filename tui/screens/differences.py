"""What differs between the settings of two runs, in a few words."""

from engine.config import RunConfig, fields, get
from engine.visible import shortened
from tui.sanitize import visible
from tui.screens.new_run import as_text

_LONGEST = 30
"""Characters of a value."""


def differences(config: RunConfig, here: RunConfig, room: int) -> str:
    """What a run is set to that another, the one that is seen here, isn't: as many settings as
    there is room for, in characters, and how many more."""
    parts = [
        f"{field.path} {_value(config, field.path)}, here {_value(here, field.path)}"
        for field in fields(RunConfig)
        if get(config, field.path) != get(here, field.path)
    ]
    if not parts:
        return "set as the run you see"
    told, left = parts[0], parts[1:]
    while left and len(told) + len(left[0]) + len(_more(len(left) - 1)) + 3 <= room:
        told = f"{told} · {left.pop(0)}"
    return f"{told}{_more(len(left))}"


def _more(count: int) -> str:
    return f" · and {count} more" if count else ""


def _value(config: RunConfig, path: str) -> str:
    return shortened(visible(as_text(get(config, path))) or "none", _LONGEST)
