"""The client's side of the door, before engines that are two, strange or silent."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine import messages as p
from engine import runs
from engine.config import RunConfig
from engine.errors import UserError
from engine.runs.engines import EngineAddress, hold, tell_address
from engine.service import process
from engine.service.client import EngineEnded, ask_vectors, attach, launch
from engine.service.record import Record
from engine.service.run import Run

pytestmark = pytest.mark.usefixtures("real_processes")


@pytest.fixture
def folder(tmp_path: Path, small_config: RunConfig) -> Path:
    return runs.create_run(tmp_path / "models", "small", small_config)


@pytest.fixture
def listening(folder: Path, tmp_path: Path) -> Iterator[socket.socket]:
    """What is held to be the run's engine, and takes no connection by itself."""
    with hold(folder), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        tell_address(folder, EngineAddress(os.getpid(), str(tmp_path / "s")))
        yield listener


@contextlib.asynccontextmanager
async def speaking(listening: socket.socket, *frames: bytes) -> AsyncIterator[asyncio.Event]:
    """An engine that says so to each client, and hears when one has left."""
    left = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines(frames)
        await reader.read()
        left.set()

    async with await asyncio.start_unix_server(greet, sock=listening):
        yield left


# --- two launches ---------------------------------------------------------------------------------


async def test_of_two_launches_at_once_one_has_started_the_engine(folder: Path) -> None:
    engines = await asyncio.gather(launch(folder), launch(folder))
    try:
        assert sorted(engine.started for engine in engines) == [False, True]
        (pid,) = {engine.pid for engine in engines}
        address = runs.read_address(folder)
        assert address is not None and address.pid == pid
        status = engines[0].welcome.status
        while status.state == "preparing":
            await asyncio.sleep(0.05)
            answer = await engines[0].call(p.AskStatus())
            assert isinstance(answer, p.Status)
            status = answer
        assert "ready after step 0" in runs.log_path(folder).read_text(), "its log is where it was"
    finally:
        os.kill(engines[0].pid, signal.SIGKILL)
        reasons = [await reason_of_its_end(engine.events()) for engine in engines]
        for engine in engines:
            await engine.close()
    killed = f"The engine (process {pid}) was killed by SIGKILL"
    gone = f"The engine (process {pid}) is gone"
    assert all(reason.startswith((killed, gone)) for reason in reasons), reasons


async def reason_of_its_end(events: AsyncIterator[object]) -> str:
    with pytest.raises(EngineEnded) as ended:
        async for _ in events:
            pass
    return ended.value.reason


async def test_a_launch_that_came_too_late_finds_the_other_s_engine(
    folder: Path, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there yet when that was looked up, and the process ends for it."""
    monkeypatch.setattr("engine.service.client.taken_over", lambda _: process.start(folder))
    async with speaking(listening, p.frame(welcome(folder))):
        engine = await launch(folder)
        assert not engine.started
        await engine.close()


async def test_a_run_that_is_held_by_nobody_who_listens_is_told_at_once(folder: Path) -> None:
    with hold(folder):
        async with asyncio.timeout(5):
            with pytest.raises(UserError, match="does not say where it listens"):
                await attach(folder)


def welcome(folder: Path) -> p.Welcome:
    run = Run(folder, runs.load_config(folder), Record(folder, lambda _: None))
    return p.Welcome(status=run.status(), recorded=None)


# --- what can't be understood, or says nothing ----------------------------------------------------

STRANGE = {
    "a field is missing": b"\x82\xa4type\xa7Welcome\xa8recorded\xc0",
    "not UTF-8": b"\x82\xa4type\xa7Goodbye\xa6reason\xa1\xff",
    "another message": b"\x81\xa4type\xa5Hello",
    "another order": p.frame(p.Events(events=[]))[4:],
}


@pytest.mark.parametrize("body", STRANGE.values(), ids=list(STRANGE))
async def test_an_engine_of_another_version_is_told_in_a_sentence(
    folder: Path, listening: socket.socket, body: bytes
) -> None:
    async with speaking(listening, len(body).to_bytes(4, "big") + body) as left:
        with pytest.raises(UserError, match=f"another version .*`kill {os.getpid()}`"):
            await attach(folder)
        async with asyncio.timeout(5):
            await left.wait()


async def test_a_stopped_engine_that_too_many_wait_for_is_not_told_to_be_gone(
    folder: Path, listening: socket.socket
) -> None:
    with contextlib.ExitStack() as waiting:
        for _ in range(3):  # until its queue is full
            other = waiting.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        with pytest.raises(UserError, match="listens but says nothing: it is stopped"):
            await attach(folder)


async def test_a_connection_that_is_lost_is_no_engine_that_is_gone(
    folder: Path, listening: socket.socket
) -> None:
    async with speaking(listening, p.frame(welcome(folder)), b"\0\0\0\1\xc1"):
        engine = await attach(folder)
        reason = await reason_of_its_end(engine.events())
    assert reason.startswith(f"The engine (process {os.getpid()}) runs, but the connection to it")


async def test_checkpoints_that_can_t_be_read_are_not_told_to_be_none(
    folder: Path, listening: socket.socket
) -> None:
    (folder / "checkpoints" / "step-00000001").mkdir(parents=True)
    async with speaking(listening, p.frame(welcome(folder)), b"\0\0\0\1\xc1"):
        engine = await attach(folder)
        reason = await reason_of_its_end(engine.events())
    assert "\nIts checkpoints can't be read. Its log: /" in reason


# --- engines that are asked -----------------------------------------------------------------------


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text("2 2\ncat 1.0 0.5\ndog 0.5 1.0\n")
    return path


async def test_of_a_file_of_vectors_nothing_is_told_to_be_saved(vectors: Path) -> None:
    engine = await ask_vectors(vectors)
    os.kill(engine.pid, signal.SIGKILL)
    reason = await reason_of_its_end(engine.events())
    assert reason == f"The engine (process {engine.pid}) was killed by SIGKILL (out of memory?)."
    await engine.close()


@pytest.mark.parametrize("there_is_a_file", [False, True])
async def test_a_full_temporary_folder_keeps_nobody_from_asking(
    vectors: Path, monkeypatch: pytest.MonkeyPatch, there_is_a_file: bool
) -> None:
    def full() -> object:
        if there_is_a_file:
            return Path("/dev/full").open("r+b", buffering=0)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(process.tempfile, "TemporaryFile", full)
    engine = await ask_vectors(vectors)
    while True:
        with contextlib.suppress(UserError):  # it is being read
            answer = await engine.call(p.WordQuery(query="cat", top=1))
            break
        await asyncio.sleep(0.05)
    assert isinstance(answer, p.WordAnswer)
    assert [found.word for found in answer.neighbours] == ["dog"]
    await engine.call(p.Shutdown(save=False))
    assert await reason_of_its_end(engine.events()) == "The engine was told to end."
    await engine.close()
