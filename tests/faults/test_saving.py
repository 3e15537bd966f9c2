"""Whatever happens to a save, at whichever of its file operations: the last good model loads."""

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from torch import Tensor

from engine import messages as p
from engine import runs
from engine.config import RunConfig, replace
from engine.events import AnyEvent, Saved, SaveFailed, Stepped
from engine.service.record import Record
from engine.training.checkpoint import Checkpoint, load_latest
from tests.conducted import conducted
from tests.faults.disk import Disk, crash_states, lay_out


class Killed(BaseException):
    """The process is dead: it does nothing more, not even clean up."""


class Run:
    """A conducted run in a models folder on a failing disk, and what it reported as saved."""

    def __init__(self, disk: Disk, config: RunConfig) -> None:
        self.disk = disk
        self.folder = disk.root / "models" / "run"
        if not self.folder.exists():
            runs.create_run(self.folder.parent, "run", config)
        self.created = len(disk.log)
        self.told: list[AnyEvent] = []
        self.conductor = conducted(self.folder, self.told.extend)
        self.reports: list[tuple[int, Saved, bytes]] = []
        """Operations done before it was told, and the weights that were saved."""
        publish = self.conductor.run.publish

        def note(event: AnyEvent) -> None:
            publish(event)
            if isinstance(event, Saved):
                self.reports.append((len(disk.log), event, self.weights()))

        self.conductor.run.publish = note  # type: ignore[method-assign]

    def weights(self) -> bytes:
        assert self.conductor.run.trainer is not None
        return weights(self.conductor.run.trainer.eval_model.state_dict())

    def steps(self) -> list[int]:
        """Those in the record as far as it counts."""
        past = runs.read_metrics(self.folder, self.conductor.run.record.extent)
        return [event.step for event in past if isinstance(event, Stepped)]

    def train(self, steps: int) -> None:
        """Take so many steps, and save where that is due."""
        if self.conductor.run.state != "running":
            self.conductor.command(p.Start())
        end = self.conductor.run.step + steps
        while self.conductor.run.step < end:
            self.conductor.advance()


def weights(state: dict[str, Tensor]) -> bytes:
    """The bytes of all weights; the output's are the embedding's."""
    names = sorted(state.keys() - {"output.weight"})
    return b"".join(state[name].numpy().tobytes() for name in names)


def loaded(folder: Path) -> tuple[int, bytes]:
    """The step and the weights of what `latest` names; nothing else would do."""
    checkpoint, note = load_latest(folder)
    assert checkpoint is not None
    assert note == ""
    return checkpoint.training.step, weights(dict(checkpoint._weights))


@pytest.fixture
def config(small_config: RunConfig) -> RunConfig:
    return replace(small_config, {"training.evaluate_every": 4, "training.keep": 1})


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    (tmp_path / "disk").mkdir()
    return Disk(tmp_path / "disk", monkeypatch)


class Fault:
    """Something that happens at the n-th file operation of a save, if there are so many."""

    def __init__(self, place: int, what: int | type[Killed]) -> None:
        self.place, self.what = place, what
        self.kind = ""
        """Of the operation it happened at."""
        self._operation = itertools.count()

    def __call__(self, kind: str) -> bool:
        number = next(self._operation)
        if number < self.place or (number > self.place and self.what is not Killed):
            return False
        self.kind = self.kind or kind
        if isinstance(self.what, int):
            raise OSError(self.what, os.strerror(self.what))
        raise self.what


FAULTY = {"open", "write", "fsync", "rename", "mkdir", "list", "unlink"}


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_an_error_at_any_file_operation_is_told_and_the_last_good_model_loads(
    disk: Disk, config: RunConfig, error: int
) -> None:
    run = Run(disk, config)
    run.train(1)
    assert run.conductor.saver.save()
    met: set[str] = set()
    refused: set[str] = set()
    passed_over: set[str] = set()
    for place in itertools.count():
        run.train(1)
        good = loaded(run.folder)
        now = run.conductor.run.step, run.weights()
        disk.before = fault = Fault(place, error)
        name = run.conductor.saver.save(best=True)
        disk.before = lambda kind: False
        if not fault.kind:
            break
        met.add(fault.kind)
        run.conductor.run.record.flush()
        last = [event for event in run.told if isinstance(event, Saved | SaveFailed)][-1]
        if name:
            passed_over.add(fault.kind)
            assert isinstance(last, Saved)
            assert loaded(run.folder) == now
        else:
            refused.add(fault.kind)
            assert isinstance(last, SaveFailed)
            assert os.strerror(error) in last.reason
            assert loaded(run.folder) in (good, now)
        assert run.conductor.run.state == "running"
        best = runs.named_checkpoint(run.folder / "best")
        assert best is None or Checkpoint(best)
        run.train(1)
        assert run.conductor.saver.save(), "the next one works again"
        assert loaded(run.folder) == (run.conductor.run.step, run.weights())
    assert met == FAULTY
    assert refused >= {"open", "write", "fsync", "rename", "mkdir", "list"}
    assert passed_over >= {"list", "unlink"}, "where old ones can't be removed it is saved still"
    assert place > 40
    steps = [event.step for event in runs.read_metrics(run.folder) if isinstance(event, Stepped)]
    assert steps == list(range(1, run.conductor.run.step + 1))


def test_killed_at_any_file_operation_it_goes_on_from_the_last_good_model(
    disk: Disk, config: RunConfig
) -> None:
    run = Run(disk, config)
    run.train(1)
    run.conductor.saver.save()
    for place in itertools.count():
        run.train(2)
        good = loaded(run.folder)
        now = run.conductor.run.step, run.weights()
        disk.before = fault = Fault(place, Killed)
        with suppress(Killed):
            run.conductor.saver.save(best=True)
        disk.before = lambda kind: False
        if not fault.kind:
            break
        found = loaded(run.folder)
        assert found in (good, now)
        best = runs.named_checkpoint(run.folder / "best")
        assert best is None or Checkpoint(best)
        run = Run(disk, config)  # another process
        assert (run.conductor.run.step, run.weights()) == found
        assert run.steps() == list(range(1, run.conductor.run.step + 1))
    assert place > 40
    assert len(list((run.folder / "checkpoints").iterdir())) <= 2, "nothing half written is left"


def test_a_save_counts_where_old_checkpoints_can_not_be_listed_for_removal(
    disk: Disk, config: RunConfig
) -> None:
    run = Run(disk, config)
    run.train(1)
    listings = itertools.count()

    def after_the_first(kind: str) -> bool:
        if kind == "list" and next(listings):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return False

    disk.before = after_the_first
    assert run.conductor.saver.save()
    disk.before = lambda kind: False
    assert next(listings) > 1
    assert loaded(run.folder) == (1, run.weights())


def test_a_disk_that_takes_half_of_each_write_is_written_to_the_end(
    disk: Disk, config: RunConfig
) -> None:
    run = Run(disk, config)
    run.train(1)
    disk.before = lambda kind: kind == "write"
    assert run.conductor.saver.save(best=True)
    assert loaded(run.folder) == (1, run.weights())


def test_a_write_cut_short_by_a_full_disk_leaves_no_half_line(
    disk: Disk, config: RunConfig
) -> None:
    run = Run(disk, config)
    run.train(3)
    answers = iter([True])

    def full(kind: str) -> bool:
        if kind != "write" or next(answers, False):
            return kind == "write"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk.before = full
    assert run.conductor.saver.save() == ""
    disk.before = lambda kind: False
    assert [e.step for e in runs.read_metrics(run.folder) if isinstance(e, Stepped)] == []
    run.train(1)
    assert run.conductor.saver.save()
    assert [e.step for e in runs.read_metrics(run.folder) if isinstance(e, Stepped)] == [1, 2, 3, 4]


def test_whatever_a_crash_loses_of_what_was_not_synced_the_last_good_model_loads(
    disk: Disk, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(disk, config)
    run.train(3)
    run.conductor.saver.save_asked()
    run.train(3)  # with a best checkpoint at step 4
    run.conductor.saver.save_asked()
    run.conductor.saver.save()  # once more at that step
    run.conductor.run.record.close()
    monkeypatch.undo()
    assert [event.best for _, event, _ in run.reports] == [False, True, False, False]
    seen = 0
    for files, done in distinct_states(run):
        seen += 1
        folder = tmp_path / f"crash-{seen}"
        lay_out(files, folder)
        check_after_crash(run, done, folder / "models" / "run")
    assert seen > 200


def distinct_states(run: Run) -> Iterator[tuple[dict[str, bytes | None], int]]:
    """Every state a crash may leave, with the number of operations done before."""
    known: set[tuple[int, int]] = set()
    for done in range(len(run.disk.log) + 1):
        reported = sum(at <= done for at, _, _ in run.reports) + (done >= run.created)
        for files in crash_states(run.disk.log[:done], seed=done):
            if (key := (reported, hash(frozenset(files.items())))) not in known:
                known.add(key)
                yield files, done


def check_after_crash(run: Run, done: int, folder: Path) -> None:
    if done >= run.created:
        assert runs.load_config(folder) == run.conductor.run.config
    reported = [(event, saved) for at, event, saved in run.reports if at <= done]
    coming = [(event, saved) for at, event, saved in run.reports if at > done]
    possible = {saved.step: data for saved, data in [*reported[-1:], *coming[:1]]}
    checkpoint, note = load_latest(folder)
    if not reported and checkpoint is None:
        return
    assert checkpoint is not None
    assert note == ""
    assert weights(dict(checkpoint._weights)) == possible[checkpoint.training.step]
    last = next(
        saved for saved, _ in [*coming[:1], *reported] if saved.step == checkpoint.training.step
    )
    if last.best or any(saved.best for saved, _ in reported):
        best = runs.named_checkpoint(folder / "best")
        assert best is not None
        assert Checkpoint(best).training.step == 4
    record = Record(folder, lambda _: None)
    record.rewind(checkpoint.training.step, checkpoint.path.name)
    told = list(runs.read_metrics(folder, record.extent))
    record.open()
    record.close()
    assert list(runs.read_metrics(folder)) == told
    steps = [event.step for event in told if isinstance(event, Stepped)]
    assert steps == list(range(1, checkpoint.training.step + 1))
