"""Questions to word vectors as they are typed: the grammar, and what is answered."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import messages as p
from engine.config import CorpusConfig, ModelConfig, RunConfig, replace
from engine.errors import UserError
from engine.model.lstm import LSTMLanguageModel
from engine.runs import create_run
from engine.service.answers.embeddings import view as viewing
from engine.service.run import Run
from engine.text.corpus import open_corpus
from engine.text.lookup import find_tokens, known_token
from engine.text.queries import BadQuery, Query, parse_query, split_query
from tests.conducted import ask, conducted, model_of, parts

WORDS = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=6).filter(
    lambda word: word not in ("+", "-", "~", "odd:", "closer:") and '"' not in word
)


def texts(terms: list[Any]) -> list[str]:
    return [term.text for term in terms]


@pytest.mark.parametrize(
    ("typed", "kind", "positive", "negative"),
    [
        ("physicist", "neighbours", ["physicist"], []),
        ("  physicist ", "neighbours", ["physicist"], []),
        ("king - man + woman", "analogy", ["king", "woman"], ["man"]),
        ("king woman - man", "analogy", ["king", "woman"], ["man"]),
        ("- man king", "analogy", ["king"], ["man"]),
        ("a b c", "centroid", ["a", "b", "c"], []),
        ("a + b", "centroid", ["a", "b"], []),
        ("odd: apple banana train", "odd", ["apple", "banana", "train"], []),
        ("a ~ b", "pair", ["a", "b"], []),
        ("closer: a b", "closer", ["a", "b"], []),
        ("well-known", "neighbours", ["well-known"], []),
        ("-", "neighbours", ["-"], []),
        ("~", "neighbours", ["~"], []),
        ('"', "neighbours", ['"'], []),
        (" ", "neighbours", [" "], []),
        ("\n", "neighbours", ["\n"], []),
        ('"+" - "odd:"', "analogy", ["+"], ["odd:"]),
        ('" the" ~ "~"', "pair", [" the", "~"], []),
        ("a odd: b", "centroid", ["a", "odd:", "b"], []),
    ],
)
def test_a_query_is_understood(
    typed: str, kind: str, positive: list[str], negative: list[str]
) -> None:
    query = parse_query(typed)
    assert (query.kind, texts(query.positive), texts(query.negative)) == (kind, positive, negative)


@pytest.mark.parametrize(
    ("typed", "blamed", "why"),
    [
        ("", "", "Nothing is asked"),
        ("king -", "-", "after it a word is missing"),
        ("king - + man", "+", "a word is missing"),
        ("- man", "- man", "name a word to begin with"),
        ("odd:", "odd:", "at least three words"),
        ("odd: a b", "odd:", "at least three words"),
        ("odd: a - b c", "-", "words alone"),
        ("closer: a", "closer:", "two words"),
        ("closer: a b c", "closer:", "two words"),
        ("a ~ b ~ c", "~", "one on each side"),
        ("a ~", "~", "one on each side"),
        ("~ a", "~", "one on each side"),
        ("a b ~ c", "~", "one on each side"),
        ("a " * 100 + "b", "b", "at most 100 words"),
    ],
)
def test_what_is_no_query_says_why_and_where(typed: str, blamed: str, why: str) -> None:
    with pytest.raises(BadQuery, match=why) as caught:
        parse_query(typed)
    assert typed[caught.value.begin : caught.value.end] == blamed


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_query_or_is_refused_at_a_place(typed: str) -> None:
    for part in split_query(typed):
        assert part.text in typed[part.begin : part.end]
    try:
        query = parse_query(typed)
    except BadQuery as refusal:
        assert 0 <= refusal.begin <= refusal.end <= len(typed)
    else:
        assert query.positive


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5), st.lists(WORDS, max_size=3))
def test_words_and_signs_come_back(positive: list[str], negative: list[str]) -> None:
    typed = " + ".join(positive) + "".join(f" - {word}" for word in negative)
    query = parse_query(typed)
    assert (texts(query.positive), texts(query.negative)) == (positive, negative)
    assert texts(query.terms) == [*positive, *negative]
    assert isinstance(query, Query)


@pytest.fixture(params=["word", "character", "subword"])
def run(request: pytest.FixtureRequest, text_file: Any) -> Run:
    return made(text_file, request.param)


def made(text_file: Any, tokenizer: Any = "word", **shape: Any) -> Run:
    config = CorpusConfig(source=str(text_file), tokenizer=tokenizer, max_vocabulary=300)
    corpus = open_corpus(config)
    torch.manual_seed(3)
    sizes = {"embedding_size": 12, "hidden_size": 12, "init_range": 0.5} | shape
    model = LSTMLanguageModel(len(corpus.tokenizer.vocabulary), ModelConfig(**sizes))
    return model_of(corpus.tokenizer, model)


def test_a_word_that_is_no_token_is_composed_and_its_pieces_are_told(run: Run) -> None:
    assert run.tokenizer is not None
    if not run.tokenizer.spells:
        with pytest.raises(UserError, match="isn't in the vocabulary"):
            ask(p.WordQuery(query="owlcat"), run)
        return
    answer = ask(p.WordQuery(query="owlcat - dog", top=50), run)
    composed = answer.words[0]
    assert composed.word == "owlcat"
    assert "".join(composed.pieces).strip() == "owlcat"
    assert len(composed.pieces) > 1
    assert "composed" in answer.notes[0] and "owlcat" in answer.notes[0]
    answered = {near.word for near in answer.neighbours}
    assert not answered & {piece for word in answer.words for piece in word.pieces}


def test_a_word_is_unknown_where_asking_for_it_says_so(run: Run) -> None:
    words = ["owl", "OWL", "owlcat", "owl☃cat", "☃", " ", "\n", "zebra", ""]
    unknown = []
    for word in words:
        try:
            find_tokens(word, run.require_tokenizer())
        except UserError:
            unknown.append(word)
    assert unknown and "owl" not in unknown
    assert ask(p.LookUp(words=words), run).unknown == unknown
    with pytest.raises(UserError, match="at most 100 words"):
        ask(p.LookUp(words=["owl"] * 101), run)
    with pytest.raises(UserError, match="2,000 characters"):
        ask(p.LookUp(words=["owl" * 300] * 3), run)


def test_sentences_call_a_token_what_it_is(run: Run) -> None:
    name = {"character": "character", "subword": "piece"}.get(run.require_tokenizer().name, "word")
    rare = p.View(min_count=10**9)
    for query, told in (
        (p.WordQuery(query="owl", view=rare), f"No {name} is left"),
        (p.WordQuery(query="owl", at=0), f"the {name}s' past"),
        (p.WordQuery(query="owl", view=p.View(among=["owl"] * 20_001)), f"20,000 {name}s"),
        (p.MapWords(words=["\ue000"]), f"two {name}s"),
        (p.MapWords(top=2_001), f"2,000 {name}s"),
        (p.PinWords(words=["owl"] * 65), f"64 {name}s"),
        (p.PinWords(words=["owl"]), f"A {name} is pinned"),
    ):
        with pytest.raises(UserError, match=told):
            ask(query, run)


def test_tied_tables_are_one_and_others_are_two(text_file: Any) -> None:
    answers = {
        (tied, table): ask(p.WordQuery(query="owl", view=p.View(table=table)), run)
        for tied, run in ((True, made(text_file)), (False, made(text_file, tied=False)))
        for table in ("input", "output", "both")
    }
    assert {key: answer.table for key, answer in answers.items()} == {
        (True, "input"): "tied",
        (True, "output"): "tied",
        (True, "both"): "tied",
        (False, "input"): "input",
        (False, "output"): "output",
        (False, "both"): "both",
    }
    assert answers[True, "input"].neighbours == answers[True, "output"].neighbours
    assert answers[False, "input"].neighbours != answers[False, "output"].neighbours


def test_both_tables_are_their_mean_where_they_have_one(text_file: Any) -> None:
    run = made(text_file, tied=False)
    found = ask(p.WordQuery(query="owl", view=p.View(table="both"), top=1), run).neighbours[0]
    model = run.saved_model
    assert model is not None and run.tokenizer is not None
    mean = (model.embedding.weight + model.output.weight).detach().double() / 2
    one, other = (run.tokenizer.vocabulary.id(word) for word in ("owl", found.word))
    expected = torch.cosine_similarity(mean[one], mean[other], dim=0)
    assert found.cosine == pytest.approx(float(expected), abs=1e-6)
    wider = made(text_file, tied=False, hidden_size=20)
    with pytest.raises(UserError, match="12 numbers and the output layer's 20"):
        ask(p.WordQuery(query="owl", view=p.View(table="both")), wider)


def test_filters_limit_what_is_answered_and_not_what_is_asked(text_file: Any) -> None:
    run = made(text_file)
    assert run.tokenizer is not None
    vocabulary = run.tokenizer.vocabulary
    count = dict(zip(vocabulary.tokens, vocabulary.counts, strict=True))

    def words(**view: Any) -> set[str]:
        answer = ask(p.WordQuery(query="owl", top=1_000, view=p.View(**view)), run)
        assert answer.among == len(answer.neighbours)
        return {near.word for near in answer.neighbours}

    every = words()
    assert words(min_count=100) == {word for word in every if count[word] >= 100}
    assert words(among=["cat", "DOG", "nowhere"]) == {"cat", "dog"}
    assert words(words_only=True) == {word for word in every if word.isalpha()}
    for view in ({"min_count": 10**9}, {"among": ["nowhere"]}):
        with pytest.raises(UserError, match="loosen the filters"):
            words(**view)


def test_a_list_is_looked_up_once_and_a_stretch_at_a_time(
    text_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, looked_up = made(text_file), []

    def counted(word: str, tokenizer: Any) -> Any:
        looked_up.append(word)
        return known_token(word, tokenizer)

    monkeypatch.setattr(viewing, "known_token", counted)
    listed = ["cat", "dog", *(f"nowhere{index}" for index in range(viewing._STRETCH))]
    query = p.WordQuery(query="owl", view=p.View(among=listed))
    turns = list(parts(query, run))
    assert turns[:-1] == [None], "training goes on in between"
    assert {near.word for near in turns[-1].neighbours} == {"cat", "dog"}
    assert list(parts(query, run)) == turns[-1:]
    assert looked_up == listed
    assert ask(p.WordQuery(query="owl", view=p.View(among=["cat"])), run).among == 1


def test_a_pair_tells_both_ranks_and_closer_counts_what_is_between(text_file: Any) -> None:
    run = made(text_file)
    listed = ask(p.WordQuery(query="owl", top=1_000), run).neighbours
    fifth = listed[4]
    pair = ask(p.WordQuery(query=f"owl ~ {fifth.word}"), run)
    assert pair.cosine == pytest.approx(fifth.cosine, abs=1e-6)
    assert pair.ranks[0] == 5
    assert pair.among == len(listed)
    assert pair.ranks[1] == ask(p.Rank(word=fifth.word, other="owl"), run).rank
    closer = ask(p.WordQuery(query=f"closer: owl {fifth.word}"), run)
    assert (closer.neighbours, closer.among) == (listed[:4], 4)
    with pytest.raises(UserError, match="the same"):
        ask(p.WordQuery(query="owl ~ Owl"), run)


def test_the_odd_one_stands_last(text_file: Any) -> None:
    run = made(text_file)
    weight = run.saved_model.embedding.weight  # type: ignore[union-attr]
    ids = [run.tokenizer.vocabulary.id(word) for word in ("cat", "dog", "owl")]  # type: ignore[union-attr]
    with torch.no_grad():
        weight[ids[1]] = weight[ids[0]] + 0.01
        weight[ids[2]] = -weight[ids[0]]
    answer = ask(p.WordQuery(query="odd: owl cat dog"), run)
    assert [near.word for near in answer.neighbours][-1] == "owl"
    assert answer.word == "odd: owl cat dog"


def test_exploded_and_empty_vectors_give_a_sentence(text_file: Any) -> None:
    run = made(text_file)
    weight = run.saved_model.embedding.weight  # type: ignore[union-attr]
    owl = run.tokenizer.vocabulary.id("owl")  # type: ignore[union-attr]
    with torch.no_grad():
        weight[owl] = 0
    for query in ("owl", "cat - owl", "odd: owl cat dog", "owl ~ cat", "closer: cat owl"):
        with pytest.raises(UserError, match="'owl' is all zeros"):
            ask(p.WordQuery(query=query), run)
    assert "owl" not in {near.word for near in ask(p.WordQuery(query="cat"), run).neighbours}
    with torch.no_grad():
        weight[:] = torch.nan
    for transformation in ("raw", "mean-removed", "all-but-the-top"):
        view = p.View(transformation=transformation)
        with pytest.raises(UserError, match="no longer finite"):
            ask(p.WordQuery(query="cat", view=view), run)
    with pytest.raises(UserError, match=r"cancel out|no longer finite"):
        ask(p.WordQuery(query="cat - cat"), run)


def test_words_are_completed_the_most_frequent_first(text_file: Any) -> None:
    run = made(text_file)
    vocabulary = run.tokenizer.vocabulary  # type: ignore[union-attr]
    found = ask(p.CompleteWord(beginning="t", top=1_000), run).words
    assert found == [token for token in vocabulary.tokens if token.startswith("t") and token != "t"]
    assert ask(p.CompleteWord(beginning="t", top=1), run).words == found[:1]
    assert list(parts(p.CompleteWord(beginning="zzz"), run))[-1].words == []


def test_a_list_says_how_far_an_earlier_checkpoint_and_another_run_agree(
    small_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for seed in (1, 2):
        changes = {"training.steps": 60, "training.save_every": 20, "training.seed": seed}
        folder = create_run(tmp_path, f"seed{seed}", replace(small_config, changes))
        run = conducted(folder)
        run.command(p.Start())
        while run.run.busy:
            run.advance()
        runs.append(run.run)
    run = runs[0]
    answer = ask(p.WordQuery(query="cat", compare=True), run)
    earlier, other = answer.overlaps
    assert (earlier.other, earlier.step < 60, earlier.of) == ("checkpoint", True, 10)
    assert (other.other, other.step, other.of) == ("seed2", 60, 10)
    monkeypatch.setattr(Path, "glob", lambda *_: pytest.fail("the runs are looked through again"))
    assert ask(p.WordQuery(query="cat", compare=True), run).overlaps == answer.overlaps
    own = {near.word for near in answer.neighbours}
    theirs = {near.word for near in ask(p.WordQuery(query="cat"), runs[1]).neighbours}
    assert answer.overlaps[1].shared == len(own & theirs)
    assert ask(p.WordQuery(query="cat"), run).overlaps == []
    assert ask(p.WordQuery(query="cat ~ dog", compare=True), run).overlaps == []
