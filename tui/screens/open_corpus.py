"""Choose a text and how it becomes tokens; a run on it begins from the preset that fits."""

import asyncio
import unicodedata
from pathlib import Path
from typing import ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.suggester import Suggester
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option
from typing_extensions import override

from engine import runs
from engine.config import BUILT_IN, RunConfig, TokenizerName, preset, replace
from engine.errors import UserError
from engine.paths import named_path
from tui.numbers import size
from tui.recent import recent_sources, remember_source
from tui.remarks import in_dialog
from tui.sanitize import content
from tui.screens.dialog import ROOMY, Dialog, line
from tui.source import Glance, find_source, glance
from tui.widgets.choice import Choice
from tui.widgets.text import MUTED, Block, LineInput, fit, fit_middle

_FILE = "a file or folder"
_SOURCES = {
    "toy-world": "A small world of professions, places and foods, made to be looked at.",
    "python-docs": "Python's own help topics: real English, here on every machine.",
    _FILE: "A text of your own: a file (.gz too), a folder, or a pattern such as books/*.txt.",
}
_TOKENIZERS: dict[str, str] = {
    "word": "Words in lower case, punctuation split off.",
    "whitespace": "A text that spaces have cut into tokens already (PTB, WikiText).",
    "character": "One character after the other: no word is unknown.",
    "subword": "Frequent pieces of words, learnt from the text.",
}


_NAME = 20
"""Columns of the name of a field, as in the stylesheet."""
_PAUSE = 0.2
"""Seconds without a key after which the text of that name is looked at."""


class OpenCorpus(Dialog[Path | None]):
    """Dismissed with the folder of the run it made, or None."""

    AUTO_FOCUS = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Open"),
        Binding("down", "recent", "To the recent texts"),
    ]

    def __init__(self, models: Path) -> None:
        super().__init__()
        self._models = models
        self._recent = recent_sources()
        self._glance: Glance | None = None

    @override
    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = "Open a corpus"
            box.border_subtitle = "tab next · ↓ recent · → completes · ctrl+s opens · esc closes"
            yield line("text", Choice(list(_SOURCES), _FILE, id="source"), _SOURCES[_FILE])
            path = LineInput(placeholder="for example ~/books/novel.txt", id="path")
            path.suggester = PathSuggester()
            yield path
            recent = OptionList(id="recent", compact=True, markup=False)
            recent.display = bool(self._recent)
            yield recent
            yield line(
                "tokens", Choice(list(_TOKENIZERS), "word", id="tokenizer"), _TOKENIZERS["word"]
            )
            yield Block(id="look")
            with Horizontal(id="foot"):
                yield Button("Open", variant="primary", compact=True, id="open")
                yield Static(id="error", markup=False)

    def on_mount(self) -> None:
        """Show what was opened before."""
        self._list_recent()

    def on_resize(self) -> None:
        """Cut the paths to the new width, and let the typed one begin where the choices do."""
        label = "path" if self.size.width < ROOMY else "path".ljust(_NAME - 1)
        self.query_one("#path", LineInput).show_label(label)
        self.call_after_refresh(self._list_recent)

    def _list_recent(self) -> None:
        """The texts opened before, one a line: of a long path the middle is left out."""
        recent = self.query_one("#recent", OptionList)
        chosen, width = recent.highlighted, self.query_one("#box").content_size.width - 2
        recent.set_options(Option(Content(fit_middle(each, width))) for each in self._recent)
        recent.highlighted = chosen

    def action_recent(self) -> None:
        """Go to the texts opened before, if there are any."""
        recent = self.query_one("#recent", OptionList)
        if recent.display:
            recent.focus()
            recent.highlighted = 0

    @on(OptionList.OptionSelected)
    def _take_recent(self, event: OptionList.OptionSelected) -> None:
        path = self.query_one("#path", Input)
        path.value = self._recent[event.option_index]
        path.cursor_position = len(path.value)
        path.focus()

    @on(Choice.Changed, "#source")
    def _change_source(self, event: Choice.Changed) -> None:
        own = event.choice.value == _FILE
        self.query_one("#path").display = own
        self.query_one("#recent").display = own and bool(self._recent)
        self._complain("")
        self.query_one("#source-effect", Static).update(Content(_SOURCES[event.choice.value]))
        self._begin_look()

    @on(Choice.Changed, "#tokenizer")
    def _change_tokenizer(self, event: Choice.Changed) -> None:
        self.query_one("#tokenizer-effect", Static).update(Content(_TOKENIZERS[event.choice.value]))
        if self._glance is not None:
            self._show_look(self._told(self._glance))

    @on(Input.Changed, "#path")
    def _begin_look(self) -> None:
        self._complain("")
        self._look()

    @work(exclusive=True, group="look")
    async def _look(self) -> None:
        """Show what the text is like, without a wait for any key."""
        path = self.query_one("#path", Input).value
        self._glance = None
        if self.query_one("#source", Choice).value != _FILE or not path.strip():
            self._show_look(Content(""))
            return
        await asyncio.sleep(_PAUSE)
        try:
            self._glance = await asyncio.to_thread(glance, path)
        except UserError as error:
            self._show_look(content(str(error), MUTED))
        else:
            self._show_look(self._told(self._glance) if self._glance else Content(""))

    def _told(self, glance: Glance) -> Content:
        """Its size, its first lines, and what is worth knowing of it under the chosen tokens."""
        from engine.text.remarks import remarks_on_writing

        files = f"{glance.files:,} files, " if glance.files > 1 else ""
        width = self.query_one("#box").content_size.width
        lines = [Content.styled(f"{files}{size(glance.size)}, beginning with", MUTED)]
        lines += [
            Content(f"  {fit(line[:width], width - 2).rstrip()}") for line in glance.first_lines
        ]
        remarks = remarks_on_writing(glance.look, self._tokenizer)
        lines += [content(in_dialog(remark), "$text-warning") for remark in remarks]
        return Content("\n").join(lines)

    def _show_look(self, told: Content) -> None:
        block = self.query_one("#look", Block)
        block.show(told)
        block.set_class(bool(told.plain), "-told")

    @on(Button.Pressed, "#open")
    @on(Input.Submitted)
    @work(exclusive=True, group="dialog")
    async def action_start(self) -> None:
        """Make the run, or say beside the button what is wrong."""
        self._complain("Looking for its files … esc leaves off.")
        try:
            config = fitting(await self._source(), self._tokenizer)
            folder = runs.create_run(self._models, None, config)
        except UserError as error:
            self._complain(str(error))
        else:
            if config.corpus.source not in BUILT_IN:
                remember_source(config.corpus.source)
            self.dismiss(folder)

    def _complain(self, sentence: str) -> None:
        """Say what is wrong; nothing any more once anything is changed."""
        self.query_one("#error", Static).update(content(sentence))

    @property
    def _tokenizer(self) -> TokenizerName:
        return cast("TokenizerName", self.query_one("#tokenizer", Choice).value)

    async def _source(self) -> str:
        chosen = self.query_one("#source", Choice).value
        if chosen != _FILE:
            return chosen
        text = self.query_one("#path", Input).value.strip()
        if not text:
            raise UserError("Type the path of a text file or a folder, or choose a built-in text.")
        return await find_source(text)


def fitting(source: str, tokenizer: str) -> RunConfig:
    """A configuration for this text from the preset that fits it."""
    if source == "toy-world" and tokenizer == "word":
        return preset("toy")
    base = preset("ptb-small" if tokenizer == "whitespace" else "laptop")
    return replace(base, {"corpus.source": source, "corpus.tokenizer": tokenizer})


class PathSuggester(Suggester):
    """Completes the path being typed from the file system."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    @override
    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(complete, value)


def complete(typed: str) -> str | None:
    """The first entry, in order, that goes on from what is typed; None where nothing does."""
    folder, slash, start = typed.rpartition("/")
    try:
        place = named_path(folder + slash or ".", "The folder")
        for entry in sorted(place.iterdir()):
            hidden = entry.name.startswith(".") and not start
            if entry.name.startswith(start) and not hidden and _can_be_named(entry.name):
                return f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}"
    except (OSError, UserError):
        return None
    return None


def _can_be_named(name: str) -> bool:
    """Whether a path in the form can hold it, and a person make out what it is."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
