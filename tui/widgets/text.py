"""Text on the screen: blocks of it, and lines to type it into."""

import asyncio
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard, cast

from rich.cells import cell_len, get_character_cell_size, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.screen import Screen
from textual.strip import Strip
from textual.suggester import SuggestionReady
from textual.widgets import Input, Static
from typing_extensions import override

from engine.visible import without_surrogates
from tui.sanitize import drawn, token, visible
from tui.terms import explained

if TYPE_CHECKING:
    from textual.css.styles import RulesMap

MUTED = "$foreground 60%"
"""The style of words that only explain."""


MOST_TYPED = 100_000
"""Characters of a field: as many as the engine takes."""
_TOO_LONG = f"A field holds at most {MOST_TYPED:,} characters: paste less."
_COMPLETED_WITHIN = 0.2
"""Seconds a key waits for what would complete the line: an engine may be in a long step."""


class Block(Static):
    """Text that is repainted only when it differs from what is there. A tooltip explains the terms
    of the line under the mouse."""

    class Resized(Message):
        """There is another room for text."""

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
        explains: bool = True,
    ) -> None:
        """`explains` says whether its words are the program's own, and terms among them meant."""
        super().__init__(Content(""), id=id, classes=classes, markup=False)
        self.explains = explains
        self._shown = Content("")

    @property
    def words(self) -> str:
        """The text."""
        return self._shown.plain

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Explain the terms in the line the mouse is on."""
        if self.explains:
            self.tooltip = explained(self.render_line(event.y).text)

    def show(self, content: Content) -> None:
        """Replace the text; the layout is redone only where the height may change."""
        if content.is_same(self._shown):
            return
        before, self._shown = self._shown, content
        moves = self.styles.is_auto_height and (
            not self.content_size or self.rows(before) != self.rows(content)
        )
        self.update(content, layout=moves)

    def on_resize(self) -> None:
        """Tell whoever draws: another width takes other words."""
        self.post_message(self.Resized())

    def rows(self, content: Content) -> int:
        """How many it would take here; 0 before there is a layout."""
        width = self.content_size.width
        rules = cast("RulesMap", self.styles)  # as Textual itself hands them over
        return content.get_height(rules, width) if content and width else 0


class LineInput(Input):
    """A one-row input. Its value is what was typed or pasted, joiners, tabs and line ends too;
    only what it draws is made visible, a character for a character."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"input--marked", "input--label"}
    # Textual's `compact` would do as much, but styles each input once more for it.
    DEFAULT_CSS = """
    LineInput {
        height: 1;
        padding: 0;
        border: none !important;
        & > .input--marked { color: $text-error; text-style: bold underline; }
        & > .input--label { color: $foreground 60%; }
    }
    """

    _marks: Sequence[tuple[int, int]] = ()
    _label = ""

    def __init__(
        self,
        value: str = "",
        *,
        label: str = "",
        placeholder: str = "",
        allows: tuple[str, str] | None = None,
        id: str,  # noqa: A002
    ) -> None:
        """`label` says what to type; it stands before the value. `allows` is a regular expression
        for all that may be typed, and the sentence that is said to other text."""
        super().__init__(value, placeholder=placeholder, id=id, select_on_focus=False)
        self.max_length = MOST_TYPED
        self.restrict, self._otherwise = allows or (None, _TOO_LONG)
        if label:
            self.show_label(label)

    def show_label(self, label: str) -> None:
        """Say in this word what to type."""
        self._label = f"{label} "
        self.styles.padding = (0, 0, 0, cell_len(self._label))

    def mark(self, marks: Sequence[tuple[int, int]]) -> None:
        """Show that something is wrong with these parts, each from one character to before another,
        as long as they are there."""
        if marks != self._marks:
            self._marks = marks
            self.refresh()

    @override
    def validate(self, value: str) -> None:
        """Nothing to Textual, which would style it anew: who asks for a value says what is wrong
        with it."""

    def validate_value(self, value: str) -> str:
        """The text without what no file could hold."""
        return without_surrogates(value)

    def take(self, text: str) -> None:
        """Put the text at the cursor, or in the place of what is selected."""
        self._restart_blink()
        self.replace(text, *self.selection)

    async def _on_key(self, event: events.Key) -> None:
        event.prevent_default()
        await take_key(self.screen, event)

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.take(event.text.replace("\r\n", "\n").replace("\r", "\n"))  # as terminals send \n

    def restricted(self) -> None:
        """Something that it can't hold was typed or pasted: nothing of that is taken."""
        self.notify(self._otherwise, severity="warning", markup=False)

    # --- what is drawn ------------------------------------------------------------------------

    @override
    def render_lines(self, crop: Region) -> list[Strip]:
        lines = super().render_lines(crop)
        if self._label and crop.y == 0 and lines:
            around, _ = self.background_colors
            color = around + self.get_component_styles("input--label").color
            style = Style(color=color.rich_color, bgcolor=around.rich_color)
            label = Strip([Segment(self._label, style)]).crop(crop.x, crop.right)
            lines[0] = Strip.join([label, lines[0].crop(label.cell_length)])
        return lines

    @property
    def _value(self) -> Text:
        text = Text(drawn(self.value), no_wrap=True, overflow="ignore", end="")
        for begin, end in self._marks:
            text.stylize(self.get_component_rich_style("input--marked", partial=True), begin, end)
        return text

    def _position_to_cell(self, position: int) -> int:
        return cell_len(drawn(self.value)[:position])

    def _cell_offset_to_index(self, offset: int) -> int:
        left = offset + self.scroll_offset.x
        for index, character in enumerate(drawn(self.value)):
            left -= get_character_cell_size(character)
            if left < 0:
                return index
        return len(self.value)

    async def _on_suggestion_ready(self, event: SuggestionReady) -> None:
        event.prevent_default()
        if event.value == self.value:
            self._suggestion = drawn(without_surrogates(event.suggestion))

    @override
    async def action_cursor_right(self, select: bool = False) -> None:  # type: ignore[override]
        if self.suggester and self.value and self.cursor_at_end and not select:
            # What was typed just before this key may not have been completed yet.
            with suppress(TimeoutError):
                async with asyncio.timeout(_COMPLETED_WITHIN):
                    found = await self.suggester.get_suggestion(self.value)
                    self._suggestion = without_surrogates(found or "")
        super().action_cursor_right(select)


class PaneInput(LineInput):
    """An input in a pane: Enter gives the keys back to the playground."""

    @override
    async def action_submit(self) -> None:
        await super().action_submit()
        self.screen.set_focus(None)


async def take_key(screen: Screen[Any], event: events.Key) -> bool:
    """Act on a key now, so that many that arrive at once (a slow line, a paste) keep their order.
    Returns whether there was anything to do.

    Textual sends a key to what had the focus when it arrived, and runs its binding only once it has
    bubbled up to the app: of "ctrl+u a b" read together, ctrl+u would come last.
    """
    focused = screen.focused
    if isinstance(focused, LineInput) and _is_text(event.character):
        focused.take(event.character)
    elif not await screen.app._check_bindings(event.key):
        return False
    event.stop()
    return True


def _is_text(character: str | None) -> TypeGuard[str]:
    """Whether a key stands for a character: joiners and the blanks of other scripts are, which
    Python doesn't call printable."""
    return bool(character) and all(unicodedata.category(each) != "Cc" for each in character or "")


class Row(Horizontal):
    """What stands in one row: inputs share what the others leave."""

    DEFAULT_CSS = """
    Row {
        height: 1;
        & > LineInput { width: 1fr; }
    }
    """


def fit(text: str, width: int) -> str:
    """Untrusted text made visible, in exactly this many cells: cut with … or padded."""
    text = visible(text)
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    return set_cell_size(text, width)


def fit_middle(text: str, width: int) -> str:
    """Untrusted text made visible, in at most this many cells: the middle is left out."""
    text = visible(text)
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    end = ""
    for character in reversed(text):
        if cell_len(end) + get_character_cell_size(character) > (width - 1) // 2:
            break
        end = character + end
    return set_cell_size(text, width - 1 - cell_len(end)).rstrip() + "…" + end


def one_wide(text: str) -> str:
    """Untrusted text for a chart, whose characters are all one column wide."""
    return "".join(each if cell_len(each) == 1 else "▯" for each in token(text))


def fit_parts(hint: str, room: int) -> str:
    """As many parts of a hint as there is room for: the least wanted stands last."""
    while hint and len(hint) > room:
        hint = hint.rpartition(" · ")[0]
    return hint
