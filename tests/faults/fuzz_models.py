"""The folder of a run, changed by chance or by somebody hostile: it is read, or a sentence says why
not, and nothing outside it is read or written."""

import hashlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import torch

from engine import runs
from engine.config import preset, replace
from engine.errors import UserError
from engine.model.lstm import LSTMLanguageModel
from engine.service.record import Record
from engine.text.corpus import open_corpus
from engine.training import checkpoint
from engine.training.checkpoint import load_latest
from engine.training.trainer import CheckpointDue, Trainer
from tests.faults.sentences import assert_sentence

LINES = "".join(f"line {n} of the {('cat', 'dog', 'owl')[n % 3]} sat\n" for n in range(200))
SMALL = {
    "model.embedding_size": 4,
    "model.hidden_size": 4,
    "model.layers": 2,
    "training.batch_size": 4,
    "training.bptt": 5,
    "training.threads": 1,
    "training.evaluate_every": 5,
}
LARGEST = 1_000_000
"""Weights of a model that is built to see whether a checkpoint fits: configurations may ask for
more than a machine has."""
MARK = "canary"
"""In the folder that links lead to, and nowhere else."""


@contextmanager
def target(folder: Path) -> Iterator[object]:
    """See `fuzz`."""
    torch.set_num_threads(1)
    folder = folder.resolve()
    sound = {}
    for tokenizer in ("word", "character", "subword"):
        trainer = _trainer(folder / tokenizer, tokenizer, folder / "cache")
        sound[tokenizer] = _train(folder / tokenizer, trainer), trainer
    canary = folder / MARK
    shutil.copytree(sound["word"][0], canary)
    _mark(canary)
    before = _state(canary)
    watch = _Watch(canary)

    def case(random: Random) -> str:
        original, trainer = sound[random.choice(list(sound))]
        models = folder / "case"
        run = models / "run"
        shutil.copytree(original, run)
        try:
            for _ in range(random.randint(1, 3)):
                _change(random, run, canary)
            watch.began = True
            try:
                return _ask(models, run, trainer)
            finally:
                watch.began = False
                assert not watch.seen, list(watch.seen)
                assert _state(canary) == before
        finally:
            watch.seen.clear()
            shutil.rmtree(models)

    yield case


# --- asking -------------------------------------------------------------------------------------


def _ask(models: Path, run: Path, trainer: Trainer) -> str:
    """Everything that is read of a run, each for itself."""
    before = _state(run)
    refused = False
    for question in (_list, _config, _standing, _metrics, _load):
        try:
            found = question(run, trainer)
        except UserError as error:
            assert_sentence(str(error))
            refused = True
        else:
            assert MARK not in str(found), question
    assert _state(run) == before
    assert list(models.iterdir()) == [run]
    return "refused in part" if refused else "sound"


def _list(run: Path, _: Trainer) -> object:
    found = runs.list_runs(run.parent)
    for info in found:
        if info.problem:
            assert_sentence(info.problem)
        msgspec.json.encode({"config": info.config, "step": info.step, "name": info.name})
    return found


def _config(run: Path, _: Trainer) -> object:
    config = runs.load_config(run)
    msgspec.msgpack.encode(config)
    return config


def _standing(run: Path, _: Trainer) -> object:
    return runs.load_standing(run)


def _metrics(run: Path, _: Trainer) -> object:
    events = list(runs.read_metrics(run))
    msgspec.msgpack.encode(events)
    return events


def _load(run: Path, trainer: Trainer) -> object:
    """The newest checkpoint, in a model that is asked and in a trainer that goes on."""
    found, note = load_latest(run)
    if found is None:
        return note
    assert note == "" or note.isprintable()
    tokenizer, config = found.tokenizer, runs.load_config(run)
    vocabulary = tokenizer.vocabulary.tokens
    ids = tokenizer.encode("line 3 of the émigré\n🙂 sat\n")
    assert 0 <= ids.min() <= ids.max() < len(vocabulary)
    tokenizer.decode(ids.tolist()).encode()
    if len(vocabulary) * config.model.embedding_size < LARGEST:
        model = LSTMLanguageModel(len(vocabulary), config.model)
        found.load_weights(model)
    found.restore(trainer)
    return note, vocabulary


class _Watch:
    """What is opened or listed in a folder, by whatever path that leads there."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[str] = []
        self.began = False
        self._folder = os.path.realpath(folder)
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.began or event not in ("open", "os.listdir", "os.scandir"):
            return
        path = arguments[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        self.began = False  # realpath looks too
        name = Path(os.fsdecode(path))
        follows = event != "open" or not arguments[2] & os.O_NOFOLLOW
        real = os.path.realpath(name if follows else name.parent)
        if real.startswith(self._folder):
            self.seen.append(f"{event} {name}")
        self.began = True


# --- a sound run ----------------------------------------------------------------------------------


def _trainer(folder: Path, tokenizer: str, cache: Path) -> Trainer:
    text = folder.with_suffix(".txt")
    text.write_text(LINES)
    changes = {"corpus.source": str(text), "corpus.tokenizer": tokenizer}
    if tokenizer == "subword":
        changes["corpus.max_vocabulary"] = "300"
    config = replace(preset("toy"), {**SMALL, **changes})
    return Trainer(config, open_corpus(config.corpus, cache=cache), torch.device("cpu"))


def _train(models: Path, trainer: Trainer) -> Path:
    """The folder of a run with two checkpoints and a record."""
    run = runs.create_run(models, "run", trainer.config)
    record = Record(run, lambda _: None)
    for event in trainer.train():
        if trainer.step in (6, 12) and not any((run / "checkpoints").glob(f"*{trainer.step:08d}")):
            checkpoint.save(run, trainer, best=trainer.step == 6)
        if trainer.step > 12:
            break
        if not isinstance(event, CheckpointDue):
            record.add(event)
    record.close()
    return run


def _mark(canary: Path) -> None:
    """What is read from here shows in what is answered."""
    config = runs.load_config(canary)
    runs.save_config(canary, replace(config, {"corpus.source": MARK}))
    (canary / "best").write_text(MARK)


def _state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything in a folder, without opening what is not a plain file."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        small = path.is_file() and not path.is_symlink() and status.st_size < 1 << 20
        data = hashlib.sha256(path.read_bytes()).hexdigest() if small else ""
        found[str(path)] = (status.st_mode, status.st_size, status.st_mtime_ns, data)
    return found


# --- changing it ----------------------------------------------------------------------------------


def _change(random: Random, run: Path, canary: Path) -> None:
    """Change one thing; in half of the cases a checkpoint's manifest is made to agree."""
    paths = [path for path in run.rglob("*") if not path.is_symlink()]
    files = [path for path in paths if path.is_file() and path.stat().st_size < 1 << 24]
    if not files:
        return
    path = random.choice(files)
    match random.randrange(8):
        case 0 | 1:
            path.write_bytes(_damaged(random, path.read_bytes()))
        case 2:
            other = random.choice(files)
            path.write_bytes(other.read_bytes())
        case 3:
            _replace(random, random.choice(paths), canary)
        case 4:
            odd = random.choice(files).parent / random.choice(ODD)
            if not os.path.lexists(odd):
                odd.write_bytes(b"{}")
        case _:
            _change_meaning(random, path)
    if random.random() < 0.5:
        _seal(path)


ODD = [os.fsdecode(b"caf\xe9"), "\x1b[2J", "step-00000099", "latest", "best", "step-00000006.999"]
JSON = {
    "huge": b"1" + b"0" * 400,
    "digits": b"9" * 5000,
    "float": b"1e999",
    "minus": b"-1",
    "large": b"9007199254740993",
    "beyond": b"18446744073709551616",
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "surrogate": b'"\\ud800"',
    "raw": b'"\xed\xa0\x80\xff"',
    "escape": b'"\\u001b[2J\\u202e"',
    "deep": b"[" * 5000 + b"]" * 5000,
    "deeper": b'{"a":' * 100_000,
    "null": b"null",
    "true": b"true",
    "list": b"[]",
    "object": b"{}",
    "text": b'"x"',
    "empty": b'""',
    "long": b'"' + b"x" * 100_000 + b'"',
    "outside": b'"../../../etc/passwd"',
    "zero": b"0",
    "half": b"0.5",
}
_PLACE = "\x00here\x00"


def _change_meaning(random: Random, path: Path) -> None:
    """Put a monster into its JSON, or into that of its header, or double or drop an entry."""
    data = path.read_bytes()
    head, rest = b"", b""
    if path.suffix == ".safetensors" and len(data) > 8:
        length = int.from_bytes(data[:8], "little")
        head, data, rest = data[:8], data[8 : 8 + length], data[8 + length :]
    elif path.suffix == ".jsonl":
        lines = data.splitlines(keepends=True)
        if lines:
            number = random.randrange(len(lines))
            head, data = b"".join(lines[:number]), lines[number].strip()
            rest = b"\n" + b"".join(lines[number + 1 :])
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        path.write_bytes(_damaged(random, path.read_bytes()))
        return
    monster = random.choice(list(JSON.values()))
    data = json.dumps(_put(random, value)).encode().replace(json.dumps(_PLACE).encode(), monster)
    if path.suffix == ".safetensors":
        length = random.choice([len(data)] * 5 + [0, 7, len(data) + 1, 1 << 31, (1 << 64) - 1])
        head = length.to_bytes(8, "little")
    path.write_bytes(head + data + rest)


def _put(random: Random, value: Any) -> Any:
    """The value with a place for a monster somewhere in it, an entry doubled, or one gone."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return _PLACE
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = random.choice(keys)
    match random.randrange(8):
        case 0:
            del value[key]
        case 1 if isinstance(value, list):
            value.extend(value[key:] * random.choice([1, 50]))
        case 1:
            value[random.choice([_PLACE, "more", "\ud800", "\x1b[2J"])] = value[key]
        case 2 if isinstance(value, list):
            random.shuffle(value)
        case _:
            value[key] = _put(random, value[key])
    return value


def _damaged(random: Random, data: bytes) -> bytes:
    place = random.randint(0, len(data))
    match random.randrange(6):
        case 0:
            return data[:place]
        case 1 if data:
            flipped = bytearray(data)
            for _ in range(random.choice([1, 1, 10])):
                flipped[random.randrange(len(data))] ^= 1 << random.randrange(8)
            return bytes(flipped)
        case 2:
            return data[:place] + random.randbytes(random.choice([1, 8, 5000])) + data[place:]
        case 3:
            return data[:place] + b"\0" * (len(data) - place)
        case 4:
            return data * 2
        case _:
            return random.choice([b"", b"\n", b"\xff\xfe", b"null", b"[]", b"{" * 100_000])


def _replace(random: Random, path: Path, canary: Path) -> None:
    """Something else in the place of a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = next(parent for parent in path.parents if parent.name == "run")
    inside = canary / path.relative_to(run)
    match random.randrange(7):
        case 0:
            path.mkdir()
        case 1:
            os.mkfifo(path)
        case 2:
            path.symlink_to(random.choice([inside, canary, canary / "config.json"]))
        case 3:
            path.symlink_to(
                random.choice([path, Path("/dev/zero"), Path("/dev/tty"), Path("gone")])
            )
        case 4:
            with path.open("wb") as file:
                os.truncate(file.fileno(), random.choice([1 << 20, 1 << 30, 1 << 42]))
        case 5:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as listener:  # a long path
                listener.bind(str(path))
        case _:
            pass


def _seal(path: Path) -> None:
    """Make the manifest beside a file agree with it, as somebody hostile would."""
    manifest_path = path.parent / "manifest.json"
    for each in (path, manifest_path):
        if os.path.realpath(each) != str(each):
            return  # a link leads there
        if not each.is_file() or each.stat().st_size > 1 << 24:
            return
    if path == manifest_path:
        return
    with suppress(ValueError, TypeError, RecursionError):
        manifest = json.loads(manifest_path.read_bytes())
        data = path.read_bytes()
        manifest[path.name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest_path.write_text(json.dumps(manifest))
