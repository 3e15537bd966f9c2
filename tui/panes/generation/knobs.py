"""The knobs of sampling: all of them in a row, and the form that the row opens into. Both are made
from the engine's table."""

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static
from typing_extensions import override

from engine.config import Field, GenerationSettings, fields, get, replace
from engine.config.settings import BETWEEN
from engine.errors import UserError
from tui.sanitize import visible
from tui.widgets.text import MUTED, Block, LineInput, fit

_SEED = "sampling.seed"
"""Which has a field beside the prompt."""
_FIRST = ("temperature", "top-k", "top-p", "min-p", "typical", "repetition-penalty", "no-repeat")
"""Those that are seen first where there isn't room for all."""
KNOBS = tuple(field for field in fields(GenerationSettings) if field.path != _SEED)
_DEFAULTS = GenerationSettings()


def name(field: Field) -> str:
    """What a knob is called."""
    return field.path.partition(".")[2].replace("_", "-")


def as_text(value: Any) -> str:
    """A value as the form shows it, and as `replace` reads it back."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return BETWEEN.join(value).replace("\n", "\\n")
    return f"{value:g}" if isinstance(value, float) else str(value)


def row(settings: GenerationSettings, width: int, hint: str) -> Content:
    """As many knobs as there is room for, those that were turned first."""
    turned = [field for field in KNOBS if _is_turned(settings, field)]
    rest = [field for field in KNOBS if field not in turned]
    rest.sort(key=lambda field: (*_FIRST, name(field)).index(name(field)))
    shown: list[Content] = []
    left = width - len(hint) - 3
    for field in (*turned, *rest):
        style = "bold" if field in turned else MUTED
        value = visible(as_text(get(settings, field.path))) or "none"
        told = Content.assemble((f"{name(field)} ", MUTED), (value, style))
        if told.cell_length + 2 > left:
            shown.append(Content.styled("…", MUTED))
            break
        left -= told.cell_length + 2
        shown.append(told)
    return Content.assemble(Content("  ").join(shown), "  ", (hint, MUTED))


def _is_turned(settings: GenerationSettings, field: Field) -> bool:
    return bool(get(settings, field.path) != get(_DEFAULTS, field.path))


class KnobForm(VerticalScroll, can_focus=False):
    """Each knob with its range and its effect. What is in its range counts as soon as it is
    typed."""

    DEFAULT_CSS = """
    KnobForm {
        height: auto;
        max-height: 45%;
        scrollbar-size-vertical: 1;

        & > .knob {
            height: auto;

            & > .name { width: 20; color: $foreground 60%; }
            & > LineInput { width: 12; }
            & > .effect { width: 1fr; color: $foreground 60%; padding: 0 0 0 1; }
        }

        #knob-fault { display: none; height: auto; }
    }
    """

    class Turned(Message):
        """The knobs stand otherwise."""

        def __init__(self, settings: GenerationSettings) -> None:
            super().__init__()
            self.settings = settings

    def __init__(self, settings: GenerationSettings) -> None:
        super().__init__(id="form")
        self._settings = settings

    @override
    def compose(self) -> ComposeResult:
        yield Block(id="knob-fault")
        for field in KNOBS:
            with Horizontal(classes="knob"):
                yield Static(Content(fit(name(field), 19)), classes="name", markup=False)
                yield LineInput(as_text(get(self._settings, field.path)), id=_id(field))
                effect = f"{field.effect} ({field.values})"
                yield Static(Content(effect), classes="effect", markup=False)

    @property
    def first(self) -> LineInput:
        """The field to begin with."""
        return self.query(LineInput).first()

    def show(self, settings: GenerationSettings) -> None:
        """Take over what was turned elsewhere, but where somebody types just now."""
        self._settings = settings
        for field in KNOBS:
            control, value = self.query_one(f"#{_id(field)}", LineInput), get(settings, field.path)
            if not control.has_focus and self._reads(field, control.value) != value:
                with control.prevent(Input.Changed):
                    control.value = as_text(value)

    def _reads(self, field: Field, text: str) -> Any:
        try:
            return get(replace(self._settings, {field.path: text}), field.path)
        except UserError:
            return None

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        field = next(each for each in KNOBS if _id(each) == event.input.id)
        fault = self.query_one("#knob-fault", Block)
        try:
            settings = replace(self._settings, {field.path: event.value})
        except UserError as error:
            fault.display = True
            fault.show(
                Content.styled(visible(str(error).removeprefix("sampling.")), "$text-warning")
            )
            return
        fault.display = False
        if settings != self._settings:
            self._settings = settings
            self.post_message(self.Turned(settings))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.set_focus(None)


def _id(field: Field) -> str:
    return f"knob-{name(field)}"
