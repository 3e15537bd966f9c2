"""The run the playground opens with."""

from pathlib import Path

from engine.config import preset
from engine.runs import create_run

_PRESET = "toy"


def first_run(models: Path) -> Path:
    """A fresh run on the toy world. Raises UserError where it can't be made."""
    return create_run(models, None, preset(_PRESET))
