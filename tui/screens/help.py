"""Every key with what it does, made from the registry of actions."""

from itertools import groupby
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static
from typing_extensions import override

from tui.keys import sentence, shown
from tui.panes.registry import ACTIONS
from tui.screens.dialog import Dialog
from tui.widgets.text import MUTED

_ABOUT = (
    "An LSTM language model learns a text while you watch. Letters are keys of the playground; "
    "in an input they go into it, and {leave_input} gives them back."
)

_MORE = (
    "ctrl+p has all of this in the command palette. The grey words are the actions' names, by "
    "which settings.toml gives them other keys."
)


class Help(Dialog[None]):
    """The help screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,q", "close", "Close"),
        Binding("t", "terms", "Terms", id="terms"),
    ]

    @override
    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box", classes="-tall") as box:
            box.border_title = "Help"
            box.border_subtitle = sentence("↑ ↓ scroll · {terms} terms · esc close")
            yield Static(Content(sentence(_ABOUT)), classes="lead", markup=False)
            for group, actions in groupby(
                sorted(ACTIONS, key=lambda action: _GROUPS.index(action.group)),
                key=lambda action: action.group,
            ):
                yield Static(Content(group), classes="heading", markup=False)
                for action in actions:
                    yield Static(
                        Content.assemble(
                            (f"{shown(action.id, action.keys):<6}  ", "bold $text-primary"),
                            action.title,
                            (f"  {action.id}", MUTED),
                        ),
                        classes="key",
                        markup=False,
                    )
                    yield Static(Content(action.effect), classes="effect", markup=False)
            yield Static(Content(_MORE), classes="lead", markup=False)

    def action_terms(self) -> None:
        """Explain every term there is."""
        from tui.screens.terms import Terms

        self.app.push_screen(Terms())


_GROUPS = list(dict.fromkeys(action.group for action in ACTIONS))
