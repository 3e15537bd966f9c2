"""What every message has in common."""

from msgspec import Struct


class Message(Struct, frozen=True, tag=True, kw_only=True):
    """Anything that crosses the door."""
