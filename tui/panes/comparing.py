"""The losses of the runs that stand beside the one that is shown, and which of them tell anything
beside its own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len

from engine.messages import Status
from tui.chart.data import Curve, Style
from tui.run.session import Session
from tui.sanitize import visible
from tui.units import UNITS
from tui.widgets.text import fit_middle, one_wide

if TYPE_CHECKING:
    from tui.run.beside import OtherRun

_STYLES: tuple[Style, ...] = ("orange", "purple", "vermilion")
"""Of the palette, by turns: those that are unlike the theme's colours of the other curves."""
_LEAST_NAME = 6
"""Columns."""
_BESIDES_NAME = 8
"""Columns of a legend's entry besides the name: a sample before it, behind it an arrow where the
curve lies above, and a gap."""


def comparable(session: Session) -> list["OtherRun"]:
    """The runs whose losses are drawn beside those of the one that is shown."""
    return [other for other in session.beside if not why_not(session.status, other)]


def why_not(ours: Status, other: "OtherRun") -> str:
    """Why the losses of another run are not to be compared with those of the one that is shown, in
    a few words; empty where they are: both are of the same text, split into the same tokens.

    The fingerprint of the encoded corpus tells that where both are known, else the settings.
    """
    own, others = ours.config.corpus, other.config.corpus
    if UNITS[own.tokenizer].per != UNITS[others.tokenizer].per:
        return UNITS[others.tokenizer].per
    known = ours.corpus.fingerprint if ours.corpus is not None else ""
    same = known == other.corpus if known and other.corpus else own == others
    return "" if same else "other corpus"


def curves_beside(session: Session, quantity: str, width: int) -> Iterator[Curve]:
    """The smoothed loss of each that can be compared, by an x quantity, named in a legend of so
    many columns."""
    room = _room(session, width)
    for place, other in enumerate(comparable(session)):
        history, name = other.history, _short(other, room)
        style = _STYLES[place % len(_STYLES)]
        passed = history.passed(quantity)
        yield Curve(history.smoothed_loss, name, style, passed=passed, beside=True)


def notes_beside(session: Session, width: int) -> tuple[str, ...]:
    """Of each that can't be compared its name and why."""
    room = _room(session, width)
    told = ((other, why_not(session.status, other)) for other in session.beside)
    return tuple(f"{_short(other, room)}: {why}" for other, why in told if why)


def _short(other: "OtherRun", room: int) -> str:
    """A run's name for a chart, in so many columns."""
    return one_wide(fit_middle(other.name, room))


def _room(session: Session, width: int) -> int:
    """The most columns that a name may take for all to have room; the longest are cut."""
    others = session.beside
    names = [cell_len(visible(other.name)) for other in others]
    reasons = sum(map(len, (why_not(session.status, other) for other in others)))
    left = width - reasons - _BESIDES_NAME * len(others)
    most = max(names, default=0)
    while most > _LEAST_NAME and sum(min(name, most) for name in names) > left:
        most -= 1
    return most
