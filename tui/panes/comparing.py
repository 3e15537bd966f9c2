"""The losses of the runs that stand beside the one that is shown, and which of them tell anything
beside its own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.messages import Status
from tui.chart.data import Curve
from tui.run.session import Session
from tui.units import UNITS
from tui.widgets.text import fit_middle, one_wide

if TYPE_CHECKING:
    from tui.run.beside import OtherRun

_LEAST_NAME = 6
"""Columns."""
_BESIDES_NAME = 12
"""Columns of a legend's entry besides the name: a sample before it, behind it where it lies, and a
gap."""


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
        return f"loss {UNITS[others.tokenizer].per}"
    known = ours.corpus.fingerprint if ours.corpus is not None else ""
    same = known == other.corpus if known and other.corpus else own == others
    return "" if same else "other text or vocabulary"


def curves_beside(session: Session, quantity: str, width: int) -> Iterator[Curve]:
    """The smoothed loss of each that can be compared, by an x quantity, named in a legend of so
    many columns."""
    room = _room(session, width)
    for other in comparable(session):
        history = other.history
        name = one_wide(fit_middle(other.name, room))
        passed = history.passed(quantity)
        yield Curve(history.smoothed_loss, name, style=None, passed=passed, beside=True)


def notes_beside(session: Session, width: int) -> tuple[str, ...]:
    """Of each that can't be compared its name and why."""
    room = _room(session, width)
    told = ((other, why_not(session.status, other)) for other in session.beside)
    return tuple(
        f"{one_wide(fit_middle(other.name, max(_LEAST_NAME, room - len(why))))}: {why}"
        for other, why in told
        if why
    )


def _room(session: Session, width: int) -> int:
    """The columns that each name may take, all alike."""
    return max(_LEAST_NAME, width // max(1, len(session.beside)) - _BESIDES_NAME)
