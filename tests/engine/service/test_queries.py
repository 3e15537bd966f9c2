"""Answers to questions: each takes little at a time, however much is asked."""

import copy
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Event
from typing import Any

import pytest
import torch

from engine import messages as p
from engine.config import CorpusConfig, ModelConfig
from engine.errors import UserError
from engine.events import Progress
from engine.generation import decoder as stepping
from engine.generation import text as written
from engine.generation.decoder import SHORTEST, stretches
from engine.generation.text import ends_sentence
from engine.model.lstm import LSTMLanguageModel
from engine.service import background
from engine.service.answers import evaluation
from engine.text.corpus import Corpus, open_corpus
from engine.text.lookup import unknown_words
from engine.text.tokenizer import Tokenizer
from engine.training.trainer import Trainer
from tests.conducted import ask, model_of, parts, trained

MakeTrainer = Callable[..., Trainer]
SENTENCE = "the owl sat 6 times, line 3 of the dog\n"
SHAPES: list[dict[str, Any]] = [
    {"embedding_size": 8, "hidden_size": 8, "layers": 1},
    {"embedding_size": 24, "hidden_size": 40, "layers": 2},
    {"embedding_size": 200, "hidden_size": 200, "layers": 2},
]


@pytest.fixture(params=["word", "character", "subword"])
def corpus(request: pytest.FixtureRequest, text_file: Any) -> Corpus:
    return open_corpus(
        CorpusConfig(source=str(text_file), tokenizer=request.param, max_vocabulary=300)
    )


def made(corpus: Corpus, shape: dict[str, Any]) -> LSTMLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(7)
    return LSTMLanguageModel(len(corpus.tokenizer.vocabulary), ModelConfig(**shape, init_range=0.5))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the tokens of each call of a model."""
    features, lengths = LSTMLanguageModel.features, []

    def counted(self: LSTMLanguageModel, tokens: torch.Tensor, state: Any) -> Any:
        lengths.append(len(tokens))
        return features(self, tokens, state)

    monkeypatch.setattr(LSTMLanguageModel, "features", counted)
    return lengths


def texts(
    query: p.Generate, tokenizer: Tokenizer, model: LSTMLanguageModel
) -> Iterator[str | None]:
    """What is written, None between."""
    return (piece and piece.text for piece in parts(query, model_of(tokenizer, model)))


def in_turns(answers: Iterator[Any], calls: list[int], most: int) -> list[Any]:
    """The answers; between any two the model was called once at most, with at most so much."""
    found = []
    for answer in answers:
        assert len(calls) <= 1
        assert all(length <= most for length in calls)
        calls.clear()
        if answer is not None:
            found.append(answer)
    return found


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 115, 116, 117, 1000])
def test_stretches_are_all_there_is_and_none_is_short_but_an_only_one(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "LONGEST", 100)
    cut = list(stretches(length, torch.nn.Linear(2, 2)))
    assert [index for begin, end in cut for index in range(begin, end)] == list(range(length))
    assert all(SHORTEST <= end - begin < 100 + SHORTEST for begin, end in cut) or len(cut) == 1


def test_the_larger_the_model_the_shorter_are_stretches() -> None:
    weights = [torch.nn.Linear(units, units, bias=False) for units in (10, 1000, 4000, 8000)]
    ends = [next(stretches(10_000, module))[1] for module in weights]
    assert ends == [stepping.LONGEST, stepping.WORK // 1_000_000, SHORTEST, SHORTEST]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_prompt_is_read_in_turns_and_the_text_is_as_if_it_were_not(
    corpus: Corpus, shape: dict[str, Any], calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit by bit: the steps after it give the same logits."""
    model = made(corpus, shape)
    monkeypatch.setattr(stepping, "WORK", 1 << 40)
    monkeypatch.setattr(stepping, "LONGEST", 10_000)
    query = p.Generate(prompt=SENTENCE * 50, tokens=30, seed=3)
    ids = [0, *corpus.tokenizer.encode(query.prompt).tolist()]
    whole = stepping.stepper(model, ids)(1)
    expected = list(texts(query, corpus.tokenizer, model))
    assert None not in expected
    assert calls == [len(ids), len(ids) - 1]
    calls.clear()

    monkeypatch.setattr(stepping, "LONGEST", 50)
    monkeypatch.setattr(written, "STRETCH", 40)
    assert (stepping.stepper(model, ids)(1) == whole).all()
    assert len(calls) > 3
    calls.clear()
    found = in_turns(texts(query, corpus.tokenizer, model), calls, 50 + SHORTEST)
    assert found == expected
    assert len(found) == 30


def test_what_is_too_much_is_refused_in_a_sentence(
    corpus: Corpus,
) -> None:
    tokenizer = corpus.tokenizer
    run = model_of(tokenizer, made(corpus, SHAPES[0]))
    most, word = "a" * 2_000, tokenizer.vocabulary.tokens[5]
    assert ask(p.Represent(text=most), run).tokens
    with pytest.raises(UserError, match="longer than 2,000 characters"):
        ask(p.Represent(text=most + "a"), run)
    with pytest.raises(UserError, match="longer than 2,000 characters"):
        ask(p.WordQuery(query=most + "a"), run)
    found = ask(p.WordQuery(query=word, top=1_000), run)
    assert len(found.neighbours) == tokenizer.vocabulary.readable.sum() - 1
    with pytest.raises(UserError, match="at most 1,000 neighbours"):
        ask(p.WordQuery(query=word, top=1_001), run)
    too_long = "a" * 100_001
    for question in (p.Surprise(text=too_long), p.Generate(prompt=too_long)):
        with pytest.raises(UserError, match="longer than 100,000 characters"):
            ask(question, run)


def test_an_evaluation_takes_nothing_until_its_turn_comes(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer()
    copies: list[object] = []
    monkeypatch.setattr(
        evaluation.copy,
        "deepcopy",
        lambda model: copies.append(model) or copy.copy(model),
    )
    query = p.EvaluateCorpus(source=trainer.config.corpus.source)
    answers = parts(query, trained(trainer))
    assert not copies
    assert isinstance(next(answers), Progress)
    assert len(copies) == 1


def test_another_text_is_encoded_in_turns(make_trainer: MakeTrainer, tmp_path: Any) -> None:
    trainer = make_trainer()
    path = tmp_path / "other.txt"
    path.write_text(SENTENCE * 10_000, encoding="utf-8")
    query = p.EvaluateCorpus(source=str(path))
    answers = parts(query, trained(trainer))
    told = list(islice(filter(None, answers), 4))
    assert [event.task for event in told if isinstance(event, Progress)] == [
        *["encoding"] * 3,
        "evaluating",
    ]


def test_a_text_that_is_long_to_be_found_holds_nobody_up(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while it is looked for nor once nobody wants it, when the search ends; and only so
    many are looked for at once."""
    trainer, slow = make_trainer(), Event()
    searches, ended = [], []

    def resolve(_: str, go_on: Callable[[], None]) -> None:
        searches.append(go_on)
        slow.wait(30)
        try:
            go_on()
        except UserError:
            ended.append(go_on)

    monkeypatch.setattr(evaluation, "resolve", resolve)
    query = p.EvaluateCorpus(source="/somewhere/**/slow.txt")
    try:
        for _ in range(background.MOST_JOBS):
            answers = parts(query, trained(trainer))
            assert next(answers) is None
            answers.close()  # type: ignore[attr-defined]
        with pytest.raises(UserError, match="ask later"):
            next(parts(query, trained(trainer)))
    finally:
        slow.set()
        for thread in threading.enumerate():
            if thread.name == "job":
                thread.join()
    assert len(searches) == len(ended) == background.MOST_JOBS


# --- what is asked, and what is told of it --------------------------------------------------------


def test_neighbours_are_tokens_that_occur_and_can_be_read(corpus: Corpus) -> None:
    run, tokenizer = model_of(corpus.tokenizer, made(corpus, SHAPES[0])), corpus.tokenizer
    vocabulary = tokenizer.vocabulary
    count = dict(zip(vocabulary.tokens, vocabulary.counts, strict=True))
    found = ask(p.WordQuery(query="owl" if "owl" in count else "o", top=1_000), run)  # fmt: skip
    words = [near.word for near in found.neighbours]
    assert len(words) > 3 and found.word not in words
    assert all(count[word] > 0 for word in words)
    assert not any(word.startswith("<0x") for word in words)
    assert {word for word in count if count[word] and "<0x" not in word} <= {*words, found.word}


def test_a_rank_is_the_place_in_the_list_of_neighbours(corpus: Corpus) -> None:
    run = model_of(corpus.tokenizer, made(corpus, SHAPES[0]))
    word = "owl" if "owl" in corpus.tokenizer.vocabulary.tokens else "o"
    listed = ask(p.WordQuery(query=word, top=1_000), run).neighbours
    for place, near in enumerate(listed[::7], 1):
        found = ask(p.Rank(word=word, other=near.word), run)
        if found.other != near.word:  # a piece, read as the word that stands behind a blank
            continue
        assert (found.rank, found.among) == (1 + 7 * (place - 1), len(listed))
        assert found.cosine == pytest.approx(near.cosine, abs=1e-6)
    with pytest.raises(UserError, match="no neighbour of its own"):
        ask(p.Rank(word=word, other=word), run)
    with pytest.raises(UserError, match=r"in the vocabulary|Ask for one of them"):
        ask(p.Rank(word=word, other="xyzzy" if corpus.tokenizer.name == "word" else "§"), run)


@pytest.mark.parametrize("asked", [" ", "\n"])
def test_a_blank_of_the_text_has_neighbours(corpus: Corpus, asked: str) -> None:
    run, tokenizer = model_of(corpus.tokenizer, made(corpus, SHAPES[0])), corpus.tokenizer
    if not tokenizer.spells and asked == " ":
        with pytest.raises(UserError, match="no word in '␣'"):
            ask(p.WordQuery(query=asked), run)
        return
    found = ask(p.WordQuery(query=asked), run)
    assert found.word == (asked if tokenizer.spells else "<eos>")
    assert found.neighbours
    stands_alone = tokenizer.name != "subword" or asked == "\n"
    assert (found.count > 0) == stands_alone, "a piece begins with the blank before it"


def test_a_text_goes_on_from_its_prompt_as_it_is_written(corpus: Corpus) -> None:
    """With the prompt before it, it is what the tokenizer writes of all the tokens."""
    model, tokenizer = made(corpus, SHAPES[0]), corpus.tokenizer
    for prompt in ("the owl", "the owl ", "the owl\n", "the owl \t", "\n\n the", ""):
        query = p.Generate(prompt=prompt, tokens=12, seed=4)
        written = prompt + "".join(filter(None, texts(query, tokenizer, model)))
        assert tokenizer.tokens(written)[: len(tokenizer.tokens(prompt))] == tokenizer.tokens(
            prompt
        )
        if not tokenizer.spells:
            assert "  the" not in written and not written.removeprefix(prompt).startswith("  ")
            assert len(tokenizer.tokens(written)) == len(tokenizer.tokens(prompt)) + 12


@pytest.mark.parametrize("seed", range(6))
def test_a_text_ends_with_a_sentence_where_it_can(corpus: Corpus, seed: int) -> None:
    model, tokenizer = made(corpus, SHAPES[0]), corpus.tokenizer
    query = p.Generate(prompt="the owl", tokens=6, overrun=40, seed=seed)
    pieces = [piece for piece in texts(query, tokenizer, model) if piece is not None]
    assert 6 <= len(pieces) <= 46
    assert len(pieces) == 46 or ends_sentence(pieces[-1])
    assert not any(map(ends_sentence, pieces[5:-1])), "at the first that comes"
    exact = p.Generate(prompt="the owl", tokens=6, seed=seed)
    assert [piece for piece in texts(exact, tokenizer, model) if piece is not None] == pieces[:6]


@pytest.mark.parametrize(
    ("piece", "ends"),
    [
        ("\n", True),
        (".", True),
        (" end.", True),
        ("?”", True),
        (".) ", True),
        ("。", True),
        ("", False),
        (" ", False),
        (" and", False),
        (",", False),
        (".5", False),
        ("”", False),
    ],
)
def test_what_ends_a_sentence(piece: str, ends: bool) -> None:
    assert ends_sentence(piece) == ends


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("the owl.", ""),
        ("", ""),
        ("Xyzzy", "1 of 1 words unknown: xyzzy"),
        ("the xyzzy owl\nplugh xyzzy", "3 of 5 words unknown: xyzzy, plugh"),
        ("the xyzzy!", "1 of 2 words unknown: xyzzy"),
        ("<unk> owl", ""),
        ("a b c d e f g h i " * 2, "18 of 18 words unknown: a, b, c, d, e, f, g, h, …"),
    ],
)
def test_unknown_words_of_a_prompt_are_named(
    make_trainer: MakeTrainer, prompt: str, told: str
) -> None:
    tokenizer = make_trainer().corpus.tokenizer
    assert unknown_words(prompt, tokenizer) == told


def test_unknown_marks_are_no_words(text_file: Any) -> None:
    config = CorpusConfig(source=str(text_file), punctuation="separate")
    tokenizer = open_corpus(config).tokenizer
    assert unknown_words("the xyzzy!", tokenizer) == "2 of 3 tokens unknown: xyzzy, !"


def test_unknown_characters_are_named(text_file: Any) -> None:
    config = CorpusConfig(source=str(text_file), tokenizer="character")
    tokenizer = open_corpus(config).tokenizer
    assert unknown_words("the§\t§", tokenizer) == "3 of 6 characters unknown: §, ␉"
    pieces = open_corpus(
        CorpusConfig(source=str(text_file), tokenizer="subword", max_vocabulary=300)
    ).tokenizer
    assert unknown_words("the§\t§", pieces) == ""
