"""A run whose embedding starts from a file of vectors."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import messages as p
from engine.config import RunConfig, replace
from engine.errors import UserError
from engine.runs import create_run
from engine.runs.private import place_of
from engine.service.conductor import Conductor
from engine.text.corpus import Corpus
from engine.training.checkpoint import load_latest
from engine.training.gradient_flow import gradient_by_time
from tests.conducted import ask, conducted

Make = Callable[..., Path]
OPTIMISERS = ["sgd", "adam", "adamw", "nt-asgd"]


@pytest.fixture
def file(small_corpus: Corpus, tmp_path: Path) -> Path:
    """Vectors of 8 numbers of every second word, and of some that the text lacks."""
    random = np.random.default_rng(1)
    path = tmp_path / "vectors.txt"
    words = [*small_corpus.tokenizer.vocabulary.tokens[::2], "elsewhere"]
    path.write_text(
        "".join(
            f"{word} {' '.join(f'{number:.9g}' for number in random.normal(size=8))}\n"
            for word in words
        )
    )
    return path


@pytest.fixture
def make(small_config: RunConfig, tmp_path: Path, file: Path) -> Make:
    number = itertools.count()

    def made(**changes: Any) -> Path:
        paths = {name.replace("__", "."): value for name, value in changes.items()}
        fixed = {"model.vectors": str(file), "training.steps": 12, "training.save_every": 5}
        return create_run(tmp_path, f"run{next(number)}", replace(small_config, fixed | paths))

    return made


def trained(folder: Path, steps: int = 12) -> Conductor:
    conductor = conducted(folder)
    conductor.command(p.Start())
    while conductor.run.busy and conductor.run.step < steps:
        conductor.advance()
    return conductor


def embedding(conductor: Conductor) -> Any:
    assert conductor.run.trainer is not None
    return conductor.run.trainer.model.embedding.weight.detach().numpy().copy()


def test_the_embedding_starts_from_the_file_and_coverage_is_told(make: Make, file: Path) -> None:
    started = conducted(make())
    plain = conducted(make(model__vectors=None))
    lines = [line.split() for line in file.read_text().splitlines()]
    vocabulary = started.run.tokenizer.vocabulary  # type: ignore[union-attr]
    weights, others = embedding(started), embedding(plain)
    covered = {vocabulary.id(word): numbers for word, *numbers in lines[:-1]}
    for index in range(len(vocabulary)):
        if index in covered:
            assert weights[index].tolist() == np.array(covered[index], np.float32).tolist()
        else:
            assert weights[index].tolist() == others[index].tolist()
    share = sum(vocabulary.counts[index] for index in covered) / sum(vocabulary.counts)
    assert f"vectors of {len(covered):,} of {len(vocabulary):,} words" in started.run.reason
    assert f"which are {share:.1%} of the training text" in started.run.reason
    assert plain.run.reason == ""


def test_a_longer_vector_is_projected_and_of_a_shorter_one_the_rest_is_drawn(make: Make) -> None:
    assert "projected from 8 numbers" in conducted(make(model__embedding_size=5)).run.reason
    wide = conducted(make(model__embedding_size=11))
    plain = conducted(make(model__embedding_size=11, model__vectors=None))
    assert embedding(wide)[:, 8:].tolist() == embedding(plain)[:, 8:].tolist()


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_frozen_vectors_stay_to_the_bit_and_the_others_learn(
    make: Make, name: str, decay: float
) -> None:
    changes = {"optimiser__name": name, "optimiser__weight_decay": decay, "optimiser__trigger": 1}
    folder = make(model__vectors_frozen=True, training__evaluate_every=2, **changes)
    before = embedding(conducted(folder))
    conductor = trained(folder)
    after = embedding(conductor)
    frozen = conductor.run.trainer.frozen.numpy().astype(bool)  # type: ignore[union-attr]
    assert 0 < frozen.sum() < len(frozen)
    assert after[frozen].tolist() == before[frozen].tolist()
    assert (after[~frozen] != before[~frozen]).any(axis=1).all()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_resumed_run_needs_no_file_and_is_the_one_that_never_stopped(
    make: Make, file: Path, frozen: bool
) -> None:
    straight = trained(make(model__vectors_frozen=frozen))
    folder = make(model__vectors_frozen=frozen)
    stopped = trained(folder, 7)
    stopped.command(p.Stop())
    data = file.read_bytes()
    file.unlink()
    resumed = trained(folder)
    assert embedding(resumed).tolist() == embedding(straight).tolist()
    file.write_bytes(data)
    replayed = ask(p.Replay(), conducted(folder).run)
    assert (replayed.first_difference, replayed.weights_equal) == (None, True)
    file.write_bytes(data.replace(b"1", b"2"))
    with pytest.raises(UserError, match="isn't the file of vectors that the run began with"):
        ask(p.Replay(), conducted(folder).run)
    file.unlink()
    with pytest.raises(UserError, match=r"began with the vectors of .* No such file"):
        ask(p.Replay(), conducted(folder).run)
    checkpoint, _ = load_latest(folder)
    assert checkpoint is not None and len(checkpoint.training.vectors) == 32


def test_a_run_from_elsewhere_reads_no_file_that_it_names(make: Make) -> None:
    folder = make()
    (place_of(folder) / "origin.json").unlink()
    with pytest.raises(UserError, match="was made elsewhere"):
        conducted(folder)


def test_a_new_run_without_its_file_says_what_is_missing(make: Make, file: Path) -> None:
    folder = make()
    file.unlink()
    with pytest.raises(UserError, match=r"Can't read the vectors in .*: No such file"):
        conducted(folder)


def test_no_model_by_the_seed_alone_stands_beside_a_run_that_began_with_vectors(
    make: Make,
) -> None:
    for vectors, untrained in (({}, 0), ({"model__vectors": None}, 7)):
        trainer = trained(make(**vectors), 3).run.trainer
        assert trainer is not None
        assert len(gradient_by_time(trainer).untrained) == untrained


def test_vectors_can_only_be_frozen_where_there_are_some(small_config: RunConfig) -> None:
    with pytest.raises(UserError, match="without vectors to keep"):
        replace(small_config, {"model.vectors_frozen": True})
