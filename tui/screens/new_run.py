"""The form for a new run: a preset, then every setting with its range and its effect."""

from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from engine import runs
from engine.config import PRESETS, Field, RunConfig, fields, get, preset, replace
from engine.errors import UserError
from tui.sanitize import content
from tui.screens.dialog import Dialog, line
from tui.source import chosen_source
from tui.widgets.choice import Choice
from tui.widgets.text import LineInput

_FIRST = "laptop"


class NewRun(Dialog[Path | None]):
    """Dismissed with the folder of the run it made, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Create the run"),
        Binding("pagedown", "section(1)", "Next section", priority=True),
        Binding("pageup", "section(-1)", "Previous section", priority=True),
    ]

    def __init__(self, models: Path, config: RunConfig | None = None) -> None:
        super().__init__()
        self._models = models
        self._config = config or preset(_FIRST)

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-tall") as box:
            box.border_title = "New run"
            box.border_subtitle = "tab field · pgup pgdn section · ctrl+s create · esc close"
            with VerticalScroll(id="form", can_focus=False):
                chosen = self._config.preset
                with Vertical(classes="section"):
                    yield line(
                        "preset",
                        Choice(list(PRESETS), chosen, id="preset"),
                        PRESETS[chosen].purpose,
                    )
                    yield line(
                        "name",
                        LineInput(placeholder="made from the corpus", id="name"),
                        "The name of the run and of its folder.",
                    )
                for section, group in groupby(
                    fields(RunConfig), key=lambda field: field.path.split(".")[0]
                ):
                    about = type(getattr(self._config, section)).__doc__ or ""
                    with Vertical(classes="section"):
                        yield Static(Content(section), classes="heading", markup=False)
                        yield Static(Content(about), classes="about", markup=False)
                        for field in group:
                            yield self._field(field)
            with Horizontal(id="foot"):
                yield Button("Create the run", variant="primary", compact=True, id="create")
                yield Static(id="error", markup=False)

    def _field(self, field: Field) -> Horizontal:
        value, effect = as_text(get(self._config, field.path)), field.effect
        control: Widget
        if field.choices:
            control = Choice(field.values.split(" | "), value, id=_id(field.path))
        else:
            control = LineInput(
                value, placeholder="none" if field.optional else "", id=_id(field.path)
            )
            effect += f" ({field.values})" if field.values != "text" else ""
        return line(field.path.split(".")[1], control, effect)

    def _values(self) -> dict[str, str]:
        return {field.path: self._control(field.path).value for field in fields(RunConfig)}

    def _control(self, path: str) -> Any:
        return self.query_one(f"#{_id(path)}")

    @on(Choice.Changed, "#preset")
    def _change_preset(self, event: Choice.Changed) -> None:
        """Take the preset's values, except where the user has set one of their own."""
        name = event.choice.value
        before, self._config = self._config, preset(name)
        self.query_one("#preset-effect", Static).update(Content(PRESETS[name].purpose))
        for path, value in self._values().items():
            if value == as_text(get(before, path)):
                self._control(path).value = as_text(get(self._config, path))

    @on(Choice.Changed)
    @on(Input.Changed)
    def _warn(self) -> None:
        """Say what goes badly together; an error that was told is corrected."""
        try:
            warning = replace(self._config, self._values()).warning
        except UserError:
            return  # which is told where the run is to be made
        self.query_one("#error", Static).update(Content.styled(warning, "$text-warning"))

    def action_section(self, change: int) -> None:
        """Go to the first field of the next section, or of the one before."""
        sections = list(self.query(".section"))
        around = self.focused.ancestors if self.focused else []
        here = next(
            (place for place, section in enumerate(sections) if section in around), len(sections)
        )
        target = sections[max(0, min(here + change, len(sections) - 1))]
        first = next(child for child in target.walk_children(Widget) if child.focusable)
        self.set_focus(first, scroll_visible=False)
        self.query_one("#form").scroll_to_widget(target, animate=False, top=True)

    @on(Button.Pressed, "#create")
    def action_start(self) -> None:
        """Make the run, or say beside the button what is wrong; nothing typed is lost."""
        try:
            values = self._values()
            values["corpus.source"] = chosen_source(values["corpus.source"])
            config = replace(self._config, values)
            name = self.query_one("#name", Input).value.strip() or None
            folder = runs.create_run(self._models, name, config)
        except UserError as error:
            self._complain(str(error))
        else:
            self.dismiss(folder)

    def _complain(self, sentence: str) -> None:
        self.query_one("#error", Static).update(content(sentence))
        for path in (field.path for field in fields(RunConfig)):
            if path in sentence:
                self._control(path).focus()
                return


def _id(path: str) -> str:
    return path.replace(".", "-")


def as_text(value: Any) -> str:
    """A value as the form shows it, and as `replace` reads it back."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and float(short := f"{value:g}") == value:
        return short
    return str(value)
