"""The form for a new run: a preset, then every setting with its range and its effect."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static
from typing_extensions import override

from engine import runs
from engine.config import PRESETS, Field, RunConfig, fields, get, preset, replace
from engine.errors import UserError
from engine.messages import Knob
from tui.run.session import Session
from tui.sanitize import content
from tui.screens.dialog import Dialog, line
from tui.screens.price import price
from tui.source import find_source
from tui.widgets.choice import Choice
from tui.widgets.filter import Filter
from tui.widgets.text import MUTED, Block, LineInput

_FIRST = "laptop"
_SOURCE = "corpus.source"
_MOST_USED = (
    _SOURCE,
    "corpus.tokenizer",
    "optimiser.learning_rate",
    "clipping.threshold",
    "model.hidden_size",
    "model.layers",
    "model.embedding_size",
    "regularisation.output_dropout",
    "training.batch_size",
    "training.epochs",
)
_KNOBS: dict[Knob, str] = {
    "learning_rate": "optimiser.learning_rate",
    "clip_mode": "clipping.mode",
    "clip_threshold": "clipping.threshold",
}
_FIELDS = {field.path: field for field in fields(RunConfig)}


class NewRun(Dialog[Path | None]):
    """Dismissed with the folder of the run it made, or None.

    It begins with the settings of the run that is shown; those that aren't the preset's are marked.
    """

    AUTO_FOCUS = "#preset"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Create the run"),
        Binding("slash", "filter", "Find a setting"),
        Binding("pagedown", "section(1)", "Next section", priority=True),
        Binding("pageup", "section(-1)", "Previous section", priority=True),
    ]

    def __init__(self, models: Path, session: Session | None = None) -> None:
        super().__init__()
        self._models, self._session = models, session
        self._first = _as_it_stands(session) if session else preset(_FIRST)
        chosen = self._first.preset
        self._preset = preset(chosen if chosen in PRESETS else _FIRST)
        self._controls: dict[str, Any] = {}
        self._seen: dict[str, str] = {}
        """The values that marks and price are of."""
        self._complaint = ""
        self._faulty = ""
        """The id of the control that the complaint is of, where it is of one."""

    @override
    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-tall") as box:
            box.border_title = "New run"
            box.border_subtitle = "/ finds · pgup pgdn section · ctrl+s creates · esc closes"
            yield Filter(placeholder="/ finds a setting", id="filter")
            with VerticalScroll(id="form", can_focus=False):
                chosen = self._preset.preset
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
                for section, group in _sections():
                    with Vertical(classes="section"):
                        yield Static(Content(section), classes="heading", markup=False)
                        if about := _about(section):
                            yield Static(Content(about), classes="about", markup=False)
                        for field in group:
                            yield self._field(field)
            yield Block(id="price")
            with Horizontal(id="foot"):
                yield Button("Create the run", variant="primary", compact=True, id="create")
                yield Static(id="error", markup=False)

    def _field(self, field: Field) -> Horizontal:
        value = as_text(get(self._first, field.path))
        control: Widget
        if field.choices:
            control = Choice(field.values.split(" | "), value, id=_id(field.path))
        elif field.path == _SOURCE:
            control = LineInput(value, id=_id(field.path))
        else:
            control = _Setting(
                value, placeholder="none" if field.optional else "", id=_id(field.path)
            )
        self._controls[field.path] = control
        row = line(field.path.split(".")[1], control, self._effect(field.path, value))
        row.set_class(self._is_changed(field.path, value), "-changed")
        return row

    def on_mount(self) -> None:
        """Tell what the run would cost as it stands."""
        self._seen = self._values()
        self._tell_price()

    def _values(self) -> dict[str, str]:
        return {path: self._controls[path].value for path in _FIELDS}

    # --- what is changed ------------------------------------------------------------------------

    @on(Choice.Changed, "#preset")
    def _change_preset(self, event: Choice.Changed) -> None:
        """Take the preset's values, except where the user has set one of their own."""
        name = event.choice.value
        before, self._preset = self._preset, preset(name)
        self.query_one("#preset-effect", Static).update(Content(PRESETS[name].purpose))
        for path, value in self._values().items():
            if value == as_text(get(before, path)):
                self._controls[path].value = as_text(get(self._preset, path))
            self._mark(path)

    @on(Choice.Changed)
    @on(Input.Changed)
    def _change(self, event: Choice.Changed | Input.Changed) -> None:
        control = event.control
        changed = self._take_changes() or control.id == "name"
        corrected = control.id == self._faulty or not (self._faulty or self._fault())
        if self._complaint and changed and corrected:
            self._say("")
            self._tell_price()

    def _take_changes(self) -> bool:
        """Mark the settings that were changed since, and tell the price. False if none was."""
        values = self._values()
        changed = [path for path, value in values.items() if value != self._seen.get(path)]
        self._seen = values
        for path in changed:
            self._mark(path)
        if changed:
            self._tell_price()
        return bool(changed)

    def _mark(self, path: str) -> None:
        """Show whether the setting is the preset's, and what the preset says where it is not."""
        value = self._controls[path].value
        self._controls[path].parent.set_class(self._is_changed(path, value), "-changed")
        effect = Content(self._effect(path, value))
        self.query_one(f"#{_id(path)}-effect", Static).update(effect)

    def _is_changed(self, path: str, value: str) -> bool:
        return value.strip() != as_text(get(self._preset, path))

    def _effect(self, path: str, value: str) -> str:
        """What a setting does, with its range where its control doesn't show it, and what the
        preset has in the place of this value."""
        field = _FIELDS[path]
        told = field.effect
        if not field.choices and field.values != "text":
            told += f" ({field.values})"
        if self._is_changed(path, value):
            usual = as_text(get(self._preset, path)) or "none"
            told += f" Changed: {self._preset.preset} has {usual}."
        return told

    def _config(self) -> RunConfig:
        return replace(self._preset, self._values())

    def _fault(self) -> str:
        """Why the settings as they are can't be a run's; empty where they can."""
        try:
            self._config()
        except UserError as error:
            return str(error)
        return ""

    def _tell_price(self) -> None:
        """Say what the settings cost, and what goes badly together."""
        try:
            config = self._config()
        except UserError:
            told = "parameters, memory and time are told once every setting is in its range"
        else:
            told = str(price(config, self._session))
            if not self._complaint:
                warning = Content.styled(config.warning, "$text-warning")
                self.query_one("#error", Static).update(warning)
        self.query_one("#price", Block).show(Content.styled(told, MUTED))

    # --- finding one ----------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type what the settings are to be found by."""
        self.query_one(Filter).focus()

    @on(Input.Changed, "#filter")
    def _filter(self) -> None:
        """Leave the settings that are meant, and of the sections what has any."""
        keeps = self.query_one(Filter).keeps
        for section in self.query(".section"):
            left = False
            for row in section.query(".field"):
                name, control, effect = row.children
                told = f"{control.id} {name.render()} {effect.render()}".replace("-", ".")
                row.display = keeps(f"{told} {told.replace('_', ' ')}")
                left = left or row.display
            section.display = left

    @on(Input.Submitted, "#filter")
    def _go_on(self) -> None:
        for control in self.query("#form LineInput, #form Choice"):
            if control.focusable and all(each.display for each in control.ancestors_with_self):
                control.focus()
                return

    def action_section(self, change: int) -> None:
        """Go to the first field of the next section, or of the one before."""
        sections = [section for section in self.query(".section") if section.display]
        if not sections:
            return
        around = self.focused.ancestors if self.focused else []
        here = next(
            (place for place, section in enumerate(sections) if section in around),
            -1 if change > 0 else len(sections),
        )
        target = sections[max(0, min(here + change, len(sections) - 1))]
        first = next(child for child in target.walk_children(Widget) if child.focusable)
        self.set_focus(first, scroll_visible=False)
        self.query_one("#form").scroll_to_widget(target, animate=False, top=True)

    # --- making it ------------------------------------------------------------------------------

    @on(Button.Pressed, "#create")
    @work(exclusive=True, group="dialog")
    async def action_start(self) -> None:
        """Make the run, or say beside the button what is wrong; nothing typed is lost."""
        try:
            config = self._config()
        except UserError as error:
            told = str(error)
            named = [path for path in _FIELDS if path in told]
            # Of two that don't go together either may be the one that is corrected.
            self._complain(told, _id(named[0]) if len(named) == 1 else "")
            if named:
                self._controls[named[0]].focus()
            return
        self._complain("Looking for the text's files … esc leaves off.", _id(_SOURCE))
        try:
            source = await find_source(config.corpus.source)
            config = replace(config, {_SOURCE: source})
        except UserError as error:
            self._complain(str(error), _id(_SOURCE))
            self._controls[_SOURCE].focus()
            return
        try:
            name = self.query_one("#name", Input).value.strip() or None
            folder = runs.create_run(self._models, name, config)
        except UserError as error:
            self._complain(str(error), "name")
        else:
            self.dismiss(folder)

    def _complain(self, sentence: str, control: str) -> None:
        """Say what is wrong with the settings as they are now, and with which control."""
        self._take_changes()
        self._say(sentence, control)

    def _say(self, sentence: str, control: str = "") -> None:
        self._complaint, self._faulty = sentence, control
        self.query_one("#error", Static).update(content(sentence))


def _as_it_stands(session: Session) -> RunConfig:
    """The run's settings, with its knobs as they were turned since it began."""
    turned = {path: session.knob(knob) for knob, path in _KNOBS.items()}
    return replace(session.status.config, turned)


class _Setting(LineInput):
    """A field in whose values there is no slash, which finds another."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "slash":
            event.prevent_default()
            event.stop()
            self.screen.query_one(Filter).focus()


def _sections() -> Iterator[tuple[str, list[Field]]]:
    """The settings that are used most, then the others section by section."""
    yield "most used", [_FIELDS[path] for path in _MOST_USED]
    rest = [field for path, field in _FIELDS.items() if path not in _MOST_USED]
    for section, group in groupby(rest, key=lambda field: field.path.split(".")[0]):
        yield section, list(group)


def _about(section: str) -> str:
    return type(getattr(RunConfig(), section)).__doc__ or "" if hasattr(RunConfig, section) else ""


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
