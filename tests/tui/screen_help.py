"""What the tests of the screen share: the playground on a fake engine, and patience."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from tests.tui.fake_engine import FakeEngine, Launch
from tui.app import PlaygroundApp
from tui.panes.pane import Pane
from tui.run.session import Session
from tui.widgets.flow import Flow
from tui.widgets.text import Block


class Room:
    """A playground under test: the app, its pilot, and the engines it launched."""

    def __init__(self, app: PlaygroundApp, pilot: Pilot, launch: Launch) -> None:
        self.app, self.pilot, self.launch = app, pilot, launch

    @property
    def engine(self) -> FakeEngine:
        return self.launch.engine

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        """Wait until it holds; an assertion error where it never does."""
        for _ in range(int(seconds / 0.02)):
            if condition():
                return
            await self.pilot.pause(0.02)
        raise AssertionError("it never came true")

    async def happens(self, *events) -> None:
        """Let the engine tell these events, and wait until the screen has drawn them."""
        self.engine.push(*events)
        await self.pilot.pause()
        await self.until(lambda: self.engine.heard and self.app.playground.drawn)

    def shows(self, session: Session) -> bool:
        """Whether the panes have been told of the run."""
        return all(pane.session is session for pane in self.app.playground.query(Pane))

    def text(self, selector: str) -> str:
        """What a block of the playground shows."""
        return self.app.playground.query_one(selector, Block).content.plain

    @property
    def earlier(self) -> str:
        """The passages of the generation pane that are complete."""
        flow = self.app.playground.query_one("#passages", Flow)
        return "\n".join(piece.plain for piece in flow._settled)

    @property
    def current(self) -> str:
        """The passage that is being written, or what stands in its place."""
        return self.app.playground.query_one("#passages", Flow)._growing.plain

    @property
    def toasts(self) -> list[str]:
        return [notification.message for notification in self.app._notifications]


@asynccontextmanager
async def playground(
    models: Path,
    launch: Launch | None = None,
    *,
    folder: Path | None = None,
    size: tuple[int, int] = (120, 36),
    wait: bool = True,
) -> AsyncIterator[Room]:
    """The playground, by default once it shows a run that is ready to train."""
    launch = launch or Launch()
    app = PlaygroundApp(models, folder, launch=launch)
    async with app.run_test(size=size) as pilot:
        room = Room(app, pilot, launch)
        if wait:
            await room.until(lambda: app.session is not None and room.shows(app.session))
        yield room
