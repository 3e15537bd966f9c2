"""How surprising a text is: the sum is what `evaluate` reports, the parts are those of the text."""

import gzip
import lzma
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as p
from engine.config import CorpusConfig, ModelConfig, replace
from engine.errors import UserError
from engine.evaluation import held_out
from engine.evaluation.surprisal import _xz, compressor_baselines
from engine.events import Progress
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import Corpus, open_corpus
from engine.training.trainer import Trainer
from tests.conducted import ask, model_of, parts, trained

LINE = "the Owl sat 6 times, xyzzy line 3 of the dog\n"


@pytest.fixture(params=["word", "whitespace", "character", "subword"])
def run(request: pytest.FixtureRequest, text_file: Any) -> Any:
    corpus: Corpus = open_corpus(
        CorpusConfig(source=str(text_file), tokenizer=request.param, max_vocabulary=300)
    )
    torch.set_num_threads(1)
    torch.manual_seed(7)
    shape = ModelConfig(embedding_size=12, hidden_size=16, layers=2, init_range=0.5)
    return model_of(corpus.tokenizer, LSTMLanguageModel(len(corpus.tokenizer.vocabulary), shape))


def read(query: p.Surprise, run: Any) -> tuple[list[p.SurprisePart], p.SurpriseTotals]:
    *told, totals = [each for each in parts(query, run) if each is not None]
    return [each for each in told if not isinstance(each, Progress)], totals


@pytest.mark.parametrize("lines", [1, 30, 300])
def test_surprisals_add_up_to_what_evaluate_reports(
    run: Any, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "text.txt"
    path.write_text(LINE * lines, encoding="utf-8")
    monkeypatch.setattr(held_out, "ONE_STREAM", 400)
    found, totals = read(p.Surprise(source=str(path)), run)
    score = ask(p.EvaluateCorpus(source=str(path)), run)
    bits = [each for part in found for each in part.bits]
    assert bits[0] is None and None not in bits[1:]
    assert sum(bits[1:]) * math.log(2) == pytest.approx(score.loss * score.tokens, rel=1e-5)  # type: ignore[arg-type]
    assert totals.loss == pytest.approx(score.loss, rel=1e-5)
    assert totals.perplexity == pytest.approx(score.perplexity, rel=1e-4)
    assert totals.bits_per_character == pytest.approx(score.bits_per_character, rel=1e-5)
    assert (totals.tokens, totals.unknown) == (score.tokens, score.unknown)
    assert (totals.characters, totals.convention) == (score.characters, score.convention)
    assert LINE * lines == "".join(text for part in found for text in part.texts)
    assert sum(len(part.unknown) for part in found) == score.unknown


def test_each_surprisal_is_that_of_the_model_run_over_the_text(run: Any) -> None:
    ids = run.tokenizer.encode(LINE)
    model = run.model.eval()
    with torch.no_grad():
        logits, _ = model(torch.from_numpy(ids)[:, None], model.initial_state(1))
    expected = -logits[:-1, 0].double().log_softmax(1)[range(len(ids) - 1), ids[1:]] / math.log(2)
    (part,), _ = read(p.Surprise(text=LINE), run)
    assert part.bits[1:] == pytest.approx(expected.tolist(), rel=1e-5)
    assert part.unknown == np.flatnonzero(ids == run.tokenizer.vocabulary.unknown).tolist()


def test_baselines_by_hand(run: Any) -> None:
    text = LINE * 30
    _, totals = read(p.Surprise(text=text), run)
    found = {each.name: each for each in totals.baselines}
    vocabulary, ids = run.tokenizer.vocabulary, run.tokenizer.encode(text)
    counts = np.array(vocabulary.counts) + 1
    expected = {
        "uniform": totals.tokens * math.log2(len(vocabulary)),
        "unigram": -sum(math.log2(counts[each] / counts.sum()) for each in ids[1:]),
        "gzip": 8 * len(gzip.compress(text.encode(), mtime=0)),
        "xz": 8 * len(lzma.compress(text.encode(), preset=9)),
    }
    assert list(found) == list(expected)
    for name, bits in expected.items():
        assert found[name].bits == pytest.approx(bits)
        assert found[name].perplexity == pytest.approx(2 ** (bits / totals.tokens))
    assert found["xz"].bits_per_character == pytest.approx(expected["xz"] / len(text))


def test_a_long_text_is_told_in_parts(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.service.answers import reading

    (whole,), _ = read(p.Surprise(text=LINE * 20), run)
    monkeypatch.setattr(reading, "PART", 50)
    found, _ = read(p.Surprise(text=LINE * 20), run)
    assert len(found) > 3
    assert [text for part in found for text in part.texts] == whole.texts
    assert [each for part in found for each in part.bits] == whole.bits
    unknown = [number * 50 + at for number, part in enumerate(found) for at in part.unknown]
    assert unknown == whole.unknown


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({}, "Give a text"),
        ({"text": "a", "source": "b"}, "Give a text"),
        ({"text": " "}, "at least two tokens"),
        ({"text": "a" * 100_001}, "longer than 100,000"),
        ({"source": "nowhere.txt"}, "nowhere.txt"),
    ],
)
def test_what_can_not_be_read_is_told_in_a_sentence(
    run: Any, query: dict[str, str], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        ask(p.Surprise(**query), run)


def test_a_text_that_is_too_long_is_not_read_to_its_end(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.service.answers import reading

    path = tmp_path / "text.txt"
    path.write_text(LINE * 100, encoding="utf-8")
    monkeypatch.setattr(reading, "MAX_SOURCE", 1_000)
    with pytest.raises(UserError, match="longer than 1,000 characters"):
        ask(p.Surprise(source=str(path)), run)


def test_the_weights_are_those_of_the_beginning(run: Any) -> None:
    expected = ask(p.Surprise(text=LINE * 100), run)
    answers = parts(p.Surprise(text=LINE * 100), run)
    while not isinstance(next(answers), Progress):
        pass
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.zero_()
    *_, totals = answers
    assert totals == expected


@pytest.mark.parametrize("tokenizer", ["word", "character"])
def test_baselines_of_the_runs_own_held_out_text(
    small_config: Any, text_file: Path, tokenizer: str
) -> None:
    config = replace(small_config, {"corpus.tokenizer": tokenizer})
    trainer = Trainer(config, open_corpus(config.corpus), torch.device("cpu"))
    found = ask(p.HeldOutBaselines(), trained(trainer))
    ids = trainer.corpus.splits["valid"]
    by_name = {each.name: each.perplexity for each in found.baselines}
    counts = np.array(trainer.corpus.tokenizer.vocabulary.counts) + 1
    assert by_name["uniform"] == pytest.approx(len(counts))
    loss = -np.log(counts[ids[1:]] / counts.sum()).mean()
    assert by_name["unigram"] == pytest.approx(math.exp(loss))
    assert found.tokens == len(ids) - 1
    if tokenizer == "word":
        assert list(by_name) == ["uniform", "unigram"]
    else:
        text = text_file.read_text()[-len(ids) :]
        size = len(gzip.compress(text.encode(), mtime=0))
        assert by_name["gzip"] == pytest.approx(2 ** (8 * size / (len(ids) - 1)), rel=0.1)
    with pytest.raises(UserError, match="no nothing split"):
        ask(p.HeldOutBaselines(split="nothing"), trained(trainer))


@pytest.mark.parametrize("size", [1, 5_000, 200_000])
def test_xz_needs_memory_for_the_text_alone_and_comes_to_the_same(size: int) -> None:
    text = "".join(np.random.default_rng(1).choice(list("aaabcd \n"), size))
    tracked = {each.name: each.bits for each in compressor_baselines(text)}
    assert tracked["xz"] == 8 * len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    assert _xz(size)["dict_size"] == max(4096, size)
