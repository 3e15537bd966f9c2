"""The panes. Tabs, keys, stylesheets, help and layout follow from this list."""

from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace
from textual.binding import Binding, BindingType

from tui import keys
from tui.keys import Action
from tui.panes.corpus import CorpusPane
from tui.panes.generation import GenerationPane
from tui.panes.laboratory import Laboratory
from tui.panes.neighbours import NeighboursPane
from tui.panes.pane import Pane
from tui.panes.training import TrainingPane

PANES: tuple[type[Pane], ...] = (CorpusPane, TrainingPane, NeighboursPane, GenerationPane)
FIRST = TrainingPane
"""The one that is current at the start."""
STYLES = [Path(__file__).with_name(f"{pane.ID}.tcss") for pane in PANES]


def _show(pane: type[Pane]) -> Action:
    return Action(
        f"show_{pane.ID}",
        pane.KEY,
        "panes",
        f"Go to the {pane.ID}",
        "Panes",
        pane.ABOUT,
        lambda _session: "",
    )


def _with_panes() -> tuple[Action, ...]:
    """Going to a pane is the first of what is about panes."""
    groups = [action.group for action in keys.ACTIONS]
    place = groups.index("Panes")
    return (*keys.ACTIONS[:place], *map(_show, PANES), *keys.ACTIONS[place:])


def _of_laboratories() -> Iterator[Action]:
    """Going to each view of a laboratory, and what is done there."""
    for pane in PANES:
        if issubclass(pane, Laboratory):
            actions = [*map(pane.go, pane.VIEWS), *pane.ACTIONS]
            for view in pane.VIEWS:
                actions += [replace(action, view=view.ID) for action in view.ACTIONS]
            for action in actions:
                group = f"{pane.ID.capitalize()}, zoomed"
                yield replace(action, group=group, pane=pane.ID, local=True)


ACTIONS = (*_with_panes(), *_of_laboratories())
"""Every action there is."""
keys.know(ACTIONS)
BY_ID = {action.id: action for action in ACTIONS}
SHOWN_BY = {f"show_{pane.ID}": pane.ID for pane in PANES}
"""The pane that each of the actions that go to one goes to."""


def bindings() -> list[BindingType]:
    """A binding for each action; its id lets a keymap give it another key."""
    return [
        Binding(action.keys, call(action), action.label, tooltip=action.effect, id=action.id)
        for action in ACTIONS
    ]


def call(action: Action) -> str:
    """The action as Textual runs it on the playground."""
    if action.id == "quit":
        return "app.quit"
    if action.id in SHOWN_BY:
        return f"show_pane('{SHOWN_BY[action.id]}')"
    if action.local:
        return f"in_laboratory('{action.pane}', '{action.id}')"
    return f"in_pane('{action.pane}', '{action.id}')" if action.pane else action.id
