"""The real engine process, through its client."""

import asyncio
import gc
import os
import re
import shutil
import signal
import socket
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine import messages as p
from engine import runs
from engine.config import RunConfig, replace
from engine.errors import UserError
from engine.events import AnyEvent, Evaluated, Intervened, Rewound, Saved, StateChanged, Stepped
from engine.runs.engines import log_path
from engine.runs.private import place_of
from engine.service.client import Engine, EngineEnded, attach, launch
from engine.service.process import start_ahead
from engine.service.worker import _BackgroundImport

E = TypeVar("E", bound=AnyEvent)


class Listener:
    """An engine and everything it has told."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.batches: list[tuple[float, list[AnyEvent]]] = []
        self.ended = ""
        self.changed = asyncio.Condition()
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            async for batch in self.engine.events():
                async with self.changed:
                    self.batches.append((time.monotonic(), batch))
                    self.changed.notify_all()
        except EngineEnded as error:
            async with self.changed:
                self.ended = error.reason
                self.changed.notify_all()

    def all(self, kind: type[E]) -> list[E]:
        return [event for _, batch in self.batches for event in batch if isinstance(event, kind)]

    @property
    def steps(self) -> list[Stepped]:
        return self.all(Stepped)

    @property
    def state(self) -> str:
        changes = self.all(StateChanged)
        return changes[-1].state if changes else self.engine.welcome.status.state

    async def until(self, condition: Callable[[], Any], timeout: float = 60) -> None:
        async with self.changed, asyncio.timeout(timeout):
            await self.changed.wait_for(condition)


Open = Callable[..., Awaitable[Listener]]


@pytest.fixture
def folder(tmp_path: Path, small_config: RunConfig) -> Path:
    return runs.create_run(tmp_path / "models", "small", small_config)


@asynccontextmanager
async def opened(folder: Path, state: str = "ready") -> AsyncIterator[Listener]:
    """A launched engine that has reached a state, killed at the end if it still lives."""
    engine = await launch(folder)
    listener = Listener(engine)
    try:
        await listener.until(lambda: listener.state == state or listener.ended)
        yield listener
    finally:
        if not listener.ended:
            os.kill(engine.welcome.status.pid, signal.SIGKILL)
            await listener.until(lambda: listener.ended)
        await engine.close()


@pytest.fixture
async def ready_run(folder: Path) -> AsyncIterator[Listener]:
    async with opened(folder) as run:
        yield run


async def call(listener: Listener, body: Any) -> Any:
    return await listener.engine.call(body)


async def test_commands_take_effect_between_steps_and_are_recorded(folder: Path) -> None:
    async with opened(folder) as run:
        assert (await call(run, p.Step())).step == 0
        await run.until(lambda: len(run.steps) == 1)
        assert run.state == "paused"
        await call(run, p.Start())
        await run.until(lambda: len(run.steps) > 20)
        turned = await call(run, p.SetKnob(knob="learning_rate", value=0.25))
        assert turned.step > 0
        await run.until(lambda: run.steps[-1].step > turned.step)
        clipped = await call(run, p.SetKnob(knob="clip_mode", value="value"))
        await call(run, p.SetKnob(knob="clip_threshold", value=0.001))
        await run.until(lambda: run.steps[-1].step > clipped.step + 5)
        paused = await call(run, p.Pause())
        status = await call(run, p.AskStatus())
        assert (status.state, status.step) == ("paused", paused.step)
        assert (status.learning_rate, status.clip_mode) == (0.25, "value")
        rates = {event.step: event.learning_rate for event in run.steps}
        assert rates[turned.step] == 0.005
        assert rates[turned.step + 1] == 0.25
        assert run.steps[-1].clip_mode == "value"
        assert [event.step for event in run.steps] == list(range(1, paused.step + 1))
        actions = [(event.action, event.step) for event in run.all(Intervened)]
        assert actions[:3] == [("step", 0), ("start", 1), ("learning_rate", turned.step)]
        recorded = list(runs.read_metrics(folder))
        assert [e.step for e in recorded if isinstance(e, Stepped)] == list(
            range(1, paused.step + 1)
        )
        assert [e for e in recorded if isinstance(e, Intervened)] == run.all(Intervened)
        await call(run, p.Shutdown(save=True))
        await run.until(lambda: run.ended)
        assert run.ended == "The engine was told to end."


async def test_no_more_than_about_twenty_messages_a_second(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Start())
        await run.until(lambda: len(run.steps) > 300)
        await call(run, p.Pause())
        times = [when for when, batch in run.batches if any(isinstance(e, Stepped) for e in batch)]
        assert len(times) / (times[-1] - times[0]) < 25
        assert [event.step for event in run.steps] == list(range(1, len(run.steps) + 1))


async def test_queries_are_answered_while_training_runs(folder: Path) -> None:
    async with opened(folder) as run:
        with pytest.raises(UserError, match="'katze' isn't in the vocabulary"):
            await call(run, p.WordQuery(query="katze"))
        await call(run, p.Start())
        first = await call(run, p.WordQuery(query="Cat", top=3))
        assert (first.word, len(first.neighbours)) == ("cat", 3)
        await run.until(lambda: len(run.steps) > first.step + 50)
        second = await call(run, p.WordQuery(query="cat", top=3))
        assert second.step > first.step
        assert second.neighbours != first.neighbours
        seen = await call(run, p.Represent(text="The zebra sat."))
        assert [(t.text, t.known) for t in seen.tokens] == [
            ("the", True),
            ("zebra", False),
            ("sat", True),
        ]
        assert seen.one_hot_bytes == 3 * seen.vocabulary * 4
        assert seen.embedding_bytes == 3 * 8 * 4
        assert len(seen.tokens[0].embedding) == 8
        back = await call(run, p.HowFarBack(text="the cat sat 3 times"))
        assert len(back.norms) == 6
        assert 0 < back.probability < 1
        assert run.state == "running"


async def test_a_stream_of_text_comes_from_live_weights_at_its_pace(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Start())
        query = p.Generate(prompt="line", tokens=20, per_second=20, seed=1)
        began = time.monotonic()
        pieces = [piece async for piece in run.engine.stream(query)]
        assert 0.8 < time.monotonic() - began < 3
        assert len(pieces) == 20
        assert len({piece.step for piece in pieces}) > 5
        await call(run, p.Pause())
        texts = []
        for _ in range(2):
            stream = run.engine.stream(p.Generate(prompt="line", tokens=30, seed=7))
            texts.append("".join([piece.text async for piece in stream]))
        assert texts[0] == texts[1]
        assert texts[0].strip()
        stream = run.engine.stream(p.Generate(prompt="line xyzzy", tokens=30))
        chance = [piece async for piece in stream]
        (seed,) = {piece.seed for piece in chance}
        notes = [piece.note for piece in chance]
        assert notes == ["1 of 2 words unknown: xyzzy", *[""] * 29]
        stream = run.engine.stream(p.Generate(prompt="line xyzzy", tokens=30, seed=seed))
        again = [piece async for piece in stream]
        assert again == chance, "the seed that is told writes it again"
        stream = run.engine.stream(p.Generate(tokens=1))
        assert [piece.seed async for piece in stream] != [seed]
        with pytest.raises(UserError, match="temperature"):
            await anext(aiter(run.engine.stream(p.Generate(temperature=-1))))


async def test_a_cancelled_stream_stops(folder: Path) -> None:
    async with opened(folder) as run:
        stream = run.engine.stream(p.Generate(tokens=1_000_000, per_second=50))
        await anext(stream)
        await stream.aclose()
        await call(run, p.AskStatus())
        assert run.engine._calls == {}


async def test_evaluate_save_and_reopen_with_the_whole_history(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Start())
        await run.until(lambda: len(run.steps) > 30)
        await call(run, p.Pause())
        evaluations = len(run.all(Evaluated))
        await call(run, p.Evaluate())
        await run.until(lambda: len(run.all(Evaluated)) > evaluations)
        saved = await call(run, p.Save())
        assert saved.note == run.all(Saved)[-1].checkpoint
        await call(run, p.Step())
        await run.until(lambda: run.steps[-1].step == saved.step + 1)
        await call(run, p.Shutdown(save=False))
        await run.until(lambda: run.ended)
    (info,) = runs.list_runs(folder.parent)
    assert (info.name, info.step, info.live) == ("small", saved.step, False)
    assert info.valid_perplexity is not None
    async with opened(folder, state="paused") as run:
        assert run.engine.welcome.status.step == 0 or run.state == "paused"
        status = await call(run, p.AskStatus())
        assert status.step == saved.step
        rewound = run.all(Rewound)
        extent = rewound[-1].recorded if rewound else run.engine.welcome.recorded
        past = [e.step for e in runs.read_metrics(folder, extent) if isinstance(e, Stepped)]
        assert past == list(range(1, saved.step + 1))


@pytest.mark.usefixtures("real_processes")
async def test_a_dead_engine_is_noticed_within_two_seconds_and_explained(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Start())
        await run.until(lambda: len(run.steps) > 5)
        began = time.monotonic()
        os.kill(run.engine.welcome.status.pid, signal.SIGKILL)
        await run.until(lambda: run.ended)
        assert time.monotonic() - began < 2
        assert "was killed by SIGKILL" in run.ended
        assert run.ended.count("\n") == 1
        assert re.search(r"\n(It had saved nothing|Kept: step 10)\. Its log: /", run.ended)
        with pytest.raises(EngineEnded):
            await call(run, p.AskStatus())


async def test_an_engine_that_cannot_start_says_why(folder: Path) -> None:
    log_path(folder).mkdir()
    (log_path(folder) / "in the way").touch()
    log_path(folder).with_suffix(".log.before").mkdir()
    (log_path(folder).with_suffix(".log.before") / "too").touch()
    with pytest.raises(UserError, match="Can't start an engine"):
        await launch(folder)


async def test_a_bad_corpus_fails_in_one_sentence_and_leaves_no_run(
    tmp_path: Path, small_config: RunConfig
) -> None:
    config = replace(small_config, {"corpus.source": str(tmp_path / "nowhere")})
    folder = runs.create_run(tmp_path / "models", None, config)
    async with opened(folder, state="failed") as run:
        status = await call(run, p.AskStatus())
        assert "There is no file or folder" in status.reason
        with pytest.raises(UserError, match=r"There is no file or folder"):
            await call(run, p.Start())
        await call(run, p.Shutdown())
        await run.until(lambda: run.ended)
        await wait_until(lambda: not folder.exists())


async def test_an_engine_that_ends_tidies_up_after_runs_that_were_removed(
    folder: Path, small_config: RunConfig
) -> None:
    gone = runs.create_run(folder.parent, "gone", small_config)
    place = place_of(gone)
    shutil.rmtree(gone)
    async with opened(folder) as run:
        os.utime(place, (0, 0))  # not before: an engine of another test may just be ending
        await call(run, p.Shutdown())
        await run.until(lambda: run.ended)
        await wait_until(lambda: not place.exists())


async def test_a_detached_engine_trains_on_and_is_found_again(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Start())
        await call(run, p.Detach())
        await run.engine.close()
        pid = run.engine.welcome.status.pid
        await wait_until((folder / "steps.bin").exists)
        size = (folder / "steps.bin").stat().st_size
        await wait_until(lambda: (folder / "steps.bin").stat().st_size > size + 2_000)
        engine = await attach(folder)
        again = Listener(engine)
        assert engine.welcome.status.pid == pid
        assert engine.welcome.status.state == "running"
        past = list(runs.read_metrics(folder, engine.welcome.recorded))
        last = [event.step for event in past if isinstance(event, Stepped)][-1]
        assert last == engine.welcome.status.step
        await again.until(lambda: again.steps)
        assert again.steps[0].step == last + 1  # nothing lost, nothing twice
        await engine.call(p.Shutdown())
        await again.until(lambda: again.ended)
        run.ended = again.ended


async def test_an_engine_left_without_a_word_saves_and_ends(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Start())
        await run.until(lambda: len(run.steps) > 5)
        await run.engine.close()
        await wait_until(lambda: not runs.is_live(folder), timeout=30)
        assert runs.list_runs(folder.parent)[0].step > 5
        run.ended = "by itself"


async def test_sigterm_saves(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Start())
        await run.until(lambda: len(run.steps) > 5)
        os.kill(run.engine.welcome.status.pid, signal.SIGTERM)
        await run.until(lambda: run.ended)
        assert re.fullmatch(r"The engine was terminated, saved at step \d+\.", run.ended)
    assert runs.list_runs(folder.parent)[0].step > 5


async def test_a_limit_finishes_the_run_and_saves_it(folder: Path) -> None:
    config = replace(runs.load_config(folder), {"training.steps": 12})
    runs.save_config(folder, config)
    async with opened(folder) as run:
        await call(run, p.Start())
        await run.until(lambda: run.state == "finished")
        assert len(run.steps) == 12
        assert run.all(Evaluated)[-1].step == run.all(Saved)[-1].step == 12
        with pytest.raises(UserError, match=r"reached its limit, training.steps"):
            await call(run, p.Start())


async def test_a_run_that_never_took_a_step_is_removed(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Shutdown())
        await run.until(lambda: run.ended)
        await wait_until(lambda: not folder.exists())


async def test_a_run_whose_text_is_gone_can_still_be_asked(
    folder: Path, text_file: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "text.txt"
    moved.write_bytes(text_file.read_bytes())
    config = replace(runs.load_config(folder), {"corpus.source": str(moved), "training.steps": 3})
    runs.save_config(folder, config)
    runs.allow(folder, str(moved))
    async with opened(folder) as run:
        await call(run, p.Start())
        await run.until(lambda: run.state == "finished")
        await call(run, p.Shutdown())
        await run.until(lambda: run.ended)
    moved.unlink()
    async with opened(folder, state="paused") as run:
        status = await call(run, p.AskStatus())
        assert "can be asked, not trained" in status.reason
        assert status.step == 3
        assert (await call(run, p.WordQuery(query="cat"))).neighbours
        with pytest.raises(UserError, match="can be asked, not trained"):
            await call(run, p.Start())


@pytest.mark.parametrize(
    ("knob", "value", "sentence"),
    [
        ("learning_rate", float("nan"), r"optimiser\.learning_rate can't be"),
        ("learning_rate", -1, r"optimiser\.learning_rate can't be"),
        ("clip_threshold", 0, r"clipping\.threshold can't be 0"),
        ("clip_threshold", float("inf"), r"clipping\.threshold can't be"),
        ("clip_mode", "sideways", r"clipping\.mode can't be 'sideways'"),
    ],
)
async def test_knobs_out_of_range_are_refused(
    ready_run: Listener, knob: Any, value: Any, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        await call(ready_run, p.SetKnob(knob=knob, value=value))
    assert ready_run.all(Intervened) == []


async def test_the_door_is_closed_to_others_and_hostile_bytes_harm_nobody(folder: Path) -> None:
    async with opened(folder) as run:
        address = runs.read_address(folder)
        assert address is not None
        path = Path(address.socket)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        for hostile in (b"\xff" * 64, b"\0\0\0\x05hello", b"\0\0"):
            with socket.socket(socket.AF_UNIX) as other:
                other.connect(address.socket)
                other.sendall(hostile)
        assert (await call(run, p.AskStatus())).state == "ready"


async def test_a_second_launch_finds_the_same_engine(folder: Path) -> None:
    async with opened(folder) as run:
        second = await launch(folder)
        assert run.engine.started
        assert not second.started
        assert second.welcome.status.pid == run.engine.welcome.status.pid
        await second.close()


async def test_an_engine_started_ahead_is_the_one_that_launch_finds(folder: Path) -> None:
    start_ahead(folder)
    await wait_until(lambda: runs.is_live(folder))
    async with opened(folder) as run:
        assert run.engine.started
        await call(run, p.Shutdown())
        await run.until(lambda: run.ended)
    assert not folder.exists(), "it never took a step"


@pytest.mark.usefixtures("real_processes")
async def test_an_engine_that_died_ahead_of_its_launch_is_explained(folder: Path) -> None:
    start_ahead(folder)
    await wait_until(lambda: runs.read_address(folder) is not None)
    address = runs.read_address(folder)
    assert address is not None
    os.kill(address.pid, signal.SIGKILL)
    with pytest.raises(EngineEnded, match=rf"process {address.pid}\) was killed by SIGKILL"):
        await launch(folder)
    async with opened(folder) as run:  # the next launch starts another
        assert run.engine.welcome.status.pid != address.pid


@pytest.mark.parametrize("module", ["json", "there.is.none"])
def test_the_garbage_collector_passes_over_what_was_loaded(module: str) -> None:
    gc.unfreeze()
    loading = _BackgroundImport(module)
    loading._thread.join()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    assert (loading.error is None) == (module == "json")
    gc.unfreeze()


async def test_a_save_that_fails_is_told_and_shutdown_waits(folder: Path) -> None:
    async with opened(folder) as run:
        await call(run, p.Step())
        await run.until(lambda: len(run.steps) == 1)
        (folder / "checkpoints").write_text("in the way")
        with pytest.raises(UserError, match="could not be saved"):
            await call(run, p.Save())
        with pytest.raises(UserError, match="could not be saved"):
            await call(run, p.Shutdown(save=True))
        (folder / "checkpoints").unlink()
        await call(run, p.Shutdown(save=True))
        await run.until(lambda: run.ended)
    assert runs.list_runs(folder.parent)[0].step == 1


async def test_another_corpus_is_scored_with_progress(folder: Path, text_file: Path) -> None:
    other = text_file.with_name("other.txt")
    other.write_text(text_file.read_text(encoding="utf-8"), encoding="utf-8")
    async with opened(folder) as run:
        query = p.EvaluateCorpus(source=str(other))
        *progress, score = [answer async for answer in run.engine.stream(query)]
        assert progress
        assert isinstance(score, p.CorpusScore)
        assert score.tokens > 1000
        assert score.perplexity > 1
        assert "<eos> count" in score.convention
        with pytest.raises(UserError, match="has no splits of its own"):
            bad = p.EvaluateCorpus(source=str(other), split="test")
            _ = [answer async for answer in run.engine.stream(bad)]


async def wait_until(condition: Callable[[], bool], timeout: float = 20) -> None:
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)
