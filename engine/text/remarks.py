"""What is worth knowing about a text before a model learns from it: how it is written, and what of
it the model will not see."""

from engine.config import CorpusConfig, TokenizerName
from engine.events import Remark, RemarkKind
from engine.text.look import Look
from engine.text.reading import SUFFIXES, Source
from engine.text.vocabulary import MAX_TOKEN, MAX_TOKENS, UNKNOWN, Vocabulary

HUGE_WORD = 20
"""Characters: where half of a text stands in words this long, they are of no language."""
PHRASE = 3.5
"""Characters of Chinese: longer ones between blanks are no words."""
APART, ALREADY = 0.01, 0.003
"""Shares of single commas and of <unk> from which on a text was tokenised before."""
UNKNOWN_SHARE = 0.05
"""Of the validation tokens."""
_SPELLING = ["corpus.tokenizer=character", "corpus.tokenizer=subword"]
"""What leaves no word unknown."""


def remarks_on_writing(look: Look, tokenizer: TokenizerName) -> list[Remark]:
    """What is most worth knowing about how a text is written: one remark or none."""
    if look.unknown >= 0.5:
        return [_says_unknown(look.unknown)]
    if tokenizer not in ("word", "whitespace"):
        return []
    word = tokenizer == "word"
    length = look.word_length if word else look.pretoken_length
    one_word_rows = look.rows and (not word or look.word_length >= 0.8 * look.pretoken_length)
    if look.long >= UNKNOWN_SHARE:
        remark = _long_words(f"{look.long:.0%} of the text stands in words")
    elif look.spaceless >= 0.3 and look.phrase >= PHRASE:
        remark = _spell(
            "no-spaces",
            "Its script writes no spaces between words, so that what counts as a word here is a "
            "whole phrase.",
        )
    elif length >= HUGE_WORD:
        remark = _spell(
            "few-words",
            f"Half of it stands in words of {length} characters or more, as in DNA or codes, which "
            "hardly come again.",
        )
    elif one_word_rows or (word and look.marks >= 0.6):
        remark = _spell("rows", "It is made of marks or of rows of characters, not of words.")
    elif word and _tokenised(look):
        remark = Remark(
            kind="pre-tokenised",
            sentence="It looks pre-tokenised: white space has cut it into tokens already, and "
            "taking these apart again gives others.",
            settings=["corpus.tokenizer=whitespace"],
        )
    else:
        return []
    return [remark]


def remarks_on_files(source: Source) -> list[Remark]:
    """That texts of a folder are passed over, where they are."""
    if not source.passed_over:
        return []
    return [
        Remark(
            kind="passed-over",
            sentence=f"Of this folder only what is named as texts are ({', '.join(SUFFIXES)}) is "
            "read, which is the smaller part.",
            source=source.passed_over,
        )
    ]


def remarks_on_corpus(
    config: CorpusConfig,
    look: Look,
    vocabulary: Vocabulary,
    tokens: dict[str, int],
    unknown: dict[str, int],
    too_long: dict[str, int],
) -> list[Remark]:
    """The same, and what of the text is unknown to the model. The numbers are of each split."""
    found = remarks_on_writing(look, config.tokenizer)
    if found and found[0].kind != "pre-tokenised":
        return found
    remark = _on_unknown(config, look, vocabulary, tokens, unknown, too_long)
    return [*found, remark] if remark else found


def _on_unknown(
    config: CorpusConfig,
    look: Look,
    vocabulary: Vocabulary,
    tokens: dict[str, int],
    unknown: dict[str, int],
    too_long: dict[str, int],
) -> Remark | None:
    line_ends = vocabulary.end_of_sentence
    words = tokens["train"] - (0 if line_ends is None else vocabulary.counts[line_ends])
    share = unknown["train"] / max(1, words)
    if share >= 0.5 and look.unknown >= share / 2:
        return _says_unknown(share)
    if too_long["train"] >= 0.1 * words:
        return _long_words(f"{too_long['train']:,} of {words:,} words are")
    if share >= 0.5:
        return _unknown(config, vocabulary, f"{share:.0%} of the words it learns from are unknown")
    if "valid" in tokens:
        held_out = unknown["valid"] / tokens["valid"]
        if held_out - look.unknown > UNKNOWN_SHARE:
            which = f"{held_out:.0%} of the validation tokens are unknown"
            return _unknown(config, vocabulary, which)
    once = sum(count for count in vocabulary.counts if count == 1)
    if config.tokenizer in ("word", "whitespace") and words >= 20 and once >= 0.5 * words:
        return _spell(
            "little-repetition",
            f"{once / words:.0%} of its words occur only once, so there is little to learn.",
        )
    return None


def _tokenised(look: Look) -> bool:
    signs = look.apart * look.pretokens >= 3 and look.apart >= APART
    signs = signs or (look.unknown * look.pretokens >= 2 and look.unknown >= ALREADY)
    return signs and look.attached <= (look.apart + look.unknown) / 4


def _says_unknown(share: float) -> Remark:
    return Remark(
        kind="says-unknown",
        sentence=f"{share:.0%} of its words are {UNKNOWN} in the text itself, so there is little "
        "to learn; another copy of the text may have the words.",
    )


def _long_words(what: str) -> Remark:
    return _spell(
        "long-words",
        f"{what} longer than {MAX_TOKEN} characters, and so unknown to the model.",
    )


def _unknown(config: CorpusConfig, vocabulary: Vocabulary, what: str) -> Remark:
    """With what keeps more words; an unknown one is easy to guess, since all are alike."""
    settings: list[str] = []
    if config.tokenizer in ("word", "whitespace"):
        settings += reversed(_SPELLING)
    if config.min_count > 1:
        settings.append("corpus.min_count=1")
    elif len(vocabulary) == config.max_vocabulary < MAX_TOKENS:
        settings.append(f"corpus.max_vocabulary={min(MAX_TOKENS, 4 * config.max_vocabulary)}")
    return Remark(
        kind="unknown",
        sentence=f"{what} ({UNKNOWN}), which is easy to guess and makes perplexity look low.",
        settings=settings,
    )


def _spell(kind: RemarkKind, sentence: str) -> Remark:
    return Remark(kind=kind, sentence=sentence, settings=_SPELLING)
