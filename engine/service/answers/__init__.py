"""Answers to questions about a run, a module a topic.

A question of `engine/messages/<topic>.py` is answered in `<topic>.py` here, by a function that is
registered for its type. It is given the question and the run as it stands between two steps, which
it leaves as it is, and raises UserError where there is no answer.

What it returns is the answer. A generator is a stream: it does a little each time it is advanced,
so that training goes on in between. What it yields is sent at once, None where there is nothing to
send yet, and what it returns ends the stream: `Done` where that is None.
"""

import math
from collections.abc import Callable, Generator
from importlib import import_module
from typing import Any, TypeVar

from engine.errors import UserError
from engine.messages.base import Message
from engine.messages.envelope import AnyAnswer, AnyQuestion
from engine.service.run import Run

Answers = Generator[AnyAnswer | None, None, AnyAnswer | None]
Q = TypeVar("Q", bound=Message)
F = TypeVar("F", bound=Callable[..., Any])
_ANSWERS: dict[type[Message], Callable[[Any, Run], AnyAnswer | Answers]] = {}


def answers(question: type[Message]) -> Callable[[F], F]:
    """Register a function of a question of this type and of a run."""

    def register(function: F) -> F:
        _ANSWERS[question] = function
        return function

    return register


def answer(question: AnyQuestion, run: Run) -> Answers:
    """The answer to a question, as a stream. Its topic is loaded with the first question of it,
    which may have to load torch."""
    topic = type(question).__module__.rpartition(".")[2]
    import_module(f"{__name__}.{topic}")
    found = _ANSWERS[type(question)](question, run)
    if isinstance(found, Generator):
        return (yield from found)
    return found


def check_length(text: str, most: int) -> None:
    """Raises UserError where a text has more characters."""
    if len(text) > most:
        raise UserError(f"The text is longer than {most:,} characters: give less.")


def check_finite(*values: float) -> None:
    """Raises UserError where what a model predicts isn't made of numbers any more."""
    if not all(map(math.isfinite, values)):
        raise UserError("The model's weights are no longer finite numbers: it predicts nothing.")
