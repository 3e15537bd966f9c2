"""The one exception meant for the user's eyes."""


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what, where, what to do."""
