"""The actions in the command palette."""

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from typing_extensions import override

from tui.keys import Action, can, shown
from tui.panes.registry import ACTIONS, call
from tui.run.session import Session


class ActionCommands(Provider):
    """Every action that can be done now."""

    def _possible(self) -> list[Action]:
        session: Session | None = getattr(self.app, "session", None)
        return [
            action
            for action in ACTIONS
            if can(session, action) and (not action.local or self._is_here(action))
        ]

    def _is_here(self, action: Action) -> bool:
        """Whether it is the current pane's."""
        return bool(self.screen.check_action("in_laboratory", (action.pane, action.id)))

    @override
    async def discover(self) -> Hits:
        for action in self._possible():
            title = f"{action.title}  ({shown(action.id, action.keys)})"
            yield DiscoveryHit(title, partial(self._do, action), help=action.effect)

    @override
    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._possible():
            title = f"{action.title}  ({shown(action.id, action.keys)})"
            if (score := matcher.match(f"{title} {action.effect}")) > 0:
                yield Hit(
                    score, matcher.highlight(title), partial(self._do, action), help=action.effect
                )

    async def _do(self, action: Action) -> None:
        await self.app.run_action(call(action), self.screen)
