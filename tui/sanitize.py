"""The one way text that is not ours reaches the screen: made visible (see `engine.visible`), and
never parsed as markup."""

from typing import TYPE_CHECKING

from engine.visible import drawn, token, visible

if TYPE_CHECKING:
    from textual.content import Content

__all__ = ["content", "drawn", "token", "visible"]


def content(text: str, style: str = "", *, keep_newlines: bool = False) -> "Content":
    """The text made visible as a Textual content in one style. It is not read as markup."""
    from textual.content import Content  # slow to import, and the command line can do without

    return Content.styled(visible(text, keep_newlines=keep_newlines), style)
