"""Inputs: what is typed and pasted is their value; what they draw is harmless."""

import asyncio
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.suggester import Suggester

from engine.visible import visible
from tests.faults.fuzz_screen import assert_harmless
from tui.widgets.text import MOST_TYPED, LineInput

ODD = "\u200c\u200d\u00ad\u200b\ufeff\u202e\u2066\xa0\u3000\u2028\u0301\u093f\ue000\U000e0041"
"""Characters that Python calls not printable, or that hang on to those before them."""
FORMS = {"\r\n": "\n", "\r": "\n"}


class OneField(App[None]):
    def compose(self) -> ComposeResult:
        yield LineInput(id="field")

    @property
    def field(self) -> LineInput:
        return self.query_one(LineInput)

    def drawn(self) -> str:
        return self.field.render_line(0).text


def key(character: str) -> events.Key:
    """As Textual reads a typed character."""
    name = unicodedata.name(character, "upper_a").lower().replace(" ", "_")
    return events.Key(character if character.isalnum() else name, character)


typed = st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from(ODD)
pasted = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from(ODD + "\r\n\t\x1b\x9b"), max_size=20
)
actions = st.one_of(
    st.tuples(st.just("type"), typed),
    st.tuples(st.just("paste"), pasted),
    st.sampled_from(["left", "right", "home", "end", "backspace", "delete", "ctrl+u"]),
)


class Model:
    """A string and a place in it."""

    def __init__(self) -> None:
        self.text, self.place = "", 0

    def act(self, action: str | tuple[str, str]) -> None:
        before, after = self.text[: self.place], self.text[self.place :]
        match action:
            case ("type", text):
                before += text
            case ("paste", text):
                before += text.replace("\r\n", "\n").replace("\r", "\n")
            case "left":
                before, after = before[:-1], before[-1:] + after
            case "right":
                before, after = before + after[:1], after[1:]
            case "home":
                before, after = "", before + after
            case "end":
                before, after = before + after, ""
            case "backspace":
                before = before[:-1]
            case "delete":
                after = after[1:]
            case "ctrl+u":
                before = ""
        self.text, self.place = before + after, len(before)


@settings(max_examples=40, deadline=None)
@given(st.lists(actions, max_size=12))
def test_the_value_is_what_was_typed_and_pasted(todo: list[str | tuple[str, str]]) -> None:
    asyncio.run(_do(todo))


async def _do(todo: list[str | tuple[str, str]]) -> None:
    app, model = OneField(), Model()
    async with app.run_test(size=(30, 3)) as pilot:
        app.field.focus()
        for action in todo:
            match action:
                case ("type", character):
                    app.field.post_message(key(character))
                case ("paste", text):
                    app.field.post_message(events.Paste(text))
                case name:
                    await pilot.press(name)
            await pilot.pause()
            model.act(action)
            assert (app.field.value, app.field.cursor_position) == (model.text, model.place)
            assert_harmless(app.drawn())


@pytest.mark.parametrize(
    "text", ["می\u200cخواهم", "a\tb\nc \u00ad", "\u0301x\x1b[31m", "日本\u200d語"]
)
async def test_a_click_and_the_cursor_stand_at_the_character_that_is_drawn(text: str) -> None:
    app = OneField()
    async with app.run_test(size=(60, 3)):
        app.field.value = text
        for place in range(len(text)):
            cell = app.field._position_to_cell(place)
            if cell < app.field._position_to_cell(
                place + 1
            ):  # else it is drawn over the one before
                assert app.field._cell_offset_to_index(cell) == place
        assert app.field._cell_offset_to_index(59) == len(text)
        assert_harmless(app.drawn())
        assert visible(app.drawn()) == app.drawn()


async def test_more_than_a_field_holds_is_told() -> None:
    app = OneField()
    async with app.run_test() as pilot:
        app.field.focus()
        app.field.post_message(events.Paste("x" * MOST_TYPED))
        app.field.post_message(events.Paste("y"))
        await pilot.pause()
        assert app.field.value == "x" * MOST_TYPED
        assert ["at most 100,000" in note.message for note in app._notifications] == [True]


async def test_a_completion_is_drawn_visibly_and_taken_as_it_is() -> None:
    class One(Suggester):
        async def get_suggestion(self, value: str) -> str | None:
            return "books/می\u200cخواهم\u202e.txt"

    app = OneField()
    async with app.run_test(size=(60, 3)) as pilot:
        app.field.suggester = One(use_cache=False)
        app.field.focus()
        await pilot.press(*"books/")
        for _ in range(100):
            await pilot.pause(0.01)
            if "txt" in app.drawn():
                break
        assert "می▯خواهم▯.txt" in app.drawn()
        await pilot.press("right")
        assert app.field.value == "books/می\u200cخواهم\u202e.txt"


async def test_a_completion_that_never_comes_holds_no_key_up() -> None:
    class Never(Suggester):
        async def get_suggestion(self, value: str) -> str | None:
            await asyncio.Event().wait()
            return None

    app = OneField()
    async with app.run_test() as pilot:
        app.field.focus()
        app.field.suggester = Never(use_cache=False)
        async with asyncio.timeout(10):
            await pilot.press("a", "right", "b")
        assert app.field.value == "ab"


class OneLabelled(App[None]):
    CSS = "LineInput { width: 100%; }"

    def compose(self) -> ComposeResult:
        yield LineInput("mathematician", label="word", id="field")


@pytest.mark.parametrize("width", [1, 3, 5, 6, 12, 30])
async def test_a_label_stands_before_the_value_whatever_part_is_painted(width: int) -> None:
    app = OneLabelled()
    async with app.run_test(size=(width, 3)):
        app.screen.set_focus(None)
        field = app.query_one(LineInput)
        (line,) = field.render_lines(Region(0, 0, width, 1))
        assert line.text == "word mathematician"[:width].ljust(width)
        for begin in range(width):
            for end in range(begin + 1, width + 1):
                (part,) = field.render_lines(Region(begin, 0, end - begin, 1))
                assert part.text == line.text[begin:end]


async def test_a_click_behind_the_label_goes_to_the_character_there() -> None:
    app = OneLabelled()
    async with app.run_test(size=(30, 3)) as pilot:
        for column, place in ((7, 2), (5, 0), (2, 0), (25, 13)):
            await pilot.click(LineInput, offset=(column, 0))
            assert app.query_one(LineInput).cursor_position == place


async def test_a_label_can_be_changed() -> None:
    app = OneLabelled()
    async with app.run_test(size=(30, 3)) as pilot:
        field = app.query_one(LineInput)
        field.show_label("the word")
        await pilot.pause()
        (line,) = field.render_lines(Region(0, 0, 30, 1))
        assert line.text.rstrip() == "the word mathematician"
