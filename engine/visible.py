"""The one way text that is not ours reaches a terminal, a log or a message.

Anything from a file, a model or a user's word may hold characters that a terminal obeys instead
of showing. Here they become visible ones.
"""

import re
import struct
import unicodedata
from functools import cache

_HIDDEN = (
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL and C1 control characters
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero-width, line ends, bidi
    "\ud800-\udfff"  # lone surrogates
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # byte order mark, annotations, tags
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # other formats
    "]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAB = "    "
_BOX = "▯"
_LINE_END = "⏎"
MOST_QUOTED = 80
"""Characters of a value in a message."""


@cache
def _hidden() -> re.Pattern[str]:
    """Compiled for the first text that may need it, of which a first frame has none."""
    return re.compile(_HIDDEN)


def visible(text: str, *, keep_newlines: bool = False, begins: bool = True) -> str:
    """The text with every control, escape, bidi, zero-width and surrogate character made visible.

    C0 characters become their pictures (ESC is ␛), the rest their code (‹U+202E›), a tab four
    spaces. A newline is shown as ⏎ unless kept. A combining mark at the very start gets a
    dotted circle to sit on, so that it can't change what stands before it on the screen; not so
    where the text goes on from one of its kind instead of beginning here.
    """
    if begins and text and _is_mark(text[0]):
        text = "◌" + text
    if text.isascii() and text.isprintable():
        return text
    shown = _hidden().sub(_picture, text)
    return shown if keep_newlines else shown.replace("\n", _LINE_END)


def drawn(text: str) -> str:
    """The text made visible with one character for each of its own, so that places in it stay
    where they are. What has no picture is drawn as a box, a mark at the very start too."""
    if text.isascii() and text.isprintable():
        return text
    if text and _is_mark(text[0]):
        text = _BOX + text[1:]
    return _hidden().sub(lambda match: _control(match[0]) or _BOX, text)


def token(text: str) -> str:
    """A token made visible, of which something is to be seen even where it is a blank."""
    return "".join(map(_blank, text)) if text.isspace() else visible(text)


def without_surrogates(text: str) -> str:
    """The text as it can be written as UTF-8: what has no place there is U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def escaped(json: str) -> str:
    """JSON with every such character in its strings as an escape: it means the same."""
    return _hidden().sub(_escape, json)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\n":  # between two values: in a string it is an escape already
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{unit:04x}" for unit in struct.unpack(f">{len(units) // 2}H", units))


def is_unicode(text: str) -> bool:
    """Whether it can be written as UTF-8: a file's name that isn't text can't."""
    return _SURROGATE.search(text) is None


def quoted(value: object) -> str:
    """A value for a message, as Python writes it, visible, and cut where it is long."""
    try:
        return shortened(visible(repr(value)))
    except (ValueError, RecursionError):  # an integer of thousands of digits, a deep nest
        return "a value too large to be shown"


def shortened(text: str, most: int = MOST_QUOTED) -> str:
    """The text with its middle left out where it has more than `most` characters."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 1]}…{text[-end:]}"


def _picture(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\n":
        return character
    if character == "\t":
        return _TAB
    return _control(character) or _code(character)


def _blank(character: str) -> str:
    return "␣" if character == " " else _control(character) or _code(character)


def _code(character: str) -> str:
    return f"‹U+{ord(character):04X}›"


def _control(character: str) -> str:
    """The picture of a C0 control character or DEL; empty for any other."""
    code = ord(character)
    if character == "\n":
        return _LINE_END
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else ""


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"
