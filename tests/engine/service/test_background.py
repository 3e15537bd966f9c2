"""Work in the background: how much of it, whose, at what priority, and until when."""

import lzma
import os
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextvars import copy_context
from typing import Any

import pytest

from engine.errors import UserError
from engine.evaluation.surprisal import compressor_baselines
from engine.events import Progress
from engine.service.background import MOST_JOBS, Job, asker, in_background

Answers = Generator[Progress | None, None, Any]


class Work:
    """Something that takes as long as it is let."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()
        self.found: Any = None

    def __call__(self, job: Job) -> str:
        self.began.set()
        assert self.may_end.wait(30)
        try:
            job.go_on()
        except UserError as error:
            self.found = error
        return "done"


@pytest.fixture
def works() -> Iterator[list[Work]]:
    made = [Work() for _ in range(MOST_JOBS + 1)]
    yield made
    for work in made:
        work.may_end.set()
    for thread in threading.enumerate():
        if thread.name == "job":
            thread.join()


def advance(answers: Answers, client: object) -> Any:
    """As for a question of this client; what is returned, in the end."""

    def step() -> Any:
        asker.set(client)
        try:
            return next(answers)
        except StopIteration as end:
            return end.value

    return copy_context().run(step)


def test_each_client_has_one_job_done_at_a_time(works: list[Work]) -> None:
    first, second, others = (in_background(work) for work in works[:3])
    for _ in range(3):
        advance(first, "one")
        advance(second, "one")
    advance(others, "another")
    assert works[0].began.wait(5) and works[2].began.wait(5)
    assert not works[1].began.is_set()
    works[0].may_end.set()
    while advance(first, "one") != "done":
        pass
    advance(second, "one")
    assert works[1].began.wait(5)


def test_a_job_that_nobody_waits_for_ends_and_bars_nobody(works: list[Work]) -> None:
    first, second = in_background(works[0]), in_background(works[1])
    advance(first, "one")
    first.close()
    works[0].may_end.set()
    advance(second, "one")
    assert works[1].began.wait(5)
    while works[0].found is None:
        time.sleep(0.01)
    assert "Nobody waits" in str(works[0].found)


def test_so_many_jobs_and_no_more(works: list[Work]) -> None:
    """Also where those who asked have left, for what can't be ended."""
    for number, work in enumerate(works[:MOST_JOBS]):
        answers = in_background(work)
        advance(answers, number)
        answers.close()
    with pytest.raises(UserError, match="being done already: ask later"):
        advance(in_background(works[MOST_JOBS]), "late")


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has no priority of its own")
def test_training_comes_first() -> None:
    def priority(_: Job) -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    answers, ours = in_background(priority), os.getpriority(os.PRIO_PROCESS, 0)
    while (theirs := advance(answers, None)) is None:
        pass
    assert theirs > ours or ours == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours


def test_what_is_told_on_the_way_is_told_on() -> None:
    told, heard = Progress(task="reading", done=1, total=2), threading.Event()

    def work(job: Job) -> None:
        job.tell(told)
        heard.wait(30)

    answers = in_background(work)
    while (progress := next(answers)) is None:
        pass
    heard.set()
    assert progress == told


def test_compressing_can_be_ended_and_finds_what_it_finds_at_once() -> None:
    text = "".join(f"{number} bottles\n" for number in range(20_000))
    measured = {each.name: each.bits for each in compressor_baselines(text)}
    at_once = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    assert measured["xz"] == 8 * len(at_once)
    job = Job()
    job.wanted = False
    with pytest.raises(UserError, match="Nobody waits"):
        compressor_baselines(text, job.go_on)
