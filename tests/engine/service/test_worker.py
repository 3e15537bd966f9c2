"""The worker without its process: who is heard when, what is kept, and when it ends."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import messages as p
from engine import runs
from engine.config import RunConfig
from engine.events import Intervened
from engine.service import worker as rules
from engine.service.preparing import build, open_corpus
from engine.service.server import Connected, Gone, Received, Server
from engine.service.worker import Worker
from tests.conducted import FakeClient


@pytest.fixture
def worker(tmp_path: Path, small_config: RunConfig) -> Iterator[Worker]:
    """A worker whose run is ready, with a server that nobody connects to."""
    folder = runs.create_run(tmp_path, "run", small_config)
    server = Server(folder)
    made = Worker(folder, server, asking=False)
    open_corpus(made.run, lambda _: None)
    build(made.run, made.conductor.saver)
    yield made
    made.run.record.close()
    server.withdraw()
    server.close()


def come(worker: Worker) -> FakeClient:
    """A client that is connected."""
    client = FakeClient()
    worker.server.inbox.put(Connected(client))
    worker._serve()
    client.sent.clear()
    return client


def say(worker: Worker, client: FakeClient, *bodies: Any) -> None:
    """Commands that come in, numbered from 1."""
    for number, body in enumerate(bodies, 1):
        worker.server.inbox.put(Received(client, p.Call(id=number, body=body)))


def told(client: FakeClient) -> list[Any]:
    """What its commands were answered."""
    return [message.body for message in client.sent if isinstance(message, p.Answer)]


def leave(worker: Worker, client: FakeClient) -> None:
    """Without a word, long ago."""
    worker.server.inbox.put(Gone(client))
    worker._serve()
    worker.deadline = min(worker.deadline, time.monotonic() + rules.GRACE_SECONDS)
    worker.deadline -= rules.GRACE_SECONDS
    worker._serve()


def train(worker: Worker, until: Callable[[], bool]) -> None:
    worker.conductor.command(p.Start())
    while not until():
        assert worker.run.busy
        worker.conductor.advance()


# --- commands by the hundred ----------------------------------------------------------------------


def test_a_signal_is_heard_before_the_next_command(worker: Worker) -> None:
    client = come(worker)
    train(worker, lambda: worker.run.step == 3)
    send = client.send

    def send_and_signal(message: Any) -> None:
        send(message)
        worker.server.terminated = True

    client.send = send_and_signal  # type: ignore[method-assign]
    say(worker, client, *[p.Save()] * 100)
    worker._serve()
    assert len(told(client)) == 1
    worker._serve()
    assert worker.ending == "The engine was terminated."


def test_commands_leave_time_for_the_next_step(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = come(worker)
    monkeypatch.setattr(worker.conductor, "command", lambda _: time.sleep(1.5 * rules.TURN))
    say(worker, client, *[p.Pause()] * 5)
    worker._serve()
    assert worker.server.inbox.qsize() == 4


def test_saves_by_the_hundred_write_one_checkpoint_a_step(worker: Worker) -> None:
    client, other = come(worker), come(worker)
    train(worker, lambda: worker.run.step == 3)
    say(worker, client, *[p.Save()] * 50)
    say(worker, other, p.Save())
    while not worker.server.inbox.empty():
        worker._serve()
    assert told(client) + told(other) == [p.Done(step=3, note="step-00000003")] * 51
    asked = [event.action for event in runs.read_metrics(worker.folder) if is_intervened(event)]
    assert asked == ["start", "save"]
    worker.conductor.command(p.SetKnob(knob="learning_rate", value=0.1))
    say(worker, other, p.Save())
    worker._serve()
    assert told(other)[-1].note == "step-00000003.2", "what has changed is worth another"


def is_intervened(event: object) -> bool:
    return isinstance(event, Intervened)


def test_saves_that_wait_for_an_evaluation_are_one_a_client_and_go_with_it(worker: Worker) -> None:
    stays, leaves = come(worker), come(worker)
    train(worker, lambda: not worker.run.between_steps)
    say(worker, stays, *[p.Save()] * 3)
    say(worker, leaves, *[p.Save()] * 3)
    worker._serve()
    assert [answer.reason for answer in told(stays)] == [
        "A save waits for the evaluation's end already."
    ] * 2
    worker.server.inbox.put(Gone(leaves))
    worker._serve()
    assert [save.client for save in worker.saves] == [stays]
    while not worker.run.between_steps:
        worker.conductor.advance()
    worker._serve()
    assert isinstance(told(stays)[-1], p.Done)


# --- what is said at the end ----------------------------------------------------------------------


def farewell(worker: Worker, **end: Any) -> str:
    """What a client hears that didn't end it."""
    client = come(worker)
    assert worker.end("Ended from another screen.", **end)
    worker.run.record.close()
    worker.say_goodbye()
    reason: str = client.sent[-1].reason
    return reason


def test_an_engine_that_saved_says_at_which_step(worker: Worker) -> None:
    train(worker, lambda: worker.run.step == 3)
    assert farewell(worker) == "Ended from another screen, saved at step 3."


def test_an_engine_that_saved_nothing_claims_nothing(worker: Worker) -> None:
    train(worker, lambda: worker.run.step == 3)
    assert farewell(worker, save=False) == "Ended from another screen."


def test_an_engine_that_loses_steps_says_what_it_keeps(worker: Worker) -> None:
    train(worker, lambda: worker.run.step == 3)
    worker.conductor.saver.save()
    train(worker, lambda: worker.run.step == 5)
    told = "Ended from another screen, last saved at step 3; what came after is lost."
    assert farewell(worker, save=False) == told


def test_an_engine_whose_folder_is_gone_keeps_nothing(worker: Worker) -> None:
    train(worker, lambda: worker.run.step == 3)
    worker.conductor.saver.save()
    worker.folder.rename(worker.folder.with_name("elsewhere"))
    assert farewell(worker, save=False) == "Ended from another screen."


# --- when nobody is left --------------------------------------------------------------------------


def test_a_paused_run_that_was_left_stays_as_it_is(worker: Worker) -> None:
    first = come(worker)
    train(worker, lambda: worker.run.step == 3)
    say(worker, first, p.Pause(), p.Detach())
    leave(worker, first)
    for _ in range(2):  # somebody asks, and goes without a word
        other = come(worker)
        say(worker, other, p.AskStatus())
        leave(worker, other)
    assert not worker.ending
    assert (worker.run.state, worker.run.step) == ("paused", 3)


@pytest.mark.parametrize("command", [p.Start(), p.Step(), p.Pause(), p.Stop()])
def test_who_takes_over_a_run_that_was_left_is_waited_for_no_longer_than_anybody(
    worker: Worker, command: Any
) -> None:
    first = come(worker)
    train(worker, lambda: worker.run.step == 3)
    say(worker, first, p.Pause(), p.Detach())
    leave(worker, first)
    second = come(worker)
    say(worker, second, command)
    worker.server.inbox.put(Gone(second))
    worker._serve()
    assert not worker.ending, "it may come back"
    leave(worker, second)
    assert worker.ending == "Nobody was left to train for."
    assert runs.load_standing(worker.folder) is not None


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_run_whose_only_client_stopped_reading_goes_on(worker: Worker, state: str) -> None:
    """A terminal held by Ctrl-S, a screen that is stopped, a connection half open."""
    client = come(worker)
    train(worker, lambda: worker.run.step == 3)
    if state == "paused":
        worker.conductor.command(p.Pause())
    client.stalled = True
    leave(worker, client)
    assert not worker.ending
    assert worker.run.state == state


def test_a_run_that_can_only_be_asked_ends_with_its_folder_too(worker: Worker) -> None:
    """It has a socket, but its text is gone."""
    worker.run.asking = True
    worker.folder.rename(worker.folder.with_name("elsewhere"))
    worker._looked -= rules.LOOK_EVERY
    worker._serve()
    assert "folder is gone" in worker.ending
