"""What a user sets for the screen: keys of their own, in a file; and what is remembered of how they
left it."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from textual.keys import Keys, key_to_character
from textual.keys import _character_to_key as key_of_character

from engine.errors import UserError
from engine.runs.private import state_folder
from engine.visible import quoted, shortened
from tui.keys import Action, at_once

CONFIG_VARIABLE = "LSTM_TUI_CONFIG"
_MODIFIERS = frozenset({"ctrl", "shift", "alt", "super", "hyper", "meta"})
_NAMED = frozenset(key.value for key in Keys)
_STAY = {
    "ctrl+q": "quits from everywhere",
    "ctrl+p": "opens the command palette",
    "ctrl+c": "copies what is selected",
    "tab": "goes to the next field",
    "shift+tab": "goes to the field before",
}
"""Keys that reach no action, and what they do."""


class Layout(msgspec.Struct, frozen=True):
    """How the screen was left."""

    theme: str = ""
    pane: str = ""
    views: dict[str, list[str]] = {}
    """For each laboratory the views that it shows zoomed, the one chosen last at the end."""


class Settings(NamedTuple):
    """What is set for the screen."""

    keys: dict[str, str] = {}  # noqa: RUF012 - never changed
    """The keys that actions have in the place of their own, as Textual names them."""
    problem: str = ""
    """Why the file is not used, in a sentence."""


def settings_file() -> Path:
    """settings.toml in $LSTM_TUI_CONFIG, else in the user's own folder for configuration."""
    folder = os.environ.get(CONFIG_VARIABLE)
    if not folder:
        import platformdirs

        folder = platformdirs.user_config_dir("lstm-tui", appauthor=False)
    return Path(os.path.abspath(os.path.expanduser(folder))) / "settings.toml"  # noqa: PTH100, PTH111 - Path's raise


def load_settings(actions: Iterable[Action]) -> Settings:
    """What the file says, if there is one; where something in it is wrong, none of it."""
    path = settings_file()
    try:
        return Settings(_keys(path.read_text("utf-8-sig"), {each.id: each for each in actions}))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        why = f"it can't be read ({error.strerror})"
    except UnicodeDecodeError:
        why = "it isn't UTF-8"
    except UserError as error:
        why = str(error)
    return Settings(problem=f"{path} is not used: {shortened(why, 300)}.")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: dict[str, str] = {}


def _keys(text: str, actions: dict[str, Action]) -> dict[str, str]:
    import tomllib  # most users have no such file

    try:
        given = msgspec.convert(tomllib.loads(text), _File).keys
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"it isn't TOML ({error})") from None
    except msgspec.ValidationError as error:
        raise UserError(
            f"a section [keys] of lines such as zoom = 'f5' is all it holds ({error})"
        ) from None
    owners: dict[str, list[Action]] = {}
    found: dict[str, str] = {}
    for action, keys in given.items():
        if action not in actions:
            raise UserError(f"no action is called {quoted(action)}")
        found[action] = ",".join(_key(key.strip(), actions[action]) for key in _separated(keys))
    for each in actions.values():
        for key in found.get(each.id, each.keys).split(","):
            for other in owners.setdefault(key, []):
                if at_once(other, each):
                    raise UserError(
                        f"{quoted(key)} would be the key of both {other.id} and {each.id}"
                    )
            owners[key].append(each)
    return found


def _separated(keys: str) -> list[str]:
    return [keys] if keys == "," else keys.split(",")


def _key(key: str, action: Action) -> str:
    """The key as Textual names it."""
    if key in _STAY and key not in action.keys.split(","):
        raise UserError(f"{quoted(key)} can't be the key of {action.id}: it {_STAY[key]}")
    *modifiers, last = ["+"] if key == "+" else key.split("+")
    if len(last) == 1 and not modifiers:
        return key_of_character(last)
    known = len(last) == 1 or last in _NAMED or key_to_character(last) is not None
    if not known or not _MODIFIERS.issuperset(modifiers):
        raise UserError(f"there is no key {quoted(key)}, which it gives {action.id}")
    return key


# --- how the screen was left ----------------------------------------------------------------------


def _layout_file() -> Path:
    return state_folder() / "layout.json"


def remembered() -> Layout:
    """How the screen was left last; as it begins where that isn't known."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(_layout_file().read_bytes(), type=Layout)
    return Layout()


def remember(layout: Layout) -> None:
    """Keep how the screen is left; where that can't be, it isn't."""
    path = _layout_file()
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.write_bytes(msgspec.json.encode(layout))
        new.replace(path)
