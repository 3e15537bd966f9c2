"""What `lstm-tui bench` measures, with tiny sizes: that it measures what it says, not how fast."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.bench import __main__ as sections
from engine.bench import looking, memory, race, training
from engine.bench.machine import this_machine
from engine.bench.race import Runner, quickest
from engine.bench.reference_loop import ReferenceLoop, ReferenceModel, reference_text
from engine.bench.results import SECTIONS, Lookup, Memory, Race
from engine.bench.synthetic import synthetic_corpus, write_text, zipf
from engine.events import Progress


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """The program flushes them, which other tests in this process must not meet."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Short blocks, and torch's threads as they were."""
    monkeypatch.setattr(race, "BLOCK", 0.01)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_synthetic_text_is_the_same_every_time_and_has_all_its_words(tmp_path: Path) -> None:
    for name in ("one.txt", "other.txt"):
        write_text(tmp_path / name, 300, 2000)
    assert (tmp_path / "one.txt").read_bytes() == (tmp_path / "other.txt").read_bytes()
    corpus = synthetic_corpus(300, 2000)
    assert len(corpus.tokenizer.vocabulary) == 300
    assert list(corpus.splits) == ["train"]
    assert len(np.unique(corpus.splits["train"])) == 299  # <unk> never stands in it


def test_words_are_as_often_as_zipf_has_it() -> None:
    drawn = Counter(zipf(1000, 100_000).tolist())
    harmonic = sum(1 / rank for rank in range(1, 1001))
    for number in (0, 1, 9):
        assert drawn[number] / 100_000 == pytest.approx(1 / (number + 1) / harmonic, rel=0.05)
    assert max(drawn) <= 999


def test_the_reference_learns() -> None:
    tokens = np.tile(np.arange(10), 200)
    loop = ReferenceLoop(
        tokens, 10, size=16, layers=1, dropout=0.0, batch_size=4, bptt=10, clip=1.0
    )
    losses = list(itertools.islice(loop.steps(), 200))
    assert losses[0] == pytest.approx(np.log(10), abs=0.2)
    assert losses[-1] < 0.1
    written = list(itertools.islice(reference_text(loop.model, temperature=0.1), 20))
    assert written == [(1 + place) % 10 for place in range(20)]


def test_the_reference_writes_what_its_model_says() -> None:
    torch.manual_seed(1)
    model = ReferenceModel(5, 8, 1, 0.0)
    with torch.no_grad():
        model.decoder.bias.copy_(torch.tensor([0, 0, 3, 0, 0]))
        logits, _ = model(torch.tensor([[0]]), None)
    drawn = Counter(next(reference_text(model)) for _ in range(1000))
    assert drawn[2] / 1000 == pytest.approx(float(logits[0, 0].softmax(0)[2]), abs=0.05)


def test_a_race_takes_turns_and_tells_the_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {
        "ours": iter([0.0, 30.0, 60.0, 20.0, 60.0, 40.0]),
        "reference": iter([10.0, 20.0, 10.0, 10.0, 10.0]),
    }
    turns: list[str] = []

    def speed(runner: Runner) -> float:
        name = "ours" if runner.threads == 1 else "reference"
        turns.append(name)
        return next(speeds[name])

    monkeypatch.setattr(Runner, "speed", speed)
    monkeypatch.setattr(race, "LEAST_PAIRS", 5)
    *progress, result = race.race(
        "training", 7, "cpu", Runner(iter(()), 1), Runner(iter(()), 2), seconds=0
    )
    assert all(isinstance(told, Progress) for told in progress)
    assert turns[1:5] == ["reference", "ours", "ours", "reference"]
    assert result == Race(
        what="training",
        vocabulary=7,
        device="cpu",
        threads=1,
        reference_threads=2,
        ours=40.0,
        reference=10.0,
        ratio=3.0,
        least=2.0,
        greatest=6.0,
        pairs=5,
    )


def test_speed_counts_tokens_and_sets_the_threads() -> None:
    threads: set[int] = set()

    def work() -> Iterator[int]:
        while True:
            threads.add(torch.get_num_threads())
            yield 5

    assert Runner(work(), 1).speed() > 0
    assert threads == {1}


def test_the_quicker_number_of_threads_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    for quick in (1, 2):
        monkeypatch.setattr(Runner, "speed", lambda runner, quick=quick: runner.threads == quick)
        assert quickest(iter(())).threads == quick


def test_training_is_measured_beside_the_reference() -> None:
    *progress, result = training.measure(200, seconds=0)
    assert isinstance(progress[0], Progress)
    assert isinstance(result, Race)
    assert (result.what, result.vocabulary, result.pairs) == ("training", 200, race.LEAST_PAIRS)
    assert result.threads == result.reference_threads
    assert result.least <= result.ratio <= result.greatest


def test_a_turn_of_training_is_a_whole_step() -> None:
    corpus, device = synthetic_corpus(200), torch.device("cpu")
    trainer, loop = training.make_trainer(corpus, device), training.make_reference(corpus, device)
    before = trainer.model.embedding.weight.detach().clone()
    assert list(itertools.islice(training.our_turns(trainer), 2)) == [700, 700]
    assert trainer.step == 2
    assert not torch.equal(before, trainer.model.embedding.weight)
    assert next(training.reference_turns(loop)) == 700


def test_generation_is_measured_beside_the_reference() -> None:
    *_, result = looking.measure_generation(50, seconds=0)
    assert isinstance(result, Race)
    assert (result.what, result.vocabulary) == ("generation", 50)


def test_neighbours_are_measured() -> None:
    (result,) = looking.measure_neighbours(50, 8, seconds=0)
    assert isinstance(result, Lookup)
    assert (result.vocabulary, result.size, result.queries) == (50, 8, looking.LEAST_QUERIES)
    assert 0 < result.median <= result.percentile_99


def test_memory_is_measured_in_a_process_of_its_own_each(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Done:
        stdout = b"1024\n"

    def run(command: list[str], **_: object) -> Done:
        commands.append(command)
        return Done()

    monkeypatch.setattr(memory.subprocess, "run", run)
    assert memory.measure(50) == Memory(vocabulary=50, ours=1024, reference=1024)
    assert [command[-2:] for command in commands] == [["ours", "50"], ["reference", "50"]]


@pytest.mark.parametrize("which", ["ours", "reference"])
def test_memory_is_how_far_the_peak_rises(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([100, 175])
    monkeypatch.setattr(memory, "_peak", lambda: next(peaks))
    assert memory.raised_by(which, 50) == 75


def test_every_section_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sections of the list are those that the program knows."""
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(memory, "measure", lambda *given: asked.append(given))
    for module, name in (
        (training, "measure"),
        (looking, "measure_generation"),
        (looking, "measure_neighbours"),
    ):
        monkeypatch.setattr(module, name, lambda *given: asked.append(given) or iter(()))
    for section in SECTIONS:
        assert all(isinstance(told, Progress | None) for told in sections.measure(section))
    assert [given[0] for given in asked] == [int(name.split("-")[1]) for name in SECTIONS]


def test_the_machine_is_described() -> None:
    machine = this_machine()
    assert machine.torch.split("+")[0] == torch.__version__.split("+")[0]
    assert machine.cores >= 1
    assert machine.processor
    assert f"torch {machine.torch}" in str(machine)  # a wheel may not name its build, as torch does
