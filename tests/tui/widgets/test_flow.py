"""Text that grows at its end is seen to its end, until somebody scrolls away from there."""

import random

import pytest
from textual.app import App, ComposeResult
from textual.content import Content

from tui.widgets.flow import Flow


class Growing(App[None]):
    """A text that grows, alone on the screen."""

    CSS = "Flow { width: 100%; height: 100%; }"

    def compose(self) -> ComposeResult:
        yield Flow(id="flow")


def place(flow: Flow) -> tuple[int, int]:
    return flow.scroll_offset.y, flow.max_scroll_y


@pytest.mark.parametrize("seed", range(12))
async def test_it_stays_at_its_end_whatever_changes_but_where_one_scrolled(seed: int) -> None:
    chance = random.Random(seed)
    app, settled, growing = Growing(), (), ""
    async with app.run_test(size=(40, 10)) as pilot:
        flow = app.query_one(Flow)
        follows = True
        for _ in range(60):
            match chance.choice(
                ("grow", "grow", "settle", "resize", "up", "end", "reveal", "follow")
            ):
                case "grow":
                    growing += " word" * chance.randrange(1, 60)
                case "settle":
                    settled, growing = (*settled, Content(growing)), ""
                case "resize":
                    size = chance.randrange(10, 80), chance.randrange(2, 30)
                    await pilot.resize_terminal(*size)
                case "up" if flow.max_scroll_y > 0:
                    flow.scroll_to(y=chance.randrange(flow.max_scroll_y), animate=False)
                    follows = False
                case "end":
                    flow.scroll_end(animate=False)
                    follows = True
                case "reveal":
                    flow.reveal(0)
                    if place(flow)[0] < place(flow)[1]:
                        follows = False
                case "follow":
                    flow.to_end()
                    follows = True
            flow.show(settled, Content(growing))
            await pilot.pause()
            top, last = place(flow)
            if follows:
                assert top == last
            elif top == last:
                follows = True  # a larger window, or another width, has brought the end into view


async def test_one_who_scrolled_up_stays_there_while_it_grows() -> None:
    app = Growing()
    async with app.run_test(size=(40, 10)) as pilot:
        flow = app.query_one(Flow)
        flow.show((), Content("word " * 400))
        await pilot.pause()
        flow.scroll_to(y=5, animate=False)
        for times in range(401, 440):
            flow.show((), Content("word " * times))
            await pilot.pause()
        assert place(flow)[0] == 5 < place(flow)[1]
