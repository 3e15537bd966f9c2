"""What the engine in memory answers about texts: sums that any test can do by itself."""

import math
import struct
from collections.abc import Iterator, Sequence

from engine import messages as p
from engine.events import Progress

UNITS = 24
VOCABULARY = [f" word{number}" for number in range(50)]


def opened(token: int, beaten: int = 10) -> p.TokenOpened:
    """A token of which so many others were more probable as its number leaves by three."""
    others = [other for other in range(beaten + 1) if other != token][:beaten]
    rank = token % 3 + 1
    probabilities = [2.0 ** -(place + 2) for place in range(beaten)]
    return p.TokenOpened(
        token=token,
        raw=VOCABULARY[token].strip(),
        probability=2.0 ** -(rank + 0.5),
        rank=rank,
        entropy=3.25,
        alternatives=[
            p.Alternative(other, VOCABULARY[other].strip(), probability)
            for other, probability in zip(others, probabilities, strict=False)
        ],
    )


def laid_open(query: p.Generate, step: int) -> Iterator[p.WrittenToken]:
    """Numbered words; behind those that are given the next ones."""
    first = query.given[-1:] or []
    follow = range(len(query.given), len(query.given) + query.tokens - len(first))
    for token in (*first, *(number % len(VOCABULARY) for number in follow)):
        yield p.WrittenToken(text=VOCABULARY[token], step=step, seed=7, opened=opened(token))


def tokens_of(text: str) -> list[str]:
    """Its words, each behind the blank before it."""
    words = text.split(" ")
    return [words[0], *(f" {word}" for word in words[1:])]


def bits_of(texts: Sequence[str]) -> list[float | None]:
    """A bit a character, the first token not predicted."""
    return [None, *(float(len(text)) for text in texts[1:])]


def stream(query: object, step: int) -> Iterator[p.AnyAnswer] | None:
    """The answers to a question about a text that takes a while; None to any other."""
    match query:
        case p.Surprise():
            return _surprise(query.text or "a file of some words", step)
        case p.FindCopies():
            return _copies(query.text)
        case p.TraceCell():
            return _trace(query, step)
        case p.FindPlaces():
            return _places(query, step)
        case p.PlainFarBack():
            return _plain(query, step)
    return None


def answer(query: object, step: int) -> p.AnyAnswer | None:
    """The one answer to a question about a text; None to any other."""
    match query:
        case p.ThroughTime():
            samples = [
                p.Sample(at, f"the owl at step {at} flew on") for at in range(100, step + 1, 100)
            ]
            return p.Samples(prompt="the owl", seed=3, total=len(samples), samples=samples)
        case p.HowFarBack():
            texts = ["", *tokens_of(query.text)]
            last = len(texts) if query.position is None else query.position + 1
            return p.InputGradients(
                step=step,
                texts=texts[:last],
                norms=[10.0 ** -(last - place) for place in range(last)],
                predicted="owl",
                probability=0.25,
            )
        case p.FindUnits():
            return p.FollowingUnits(
                step=step,
                tokens=40,
                features=[
                    p.Feature(
                        name=name,
                        units=[p.UnitFollowing(5, 0.9), p.UnitFollowing(2, -0.8)],
                    )
                    for name in ("quotes", "brackets", "line_position", "line_length", "capitals")
                ],
            )
        case p.Saturation():
            gate = p.GateSaturation(near_zero=0.25, near_one=0.5)
            layer = p.LayerSaturation(
                input_gate=gate, forget_gate=gate, output_gate=gate, still=3, units=UNITS
            )
            return p.LayerSaturations(step=step, tokens=512, layers=[layer, layer])
        case p.HeldOutBaselines():
            found = [_baseline("uniform", 64.0), _baseline("unigram", 30.0)]
            return p.BaselineList(split=query.split, tokens=4_000, baselines=found)
    return None


def _baseline(name: str, perplexity: float, bits: float = 100.0) -> p.Baseline:
    return p.Baseline(name=name, bits=bits, perplexity=perplexity, bits_per_character=2.5)


def _surprise(text: str, step: int) -> Iterator[p.AnyAnswer]:
    texts = tokens_of(text)
    bits = bits_of(texts)
    total = sum(each or 0.0 for each in bits)
    unknown = [place for place, each in enumerate(texts) if "zebra" in each]
    yield Progress(task="reading", done=1, total=len(texts), unit="tokens")
    half = (len(texts) + 1) // 2
    for begin, end in ((0, half), (half, len(texts))):
        places = [place - begin for place in unknown if begin <= place < end]
        yield p.SurprisePart(texts=texts[begin:end], bits=bits[begin:end], unknown=places)
    count = max(1, len(texts) - 1)
    yield p.SurpriseTotals(
        step=step,
        tokens=count,
        unknown=len(unknown),
        characters=len(text),
        bits=total,
        loss=total * math.log(2) / count,
        perplexity=2 ** (total / count),
        bits_per_character=total / max(1, len(text)),
        baselines=[
            _baseline("uniform", 64.0, 2 * total),
            _baseline("unigram", 30.0, 1.5 * total),
            _baseline("gzip", 128.0, 3 * total),
            _baseline("xz", 256.0, 4 * total),
        ],
        convention="Each word counts.",
    )


def _copies(text: str) -> Iterator[p.AnyAnswer]:
    texts = tokens_of(text)
    length = min(4, len(texts))
    yield Progress(task="sorting", done=1, total=2, unit="tokens")
    yield p.Copies(
        tokens=len(texts),
        texts=texts,
        longest=[length - place if place < length else 0 for place in range(len(texts))],
        copies=[
            p.Copy(
                begin=0,
                length=length,
                text="".join(texts[:length]),
                places=2,
                place=340,
                share=0.34,
            )
        ],
        copied=length / len(texts),
        least=4,
        training_tokens=1_000,
        distinct=[1.0, 1.0, None],
        repetition=0.0,
    )


def _places(query: p.FindPlaces, step: int) -> Iterator[p.AnyAnswer]:
    texts = tokens_of(query.text)
    meant = texts[-1 if query.position is None else query.position]
    yield Progress(task="searching", done=500, total=1_000, unit="tokens")
    places = [
        p.SimilarPlace(
            place=10 * number,
            share=number / 100,
            common=7,
            likeness=0.7 - number / 100,
            before=f"{query.text} before",
            token=meant,
            after=f" {query.text}",
        )
        for number in range(query.top)
    ]
    yield p.SimilarPlaces(
        step=step, tokens=1_000, token=meant.strip(), on=list(range(9)), places=places
    )


def _plain(query: p.PlainFarBack, step: int) -> Iterator[p.AnyAnswer]:
    yield Progress(task="training a plain RNN", done=step // 4, total=step, unit="steps")
    texts = ["", *tokens_of(query.text)]
    last = len(texts) if query.position is None else query.position + 1
    norms = [100.0 ** -(last - place) for place in range(last)]
    yield p.PlainGradients(steps=step, loss=1.75, norms=norms, probability=0.125)


def _trace(query: p.TraceCell, step: int) -> Iterator[p.AnyAnswer]:
    texts = ["", *tokens_of(query.text)]
    raw = ["<eos>", *(text.strip() for text in texts[1:])]
    yield p.CellTokens(
        step=step, ids=list(range(len(texts))), raw=raw, texts=texts, units=[UNITS, UNITS]
    )
    values = [
        math.sin(1 + unit + query.layers[0]) * math.cos(place)
        for place in range(len(texts))
        for unit in range(UNITS)
    ]
    yield p.CellPart(
        layer=query.layers[0],
        quantity=query.quantities[0],
        first=0,
        rows=len(texts),
        values=struct.pack(f"<{len(values)}f", *values),
    )
