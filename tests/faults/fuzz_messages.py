"""Calls of every type with fields of every kind, and frames that are none, from clients that come
and go, to a live engine that trains: after each case it answers a good client, it has not grown
beyond a stated bound, and its log holds no traceback."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec

from engine import messages as p
from engine import runs
from engine.config import preset, replace
from engine.runs.private import STATE_VARIABLE
from engine.service.log import MAX_LOG
from engine.service.process import start
from tests.faults.clients import connect
from tests.faults.fuzz_models import LINES, SMALL
from tests.faults.sentences import assert_sentence

GROWTH = 128 << 20
"""Bytes that may come to the engine's resident memory once it trains, with all that may wait for
slow clients."""
ANSWERS_IN = 10.0
"""Seconds in which the good client has its answers."""
STARTS_IN = 60.0
LIFE = 2000
"""Cases of an engine: its log takes no more lines than those of some 10,000."""
MOST_OTHERS = 8
"""Bad clients at once."""
CALLS = [
    type_
    for type_ in get_args(p.AnyCommand | p.AnyQuery)
    if type_ is not p.Shutdown  # which ends the engine, as it should
]


@contextmanager
def target(folder: Path) -> Iterator[object]:
    """See `fuzz`."""
    kept = {name: os.environ.get(name) for name in (STATE_VARIABLE, "LSTM_TUI_CACHE")}
    os.environ |= {STATE_VARIABLE: str(folder / "state"), "LSTM_TUI_CACHE": str(folder / "cache")}
    text = folder / "text.txt"
    text.write_text(LINES)
    os.mkfifo(folder / "pipe")
    changes = {**SMALL, "corpus.source": str(text), "training.evaluate_every": 1000}
    run = runs.create_run(folder / "models", "run", replace(preset("toy"), changes))
    attack = _Attack(folder, run)

    def case(random: Random) -> str:
        nonlocal attack
        if attack.cases == LIFE:
            attack.end()
            attack = _Attack(folder, run)
        return attack.case(random)

    try:
        yield case
        attack.end()
    finally:
        attack.engine.kill()
        attack.engine.wait()
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Attack:
    """The life of one engine, which goes on from what the one before has saved."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.cases = 0
        self.engine = start(run)
        self._folder, self._run = folder, run
        self._log = runs.log_path(run)
        self._read = 0
        """Bytes of the log."""
        self._good = self._wait_for_engine()
        self._others: list[socket.socket] = []
        self._memory = _resident(self.engine.pid)

    def _wait_for_engine(self) -> "_Good":
        deadline = time.monotonic() + STARTS_IN
        while (address := runs.read_address(self._run)) is None or address.pid != self.engine.pid:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        good = _Good(connect(self._run))
        while good.ask(p.AskStatus()).state == "preparing":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return good

    def case(self, random: Random) -> str:
        """One client says a few things, and the good one is answered."""
        self.cases += 1
        if not self._others or (len(self._others) < MOST_OTHERS and random.random() < 0.5):
            self._others.append(connect(self._run))
        other = random.choice(self._others)
        stays = True
        for _ in range(random.randint(1, 4)):
            stays = stays and _say(other, _frame(random, self._folder))
        if random.random() < 0.3:
            stays = stays and _hear(other)
        if not stays or random.random() < 0.2:
            other.close()
            self._others.remove(other)
        self._check(random)
        return "let go" if not stays else "heard"

    def _check(self, random: Random) -> None:
        status = self._good.ask(p.AskStatus())
        assert status.state != "failed", status.reason
        if status.reason:
            assert_sentence(status.reason)
        if status.state != "running" and random.random() < 0.1:
            self._good.ask(p.GoBack() if status.advice == "calm" else p.Start())
        if random.random() < 0.02:
            assert isinstance(self._good.ask(p.Represent(text="the cat")), p.Representation)
        grown = _resident(self.engine.pid) - self._memory
        assert grown < GROWTH, f"the engine grew by {grown >> 20} MiB"
        with self._log.open("rb") as log:
            log.seek(self._read)
            told = log.read()
        self._read += len(told)
        assert b"Traceback" not in told, told.decode()
        assert self._read < MAX_LOG, "a traceback would not be seen any more"

    def end(self) -> None:
        """SIGTERM is heard, and the run can be opened again."""
        for other in self._others:
            other.close()
        self.engine.send_signal(signal.SIGTERM)
        self._good.listen_to_the_end()
        self.engine.wait(ANSWERS_IN)
        runs.load_standing(self._run)
        list(runs.read_metrics(self._run))


class _Good:
    """A client that asks one thing at a time."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(ANSWERS_IN)
        self._file = connection.makefile("rb")
        self._connection = connection
        self._number = 0

    def ask(self, body: Any) -> Any:
        """The answer, within a time that no other client may make longer."""
        self._number += 1
        self._connection.sendall(p.frame(p.Call(id=self._number, body=body)))
        deadline = time.monotonic() + ANSWERS_IN
        while time.monotonic() < deadline:
            message = self._receive()
            if isinstance(message, p.Answer) and message.id == self._number:
                return message.body
        raise TimeoutError(f"no answer to {body}")

    def listen_to_the_end(self) -> None:
        while not isinstance(self._receive(), p.Goodbye):
            pass

    def _receive(self) -> p.FromEngine:
        length = int.from_bytes(self._file.read(4), "big")
        assert 0 < length < p.MAX_MESSAGE
        message: p.FromEngine = p.decode_from_engine(self._file.read(length))
        return message


def _say(other: socket.socket, data: bytes) -> bool:
    """Whether the connection still stands. What isn't taken at once is left unsaid."""
    other.settimeout(0.05)
    try:
        other.sendall(data)
    except TimeoutError:
        return False  # half a message is under way
    except OSError:
        return False
    return True


def _hear(other: socket.socket) -> bool:
    other.settimeout(0.01)
    with suppress(TimeoutError):
        try:
            return bool(other.recv(1 << 20))
        except ConnectionError:
            return False
    return True


def _resident(pid: int) -> int:
    """Bytes of a process in memory; 0 where the system doesn't tell."""
    try:
        statm = Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0
    return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- what is said ---------------------------------------------------------------------------------

NUMBERS: list[Any] = [
    *(0, 1, -1, 3, 50, 1000, 10**9, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)),
    *(0.0, 0.5, 1.0, -0.5, 1e-320, 5e-324, 1e-9, 1e30, 1e308),
    *(float("nan"), float("inf"), float("-inf")),
]
TEXTS = [
    "",
    "the cat sat",
    "the",
    "cat",
    "\0",
    "\x1b[2J\u202e",
    "x" * 3000,
    "the " * 20_000,
    "\n" * 5000,
]
TEXTS += ["🙂" * 900, "é̀", "<unk>", "<eos>", "norm", "off", "adaptive", "learning_rate", "valid"]
TEXTS += [
    "train",
    "clip_mode",
    "clip_threshold",
    "last-good",
    "best",
    "6",
    "nan",
    "1e999",
    "9" * 5000,
]
OTHERS: list[Any] = [None, True, False, [], {}, b"\xff\x00", ["x"] * 100, {"a": {"b": 1}}, [[[]]]]


def _frame(random: Random, folder: Path) -> bytes:
    """A call as it may come from anybody."""
    body = _call(random, folder)
    data = msgspec.msgpack.encode({"type": "Call", "id": _number(random), "body": body})
    match random.randrange(12):
        case 0:
            data = data[: random.randint(0, len(data))]
        case 1:
            data = bytearray(data)
            for _ in range(random.choice([1, 1, 5])):
                data[random.randrange(min(200, len(data)))] ^= 1 << random.randrange(8)
        case 2:
            data = random.randbytes(random.choice([0, 1, 30, 3000]))
        case 3:
            data = random.choice(
                [b"\x91" * 5000, b"\xc1", b"\xdf" + b"\xff" * 4, b"\xc6\xff\xff\xff\xff"]
            )
    length = len(data)
    if random.random() < 0.05:
        length = random.choice([0, length + 1, length // 2, p.MAX_CALL + 1, 2**32 - 1])
    return length.to_bytes(4, "big") + bytes(data)


def _number(random: Random) -> Any:
    return (
        random.randint(0, 50) if random.random() < 0.9 else random.choice([*NUMBERS[:13], *OTHERS])
    )


def _call(random: Random, folder: Path) -> dict[str, Any]:
    kind = random.choice(CALLS)
    call: dict[str, Any] = {"type": kind.__name__}
    for field in msgspec.structs.fields(kind):
        if field.required or random.random() < 0.6:
            call[field.name] = _value(random, field, folder)
    if random.random() < 0.03:
        call[random.choice(["type", "id", "more", "\x1b"])] = random.choice([*TEXTS, *OTHERS])
    return call


def _value(random: Random, field: msgspec.structs.FieldInfo, folder: Path) -> Any:
    """Often of the right kind, whatever its size."""
    if field.name in ("source", "pairs", "questions"):
        names = ["text.txt", "pipe", "models", "*.txt", "gone", "models/run/steps.bin", "~nobody/x"]
        return random.choice(
            [*TEXTS, "/dev/zero", "toy-world", *(f"{folder}/{name}" for name in names)]
        )
    kinds: list[list[Any]] = [NUMBERS, TEXTS, OTHERS]
    if random.random() < 0.85:
        wanted = str(field.type)
        if "bool" in wanted:
            return random.random() < 0.5
        numeric = "int" in wanted or "float" in wanted
        kinds = [*([NUMBERS] if numeric else []), *([TEXTS] if "str" in wanted else [])] or [TEXTS]
    return random.choice(random.choice(kinds))
