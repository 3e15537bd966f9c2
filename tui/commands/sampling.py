"""The knobs of text generation as options, made from their table (`engine.config.sampling`)."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from engine.config import Field, GenerationSettings, Sampling, fields, get, replace
from engine.errors import UserError

Command = TypeVar("Command", bound=Callable[..., Any])
_SECTION = "sampling."


class Knob(click.ParamType):  # type: ignore[type-arg]
    """A value of one of the knobs, in its range."""

    def __init__(self, path: str) -> None:
        self.name = path.removeprefix(_SECTION)
        self._path = path

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The knob's value, or a refusal."""
        try:
            return get(replace(GenerationSettings(), {self._path: value}), self._path)
        except UserError as error:
            self.fail(str(error).removeprefix(_SECTION), param, ctx)


def sampling_options(command: Command) -> Command:
    """An option for each knob. `sampling_of` reads them."""
    for field in reversed(list(fields(GenerationSettings))):
        command = _option(field)(command)
    return command


def _option(field: Field) -> Callable[[Command], Command]:
    name = field.path.removeprefix(_SECTION)
    default = get(GenerationSettings(), field.path)
    option = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        return click.option(option, is_flag=True, help=field.effect)
    if isinstance(default, tuple):
        return click.option(option, multiple=True, metavar="TEXT", help=f"{field.effect} Repeat.")
    shown = "" if default is None else f"; {default} where not given"
    return click.option(
        option,
        type=Knob(field.path),
        metavar="NUMBER",
        help=f"{field.effect} ({field.values}{shown})",
    )


def sampling_of(options: dict[str, Any]) -> Sampling:
    """Take the knobs out of the options of a command. Raises UserError."""
    given = {name: options.pop(name) for name in Sampling.__struct_fields__}
    changes = {
        f"{_SECTION}{name}": value for name, value in given.items() if value not in (None, ())
    }
    return replace(GenerationSettings(), changes).sampling
