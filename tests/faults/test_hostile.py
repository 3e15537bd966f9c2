"""Damaged and hostile files: one sentence, never a traceback, a long wait or a huge allocation."""

import hashlib
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from safetensors.torch import load, save

from engine import runs
from engine.config import RunConfig, TrainingConfig
from engine.errors import UserError
from engine.events import (
    Evaluated,
    Extent,
    NonFinite,
    Recorded,
    RolledBack,
    Sampled,
    Saved,
    Stepped,
)
from engine.runs import recorder
from engine.runs.table import read_steps
from engine.service.record import Record
from engine.training import checkpoint
from engine.training.checkpoint import load_latest
from engine.training.trainer import Trainer
from tests.tui.fake_engine import step
from tui.run.history import SLACK, History

HUGE = 1 << 42
"""Bytes of a sparse file."""
MOST_MEMORY = 64 * 1024 * 1024
"""Bytes that refusing a file may take."""


@pytest.fixture
def folder(make_trainer: Callable[..., Trainer], small_config: RunConfig, tmp_path: Path) -> Path:
    """A run with one checkpoint, after two steps."""
    folder = runs.create_run(tmp_path / "models", "run", small_config)
    trainer = make_trainer()
    for _ in zip(range(3), trainer.train(), strict=False):
        pass
    checkpoint.save(folder, trainer)
    return folder


@pytest.fixture(autouse=True)
def _little_memory(folder: Path) -> Iterator[None]:
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST_MEMORY


def saved(folder: Path) -> Path:
    (path,) = runs.saved_checkpoints(folder)
    return path


def seal(path: Path, data: bytes | None = None) -> None:
    """Write a file of a checkpoint and make its manifest agree, as somebody hostile would."""
    if data is not None:
        path.write_bytes(data)
    manifest_path = path.parent / "manifest.json"
    manifest = json.loads(manifest_path.read_bytes())
    size = path.stat().st_size
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if size < HUGE else "0" * 64
    manifest[path.name] = {"size": size, "sha256": digest}
    manifest_path.write_text(json.dumps(manifest))


def make_huge(path: Path) -> None:
    os.truncate(path, HUGE)


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_latest(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "training.json", "tokenizer.json", "model.safetensors", "state.safetensors"],
)
@pytest.mark.parametrize("kind", ["huge", "link", "pipe", "folder", "gone", "empty"])
def test_files_that_are_something_else(folder: Path, name: str, kind: str) -> None:
    path = saved(folder) / name
    match kind:
        case "huge":
            make_huge(path)
            if name != "manifest.json":
                seal(path)
        case "link":
            shutil.move(path, folder / "elsewhere")
            path.symlink_to(folder / "elsewhere")
        case "pipe":
            path.unlink()
            os.mkfifo(path)
        case "folder":
            path.unlink()
            path.mkdir()
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
    refused(folder, "is damaged", "" if kind == "empty" else name)


def header(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(content: bytes, data: bytes, length: int | None = None) -> bytes:
    return (len(content) if length is None else length).to_bytes(8, "little") + content + data


@pytest.mark.parametrize("length", [0, 1, 10**6, 2**31, 2**63, 2**64 - 1])
def test_wrong_header_lengths(folder: Path, length: int) -> None:
    path = saved(folder) / "model.safetensors"
    entries, data = header(path)
    seal(path, with_header(json.dumps(entries).encode(), data, length))
    refused(folder, "is damaged")


def test_a_header_that_promises_more_than_memory_holds(folder: Path) -> None:
    path = saved(folder) / "model.safetensors"
    entries, data = header(path)
    entries["embedding.weight"] = {
        "dtype": "F32",
        "shape": [1 << 20, 1 << 20],
        "data_offsets": [0, HUGE],
    }
    content = json.dumps(entries).encode()
    path.write_bytes(with_header(content, data))
    os.truncate(path, 8 + len(content) + HUGE)
    seal(path)
    refused(folder, "model.safetensors holds 'embedding.weight' as F32 [1048576, 1048576]")


Change = Callable[[dict[str, torch.Tensor]], Any]
CHANGES: dict[str, tuple[str, Change]] = {
    "dtype": (
        "embedding.weight",
        lambda t: t.update({"embedding.weight": t["embedding.weight"].double()}),
    ),
    "shape": ("output.bias", lambda t: t.update({"output.bias": t["output.bias"][:-1].clone()})),
    "missing": ("lacks", lambda t: t.pop("lstm.1.weight_hh_l0")),
    "more": ("'more'", lambda t: t.update(more=torch.zeros(1))),
    "counts": ("norms", lambda t: t.update(norms=t["norms"].float())),
    "carried": ("carried.1.c", lambda t: t.update({"carried.1.c": torch.zeros(1, 9, 8)})),
    "moment": ("exp_avg", lambda t: t.pop("optimiser.embedding.weight.exp_avg")),
    "random": ("no generator's state", lambda t: t["random.dropout"].zero_()),
    "long random": (
        "random.data",
        lambda t: t.update({"random.data": torch.zeros(1 << 20, dtype=torch.uint8)}),
    ),
    "no random": ("random.data", lambda t: t.pop("random.data")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_tensors_that_are_not_what_the_configuration_asks_for(
    folder: Path, make_trainer: Callable[..., Trainer], change: str
) -> None:
    word, apply = CHANGES[change]
    in_state = change in ("counts", "carried", "moment", "random", "long random", "no random")
    path = saved(folder) / ("state.safetensors" if in_state else "model.safetensors")
    tensors = load(path.read_bytes())
    apply(tensors)
    seal(path, save(tensors))
    if "random" in change and "long" not in change:  # seen once a generator is to take it
        found, _ = load_latest(folder)
        assert found is not None
        with pytest.raises(UserError, match=word):
            found.restore(make_trainer())
    else:
        refused(folder, "is damaged", word)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"1e999",
        b"\0" * 99,
    ],
    ids=range(9),
)
@pytest.mark.parametrize("name", ["manifest.json", "training.json", "tokenizer.json"])
def test_json_that_is_none_of_ours(folder: Path, name: str, content: bytes) -> None:
    path = saved(folder) / name
    if name == "manifest.json":
        path.write_bytes(content)
    else:
        seal(path, content)
    with pytest.raises(UserError):
        load_latest(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", -1),
        ("row", -5),
        ("epoch", 10**30),
        ("learning_rate", -1.0),
        ("step", "x"),
        ("valid_losses", 3),
    ],
)
def test_impossible_numbers(folder: Path, field: str, value: object) -> None:
    path = saved(folder) / "training.json"
    seal(path, json.dumps(json.loads(path.read_bytes()) | {field: value}).encode())
    refused(folder, "is damaged", field)


def test_another_configuration_is_told_before_its_tensors_are_read(folder: Path) -> None:
    path = saved(folder) / "training.json"
    training = json.loads(path.read_bytes())
    training["config"]["model"]["hidden_size"] = 8192
    seal(path, json.dumps(training).encode())
    make_huge(path.parent / "model.safetensors")
    refused(folder, "was saved with model.hidden_size = 8192, and config.json says 8")


@pytest.mark.parametrize(
    "content",
    [
        b"../../../elsewhere",
        b"/etc",
        b"..",
        b"",
        b"\xff\xfe\0",
        b"step-00000009/../../elsewhere",
        b"step-00000002\nstep-00000003",
        b"step-" + b"9" * 100_000,
        None,
    ],
    ids=range(9),
)
def test_latest_names_nothing_outside_the_run(folder: Path, content: bytes | None) -> None:
    latest = folder / "latest"
    if content is None:
        make_huge(latest)
    else:
        latest.write_bytes(content)
    assert runs.latest_checkpoint(folder) == saved(folder)
    found, note = load_latest(folder)
    assert found is not None
    assert "latest doesn't name a checkpoint. Went back to step-" in note


def test_latest_names_a_checkpoint_that_is_gone(folder: Path) -> None:
    (folder / "latest").write_text("step-00000077\n")
    found, note = load_latest(folder)
    assert found is not None
    assert "step-00000077 is damaged" in note
    standing = runs.load_standing(folder)
    assert standing is not None
    assert standing.step == found.training.step


def standing_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="is a symbolic link"):
        runs.load_standing(folder)
    (info,) = runs.list_runs(folder.parent)
    assert "is a symbolic link" in info.problem
    assert info.step == 0


def test_links_in_place_of_folders(
    folder: Path, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    """Nobody else's folder is read, pruned or written to."""
    path = saved(folder)
    shutil.move(path, tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    refused(folder, "is a symbolic link")
    standing_refused(folder)
    path.unlink()
    (folder / "checkpoints").rmdir()
    (folder / "checkpoints").symlink_to(tmp_path)
    refused(folder, "is a symbolic link")
    standing_refused(folder)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="is a symbolic link"):
        checkpoint.save(folder, make_trainer())
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_not_a_checkpoint_is_not_removed(
    folder: Path, make_trainer: Callable[..., Trainer]
) -> None:
    mine = folder / "checkpoints" / "mine"
    mine.mkdir()
    unfinished = folder / "checkpoints" / ".step-00000007.tmp"
    unfinished.mkdir()
    checkpoint.save(folder, make_trainer())
    assert mine.is_dir()
    assert not unfinished.exists()


@pytest.mark.parametrize("kind", ["huge", "link", "pipe", "nested"])
def test_a_hostile_configuration(folder: Path, kind: str) -> None:
    path = folder / "config.json"
    match kind:
        case "huge":
            make_huge(path)
        case "link":
            shutil.move(path, folder / "elsewhere")
            path.symlink_to(folder / "elsewhere")
        case "pipe":
            path.unlink()
            os.mkfifo(path)
        case "nested":
            path.write_bytes(b'{"corpus":' * 90_000)
    with pytest.raises(UserError, match=r"config\.json"):
        runs.load_config(folder)
    (info,) = runs.list_runs(folder.parent)
    assert "config.json" in info.problem


@pytest.mark.parametrize("kind", ["huge", "link", "pipe", "long line"])
def test_a_hostile_record(folder: Path, kind: str) -> None:
    path = folder / "metrics.jsonl"
    match kind:
        case "huge":
            path.touch()
            make_huge(path)
        case "link":
            path.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(path)
        case "long line":
            path.write_bytes(b"x" * (runs.MAX_LINE + 1))
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        list(runs.read_metrics(folder))
    record = Record(folder, lambda _: None)
    if kind in ("link", "pipe"):
        with pytest.raises(UserError, match=r"Can't read .*metrics\.jsonl"):
            record.rewind(2, "step-00000002")
        with pytest.raises(UserError, match=r"metrics\.jsonl"):
            record.open()
    else:
        record.rewind(2, "step-00000002")
        record.open()
        assert list(runs.read_metrics(folder)) == []
    record.close()


WHOLE = [
    NonFinite(step=1, tensor="loss", value="nan", in_a_row=1),
    Evaluated(step=1, split="valid", loss=1.0, perplexity=2.7, tokens=1, seconds=1.0),
    RolledBack(step=1, from_step=1, learning_rate=1.0),
]


@pytest.mark.parametrize("number", ["9007199254740993", "-" + "1" * 30, "1" + "0" * 30, "9" * 5000])
@pytest.mark.parametrize(
    ("event", "field"),
    [
        (event, name)
        for event in WHOLE
        for name, value in asdict(event).items()
        if type(value) is int
    ],
    ids=str,
)
def test_a_record_of_impossible_counts_is_damaged(
    event: Recorded, field: str, number: str, folder: Path
) -> None:
    """They could neither be sent nor drawn."""
    line = json.dumps({"type": type(event).__name__, **asdict(event)})
    assert runs.decode_event(line.encode()) == event
    assert runs.decode_event(line.replace(f'"{field}": 1', f'"{field}": {number}').encode()) is None
    training = saved(folder) / "training.json"
    training.write_text(f'{{"step": {number}}}')
    with pytest.raises(UserError, match="is damaged"):
        runs.load_standing(folder)


def test_damaged_lines_of_the_record_are_left_out_and_told(folder: Path) -> None:
    record = Record(folder, lambda _: None)
    events = [Sampled(step=1, text="x"), Saved(step=2, checkpoint="step-00000002", seconds=0.0)]
    for event in (*events, Sampled(step=3, text="void")):
        record.add(event)
    record.close()
    path = folder / "metrics.jsonl"
    path.write_bytes(b"\0" * 50 + b"\n" + path.read_bytes() + b"\0\n\0\0")
    record = Record(folder, lambda _: None)
    assert record.rewind(2, "step-00000002") == "Damaged lines of the record were left out (1)."
    record.open()
    record.close()
    assert list(runs.read_metrics(folder)) == events


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a record of 400 steps, most of them thinned."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "STEPS_BYTES", 5000)
        record = Record(folder, lambda _: None)
        for number in range(1, 401):
            record.add(step(number))
            if number % 40 == 0:
                record.add(Saved(step=number, checkpoint=f"step-{number:08d}", seconds=0.0))
                record.add(Sampled(step=number, text="x"))
            if number == 350:
                record.add(RolledBack(step=340, from_step=350, learning_rate=0.1))
            record.flush()
        record.close()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_record_of_any_bytes_is_read_gone_back_in_and_gone_on_with(
    tmp_path_factory: pytest.TempPathFactory, recorded: dict[str, bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, contents in recorded.items():
        spoilt = bytearray(contents)
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(spoilt)))
            what = data.draw(st.binary(max_size=9) | st.sampled_from([b"\xff" * 8, bytes(200)]))
            spoilt[at : at + data.draw(st.sampled_from([0, len(what), len(what), 999]))] = what
        (folder / name).write_bytes(spoilt)

    def look(extent: Extent | None) -> None:
        history, past = History(), runs.open_past(folder, extent)
        for span in past.spans():
            history.recall(span)
            list(span.in_order())
        assert history.step <= 2 * SLACK
        history.loss.envelope(0, history.step, 100)
        history.pace.seconds_left(TrainingConfig(steps=10**6))
        read_steps(folder)

    record = Record(folder, lambda _: None)
    at = data.draw(st.sampled_from([0, 40, 200, 339, 360, 400]))
    look(None)
    record.rewind(at, f"step-{at:08d}" if at else "")
    look(record.extent)
    for number in range(at + 1, at + 4):
        record.add(step(number))
        record.add(Sampled(step=number, text="y"))
        record.sync()
    record.close()
    look(None)
    told = [event for span in runs.open_past(folder).spans() for event in span.in_order()]
    assert [e.step for e in told if isinstance(e, Sampled)][-3:] == [at + 1, at + 2, at + 3]
    assert [e.step for e in told if isinstance(e, Stepped)][-3:] == [at + 1, at + 2, at + 3]
