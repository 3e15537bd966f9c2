"""What is said of a text before a model learns from it: each kind of text that needs a word, and
none of those that don't."""

import random
import uuid
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.config import CorpusConfig
from engine.errors import UserError
from engine.events import CorpusSummary
from engine.text import interned_text
from engine.text.corpus import open_corpus
from engine.text.look import Look, look_at
from engine.text.remarks import remarks_on_writing
from engine.text.vocabulary import MAX_TOKEN

DATA = Path(__file__).parents[3].parent / "shared" / "data"
WORDS = ("word", "whitespace")
SPELLING = ["corpus.tokenizer=character", "corpus.tokenizer=subword"]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_TUI_CACHE", str(tmp_path_factory.mktemp("cache")))


def summary(source: Path | str, **settings: object) -> CorpusSummary:
    config = msgspec.convert({"source": str(source), **settings}, CorpusConfig)
    first, again = open_corpus(config).summary, open_corpus(config).summary
    assert msgspec.structs.replace(first, cached=True) == again, "from the cache it is the same"
    return first


def kinds(found: CorpusSummary) -> list[str]:
    for remark in found.remarks:
        for setting in remark.settings:
            name, _, value = setting.partition("=")
            msgspec.convert({name.removeprefix("corpus."): value}, CorpusConfig, strict=False)
    return [remark.kind for remark in found.remarks]


def drawn(letters: str, length: int, lines: int) -> str:
    chance = random.Random(1)
    return "".join("".join(chance.choices(letters, k=length)) + "\n" for _ in range(lines))


CHINESE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n"
TEXTS = {
    "DNA": (drawn("ACGT", 60, 300), "few-words"),
    "DNA in long lines": (drawn("ACGT", 400, 300), "long-words"),
    "digests": ("".join(f"{uuid.UUID(int=n**9)}\n" for n in range(300)), "few-words"),
    "a grid": (drawn("#.", 12, 300), "rows"),
    "a board of letters": (drawn("abcdef", 8, 300), "rows"),
    "Chinese": (CHINESE * 99, "no-spaces"),
    "Chinese verses": (CHINESE.replace("，", "\n").replace("。", "\n") * 99, "no-spaces"),
    "a Chinese line": (CHINESE * 4, "no-spaces"),
    "Japanese": ("私は昨日友達と一緒に映画を見ました。\n" * 99, "no-spaces"),
    "Thai": ("สวัสดีครับผมชื่อสมชายวันนี้อากาศดีมาก ผมอยากไปเที่ยวทะเลกับเพื่อน\n" * 99, "no-spaces"),
    "Khmer": ("ខ្ញុំចង់ទៅផ្សារជាមួយមិត្តភក្តិរបស់ខ្ញុំ\n" * 99, "no-spaces"),
    "only <unk>": ("<unk> <unk> <unk>\n" * 99, "says-unknown"),
    "mostly <unk>": ("<unk> the <UNK> <unk>\n" * 99, "says-unknown"),
    "words that never come again": (
        "".join(f"w{n**5 % 99991}{' ' if n % 9 else chr(10)}" for n in range(3000)),
        "unknown",
    ),
}
PRE_TOKENISED = {
    "PTB": "mr. <unk> of elsevier n.v. is chairman of the dutch group for N years\n" * 99,
    "commas": "the cat sat , the dog ran .\nand so , he said , on they went .\n" * 99,
    "contractions": "it 's late and they do n't know it\nwe 've seen the cat and 'll go\n" * 99,
    "WikiText": " = Valkyria = \n\n It is role @-@ playing for 1 @,@ 000 people of the city\n" * 99,
    "Chinese words": "今天 天气 很 好 ， 我们 去 公园 吧 。\n" * 99,
}
PLAIN = {
    "prose": "The cat's dog didn't bark, he said. \"We saw the dogs, too - all (four)!\"\n" * 99,
    "French": "Bonjour ! Comment allez-vous ? Il dit : « je viens », puis il part.\n" * 99,
    "German": "Die Straßenbahnhaltestelle liegt am Krankenhaus, und der Bus fährt auch.\n" * 99,
    "Hindi": "वह कल स्कूल गया था । उसने किताब पढ़ी, और फिर घर आया ।\n" * 99,
    "pauses": "And so, he said, . . . well, yes, it was, perhaps, as she, too, thought.\n" * 99,
    "Thai words": "ผม อยาก ไป เที่ยว ทะเล กับ เพื่อน\n" * 99,
    "Korean": "나는 어제 친구와 함께 영화를 보았습니다. 아주 재미있었어요.\n" * 99,
    "code": "def f(x):\n    return g(x, y)[0] + 1  # the sum\n" * 99,
    "tunes": "X:1\nK:G\n|:GABc dedB|dedB dedB|c2ec B2dB|c2A2 A2BA|\n" * 99,
    "a log": "".join(f"2024-01-01 10:00:{n % 60} host sshd: port {n % 7}\n" for n in range(500)),
}


@pytest.mark.parametrize("tokenizer", WORDS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_words_do_not_suit(tmp_path: Path, name: str, tokenizer: str) -> None:
    text, kind = TEXTS[name]
    (tmp_path / "a.txt").write_text(text)
    found = summary(tmp_path / "a.txt", tokenizer=tokenizer)
    of_words = kind in ("few-words", "rows", "long-words")
    assert kinds(found) in ([kind], ["few-words"] if of_words else [])
    if kind != "says-unknown":
        assert sorted(found.remarks[0].settings)[:2] == SPELLING
        assert kinds(summary(tmp_path / "a.txt", tokenizer="character")) == []


@pytest.mark.parametrize("name", PRE_TOKENISED)
def test_a_text_that_is_tokenised_already(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text(PRE_TOKENISED[name])
    found = summary(tmp_path / "a.txt")
    assert kinds(found) == ["pre-tokenised"]
    assert found.remarks[0].settings == ["corpus.tokenizer=whitespace"]
    for tokenizer in ("whitespace", "character", "subword"):
        assert kinds(summary(tmp_path / "a.txt", tokenizer=tokenizer)) == []


@pytest.mark.parametrize("tokenizer", [*WORDS, "character", "subword"])
@pytest.mark.parametrize("name", PLAIN)
def test_of_an_ordinary_text_nothing_is_said(tmp_path: Path, name: str, tokenizer: str) -> None:
    (tmp_path / "a.txt").write_text(PLAIN[name])
    assert kinds(summary(tmp_path / "a.txt", tokenizer=tokenizer)) == []


@pytest.mark.parametrize("source", ["toy-world", "python-docs"])
def test_of_the_built_in_texts_nothing_is_said(source: str) -> None:
    assert kinds(summary(source)) == []


@pytest.mark.parametrize("corpus", ["ptb", "wikitext-2"])
def test_the_corpora_of_the_field_ask_for_their_tokenizer(corpus: str) -> None:
    if not (DATA / corpus).exists():
        pytest.skip("it isn't here")
    assert kinds(summary(DATA / corpus)) == ["pre-tokenised"]
    assert kinds(summary(DATA / corpus, tokenizer="whitespace", max_vocabulary=50_000)) == []


def test_what_would_keep_more_words_is_told(tmp_path: Path) -> None:
    chance = random.Random(1)
    words = [f"w{chance.randrange(500)}" for _ in range(20_000)]
    (tmp_path / "a.txt").write_text(" ".join(words))
    assert kinds(summary(tmp_path / "a.txt")) == []
    [cut] = summary(tmp_path / "a.txt", max_vocabulary=300).remarks
    assert cut.sentence.startswith("40% of the validation tokens are unknown")
    assert cut.settings[2:] == ["corpus.max_vocabulary=1200"]
    [rare] = summary(tmp_path / "a.txt", min_count=40).remarks
    assert (rare.kind, rare.settings[2:]) == ("unknown", ["corpus.min_count=1"])
    [most] = summary(tmp_path / "a.txt", min_count=100, valid_fraction=0).remarks
    assert most.sentence.startswith("100% of the words it learns from are unknown")
    [letters] = summary(tmp_path / "a.txt", tokenizer="character", min_count=4000).remarks
    assert letters.settings == ["corpus.min_count=1"]


def test_a_text_without_repetition_and_without_a_split_to_show_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" ".join(f"w{n}" for n in range(1000)))
    assert kinds(summary(tmp_path / "a.txt", valid_fraction=0)) == ["little-repetition"]


def test_texts_that_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PLAIN["prose"])
    (tmp_path / "a.py").write_text(PLAIN["code"])
    [remark] = summary(tmp_path).remarks
    assert (remark.kind, remark.source) == ("passed-over", f"{tmp_path}/*.py")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("tokenizer", WORDS)
@hypothesis_settings(max_examples=20)
@example(lengths=[1, MAX_TOKEN + 1] * 30)
@given(lengths=st.lists(st.sampled_from([1, MAX_TOKEN, MAX_TOKEN + 1, 999]), min_size=60))
def test_words_that_are_too_long_are_counted(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], tokenizer: str, at_once: bool
) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_text("\n".join("İ" * (length // 2) + "x" * (length % 2) for length in lengths))
    with pytest.MonkeyPatch.context() as patch:
        if not at_once:
            patch.setattr(interned_text, "MAX_PRETOKENS", 0)
        config = {"source": str(path), "tokenizer": tokenizer, "test_fraction": 0}
        corpus = open_corpus(
            msgspec.convert({**config, "valid_fraction": 0}, CorpusConfig), cache=path.parent
        )
    words = path.read_text().split()
    if tokenizer == "word":
        words = [word.lower() for word in words]
    too_long = sum(len(word) > MAX_TOKEN for word in words)
    assert corpus.summary.too_long == {"train": too_long}
    assert corpus.unknown["train"] == too_long


@pytest.mark.parametrize("tokenizer", WORDS)
@pytest.mark.parametrize("text", [drawn("ACGT", 9000, 1), CHINESE[:5] * 99, "ab" * 900 + " cd"])
def test_one_huge_word_is_not_called_too_little_text(
    tmp_path: Path, text: str, tokenizer: str
) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(UserError) as caught:
        open_corpus(CorpusConfig(source=str(tmp_path / "a.txt"), tokenizer=tokenizer))  # type: ignore[arg-type]
    assert "too little" not in str(caught.value)
    assert "corpus.tokenizer=character" in str(caught.value)
    assert summary(tmp_path / "a.txt", tokenizer="character").tokens["train"] > 400


@pytest.mark.parametrize("part", ["look", "too_long"])
@pytest.mark.parametrize("damaged", [None, {}])
def test_a_manifest_of_before_is_encoded_anew(
    tmp_path: Path, part: str, damaged: dict[str, int] | None
) -> None:
    (tmp_path / "a.txt").write_text(TEXTS["DNA in long lines"][0])
    config = CorpusConfig(source=str(tmp_path / "a.txt"))
    fresh = open_corpus(config, cache=tmp_path)
    path = tmp_path / "corpora" / fresh.fingerprint / "manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    del manifest[part]
    if damaged is not None:
        manifest[part] = damaged if part == "too_long" else {"pieces": "many"}
    path.write_bytes(msgspec.json.encode(manifest))
    again = open_corpus(config, cache=tmp_path)
    assert again.summary == fresh.summary
    assert again.fingerprint == fresh.fingerprint
    assert open_corpus(config, cache=tmp_path).summary.cached


@given(st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    look = look_at(text)
    shares = (look.unknown, look.apart, look.attached, look.spaceless, look.marks, look.long)
    assert all(0 <= share <= 1 for share in shares)
    for tokenizer in WORDS:
        remarks_on_writing(look, tokenizer)  # type: ignore[arg-type]
    assert (look == Look()) == (not text.split())
