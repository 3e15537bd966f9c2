"""No client can stall the rest: training, control, other clients, signals."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from engine import messages as p
from engine import runs
from engine.config import RunConfig
from engine.errors import UserError
from engine.service import server as door
from engine.service.client import Engine, EngineEnded, attach, launch
from engine.service.server import (
    MAX_CLIENTS,
    MAX_COMMANDS,
    MAX_QUESTIONS,
    MAX_UNREAD,
    PATIENT_UNREAD,
    Connected,
    Gone,
    Received,
    Server,
)
from tests.faults.clients import KINDS, LONG, beside, connect
from tui.run.asking import opened


@pytest.fixture
async def training(tmp_path: Path, small_config: RunConfig) -> AsyncIterator[Engine]:
    """A run that trains."""
    folder = runs.create_run(tmp_path, "run", small_config)
    engine = await launch(folder)
    try:
        while (await status(engine)).state == "preparing":
            await asyncio.sleep(0.02)
        await engine.call(p.Start())
        yield engine
    finally:
        for sign in (signal.SIGCONT, signal.SIGKILL):
            try:
                os.kill(engine.pid, sign)
            except ProcessLookupError:
                break
        await engine.close()


async def status(engine: Engine) -> p.Status:
    answer = await engine.call(p.AskStatus())
    assert isinstance(answer, p.Status)
    return answer


async def until_gone(pid: int, seconds: float) -> float:
    """How long it takes until the process, a child of ours, has ended."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return time.monotonic() - began
        await asyncio.sleep(0.02)
    raise AssertionError(f"it still lives after {seconds:g} s")


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.usefixtures("real_processes")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "crowding"])
async def test_training_goes_on_and_everybody_else_is_served(training: Engine, kind: str) -> None:
    before = memory(training.pid)
    with beside(training.folder, kind):
        for _ in range(5):
            async with asyncio.timeout(5):
                other = await attach(training.folder)
                assert (await status(other)).state == "running"
                await other.call(p.SetKnob(knob="learning_rate", value=0.004))
                answer = await other.call(p.WordQuery(query="cat", top=3))
                assert isinstance(answer, p.WordAnswer)
                await other.close()
        await assert_it_trains_and_ends(training, before)


@pytest.mark.usefixtures("real_processes")
async def test_a_crowd_at_the_door_holds_up_nobody_inside(training: Engine) -> None:
    before = memory(training.pid)
    with beside(training.folder, "crowding"):
        for _ in range(20):
            async with asyncio.timeout(5):
                assert (await status(training)).others < MAX_CLIENTS
                await training.call(p.SetKnob(knob="learning_rate", value=0.004))
                answer = await training.call(p.WordQuery(query="cat", top=3))
                assert isinstance(answer, p.WordAnswer)
        await assert_it_trains_and_ends(training, before)


async def assert_it_trains_and_ends(engine: Engine, before: int) -> None:
    """It goes on for a hundred steps, has not grown, and hears a signal."""
    step = (await status(engine)).step + 100
    async with asyncio.timeout(60):
        while (await status(engine)).step < step:
            await asyncio.sleep(0.1)
    assert memory(engine.pid) - before < 150 << 20
    os.kill(engine.pid, signal.SIGTERM)
    await until_gone(engine.pid, 5)
    standing = runs.load_standing(engine.folder)
    assert standing is not None and standing.step >= step, "it saved before it ended"


async def test_commands_pass_questions_of_the_same_client(training: Engine) -> None:
    asked = [asyncio.create_task(ask_long(training)) for _ in range(3 * MAX_QUESTIONS)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await training.call(p.Pause())
    assert (await status(training)).state == "paused"
    answers = await asyncio.gather(*asked)
    refused = [answer for answer in answers if isinstance(answer, str)]
    assert len(refused) < 2 * MAX_QUESTIONS + 1
    assert all("questions wait" in reason for reason in refused)
    assert any(isinstance(answer, p.Representation) for answer in answers)


async def ask_long(engine: Engine) -> object:
    try:
        return await engine.call(p.Represent(text=LONG))
    except UserError as refusal:
        return str(refusal)


async def test_questions_of_a_client_that_left_are_dropped(training: Engine) -> None:
    for _ in range(20):
        other = await attach(training.folder)
        for _ in range(MAX_QUESTIONS):
            other._send(p.Call(id=1, body=p.Represent(text=LONG)))
        await other.close()
    async with asyncio.timeout(5):
        assert isinstance(await training.call(p.WordQuery(query="cat")), p.WordAnswer)


async def test_who_only_asks_keeps_nothing_of_what_happens(training: Engine) -> None:
    async with opened(training.folder, connect=attach) as asking:
        step = (await status(asking)).step
        while (await status(asking)).step < step + 50:
            await asyncio.sleep(0.05)
        assert asking._events.empty()


async def test_a_stream_that_is_cancelled_before_its_turn_ends(training: Engine) -> None:
    waiting = [asyncio.create_task(ask_long(training)) for _ in range(MAX_QUESTIONS - 1)]
    await asyncio.sleep(0)
    stream = training.stream(p.Generate(tokens=5))
    first = asyncio.create_task(anext(aiter(stream)))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(*waiting)
    assert isinstance(await training.call(p.WordQuery(query="cat")), p.WordAnswer)


async def test_there_may_be_so_many_clients_and_no_more(training: Engine) -> None:
    others = [connect(training.folder) for _ in range(MAX_CLIENTS + 5)]
    greetings = [type(await asyncio.to_thread(receive, other)) for other in others]
    assert greetings.count(p.Welcome) == MAX_CLIENTS - 1
    assert greetings.count(p.Goodbye) == 6
    assert (await status(training)).others == MAX_CLIENTS - 1
    with pytest.raises(UserError, match="connected already"):
        await attach(training.folder)
    for other in others:
        other.close()
    async with asyncio.timeout(10):
        while (await status(training)).others:
            await asyncio.sleep(0.05)
    late = await attach(training.folder)
    assert (await status(late)).others == 1
    await late.close()


def receive(connection: socket.socket) -> p.FromEngine:
    """The next message that is more than a sign of life."""
    message: p.FromEngine = p.Alive(idle=0.0)
    with connection.makefile("rb") as file:
        while isinstance(message, p.Alive):
            message = p.decode_from_engine(file.read(int.from_bytes(file.read(4), "big")))
    return message


NO_MESSAGES = {
    "not UTF-8": b"\x81\xa2id\xa3\xff\xfe\xfd",
    "not msgpack": b"\xc1\xc1\xc1",
    "nested": b"\x91" * 5000,
    "another tag": b"\x82\xa4type\xa6Nobody\xa2id\x01",
    "empty": b"",
    "a huge integer": b"\x82\xa4type\xa4Call\xa2id\xcf" + b"\xff" * 8,
}


@pytest.mark.parametrize("body", NO_MESSAGES.values(), ids=list(NO_MESSAGES))
async def test_what_is_no_message_costs_one_line_of_the_log(training: Engine, body: bytes) -> None:
    log = runs.log_path(training.folder)
    before = log.read_text().count("\n")
    for _ in range(10):
        with connect(training.folder) as other:
            other.sendall(len(body).to_bytes(4, "big") + body)
            drain(other)
    assert (await status(training)).state == "running"
    lines = log.read_text().split("\n")[before:-1]
    assert len(lines) == 10
    assert all("A client was let go, for it sent no message: " in line for line in lines)


def drain(connection: socket.socket) -> None:
    """Read until the engine lets the connection go. Raises TimeoutError where it doesn't."""
    with suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass


async def test_a_message_too_long_is_not_waited_for(training: Engine) -> None:
    with connect(training.folder) as other:
        other.sendall((p.MAX_CALL + 1).to_bytes(4, "big"))
        drain(other)
    assert (await status(training)).state == "running"


# --- the server by itself -----------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose trainer takes nothing."""
    server = Server(tmp_path)
    yield server
    server.withdraw()
    server.close()


def connect_to(server: Server) -> socket.socket:
    assert server.path is not None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(5)
    while connection.connect_ex(str(server.path)):  # until it listens
        time.sleep(0.01)
    return connection


def test_who_reads_leaves_before_who_does_not(server: Server) -> None:
    deaf, reading = connect_to(server), connect_to(server)
    coming = [server.inbox.get(timeout=5) for _ in range(2)]
    for item in coming:
        assert isinstance(item, Connected)
        item.client.send_frame(b"x" * 4_000_000)
    closing = threading.Thread(target=server.close)
    began = time.monotonic()
    closing.start()
    drain(reading)
    read = time.monotonic() - began
    closing.join()
    assert read < (time.monotonic() - began) / 2
    deaf.close()
    reading.close()


def test_an_engine_that_ends_leaves_the_socket_of_the_next(server: Server, tmp_path: Path) -> None:
    """It closes after its run is free again."""
    server.withdraw()
    following = Server(tmp_path)
    assert following.path is not None
    server.close()
    assert following.path.exists()
    following.withdraw()
    assert not following.path.exists()
    following.close()


def test_commands_wait_in_their_socket_until_there_is_room(server: Server) -> None:
    with connect_to(server) as flooding:
        assert isinstance(server.next_item(5), Connected)
        for number in range(50):
            flooding.sendall(p.frame(p.Call(id=number, body=p.Evaluate(split="x" * 1000))))
        deadline = time.monotonic() + 5
        while server.inbox.qsize() < MAX_COMMANDS and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        assert server.inbox.qsize() == MAX_COMMANDS
        taken = [server.next_item(5) for _ in range(50)]
        assert [item.call.id for item in taken if isinstance(item, Received)] == list(range(50))


def test_long_calls_are_heard_less_often(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BYTES_A_SECOND", 1.0)
    with connect_to(server) as wordy, connect_to(server) as brief:
        wordy.sendall(p.frame(p.Call(id=1, body=p.Pause())) * 2)
        heard = [server.next_item(5) for _ in range(3)]
        assert sum(isinstance(item, Connected) for item in heard) == 2
        brief.sendall(p.frame(p.Call(id=2, body=p.Pause())))
        heard.append(server.next_item(5))
        assert [item.call.id for item in heard if isinstance(item, Received)] == [1, 2]


def test_a_crowd_that_comes_is_counted_and_delays_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "COMINGS_A_SECOND", 1.0)
    server = Server(tmp_path)
    with connect_to(server) as inside, ExitStack() as crowd:
        assert isinstance(server.next_item(5), Connected)
        others = [crowd.enter_context(connect_to(server)) for _ in range(100)]
        assert all(isinstance(receive(other), p.Goodbye) for other in others[MAX_CLIENTS - 1 :])
        inside.sendall(p.frame(p.Call(id=1, body=p.Pause())))
        heard = [server.next_item(5)]
        while isinstance(heard[-1], Connected):
            heard.append(server.next_item(5))
        assert isinstance(heard[-1], Received)
        assert len(heard) < MAX_CLIENTS // 2, "the others come one after the other"
    server.withdraw()
    server.close()


def test_who_does_not_read_is_known_from_who_leaves(server: Server) -> None:
    with connect_to(server):
        coming = server.next_item(5)
        assert isinstance(coming, Connected)
        coming.client.send_frame(b"x" * (MAX_UNREAD + 1))
        assert isinstance(going := server.next_item(5), Gone)
        assert going.client.stalled
    with connect_to(server):
        assert isinstance(server.next_item(5), Connected)
    assert isinstance(going := server.next_item(5), Gone)
    assert not going.client.stalled


@pytest.mark.parametrize("stalls", [True, False])
def test_who_asks_and_does_not_read_is_let_go_too(server: Server, stalls: bool) -> None:
    """Its next call waits until it reads: meanwhile it leaves, or far too much is unread."""
    deaf = connect_to(server)
    coming = server.next_item(5)
    assert isinstance(coming, Connected)
    coming.client.send_frame(b"x" * 2 * PATIENT_UNREAD)
    deaf.sendall(p.frame(p.Call(id=1, body=p.Pause())))
    assert isinstance(server.next_item(5), Received)
    time.sleep(0.3)
    if stalls:
        coming.client.send_frame(b"x" * MAX_UNREAD)
    else:
        deaf.close()
    assert isinstance(server.next_item(5), Gone)
    deaf.close()


# --- silence ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("real_processes")
async def test_a_stopped_engine_is_noticed_and_given_up_in_a_sentence(training: Engine) -> None:
    assert training.silence < p.SILENCE
    os.kill(training.pid, signal.SIGSTOP)
    while training.silence < p.SILENCE:
        await asyncio.sleep(0.1)
    with pytest.raises(UserError, match=rf"process {training.pid}\) listens but says nothing"):
        await attach(training.folder)
    training.patience = p.SILENCE
    with pytest.raises(EngineEnded, match=rf"kill -CONT {training.pid}"):
        await training.call(p.AskStatus())
    os.kill(training.pid, signal.SIGCONT)
    other = await attach(training.folder)
    assert (await status(other)).state == "running"
    await other.close()


async def test_a_socket_that_is_gone_is_known_at_once(training: Engine) -> None:
    address = runs.read_address(training.folder)
    assert address is not None
    Path(address.socket).unlink()
    async with asyncio.timeout(5):
        with pytest.raises(UserError, match=f"is gone.*kill {training.pid}"):
            await attach(training.folder)


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced"])
async def test_a_run_whose_folder_is_gone_ends_its_engine(training: Engine, how: str) -> None:
    folder = training.folder
    folder.rename(folder.with_name("elsewhere"))
    if how == "replaced":
        folder.mkdir()
    if how == "removed":
        for path in sorted(folder.with_name("elsewhere").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(EngineEnded, match="folder is gone"):
        async for _ in training.events():
            pass
    await until_gone(training.pid, 5)
    if how == "replaced":
        assert list(folder.iterdir()) == []


# --- several screens ----------------------------------------------------------------------------


async def test_what_one_screen_ends_the_other_is_told_of(training: Engine) -> None:
    address = runs.read_address(training.folder)
    assert address is not None
    other = await attach(training.folder)
    assert (await status(training)).others == 1
    await training.call(p.Shutdown(save=True))
    with pytest.raises(EngineEnded, match=r"Ended from another screen, saved at step \d+\.") as end:
        async for _ in other.events():
            pass
    assert end.value.orderly
    assert not Path(address.socket).exists()
    with pytest.raises(EngineEnded, match="was told to end"):
        async for _ in training.events():
            pass
