"""Every knob of text generation against a reference of its own, in plain NumPy."""

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine import messages as p
from engine.config import (
    CorpusConfig,
    GenerationSettings,
    ModelConfig,
    Sampling,
    fields,
    get,
    replace,
)
from engine.errors import UserError
from engine.events import Progress
from engine.generation import drawing, many
from engine.generation import text as written_out
from engine.generation.beam import beam_search
from engine.generation.decoder import SideBySide, at_once
from engine.generation.many import generate_many
from engine.generation.sampling import (
    Past,
    drawn_token,
    generate,
    held_back,
    lay_open,
    sample_token,
    weights_left,
)
from engine.model.lstm import LSTMLanguageModel
from engine.text.corpus import Corpus, open_corpus
from tests.conducted import ask, model_of, parts

WORDS = 12
DRAWS = 1000


# --- the reference ------------------------------------------------------------------------------


def reference(logits: np.ndarray, sampling: Sampling, past: list[int], banned: int) -> np.ndarray:
    """Probabilities (vocabulary,), written from the papers, token by token, in float64."""
    values = [float(each) for each in logits]
    if not sampling.unknown:
        values[banned] = -np.inf
    window = past[-sampling.repetition_window :] if sampling.repetition_window else past
    for token in set(window):
        factor = sampling.repetition_penalty
        values[token] = values[token] / factor if values[token] > 0 else values[token] * factor
    if size := sampling.no_repeat:
        seen = [tuple(past[at : at + size]) for at in range(len(past) - size + 1)]
        begun = tuple(past[len(past) - size + 1 :])
        allowed = [value if (*begun, t) not in seen else -np.inf for t, value in enumerate(values)]
        values = allowed if max(allowed) > -np.inf else values
    if sampling.temperature == 0:
        return np.eye(len(values))[int(np.argmax(values))]
    probabilities = softmax(np.array(values) / sampling.temperature)
    by_probability = sorted(range(len(values)), key=lambda t: (-values[t], t))
    if sampling.top_k:
        probabilities = only(probabilities, by_probability[: sampling.top_k])
    probabilities = only(probabilities, until(by_probability, probabilities, sampling.top_p))
    least = sampling.min_p * probabilities.max()
    probabilities = only(probabilities, [t for t, q in enumerate(probabilities) if q >= least])
    there = [t for t, q in enumerate(probabilities) if q > 0]
    entropy = -sum(probabilities[t] * np.log(probabilities[t]) for t in there)
    there.sort(key=lambda t: abs(-np.log(probabilities[t]) - entropy))
    if sampling.typical < 1:
        probabilities = only(probabilities, until(there, probabilities, sampling.typical))
    return probabilities


def softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values - values.max())
    return weights / weights.sum()


def only(probabilities: np.ndarray, tokens: list[int]) -> np.ndarray:
    kept = np.zeros_like(probabilities)
    kept[tokens] = probabilities[tokens]
    return kept / kept.sum()


def until(order: list[int], probabilities: np.ndarray, share: float) -> list[int]:
    """The first tokens of an order that make up this share, one at least."""
    kept: list[int] = []
    for token in order:
        kept.append(token)
        if share < 1 and probabilities[kept].sum() >= share:
            break
    return kept


def logits_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, WORDS).astype(np.float32)


SAMPLERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cool": {"temperature": 0.5},
    "hot": {"temperature": 100.0},
    "greedy": {"temperature": 0.0},
    "nearly greedy": {"temperature": 1e-30},
    "very cool": {"temperature": 0.01},
    "top-k": {"top_k": 4},
    "top-k of one": {"top_k": 1},
    "top-k beyond the vocabulary": {"top_k": 1000},
    "top-p": {"top_p": 0.7},
    "top-p of nothing": {"top_p": 0.0},
    "top-p of all": {"top_p": 1.0},
    "min-p": {"min_p": 0.1},
    "min-p of one": {"min_p": 1.0},
    "typical": {"typical": 0.6},
    "typical of nothing": {"typical": 0.0},
    "penalty": {"repetition_penalty": 1.7},
    "penalty of the last two": {"repetition_penalty": 3.0, "repetition_window": 2},
    "penalty of all": {"repetition_penalty": 3.0, "repetition_window": 0},
    "no-repeat of one": {"no_repeat": 1},
    "no-repeat of two": {"no_repeat": 2},
    "unknown": {"unknown": True},
    "all together": {
        "repetition_penalty": 1.3,
        "no_repeat": 2,
        "temperature": 1.4,
        "top_k": 9,
        "top_p": 0.95,
        "min_p": 0.02,
        "typical": 0.9,
    },
}
PAST = [3, 5, 3, 7, 5, 3]


@pytest.mark.parametrize("name", SAMPLERS)
def test_tokens_come_as_often_as_the_reference_says(name: str) -> None:
    """Pearson's chi-square, below what one sample in some thousands exceeds."""
    sampling, logits = Sampling(**SAMPLERS[name]), logits_of(1)
    expected = DRAWS * reference(logits, sampling, PAST, banned=2)
    random = torch.Generator().manual_seed(1)
    banned = None if sampling.unknown else 2
    past = Past(PAST, sampling)
    drawn = [
        sample_token(logits, sampling, past=past, random=random, banned=banned)
        for _ in range(DRAWS)
    ]
    seen = np.bincount(drawn, minlength=WORDS)
    assert not seen[expected == 0].any()
    often = expected > 5
    if often.sum() > 1:
        statistic = ((seen[often] - expected[often]) ** 2 / expected[often]).sum()
        freedom = often.sum()
        limit = freedom * (1 - 2 / (9 * freedom) + 3.5 * (2 / (9 * freedom)) ** 0.5) ** 3
        assert statistic < limit
    else:
        assert seen.argmax() == expected.argmax()


knobs = st.builds(
    Sampling,
    unknown=st.booleans(),
    repetition_penalty=st.floats(1, 10),
    repetition_window=st.integers(0, 8),
    no_repeat=st.integers(0, 4),
    temperature=st.floats(0.05, 100),
    top_k=st.integers(0, 20),
    top_p=st.floats(0, 1),
    min_p=st.floats(0, 1),
    typical=st.floats(0, 1),
)


@given(
    sampling=knobs,
    seed=st.integers(0, 1000),
    past=st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=20),
)
def test_what_is_left_is_what_the_reference_leaves(
    sampling: Sampling, seed: int, past: list[int]
) -> None:
    logits = logits_of(seed)
    before = logits.copy()
    left = held_back(logits, sampling, Past(past, sampling), None if sampling.unknown else 2)
    weights = weights_left(left, sampling)
    assert (logits == before).all()
    expected = reference(logits, sampling, past, banned=2)
    found = weights / weights.sum()
    if (found > 0).tolist() == (expected > 0).tolist():
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
        return
    # On the very edge of what is kept float32 may decide otherwise: then by one token alone.
    nudged = [
        reference(logits, structs.replace(sampling, **{name: value}), past, banned=2)
        for name in ("top_p", "min_p", "typical")
        for shift in (-1e-4, 1e-4)
        if 0 <= (value := getattr(sampling, name) * (1 + shift)) <= 1
    ]
    assert any((found > 0).tolist() == (each > 0).tolist() for each in nudged)


# --- the table of knobs -------------------------------------------------------------------------


def test_every_knob_has_an_effect_a_range_and_a_default() -> None:
    table = list(fields(GenerationSettings))
    assert [field.path for field in table] == [f"sampling.{n}" for n in Sampling.__struct_fields__]
    for field in table:
        assert field.effect.endswith((".", "one.")) and field.values
        get(GenerationSettings(), field.path)


def test_stop_texts_are_typed_with_a_bar_between() -> None:
    changed = replace(GenerationSettings(), {"sampling.stop": r"the end| and |\n"}).sampling
    assert changed.stop == ("the end", " and ", "\n")
    assert replace(GenerationSettings(), {"sampling.stop": ""}).sampling.stop == ()
    with pytest.raises(UserError, match=r"sampling\.stop can't be"):
        replace(GenerationSettings(), {"sampling.stop": "|".join("abcdefghi")})


# --- tokens laid open ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_token_is_laid_open_as_the_model_has_it(seed: int) -> None:
    logits = logits_of(seed)
    probabilities = softmax(logits.astype(np.float64))
    order = sorted(range(WORDS), key=lambda token: -probabilities[token])
    for token in range(WORDS):
        opened = lay_open(logits, token, alternatives=4)
        assert opened.probability == pytest.approx(probabilities[token], rel=1e-5)
        assert opened.rank == 1 + order.index(token)
        entropy = -(probabilities * np.log2(probabilities)).sum()
        assert opened.entropy == pytest.approx(entropy, rel=1e-5)
        others = [each for each in order if each != token][:4]
        assert [other for other, _ in opened.alternatives] == others
        assert [share for _, share in opened.alternatives] == pytest.approx(
            probabilities[others], rel=1e-5
        )


def test_impossible_tokens_and_sure_ones_are_laid_open_too() -> None:
    logits = np.array([500, 0, -np.inf, 499], np.float32)
    assert lay_open(logits, 2).probability == 0
    assert lay_open(np.array([900, 0, 0], np.float32), 0, 50)[:3] == (1.0, 1, 0.0)
    assert lay_open(logits, 3).rank == 2


# --- beam search --------------------------------------------------------------------------------


@pytest.fixture
def tiny() -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(4)
    return LSTMLanguageModel(4, ModelConfig(embedding_size=5, hidden_size=6, init_range=1.5))


def log_probability(model: LSTMLanguageModel, prompt: list[int], text: tuple[int, ...]) -> float:
    """Of a text behind a prompt, by running the model over all of it, `<unk>` (3) left out."""
    model.eval()
    with torch.no_grad():
        logits, _ = model(torch.tensor([*prompt, *text])[:, None], model.initial_state(1))
    logits[:, :, 3] = -torch.inf
    rows = logits[len(prompt) - 1 : -1, 0].double().log_softmax(-1)
    return float(rows[torch.arange(len(text)), torch.tensor(text)].sum())


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("ends_at", [None, 0, 2])
def test_a_beam_that_is_wide_enough_finds_the_best_of_all_texts(
    tiny: LSTMLanguageModel, length_penalty: float, ends_at: int | None
) -> None:
    prompt, tokens = [0, 2], 4
    sampling = Sampling(beams=64, length_penalty=length_penalty)
    texts = {
        (*text[: text.index(ends_at)], ends_at) if ends_at in text else text
        for text in product(range(3), repeat=tokens)
    }
    scores = {
        text: log_probability(tiny, prompt, text) / len(text) ** length_penalty  # type: ignore[arg-type]
        for text in texts
    }
    best = max(scores, key=scores.__getitem__)
    search = beam_search(
        tiny, prompt, tokens, sampling, banned=3, ends=lambda text: text[-1] == ends_at
    )
    found = at_once(search)
    assert tuple(found.tokens) == best
    assert found.score == pytest.approx(scores[best], rel=1e-5)


def test_one_beam_is_greedy(tiny: LSTMLanguageModel) -> None:
    greedy = list(islice(generate(tiny, [0], Sampling(temperature=0), banned=3), 12))
    assert at_once(beam_search(tiny, [0], 12, Sampling(), banned=3)).tokens == greedy


# --- the same text alone and side by side -------------------------------------------------------


@pytest.fixture(params=["word", "character", "subword"])
def corpus(request: pytest.FixtureRequest, text_file: Any) -> Corpus:
    return open_corpus(
        CorpusConfig(source=str(text_file), tokenizer=request.param, max_vocabulary=300)
    )


def made(corpus: Corpus, init_range: float = 0.5) -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(7)
    shape = ModelConfig(embedding_size=24, hidden_size=40, layers=2, init_range=init_range)
    return LSTMLanguageModel(len(corpus.tokenizer.vocabulary), shape)


def written(query: p.Generate, run: Any) -> list[p.WrittenToken]:
    return [each for each in parts(query, run) if isinstance(each, p.WrittenToken)]


def text_of(pieces: list[p.WrittenToken]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"temperature": 0.0},
        {"top_k": 5, "top_p": 0.8},
        {"repetition_penalty": 1.5, "no_repeat": 3, "typical": 0.9, "min_p": 0.01},
        {"stop": ("a",)},
    ],
)
def test_a_seed_writes_the_same_text_alone_and_in_a_batch(
    corpus: Corpus, knobs: dict[str, Any]
) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    query = p.GenerateMany(prompt="the owl ", tokens=30, count=40, seed=11, **knobs)
    texts = [each for each in parts(query, run) if isinstance(each, p.WrittenText)]
    assert [each.seed for each in texts] == list(range(11, 51))
    for each in texts[::13]:
        alone = p.Generate(prompt="the owl ", tokens=30, seed=each.seed, **knobs)
        assert text_of(written(alone, run)) == each.text


def test_where_rounding_could_tip_a_draw_the_text_is_read_alone(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Always in doubt, every token is drawn as it is alone, bit by bit."""
    model = made(corpus)
    monkeypatch.setattr(many, "ROUNDING", 0.7)
    monkeypatch.setattr(many, "APART", 1e9)
    monkeypatch.setattr(many, "SIDE_BY_SIDE", 3)
    for knobs in ({}, {"temperature": 0.0}, {"top_k": 3}):
        sampling = Sampling(**knobs)
        found = _end(generate_many(model, [1, 2, 3], 15, sampling, [5, 6, 7, 8], banned=0))
        for seed, text in zip((5, 6, 7, 8), found, strict=True):
            random = torch.Generator().manual_seed(seed)
            alone = generate(model, [1, 2, 3], sampling, random=random, banned=0)
            assert text == list(islice(alone, 15))


EDGES: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.02},
    {"top_k": 5},
    {"top_p": 0.5},
    {"min_p": 0.2, "temperature": 0.5},
    {"typical": 0.5},
    {"top_k": 8, "top_p": 0.7, "min_p": 0.05, "temperature": 0.3},
]


@pytest.fixture(scope="module")
def small_groups() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "GROUP", 3)
        yield


@pytest.mark.parametrize("knobs", EDGES)
@given(
    levels=st.lists(st.integers(-6, 6), min_size=9, max_size=9),
    rounded=st.lists(st.integers(-3, 3), min_size=9, max_size=9),
    edges=st.tuples(*[st.floats(0, 1) | st.integers(0, 2)] * 2),
    group=st.integers(0, 2),
)
def test_whatever_rounding_could_tip_is_in_doubt(
    small_groups: None,
    knobs: dict[str, Any],
    levels: list[int],
    rounded: list[int],
    edges: tuple[float, float],
    group: int,
) -> None:
    """Of logits many of which are alike, rounded otherwise, and numbers that fall to an edge."""
    sampling = Sampling(**knobs)
    logits = np.array(levels, np.float32) * 3
    other = logits + np.array(rounded, np.float32) * np.float32(1.5e-7 * max(1, abs(logits).max()))
    warm = structs.replace(sampling, temperature=sampling.temperature or 1.0)
    weights = weights_left(other, warm).astype(np.float64).reshape(3, 3)
    among = (weights.sum(1).cumsum(), weights[group].cumsum())
    fallen = [
        edge if isinstance(edge, float) else shares[edge] / max(shares[-1], 1e-300)
        for edge, shares in zip(edges, among, strict=True)
    ]
    numbers = torch.tensor([fallen], dtype=torch.float64)
    batch = many._Batch(None, [0], sampling, [1], None)  # type: ignore[arg-type]
    rows = torch.from_numpy(logits)[None]
    (found,) = batch._choose_by_row(rows, numbers)
    if batch._plain:
        assert [found] == batch._choose(rows, numbers)
    assert found in (None, drawn_token(other, sampling, lambda: numbers))


@pytest.mark.parametrize("knobs", [*EDGES, {"top_p": 0.9}])
def test_most_draws_are_in_no_doubt(knobs: dict[str, Any]) -> None:
    random = np.random.default_rng(1)
    sampling = Sampling(**knobs)
    batch = many._Batch(None, [0], sampling, [1] * 200, None)  # type: ignore[arg-type]
    logits = torch.from_numpy(random.normal(0, 3, (200, 1000)).astype(np.float32))
    found = batch._choose_by_row(logits, torch.from_numpy(random.random((200, 2))))
    assert found.count(None) < 3 or sampling.typical < 1


def test_a_text_that_has_ended_takes_no_more(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rows, step = model_of(corpus.tokenizer, made(corpus)), [], SideBySide.step

    def counted(states: SideBySide, last: list[int]) -> torch.Tensor:
        rows.append(len(last))
        return step(states, last)

    monkeypatch.setattr(SideBySide, "step", counted)
    stop = (" ",) if corpus.tokenizer.spells else ("\n",)
    query = p.GenerateMany(tokens=400, count=5, seed=1, stop=stop)
    told = list(parts(query, run))
    assert rows[0] == 5 and rows[-1] < 5 and rows == sorted(rows, reverse=True)
    progress = [each.done for each in told if isinstance(each, Progress)]
    assert progress == sorted(progress)
    texts = [each for each in told if isinstance(each, p.WrittenText)]
    for each in texts:
        alone = p.Generate(tokens=400, seed=each.seed, stop=stop)
        assert text_of(written(alone, run)) == each.text


def test_a_text_that_ends_at_once_tells_its_seed_and_its_note(corpus: Corpus) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    (first, *_) = written(p.Generate(prompt="§ zebra", tokens=1, seed=3), run)
    (only,) = written(p.Generate(prompt="§ zebra", tokens=9, seed=3, stop=(first.text,)), run)
    assert (only.text, only.opened) == ("", None)
    assert (only.seed, only.note, only.step) == (first.seed, first.note, first.step)


def test_a_prompt_is_passed_over_once_for_all_texts(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, passed = model_of(corpus.tokenizer, made(corpus)), []
    pass_over = written_out._Page.pass_over

    def counted(page: Any, ids: list[int]) -> Iterator[None]:
        passed.append(ids)
        return pass_over(page, ids)

    monkeypatch.setattr(written_out._Page, "pass_over", counted)
    ask(p.GenerateMany(prompt='the owl \n"sat', tokens=2, count=40, seed=1), run)
    assert len(passed) == 1


def _end(work: Iterator[Any]) -> Any:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_many_texts_are_told_of_as_they_come(corpus: Corpus) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    told = list(parts(p.GenerateMany(tokens=5, count=2, seed=1), run))
    progress = [each.done for each in told if isinstance(each, Progress)]
    assert progress == [2, 4, 6, 8, 10]
    for count, tokens in ((0, 5), (1001, 5), (1000, 1001), (2, 0)):
        with pytest.raises(UserError, match="1 to 1,000 texts"):
            ask(p.GenerateMany(tokens=tokens, count=count), run)
    with pytest.raises(UserError, match="at most 50 alternatives"):
        ask(p.GenerateMany(count=2, alternatives=51), run)
    with pytest.raises(UserError, match="1,000,000 alternatives in all"):
        ask(p.GenerateMany(tokens=1000, count=500, alternatives=10), run)
    with pytest.raises(UserError, match="one text"):
        ask(p.GenerateMany(count=2, beams=3), run)


# --- going on from tokens that are given --------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 2, 17, 39])
@pytest.mark.parametrize("knobs", [{}, {"top_p": 0.9, "no_repeat": 4}])
def test_a_text_goes_on_as_it_did_from_its_own_first_tokens(
    corpus: Corpus, kept: int, knobs: dict[str, Any]
) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    query = p.Generate(prompt="the owl", tokens=40, seed=3, **knobs)
    pieces = written(query, run)
    tokens = [piece.opened.token for piece in pieces if piece.opened]
    again = p.Generate(prompt="the owl", tokens=41 - kept, seed=3, given=tokens[:kept], **knobs)
    assert [each.text for each in written(again, run)] == [each.text for each in pieces[kept - 1 :]]


def test_another_token_is_told_first_and_the_text_goes_on_from_it(corpus: Corpus) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    (first,) = written(p.Generate(prompt="the owl", tokens=1, seed=3, alternatives=10), run)
    assert first.opened is not None
    other = first.opened.alternatives[2]
    query = p.Generate(prompt="the owl", tokens=5, seed=3, given=[other.token])
    pieces = written(query, run)
    assert len(pieces) == 5 and pieces[0].opened is not None
    assert (pieces[0].opened.token, pieces[0].opened.raw) == (other.token, other.text)
    assert pieces[0].opened.probability == pytest.approx(other.probability, rel=1e-3)
    with pytest.raises(UserError, match="Tokens that are given"):
        ask(p.Generate(given=[10**6]), run)
    with pytest.raises(UserError, match="at most 50 alternatives"):
        ask(p.Generate(alternatives=51), run)


def test_beam_search_writes_the_likeliest_text_it_finds(corpus: Corpus) -> None:
    run = model_of(corpus.tokenizer, made(corpus))

    def likely(**knobs: Any) -> float:
        pieces = written(p.Generate(prompt="the owl", tokens=8, **knobs), run)
        assert len(pieces) == 8
        return sum(np.log(piece.opened.probability) for piece in pieces if piece.opened)

    assert likely(beams=12) >= likely(temperature=0.0)


# --- stop texts, and what is refused ------------------------------------------------------------


@pytest.mark.parametrize("stop", ["a", "at", " ", "\n", "e o", "nowhere in it"])
def test_a_stop_text_ends_what_is_written_and_is_left_out(corpus: Corpus, stop: str) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    whole = text_of(written(p.Generate(prompt="the", tokens=200, seed=2), run))
    pieces = written(p.Generate(prompt="the", tokens=200, seed=2, stop=(stop, "never this")), run)
    assert text_of(pieces) == whole.partition(stop)[0]


def test_unknown_is_written_only_where_it_is_asked_for(corpus: Corpus) -> None:
    model, tokenizer = made(corpus), corpus.tokenizer
    with torch.no_grad():
        model.output.bias[tokenizer.vocabulary.unknown] = 100.0
    run = model_of(tokenizer, model)
    assert "<unk>" not in text_of(written(p.Generate(tokens=50, seed=1), run))
    assert text_of(written(p.Generate(tokens=3, unknown=True), run)).count("<unk>") == 3


@pytest.mark.parametrize(
    "knobs",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 1.5},
        {"top_k": -1},
        {"beams": 65},
        {"stop": ("",)},
        {"seed": -1},
    ],
)
def test_what_is_out_of_range_is_refused_by_name(corpus: Corpus, knobs: dict[str, Any]) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    with pytest.raises(UserError, match=next(iter(knobs))):
        ask(p.Generate(**knobs), run)


@pytest.mark.parametrize("prompt", ["", "xyzzy §§ plugh", "the owl sat\n" * 400])
def test_any_prompt_is_gone_on_from(corpus: Corpus, prompt: str) -> None:
    run = model_of(corpus.tokenizer, made(corpus))
    pieces = written(p.Generate(prompt=prompt, tokens=5, seed=1), run)
    (many_too,) = [
        each
        for each in parts(p.GenerateMany(prompt=prompt, tokens=5, count=1, seed=1), run)
        if isinstance(each, p.WrittenText)
    ]
    assert len(pieces) == 5 and many_too.text == text_of(pieces)
