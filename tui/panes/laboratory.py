"""A laboratory: a pane that, zoomed, shows several views of what it is about.

A view is a file beside its pane's, and a line in the pane's `VIEWS`: its key, its tab,
help and the command palette follow from that.
"""

from collections.abc import Iterable, Iterator
from inspect import isawaitable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Input
from typing_extensions import override

from tui.keys import Action, sentence, shown
from tui.panes.pane import Asking, Drawn, Pane, displayed
from tui.run.session import Session
from tui.widgets.room import Room
from tui.widgets.text import fit_parts

_LEAST = 54
"""Columns of a view beside another one."""
_BESIDE_KEYS = 6
"""Columns of a view's upper edge that neither its name nor its keys take."""
_FIRST_KEY = 5
"""The views' keys follow those of the panes."""


def action(id: str, keys: str, title: str, effect: str) -> Action:  # noqa: A002
    """Something that is done in a laboratory, by a method `action_<id>`."""
    return Action(id, keys, id, title, "", effect, lambda _session: "")


class View(Drawn):
    """One way of looking at what a laboratory is about.

    What was asked, pinned and chosen is no view's own, but the laboratory's.
    """

    ID: ClassVar[str]
    """The name of its part of the screen and of the action that goes to it."""
    NAME: ClassVar[str]
    """What it is called on the screen."""
    ABOUT: ClassVar[str]
    """A sentence: what it shows."""
    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    """What is done in it, each by its method `action_<id>`. Their keys are theirs while the view is
    shown, so those of another laboratory may be the same."""

    class Changed(Message):
        """Something was chosen here that other views show too."""

    zoomed = False
    """Whether its pane is a laboratory now, rather than a part of the playground."""
    active = False
    """Whether it is the one that was chosen last."""

    def __init__(self) -> None:
        super().__init__(id=self.ID)

    @property
    def hint(self) -> str:
        """Its keys, shown in its upper edge."""
        return ""

    @property
    def field(self) -> Input | None:
        """What typing goes into, if it has something of its own to be seen for that."""
        return next(filter(displayed, self.query(Input)), None)

    def furnish(self) -> None:
        """Mount what there is of it only in a laboratory, if that isn't there already."""

    def show_title(self) -> None:
        """Write its name and as many of its keys as there is room for into its upper edge."""
        name = Content.styled(self.NAME, "bold $text-primary" if self.active else "bold")
        hint = fit_parts(self.hint, self.size.width - len(self.NAME) - _BESIDE_KEYS)
        self.border_title = Content.assemble(name, f"  {hint}" if hint else "")

    @override
    def on_resize(self) -> None:
        self.show_title()


class AskingView(View, Asking):
    """A view of the engine's answer, for which it asks only while it can be seen."""


class Laboratory(Pane):
    """Its first view is all there is of it in its column. Zoomed, it shows the view that was chosen
    last, and beside it the one before where there is room for two. A view is mounted when it is
    shown for the first time: the first frame waits for none that it doesn't show."""

    VIEWS: ClassVar[tuple[type[View], ...]]
    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    """What is done in it whichever views are shown, each by its method `action_<id>`."""

    class Rearranged(Message):
        """Other views are shown, or another one is active: other keys are to be had."""

    def __init__(self, views: Iterable[View]) -> None:
        """`views` is one of each of VIEWS."""
        super().__init__()
        self.views = {view.ID: view for view in views}
        self._chosen = list(reversed(self.views))
        """The ids of all views, the one that was chosen last at the end."""
        self._alone = False
        """Whether the chosen one has all the room."""

    @override
    def compose(self) -> ComposeResult:
        yield from self.head()
        with Room(classes="views"):
            yield next(iter(self.views.values()))

    def head(self) -> Iterator[Widget]:
        """What stands above all views."""
        yield from ()

    @classmethod
    def go(cls, view: type[View]) -> Action:
        """Going to one of its views."""
        return Action(
            _going(view),
            str(_FIRST_KEY + cls.VIEWS.index(view)),
            "views",
            f"See the {cls.ID}: {view.NAME}",
            "",
            view.ABOUT,
            lambda _session: "",
            view=view.ID,
        )

    @property
    def arrangement(self) -> list[str]:
        """The ids of the views it shows zoomed where there is room, the one chosen last at the
        end."""
        return self._chosen[-1:] if self._alone else self._chosen[-2:]

    def arrange_as(self, arrangement: Iterable[str]) -> None:
        """Show these views when it is zoomed for the first time; what it has no view for is passed
        over."""
        known = [id for id in dict.fromkeys(arrangement) if id in self.views]  # noqa: A001
        self._chosen = [id for id in self._chosen if id not in known] + known  # noqa: A001
        self._alone = len(known) == 1

    @property
    def active(self) -> View:
        """The view that was chosen last, of those that are shown."""
        return self.views[self._chosen[-1]] if self.zoomed else next(iter(self.views.values()))

    @property
    def shown(self) -> list[View]:
        """The views that are shown, from the left to the right."""
        if not self.zoomed:
            return [self.active]
        two = not self._alone and self.content_size.width >= 2 * _LEAST
        ids = self._chosen[-2:] if two else self._chosen[-1:]
        return [view for id, view in self.views.items() if id in ids]  # noqa: A001

    @property
    @override
    def hint(self) -> str:
        return sentence("{type_in} types · {zoom} laboratory")

    @property
    @override
    def tabs(self) -> Content:
        return Content("  ").join(map(self._tab, self.VIEWS)) if self.zoomed else Content("")

    def _tab(self, view: type[View]) -> Content:
        now = self.views[view.ID]
        style = "bold $text-primary" if now is self.active else "bold" if now in self.shown else ""
        go = self.go(view)
        label = Content.styled(f"{shown(go.id, go.keys)} {view.NAME}", style)
        click = {"action": f"in_laboratory('{self.ID}', '{go.id}')"}
        return label.stylize(Style.from_meta(click))

    @property
    @override
    def field(self) -> Input | None:
        own = self.active.field
        return own if own is not None else super().field

    @override
    def show(self, session: Session | None) -> None:
        super().show(session)
        for view in self.views.values():
            view.show(session)

    @override
    def tells(self, _session: Session | None) -> object:
        return None

    def draw(self, session: Session | None) -> None:
        """Its views draw themselves."""

    @override
    def on_mount(self) -> None:
        self._arrange()

    @override
    def on_resize(self) -> None:
        self._arrange()

    @on(View.Changed)
    def changed(self) -> None:
        """Something else is asked, pinned or chosen: every view shows it."""
        for view in self.views.values():
            if not view.is_mounted:
                continue
            if isinstance(view, Asking):
                view.ask()
            view.redraw()

    def watch_zoomed(self) -> None:
        """Show one view in the column, or several on the whole screen."""
        self.set_class(self.zoomed, "-laboratory")
        self._arrange()
        self.changed()

    def can(self, action: Action) -> bool:
        """Whether this is to be done now: going to a view always; else where all is zoomed, and
        what a view does while it is shown."""
        if action.id in map(_going, self.VIEWS):
            return True
        return self.zoomed and (not action.view or self.views[action.view] in self.shown)

    async def perform(self, action: Action) -> None:
        """Do what stands behind one of its keys."""
        if action.id in map(_going, self.VIEWS):
            self.choose(action.view)
        else:
            await self.ready()
            doer = self.views[action.view] if action.view else self
            done = getattr(doer, f"action_{action.id}")()
            if isawaitable(done):
                await done

    async def ready(self) -> None:
        """Wait until all that is to be shown can be."""
        for view in self.shown:
            await view._mounted_event.wait()

    def choose(self, id: str) -> None:  # noqa: A002
        """Show this view; where it is the active one already, alone, or with another one again."""
        self._alone = id == self._chosen[-1] and not self._alone and self.zoomed
        self._chosen.remove(id)
        self._chosen.append(id)
        self._arrange()

    def on_click(self, event: events.Click) -> None:
        """Choose the view that is clicked."""
        for node in event.widget.ancestors_with_self if event.widget else ():
            if isinstance(node, View) and node is not self.active:
                self.choose(node.ID)

    def _arrange(self) -> None:
        """Let the views be seen that are to be."""
        if not self.query(".views"):
            return  # not composed yet, or being taken apart
        shown = self.shown
        self._mount(shown)
        for view in self.views.values():
            view.display, view.zoomed = view in shown, self.zoomed
            view.active = view is self.active
            if not view.is_attached:
                continue
            if self.zoomed:
                view.furnish()
            view.set_class(view is not shown[0], "-beside")
            view.show_title()
        self.border_subtitle = "" if self.zoomed else self.hint  # then tabs are above
        self.post_message(self.Rearranged())

    def _mount(self, shown: list[View]) -> None:
        """Mount those views that weren't shown before, each at its place among the others."""
        room, behind = self.query_one(".views"), None
        for view in reversed(self.views.values()):
            if view in shown and not view.is_attached:
                room.mount(view, before=behind)
            if view.is_attached:
                behind = view


def _going(view: type[View]) -> str:
    """The id of the action that goes to it."""
    return f"view_{view.ID}"
