"""What differs between the settings of two runs, in a few words."""

from textwrap import wrap

from engine.config import RunConfig, fields, get
from engine.visible import shortened
from tui.sanitize import visible
from tui.screens.new_run import as_text

_LONGEST = 30
"""Characters of a value."""


def differences(config: RunConfig, here: RunConfig, width: int, rows: int) -> str:
    """What a run is set to that another, the one that is seen here, isn't: as many settings as so
    many rows have room for, and how many more."""
    parts = [
        f"{field.path} {_value(config, field.path)}, here {_value(here, field.path)}"
        for field in fields(RunConfig)
        if get(config, field.path) != get(here, field.path)
    ]
    if not parts:
        return "set as the run you see"
    for count in range(len(parts), 1, -1):
        told = _told(parts, count)
        if len(wrap(told, max(1, width))) <= rows:
            return told
    return _told(parts, 1)


def _told(parts: list[str], count: int) -> str:
    """So many of them, and how many more there are."""
    more = [f"and {len(parts) - count} more"] if count < len(parts) else []
    return " · ".join([*parts[:count], *more])


def _value(config: RunConfig, path: str) -> str:
    return shortened(visible(as_text(get(config, path))) or "none", _LONGEST)
