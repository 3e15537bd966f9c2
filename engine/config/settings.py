"""A table of settings: every field of a structure of sections, with its range and its effect.

The files of settings, the options of the command line and the forms are all generated from it.
"""

import errno
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine.errors import UserError
from engine.files import read_plain
from engine.numerals import real_number, whole_number
from engine.visible import is_unicode, quoted, shortened, visible

BETWEEN = "|"
"""Stands between the texts of a setting that takes several."""
MAX_FILE, _MAX_LINE = 1 << 16, 1000
"""Bytes of a file of settings, and of a line in it: the time to read a key of many parts grows with
its square."""


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings that belong together. Each field is annotated with a `msgspec.Meta`: its range, and
    its effect as the description."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A structure of sections, each a field of it."""

    def check(self) -> None:
        """Raise UserError where two settings don't go together."""


S = TypeVar("S", bound=Settings)


class Field(Struct, frozen=True):
    """One setting, for forms, help and the command line."""

    path: str
    """Dotted, such as `model.hidden_size`."""
    effect: str
    """What it does, in a sentence."""
    values: str
    """Its range or choices, for people: `1 to 8192`, `off | norm | value`, `yes | no`."""
    choices: tuple[str, ...]
    """The choices where there are a few (`true`, `false` for a switch), else empty."""
    optional: bool
    """Whether it may be left empty: none."""


def fields(settings: type[Settings]) -> Iterator[Field]:
    """Every setting, section by section, in the order the form shows them."""
    for path, annotation in _annotations(settings).items():
        yield _field(path, annotation)


def _annotations(settings: type[Settings]) -> dict[str, Any]:
    """What each setting, by dotted path, is annotated with."""
    return {
        f"{section}.{name}": annotation
        for section, section_type in get_type_hints(settings).items()
        if isinstance(section_type, type) and issubclass(section_type, Section)
        for name, annotation in get_type_hints(section_type, include_extras=True).items()
    }


def _field(path: str, annotation: Any) -> Field:
    kind, meta, optional = _kind(annotation)
    choices: tuple[str, ...] = ()
    if kind is bool:
        choices = "true", "false"
    elif get_origin(kind) is Literal:
        choices = get_args(kind)
    return Field(path, meta.description or "", _values(kind, meta, choices), choices, optional)


def _kind(annotation: Any) -> tuple[type, Meta, bool]:
    """A field's type, its range and effect, and whether it may be none."""
    optional = type(None) in get_args(annotation)
    if optional:
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    kind, meta = get_args(annotation)
    return kind, meta, optional


def _values(kind: type, meta: Meta, choices: tuple[str, ...]) -> str:
    if kind is bool:
        return "yes | no"
    if choices:
        return " | ".join(choices)
    if kind is str:
        return "text"
    if get_origin(kind) is tuple:
        return f"up to {meta.max_length} texts with {BETWEEN} between, \\n for a line end"
    write = "{:,}".format if kind is int else "{:g}".format
    if meta.le is not None:
        return f"{write(meta.ge)} to {write(meta.le)}"
    return f"{write(meta.ge)} to below {write(meta.lt)}"


def get(settings: Settings, path: str) -> Any:
    """The value at a dotted path."""
    section, _, name = path.partition(".")
    return getattr(getattr(settings, section), name)


def replace(settings: S, changes: Mapping[str, Any]) -> S:
    """A copy with the values at dotted paths changed. Strings are read as the field's type.

    Raises UserError naming the field, what was given and what is allowed.
    """
    known = _annotations(type(settings))
    table = msgspec.to_builtins(settings)
    for path, value in changes.items():
        if path not in known:
            raise UserError(f"There is no setting {quoted(path)}.", "list-settings")
        section, _, name = path.partition(".")
        table[section][name] = _parse(path, known[path], value)
    try:
        changed = msgspec.convert(table, type(settings), strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UserError(_explain(str(error), known, changes)) from None
    changed.check()
    return changed


def check_ranges(section: Section, kind: type[Section]) -> None:
    """Raise UserError, naming the field, where one that `kind` has is out of its range."""
    for name, annotation in _hints(kind).items():
        value = getattr(section, name)
        try:
            msgspec.convert(value, annotation)
        except msgspec.ValidationError:
            raise UserError(_refusal(_field(name, annotation), value)) from None


@cache
def _hints(kind: type[Section]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _parse(path: str, annotation: Any, value: Any) -> Any:
    """The value, where it is a string as the field's type. Raises UserError where it isn't one."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    kind, _, optional = _kind(annotation)
    if optional and text.lower() in ("", "none", "null", "off"):
        return None
    read: dict[type, Callable[[str], Any]] = {
        bool: lambda text: _SWITCH.get(text.lower()),
        int: whole_number,
        float: real_number,
    }
    parsed = read[kind](text) if kind in read else text
    if get_origin(kind) is tuple:  # of which the blanks count
        parsed = [part for part in value.replace("\\n", "\n").split(BETWEEN) if part]
    if parsed is None or not is_unicode(text):
        raise UserError(_refusal(_field(path, annotation), value))
    return parsed


_SWITCH = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def _refusal(field: Field, given: Any) -> str:
    hint = "; decimals are written with a point" if isinstance(given, str) and "," in given else ""
    return f"{field.path} can't be {quoted(given)}: it takes {field.values}{hint}."


def _explain(message: str, known: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    """A sentence from msgspec's "Expected ... - at `$.model.layers`"."""
    problem, _, where = message.partition(" - at `$.")
    path = where.rstrip("`")
    if path in known and path in changes:
        return _refusal(_field(path, known[path]), changes[path])
    problem, path = shortened(visible(problem)), shortened(visible(path))
    return f"The configuration can't be used: {problem}{f' in {path}' if path else ''}."


def read_toml(path: Path) -> tuple[str | None, dict[str, Any]]:
    """The preset a TOML file names, if any, and its settings by dotted path, for `replace`.

    Raises UserError where the file can't be read, isn't TOML, or holds anything but tables.
    """
    import tomllib  # few runs begin with a file

    name = shortened(visible(str(path)), 200)
    try:
        table = tomllib.loads(_settings_text(path).decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"Can't read {name}: {error.strerror}.") from None
    except RecursionError:
        raise UserError(f"{name} can't be used: its values are nested too deeply.") from None
    except ValueError as error:  # not TOML, not UTF-8, an integer of thousands of digits
        raise UserError(f"{name} isn't TOML: {shortened(visible(str(error)), 200)}.") from None
    chosen = table.pop("preset", None)
    if chosen is not None and not isinstance(chosen, str):
        raise UserError(
            f"{name}: preset can't be {quoted(chosen)}: it takes a name in quotation marks."
        )
    changes: dict[str, Any] = {}
    for section, values in table.items():
        if not isinstance(values, dict):
            raise UserError(
                f"{name}: {shortened(visible(section))} stands outside a table such as [training]."
            )
        changes |= {f"{section}.{key}": value for key, value in values.items()}
    return chosen, changes


def _settings_text(path: Path) -> bytes:
    """What a file of settings holds. Raises OSError, also where it is no plain file."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    data = read_plain(path.resolve(), MAX_FILE)
    if any(len(line) > _MAX_LINE for line in data.split(b"\n")):
        raise OSError(errno.EFBIG, f"it has a line of more than {_MAX_LINE:,} bytes", str(path))
    return data
