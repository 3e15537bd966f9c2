"""What a model wrote while it was trained, after one prompt and by one seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import messages as p
from engine.config import CorpusConfig, replace
from engine.errors import UserError
from engine.events import Evaluated, RolledBack, Sampled
from engine.generation.text import ends_sentence
from engine.runs import create_run, place, saved_checkpoints
from engine.text.corpus import open_corpus
from engine.training.trainer import Trainer
from tests.conducted import ask, conducted, parts, trained

MakeTrainer = Callable[..., Trainer]


def test_a_sample_at_every_evaluation_is_what_generate_writes_there(
    make_trainer: MakeTrainer,
) -> None:
    trainer = make_trainer(training__steps=30, training__sample_prompt="line 3")
    steps: list[int] = []
    for event in trainer.train():
        if isinstance(event, Evaluated):
            steps.append(event.step)
        if isinstance(event, Sampled):
            seed = trainer.seeds.samples
            query = p.Generate(prompt="line 3", tokens=40, overrun=40, seed=seed)
            pieces = ask_all(query, trainer)
            assert event.text == ("line 3" + "".join(each.text for each in pieces)).strip()
            steps.remove(event.step)
    assert not steps


def ask_all(query: p.Generate, trainer: Trainer) -> list[p.WrittenToken]:
    return [each for each in parts(query, trained(trainer)) if isinstance(each, p.WrittenToken)]


def test_with_the_same_weights_it_writes_the_same(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(training__steps=1)
    assert trainer.sample() == trainer.sample()


def test_samples_of_characters_are_longer(make_trainer: MakeTrainer, text_file: Path) -> None:
    trainer = make_trainer(training__steps=1)
    config = CorpusConfig(source=str(text_file), tokenizer="character")
    corpus = open_corpus(config)
    other = Trainer(trainer.config, corpus, trainer.device)
    text = other.sample().text
    assert 200 <= len(text) <= 400
    assert len(text) == 400 or ends_sentence(text)


def test_they_are_kept_with_the_run_and_told_by_step(small_config: Any, tmp_path: Path) -> None:
    config = replace(small_config, {"training.steps": 50, "training.sample_prompt": "the"})
    folder = create_run(tmp_path, "kept", config)
    conductor = conducted(folder)
    conductor.command(p.Start())
    while conductor.run.busy:
        conductor.advance()
    conductor.run.record.flush()
    found = ask(p.ThroughTime(), conductor.run)
    told = {each.step: each.text for each in found.samples}
    assert list(told) == [10, 20, 30, 40, 50]
    assert found.total == 5 and found.prompt == "the"
    assert all(text.startswith("the ") for text in told.values())
    assert len(set(told.values())) > 1
    some = ask(p.ThroughTime(most=3), conductor.run)
    assert [each.step for each in some.samples] == [10, 30, 50]
    assert [each.step for each in ask(p.ThroughTime(most=1), conductor.run).samples] == [10]
    asked = conducted(folder, asking=True)
    assert ask(p.ThroughTime(), asked.run).samples == found.samples
    conductor.run.record.add(RolledBack(step=30, from_step=50, learning_rate=1.0))
    conductor.run.record.flush()
    back = ask(p.ThroughTime(), conductor.run)
    assert [each.step for each in back.samples] == [10, 20, 30]
    with pytest.raises(UserError, match="1 to 1,000 samples"):
        ask(p.ThroughTime(most=0), conductor.run)


def test_a_run_without_samples_has_none(small_config: Any, tmp_path: Path) -> None:
    run = conducted(create_run(tmp_path, "none", small_config)).run
    assert ask(p.ThroughTime(), run).samples == []


def test_a_checkpoint_writes_beside_the_model_what_it_wrote_at_its_step(
    small_config: Any, tmp_path: Path
) -> None:
    folder = create_run(tmp_path, "two", replace(small_config, {"training.steps": 40}))
    conductor = conducted(folder)
    question = p.Generate(prompt="the", tokens=12, seed=5)

    def text(question: p.Generate) -> tuple[str, set[int]]:
        pieces = [
            each for each in parts(question, conductor.run) if isinstance(each, p.WrittenToken)
        ]
        return "".join(each.text for each in pieces), {each.step for each in pieces}

    wrote: dict[int, str] = {}
    conductor.command(p.Start())
    while conductor.run.busy:
        conductor.advance()
        wrote[conductor.run.step] = text(question)[0]
    saved = saved_checkpoints(folder)
    assert saved and len(set(wrote.values())) > 1
    for path in saved:
        step = place(path.name)[0]
        beside = msgspec.structs.replace(question, checkpoint=path.name)
        assert text(beside) == (wrote[step], {step})
        assert text(msgspec.structs.replace(beside, beams=3))[1] == {step}
    assert text(question)[0] == wrote[conductor.run.step], "the model is as it was"
    for name in ("step-00000099", "../two"):
        with pytest.raises(UserError, match="no checkpoint"):
            text(msgspec.structs.replace(question, checkpoint=name))
