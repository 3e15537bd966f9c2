"""Questions and their answers: each has one, and a generator is a stream."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

import pytest

from engine import messages as p
from engine.service import answers
from engine.service.run import Run
from tests.conducted import parts


@pytest.mark.parametrize("question", get_args(p.AnyQuestion))
def test_every_question_has_an_answer(question: type[p.Message]) -> None:
    topic = question.__module__.rpartition(".")[2]
    import_module(f"engine.service.answers.{topic}")
    assert question in answers._ANSWERS


def streamed(query: Any, run: Any) -> Iterator[Any]:
    yield None
    yield p.WrittenToken(text="a", step=1)
    return p.Done(step=1)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda query, run: p.Done(step=2), [p.Done(step=2)]),
        (streamed, [None, p.WrittenToken(text="a", step=1), p.Done(step=1)]),
    ],
)
def test_what_is_returned_is_the_last_answer(
    function: Any, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module("engine.service.answers.embeddings")
    monkeypatch.setitem(answers._ANSWERS, p.WordQuery, function)
    run: Run = None  # type: ignore[assignment]
    assert list(parts(p.WordQuery(query="cat"), run)) == expected
