"""Perplexity of a text: plain, with dynamic evaluation, with a neural cache.

The two methods are checked against the papers' equations, written out slowly in float64.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from engine import messages as p
from engine.config import CorpusConfig, ModelConfig, RunConfig
from engine.errors import UserError
from engine.evaluation import dynamic_evaluation as dynamic
from engine.evaluation import fitting
from engine.evaluation.dynamic_evaluation import DynamicEvaluator, gradient_scale
from engine.evaluation.neural_cache import NeuralCache
from engine.evaluation.online_loss import online_loss
from engine.events import Evaluated, Progress
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import open_corpus
from engine.text.reading import same_source
from engine.training.trainer import Trainer
from tests.conducted import model_of, parts, trained

VOCABULARY = 11
MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def tiny() -> LSTMLanguageModel:
    """Two layers, a projection, tied, float64."""
    torch.manual_seed(3)
    config = ModelConfig(embedding_size=3, hidden_size=4, layers=2, init_range=0.8)
    return LSTMLanguageModel(VOCABULARY, config).double().eval()


@pytest.fixture
def ids() -> np.ndarray:
    return np.random.default_rng(4).integers(0, VOCABULARY, 67).astype(np.uint16)


def finished(work: Iterator[Any]) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def segment_losses(totals: Iterator[tuple[float, int]]) -> list[float]:
    """The summed loss of each segment."""
    return [after - before for before, after in pairwise([0.0, *(total for total, _ in totals)])]


def ask(trainer: Trainer, **request: Any) -> Iterator[Progress | p.CorpusScore]:
    query = p.EvaluateCorpus(**{"source": trainer.config.corpus.source, **request})
    return parts(query, trained(trainer))


def score_of(answers: Iterator[Progress | p.CorpusScore | None]) -> p.CorpusScore:
    *progress, score = filter(None, answers)
    assert isinstance(score, p.CorpusScore)
    assert progress and all(isinstance(answer, Progress) for answer in progress)
    return score


def take_steps(trainer: Trainer, steps: int) -> None:
    for _ in trainer.train():
        if trainer.step == steps:
            return


# --- the paper's equations, written out ---------------------------------------------------------


def slow_features(weights: dict[str, Tensor], tokens: list[int], state: Any) -> Any:
    """Features of each token by the LSTM's equations, and the state after them."""
    features = []
    for token in tokens:
        below, after = weights["embedding.weight"][token], []
        for layer, (h, c) in enumerate(state):
            w = {
                name.rsplit(".", 1)[1]: value
                for name, value in weights.items()
                if name.startswith(f"lstm.{layer}.")
            }
            gates = w["weight_ih_l0"] @ below + w["bias_ih_l0"]
            gates = gates + w["weight_hh_l0"] @ h + w["bias_hh_l0"]
            i, f, g, o = gates.reshape(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            after.append((h, c))
            below = h
        state = after
        features.append(weights["projection.weight"] @ below)
    return features, state


def slow_losses(weights: dict[str, Tensor], features: list[Tensor], targets: list[int]) -> Tensor:
    logits = [weights["embedding.weight"] @ f + weights["output.bias"] for f in features]
    return torch.stack(
        [row.exp().sum().log() - row[t] for row, t in zip(logits, targets, strict=True)]
    )


def slow_zeros() -> Any:
    return [(torch.zeros(4).double(), torch.zeros(4).double()) for _ in range(2)]


def trainable(model: LSTMLanguageModel) -> dict[str, Tensor]:
    return {n: w.detach().clone().requires_grad_() for n, w in model.named_parameters()}


def detached(state: Any) -> Any:
    return [(h.detach(), c.detach()) for h, c in state]


def slow_scale(model: LSTMLanguageModel, training: list[int], columns: int) -> dict[str, Tensor]:
    """The root mean square of the gradient of windows of `columns` streams."""
    weights, rows = trainable(model), (len(training) - 1) // columns
    states = [slow_zeros() for _ in range(columns)]
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    windows = range(0, rows, dynamic.SEGMENT)
    for first in windows:
        losses = []
        for column in range(columns):
            begin = column * rows + first
            end = min(begin + dynamic.SEGMENT, (column + 1) * rows)
            features, after = slow_features(weights, training[begin:end], states[column])
            states[column] = detached(after)
            losses.append(slow_losses(weights, features, training[begin + 1 : end + 1]))
        mean = torch.cat(losses).mean()
        gradients = torch.autograd.grad(mean, list(weights.values()))
        for name, gradient in zip(weights, gradients, strict=True):
            squares[name] += gradient**2 / len(windows)
    return {name: square.sqrt() for name, square in squares.items()}


def slow_dynamic(
    model: LSTMLanguageModel, tokens: list[int], scale: dict[str, Tensor], rate: float, back: float
) -> list[float]:
    """The loss of each segment; number by number, equations 6 to 8 of Krause et al. 2018."""
    weights = trainable(model)
    trained = {name: weight.detach().flatten().tolist() for name, weight in weights.items()}
    mean = sum(rms.mean().item() for rms in scale.values()) / len(scale)
    state, sums = slow_zeros(), []
    for begin in range(0, len(tokens) - 1, dynamic.SEGMENT):
        end = min(begin + dynamic.SEGMENT, len(tokens) - 1)
        features, state = slow_features(weights, tokens[begin:end], state)
        losses = slow_losses(weights, features, tokens[begin + 1 : end + 1])
        sums.append(losses.sum().item())
        state = detached(state)
        gradients = torch.autograd.grad(losses.mean(), list(weights.values()))
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            moved = [
                w - rate * g / (rms + dynamic.STABILITY) + min(back * rms / mean, 1) * (w0 - w)
                for w, w0, g, rms in zip(
                    weight.flatten().tolist(),
                    trained[name],
                    gradient.flatten().tolist(),
                    scale[name].flatten().tolist(),
                    strict=True,
                )
            ]
            weights[name] = (
                torch.tensor(moved, dtype=torch.float64).view_as(weight).requires_grad_()
            )
    return sums


def slow_cache(
    features: list[list[float]], own: list[list[float]], tokens: list[int], cache: NeuralCache
) -> list[list[float]]:
    """The whole distribution at each position; `own` is the model's, position by position."""
    mixed = []
    for now, h in enumerate(features):
        seen = range(max(0, now - cache.window), now)
        weight = {
            then: math.exp(cache.theta * sum(a * b for a, b in zip(h, features[then], strict=True)))
            for then in seen
        }
        cached = [0.0] * VOCABULARY
        for then in seen:
            cached[tokens[then + 1]] += weight[then] / sum(weight.values())
        share = cache.share if weight else 0.0
        mixed.append([(1 - share) * a + share * b for a, b in zip(own[now], cached, strict=True)])
    return mixed


# --- against them -------------------------------------------------------------------------------


def test_the_gradient_scale_is_the_root_mean_square_over_the_training_text(
    tiny: LSTMLanguageModel, ids: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic, "COLUMNS", 2)
    scale = finished(gradient_scale(tiny, ids))
    expected = slow_scale(tiny, ids.tolist(), columns=2)
    for (name, rms), computed in zip(expected.items(), scale, strict=True):
        torch.testing.assert_close(computed, rms, rtol=1e-9, atol=1e-12, msg=name)
    assert all(weight.grad is None for weight in tiny.parameters())


@pytest.mark.parametrize(("rate", "back"), [(1e-3, 0.01), (3e-3, 0.9)])
def test_dynamic_evaluation_is_that_of_the_paper(
    tiny: LSTMLanguageModel, ids: np.ndarray, rate: float, back: float
) -> None:
    scale = finished(gradient_scale(tiny, ids))
    named = dict(zip(dict(tiny.named_parameters()), scale, strict=True))
    expected = slow_dynamic(tiny, ids.tolist(), named, rate, back)
    evaluator = DynamicEvaluator(tiny, scale, rate, back)
    assert segment_losses(online_loss(tiny, ids, evaluator=evaluator)) == pytest.approx(
        expected, rel=1e-10
    )


@pytest.mark.parametrize("window", [5, 30, 500])
def test_the_cache_is_that_of_the_paper_and_its_probabilities_sum_to_one(
    tiny: LSTMLanguageModel, ids: np.ndarray, window: int
) -> None:
    cache = NeuralCache(window, theta=1.7, share=0.3)
    inputs = torch.from_numpy(ids[:-1].astype(np.int64))[:, None]
    with torch.no_grad():
        features, _ = tiny.features(inputs, tiny.initial_state(1))
        own = tiny.output(features)[:, 0].softmax(1)
    expected = slow_cache(features[:, 0].tolist(), own.tolist(), ids.tolist(), cache)

    losses = segment_losses(online_loss(tiny, ids, cache=cache))
    logs = [-math.log(row[token]) for row, token in zip(expected, ids[1:].tolist(), strict=True)]
    cuts = range(0, len(logs), dynamic.SEGMENT)
    assert losses == pytest.approx([sum(logs[c : c + dynamic.SEGMENT]) for c in cuts], rel=1e-10)

    targets = torch.from_numpy(ids[1:].astype(np.int64))
    fresh = NeuralCache(window, theta=1.7, share=0.3)
    fresh.remember(features[:40, 0], targets[:40])
    now = features[40:, 0]
    every = torch.stack(
        [  # the last target does not bear on what is seen before it
            fresh.log_probabilities(
                now, torch.cat([targets[40:-1], torch.tensor([token])]), own[40:, token].log()
            )[-1].exp()
            for token in range(VOCABULARY)
        ]
    )
    assert every.sum().item() == pytest.approx(1, abs=1e-12)
    assert every.tolist() == pytest.approx(expected[-1], rel=1e-10)


def test_the_cache_keeps_no_more_than_its_window(tiny: LSTMLanguageModel, ids: np.ndarray) -> None:
    cache = NeuralCache(window=7)
    list(online_loss(tiny, ids, cache=cache))
    assert cache._features is not None and cache._followers is not None
    assert (cache._features.shape, cache._followers.shape) == ((7, 3), (7,))
    assert cache._followers.tolist() == ids[-7:].tolist()
    assert cache._features.untyped_storage().nbytes() == 7 * 3 * 8


def test_nothing_is_known_of_later_text(tiny: LSTMLanguageModel, ids: np.ndarray) -> None:
    segments = []
    changed = ids.copy()
    changed[45] = (changed[45] + 1) % VOCABULARY
    scale = finished(gradient_scale(tiny, ids))
    start = {name: weight.clone() for name, weight in tiny.state_dict().items()}
    for text in (ids, changed):
        tiny.load_state_dict(start)
        evaluator, cache = DynamicEvaluator(tiny, scale, 1e-3, 0.01), NeuralCache(10)
        segments.append(segment_losses(online_loss(tiny, text, evaluator=evaluator, cache=cache)))
    first, second = segments
    assert first[:2] == second[:2]  # tokens 1 to 40
    assert first[2] != second[2] and first[3] != second[3]


def test_a_token_is_judged_before_it_is_learnt_or_remembered(
    tiny: LSTMLanguageModel, ids: np.ndarray
) -> None:
    plain = segment_losses(online_loss(tiny, ids))
    scale = finished(gradient_scale(tiny, ids))
    adapted = segment_losses(
        online_loss(tiny, ids, evaluator=DynamicEvaluator(tiny, scale, 1e-3, 0.01))
    )
    assert adapted[0] == plain[0]
    assert adapted[1] != plain[1]
    once = np.arange(VOCABULARY).astype(np.uint16)  # what comes next was never seen
    share = 0.25
    with_cache, _ = list(online_loss(tiny, once, cache=NeuralCache(share=share)))[-1]
    without, _ = list(online_loss(tiny, once))[-1]
    assert with_cache == pytest.approx(without - (len(once) - 2) * math.log(1 - share), rel=1e-9)


# --- a run asked --------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["valid", "test", "train"])
def test_a_split_of_the_runs_own_text_gives_the_number_of_the_training(
    make_trainer: MakeTrainer, split: str
) -> None:
    trainer = make_trainer()
    take_steps(trainer, 15)
    *_, told = trainer.evaluate(split)
    assert isinstance(told, Evaluated)
    score = score_of(ask(trainer, split=split))
    assert (score.loss, score.perplexity, score.tokens) == (
        told.loss,
        told.perplexity,
        told.tokens,
    )
    assert (score.split, score.step) == (split, 15)
    assert score.perplexity_per_word is None
    assert score.settings == p.OnlineSettings()
    assert "<unk> and <eos> count as tokens" in score.convention


def test_the_runs_own_text_is_known_by_any_path_and_its_held_out_part_comes_first(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer()
    source = Path(trainer.config.corpus.source)
    (tmp_path / "link").symlink_to(source.parent)
    by_link = str(tmp_path / "link" / source.name)
    assert same_source(str(source), by_link)
    assert not same_source(str(source), str(source.with_suffix(".md")))
    assert not same_source("toy-world", str(Path.cwd() / "toy-world"))
    own = score_of(ask(trainer))
    assert own.split == "test"
    assert score_of(ask(trainer, source=by_link)) == replace(own, source=by_link)


def test_bits_per_character_of_characters_are_the_loss_in_bits(
    make_trainer: MakeTrainer, text_file: Path
) -> None:
    trainer = make_trainer()
    characters = CorpusConfig(source=str(text_file), tokenizer="character")
    pieces = CorpusConfig(source=str(text_file), tokenizer="subword", max_vocabulary=300)
    for config in (characters, pieces):
        corpus = open_corpus(config)
        model = LSTMLanguageModel(len(corpus.tokenizer.vocabulary), trainer.config.model)
        query = p.EvaluateCorpus(source=str(text_file), split="valid")
        run = model_of(corpus.tokenizer, model, RunConfig(corpus=config))
        score = score_of(parts(query, run))
        assert score.bits_per_character is not None
        bits = score.loss * score.tokens / math.log(2)
        decoded = corpus.tokenizer.decode(corpus.splits["valid"][1:].tolist())
        assert score.bits_per_character == pytest.approx(bits / len(decoded))
        if config is characters:
            assert score.bits_per_character == pytest.approx(score.loss / math.log(2))
            assert score.perplexity_per_word is None
        else:
            assert score.words == len(decoded.split())
            nats = score.loss * score.tokens
            assert score.perplexity_per_word == pytest.approx(math.exp(nats / score.words))
            assert score.perplexity_per_word > score.perplexity


def test_words_on_raw_text_have_bits_per_character_too(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer()
    text = tmp_path / "text.txt"
    text.write_text("The owl sat 6 times,\nof line 3 DOG\n" * 9)
    score = score_of(ask(trainer, source=str(text)))
    assert score.characters == len(text.read_text()) - len("the")
    bits = score.loss * score.tokens / math.log(2)
    assert score.bits_per_character == pytest.approx(bits / score.characters)
    assert "case, white space and what is <unk> cost nothing" in score.convention


@pytest.mark.parametrize(
    ("tokens", "read"),
    [(3, "one stream"), (2_000, "one stream"), (2_001, "10 streams side by side")],
)
def test_as_many_streams_are_named_as_there_were(
    make_trainer: MakeTrainer, tmp_path: Path, tokens: int, read: str
) -> None:
    text = tmp_path / "short.txt"
    text.write_text("owl " * tokens)
    score = score_of(ask(make_trainer(), source=str(text)))
    assert score.tokens == tokens - 1
    assert f"; read as {read}, state carried" in score.convention
    online = score_of(ask(make_trainer(), source=str(text), cache=True))
    assert "; read as one stream, state carried" in online.convention


# --- their settings -----------------------------------------------------------------------------


def settings(**values: float) -> dict[str, Any]:
    return {"settings": p.OnlineSettings(**values)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"cache": True}, ("theta", "share", "window")),
        ({"dynamic": True}, ("rate", "decay")),
        ({"cache": True, "dynamic": True}, ("theta", "share", "window", "rate", "decay")),
    ],
)
def test_what_fits_is_the_best_of_what_it_says_was_tried(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch, asked: Any, names: tuple[str, ...]
) -> None:
    """Each of them measured again with those settings given."""
    monkeypatch.setattr(fitting, "RATES", (1e-4, 1e-3))
    monkeypatch.setattr(fitting, "DECAYS", (0.001, 0.01, 0.1))
    monkeypatch.setattr(fitting, "THETAS", (0.3, 3.0))
    monkeypatch.setattr(fitting, "SHARES", (0.05, 0.3))
    trainer = make_trainer(regularisation__weight_drop=0.0)
    take_steps(trainer, 60)
    score = score_of(ask(trainer, split="test", fit=True, **asked))
    for name in p.OnlineSettings.__struct_fields__:
        assert (getattr(score.settings, name) is None) == (name not in names)
    assert len(score.tried) == 4 * ("rate" in names) + 4 * ("theta" in names)
    last = [one for one in score.tried if (one.settings.theta is None) == ("theta" not in names)]
    assert score.settings == min(last, key=lambda one: one.perplexity).settings
    for tried in score.tried:
        kinds = {"cache": tried.settings.theta is not None, "dynamic": "rate" in names}
        again = score_of(ask(trainer, split="valid", settings=tried.settings, **kinds))
        assert again.perplexity == pytest.approx(tried.perplexity, rel=1e-6)
    again = score_of(ask(trainer, split="test", settings=score.settings, **asked))
    assert again.perplexity == score.perplexity
    valid = len(trainer.corpus.splits["valid"])
    said = f"the best of {len(score.tried)} settings on the first {valid:,} tokens"
    assert said in score.convention and said not in again.convention


def test_settings_that_are_given_stay_and_are_named(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    given = settings(theta=0.4, window=90, rate=2e-4)
    score = score_of(ask(trainer, dynamic=True, cache=True, fit=True, **given))
    kept = {(one.settings.rate, one.settings.window or 90) for one in score.tried}
    assert kept == {(2e-4, 90)}
    assert {one.settings.theta for one in score.tried} <= {None, 0.4}
    assert "the last 90 tokens, theta 0.4, lambda " in score.convention
    assert "rate 0.0002, decay " in score.convention
    usual = score_of(ask(trainer, dynamic=True, cache=True))
    assert "the last 2,000 tokens, theta 0.662, lambda 0.1279" in usual.convention
    assert "rate 0.00012, decay 0.008" in usual.convention


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (settings(theta=1.0), "theta is a setting of a neural cache, which isn't asked for"),
        ({"cache": True} | settings(rate=0.1), "rate is a setting of dynamic evaluation"),
        ({"cache": True} | settings(share=1.0), "lambda can't be 1: it goes from 1e-06 to"),
        ({"cache": True} | settings(theta=math.nan), "theta can't be nan"),
        ({"cache": True} | settings(window=0), "window can't be 0"),
        ({"fit": True}, "Only a neural cache and dynamic evaluation"),
        ({"fit": True, "cache": True, "split": "valid"}, "choose another split"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    make_trainer: MakeTrainer, asked: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        list(ask(make_trainer(), **asked))


@pytest.mark.parametrize("request_", [{}, {"dynamic": True}, {"cache": True}])
def test_what_training_does_meanwhile_changes_nothing_and_the_other_way_round(
    make_trainer: MakeTrainer, request_: dict[str, bool]
) -> None:
    trainer, undisturbed = make_trainer(), make_trainer()
    take_steps(trainer, 5)
    take_steps(undisturbed, 5)
    expected = score_of(ask(undisturbed, split="test", **request_))
    answers = ask(trainer, split="test", **request_)
    next(answers)
    take_steps(trainer, 8)
    assert score_of(answers) == expected
    take_steps(undisturbed, 8)
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, undisturbed.model.state_dict()[name]), name
    assert torch.equal(trainer.dropout_random.get_state(), undisturbed.dropout_random.get_state())


def test_a_repetitive_text_becomes_easier_by_both(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer(regularisation__weight_drop=0.0)
    take_steps(trainer, 200)
    text = tmp_path / "repeated.txt"
    text.write_text("the owl sat 6 times of line 3 dog\n" * 300)
    plain = score_of(ask(trainer, source=str(text)))
    adapted = score_of(ask(trainer, source=str(text), dynamic=True))
    cached = score_of(ask(trainer, source=str(text), cache=True))
    both = score_of(ask(trainer, source=str(text), dynamic=True, cache=True))
    assert adapted.perplexity < 0.9 * plain.perplexity
    assert cached.perplexity < 0.9 * plain.perplexity
    assert both.perplexity < min(adapted.perplexity, cached.perplexity)
    assert "Krause" in adapted.convention and "Grave" not in adapted.convention
    assert "Grave" in cached.convention and "Krause" not in cached.convention
    assert "Krause" in both.convention and "Grave" in both.convention
    assert len({score.tokens for score in (plain, adapted, cached, both)}) == 1


def test_what_cannot_be_measured_is_refused_in_a_sentence(
    make_trainer: MakeTrainer, text_file: Path, tmp_path: Path
) -> None:
    trainer = make_trainer()
    corpus = trainer.corpus
    query = p.EvaluateCorpus(source=str(text_file), dynamic=True)
    with pytest.raises(UserError, match="training text, which can't be used now"):
        list(parts(query, model_of(corpus.tokenizer, trainer.model)))
    other = tmp_path / "other.txt"
    other.write_text("the owl sat\n" * 9)
    with pytest.raises(UserError, match="has no splits of its own"):
        list(ask(trainer, source=str(other), split="valid"))
    del corpus.splits["test"]
    with pytest.raises(UserError, match="has no test split; it has train, valid"):
        list(ask(trainer, split="test"))
    assert score_of(ask(trainer)).split == "valid"
