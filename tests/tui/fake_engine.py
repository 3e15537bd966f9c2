"""An engine in memory: answers scripted, events pushed by the test, calls kept to be looked at."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec

from engine import messages as p
from engine.config import RunConfig, preset
from engine.errors import UserError
from engine.events import (
    AnyEvent,
    CorpusReady,
    CorpusSummary,
    Evaluated,
    ModelReady,
    Progress,
    RolledBack,
    StateChanged,
    Stepped,
)
from engine.service.client import EngineEnded
from engine.text.queries import parse_query
from tests.tui import fake_text

CORPUS = CorpusSummary(
    source="toy-world",
    tokenizer="words, case folded, punctuation dropped",
    files=1,
    bytes=412_345,
    characters=412_345,
    lines=12_000,
    tokens={"train": 72_000, "valid": 4_000, "test": 4_000},
    vocabulary=64,
    unknown_rate={"train": 0.0, "valid": 0.0, "test": 0.0},
    frequent=[
        ("<eos>", 12_000),
        ("the", 11_480),
        ("to", 5_301),
        ("ran", 1_777),
        ("store", 1_402),
        ("solved", 1_333),
        ("open", 1_201),
        ("problem", 1_190),
        ("mathematician", 900),
        ("physicist", 880),
        ("cooked", 620),
        ("soup", 610),
        ("teacher", 480),
    ],
)
EMBEDDING = 32
GROUPS = ["embedding", "lstm.0", "output"]
NEAREST = ("physicist", "chemist", "teacher", "store", "soup", "ran", "problem", "open", "to")
GROUPS_OF_WORDS = {
    "mathematician": "person",
    "physicist": "person",
    "chemist": "person",
    "teacher": "person",
    "store": "place",
    "soup": "dish",
}
KEPT_AT = [1, 2, 4, 8, 15, 30, 60, 100]
"""Steps of the past that is kept."""
WORDS = ("the", "mathematician", "ran", "to", "the", "store", "and", "solved", "the", "problem")


def status(folder: Path, config: RunConfig | None = None, **changes: object) -> p.Status:
    """A run whose engine has just started."""
    fresh = p.Status(
        run=folder.name,
        folder=str(folder),
        pid=4711,
        state="preparing",
        reason="",
        advice="",
        config=config or preset("toy"),
        step=0,
        epoch=0.0,
        learning_rate=0.005,
        clip_mode="norm",
        clip_threshold=0.5,
        parameters=0,
        groups=[],
        device="cpu",
        threads=2,
        precision="float32",
        corpus=None,
        progress=None,
    )
    return msgspec.structs.replace(fresh, **changes)


def built(folder: Path, **changes: object) -> p.Status:
    """A run that is ready to train."""
    ready = {"state": "ready", "corpus": CORPUS, "parameters": 10_496, "groups": GROUPS}
    return status(folder, **(ready | changes))


def step(number: int, **changes: object) -> Stepped:
    """A step of a run that learns: a loss that falls, a norm that is clipped now and then."""
    norm = 0.3 + 0.4 * ((number * 7919) % 101) / 101
    values: dict[str, object] = {
        "step": number,
        "epoch": number / 140,
        "loss": 1.1 + 3.0 / (1 + number / 40) + 0.15 * ((number * 104729) % 97) / 97,
        "learning_rate": 0.005,
        "norm_before": norm,
        "norm_after": min(norm, 0.5),
        "groups_before": dict.fromkeys(GROUPS, norm / 3**0.5),
        "groups_after": dict.fromkeys(GROUPS, min(norm, 0.5) / 3**0.5),
        "norm_median": 0.5,
        "norm_p90": 0.66,
        "norm_p99": 0.69,
        "clip_mode": "norm",
        "clip_threshold": 0.5,
        "clipped": norm > 0.5,
        "clip_fraction": 0.5,
        "tokens_per_second": 48_210.0,
        "seconds": number * 0.011,
    }
    return Stepped(**(values | changes))


def evaluation(number: int, loss: float) -> Evaluated:
    return Evaluated(
        step=number,
        split="valid",
        loss=loss,
        perplexity=2.718281828**loss,
        tokens=4_000,
        seconds=0.1,
        best=True,
    )


READY = (
    CorpusReady(corpus=CORPUS),
    ModelReady(
        parameters=10_496,
        groups=GROUPS,
        device="cpu",
        threads=2,
        precision="float32",
        step=0,
        epoch=0.0,
        learning_rate=0.005,
        clip_mode="norm",
        clip_threshold=0.5,
    ),
    StateChanged(state="ready"),
)


RATES: list[p.AnyAnswer] = [
    p.RateTried(rate=0.002, loss=4.1),
    p.RateTried(rate=0.008, loss=3.25),
    Progress(task="holding rate 0.032", done=78, total=200, unit="steps"),
    p.RateTried(rate=0.032, loss=None),
    p.RateTried(rate=0.004, loss=3.7),
    p.RateTried(rate=0.016, loss=3.5),
]
"""Of a test of learning rates, as they come."""


class FakeEngine:
    """Stands in for `engine.service.client.Engine`."""

    def __init__(self, welcome: p.Status) -> None:
        self.folder = Path(welcome.folder)
        self.welcome = p.Welcome(status=welcome, recorded=None)
        self.status = welcome
        """The run as it stands by what was pushed."""
        self.calls: list[p.AnyCommand | p.AnyQuery] = []
        self.refusals: dict[type, str] = {}
        """The kinds of call that are refused, with the sentence."""
        self.note = ""
        """What comes with the answer to a command."""
        self.closed = False
        self.silence = 0.0
        self.patience: float | None = None
        self.others = 0
        self.cancelled = 0
        """Streams closed before their end."""
        self.passage: tuple[str, ...] = tuple(f" {word}" for word in WORDS)
        self.opens = False
        """Whether numbered words are written instead, each laid open."""
        self.endless = False
        """Whether a passage goes on until it is cancelled."""
        self.unhurried = False
        """Whether a passage, once written, never comes to its end."""
        self.range_test: list[p.AnyAnswer] = [*RATES, p.RateFound(rate=0.008, reason="It fell.")]
        self.gradients = [2.0 ** (place - 15) for place in range(16)]
        self.gradient_ratio = 0.0002
        self.pinned: list[str] = []
        self.unknown: set[str] = set()
        """Words that a query marks, being unknown."""
        self._ended: EngineEnded | None = None
        self._gone = asyncio.Event()
        self._events: asyncio.Queue[list[AnyEvent] | None] = asyncio.Queue()

    # --- what a test does ---------------------------------------------------------------------

    def push(self, *events: AnyEvent) -> None:
        """Let these happen, in one batch."""
        for event in events:
            match event:
                case Stepped():
                    self._now(step=event.step)
                case RolledBack():
                    self._now(step=event.step, learning_rate=event.learning_rate)
                case StateChanged():
                    self._now(state=event.state, reason=event.reason, advice=event.advice)
                case CorpusReady():
                    self._now(corpus=event.corpus)
                case ModelReady():
                    self._now(**msgspec.structs.asdict(event))
        self._events.put_nowait(list(events))

    def _now(self, **changes: object) -> None:
        self.status = msgspec.structs.replace(self.status, **changes)

    @property
    def heard(self) -> bool:
        """Whether the screen has taken in all that was pushed."""
        return self._events.empty()

    def die(self, reason: str, *, orderly: bool = False) -> None:
        """End as a process does: by a fault, or with a goodbye."""
        self._ended = EngineEnded(reason, orderly=orderly)
        self._gone.set()
        self._events.put_nowait(None)

    def asked(self, kind: type) -> list:
        """The calls of one kind, in order."""
        return [call for call in self.calls if isinstance(call, kind)]

    # --- what the screen sees -----------------------------------------------------------------

    async def call(self, body: p.AnyCommand | p.AnyQuery) -> p.AnyAnswer:
        if self._ended is not None:
            raise self._ended
        self.calls.append(body)
        if type(body) in self.refusals:
            raise UserError(self.refusals[type(body)])
        if (told := fake_text.answer(body, self.status.step)) is not None:
            return told
        match body:
            case p.Represent():
                return self._represent(body)
            case p.WordQuery():
                return self._word_query(body)
            case p.CompleteWord():
                words = [word for word, _ in CORPUS.frequent if word.startswith(body.beginning)]
                return p.Completions(words=words[: body.top])
            case p.LookUp():
                return p.LookedUp(unknown=[word for word in body.words if word in self.unknown])
            case p.MapWords():
                return self._map(body)
            case p.PinWords():
                if body.words is not None:
                    self.pinned = list(body.words)
                return self._past()
            case p.WordDrift():
                return self._drift(body)
            case p.Similarities():
                return self._similarities(body)
            case p.GradientFlow():
                return p.GradientByTime(
                    step=self.status.step,
                    norms=self.gradients,
                    ratio=self.gradient_ratio,
                    tokens=(list(WORDS) * 2)[: len(self.gradients)],
                    token_norms=self.gradients,
                    untrained=[norm / 4 for norm in self.gradients],
                    untrained_ratio=self.gradient_ratio / 4,
                )
            case p.Shutdown():
                self.die("shut down", orderly=True)
            case p.AskStatus():
                return msgspec.structs.replace(self.status, others=self.others)
        return p.Done(step=self.status.step, note=self.note)

    async def stream(self, body: p.AnyQuery) -> AsyncIterator[p.AnyAnswer]:
        if self._ended is not None:
            raise self._ended
        self.calls.append(body)
        if type(body) in self.refusals:
            raise UserError(self.refusals[type(body)])
        finished = False
        try:
            for answer in self._answers(body):
                await asyncio.sleep(0)
                yield answer
            if self.unhurried:
                await self._gone.wait()
                raise self._ended
            finished = True
        finally:
            self.cancelled += not finished

    def _answers(self, body: p.AnyQuery) -> Iterator[p.AnyAnswer]:
        if isinstance(body, p.FindRate):
            yield from self.range_test
            return
        if isinstance(body, p.MeasureSimilarity | p.MeasureAnalogies):
            yield from self._measured(body)
            return
        if (told := fake_text.stream(body, self.status.step)) is not None:
            yield from told
            return
        if self.opens and isinstance(body, p.Generate):
            yield from fake_text.laid_open(body, self.status.step)
            return
        for piece in itertools.cycle(self.passage) if self.endless else self.passage:
            yield p.WrittenToken(text=piece, step=self.status.step)

    async def events(self) -> AsyncIterator[list[AnyEvent]]:
        while (batch := await self._events.get()) is not None:
            yield batch
        raise self._ended or EngineEnded("the connection was closed")

    async def close(self) -> None:
        self.closed = True

    def _word_query(self, query: p.WordQuery) -> p.WordAnswer:
        understood = parse_query(query.query)
        words = [term.text for term in understood.terms]
        unknown = [word for word in words if word not in dict(CORPUS.frequent)]
        if unknown:
            raise UserError(
                f"{unknown[0]!r} isn't in the vocabulary: did you mean mathematician, teacher?"
            )
        near = [
            p.Neighbour(word, 0.93 - 0.11 * rank)
            for rank, word in enumerate(word for word in NEAREST if word not in words)
        ]
        if query.at is not None:  # other words came before
            near = [*near[3:], *near[2::-1]]
            near = [
                p.Neighbour(word, 0.5 - 0.05 * rank)
                for rank, (word) in enumerate(each.word for each in near[: -1 - query.at % 3])
            ]
        if understood.kind == "odd":
            near = [p.Neighbour(word, 0.9 - 0.3 * rank) for rank, word in enumerate(words)]
        pair = understood.kind in ("pair", "closer")
        return p.WordAnswer(
            kind=understood.kind,
            word=query.query,
            words=[p.AskedWord(word=word, pieces=[], count=900) for word in words],
            notes=[],
            table="tied",
            transformation=query.view.transformation,
            components=2 if query.view.transformation == "all-but-the-top" else 0,
            step=120 if query.at is None else query.at,
            score="3CosMul" if query.multiply and understood.kind == "analogy" else "cosine",
            count=900 if understood.kind == "neighbours" else 0,
            neighbours=[] if understood.kind == "pair" else near[: query.top],
            among=63,
            cosine=0.42 if pair else None,
            ranks=(3, 5) if understood.kind == "pair" else None,
            overlaps=[p.Overlap(other="checkpoint", step=100, shared=7, of=10)]
            if query.compare
            else [],
        )

    def _map(self, query: p.MapWords) -> p.WordMap:
        words = query.words or list(dict.fromkeys([*query.around.split(), *NEAREST]))
        points = [
            p.MapPoint(
                word=word,
                x=math.cos(2.4 * place) * (1 + place / 5),
                y=math.sin(2.4 * place) * (1 + place / 5),
                count=900 - place,
                group=GROUPS_OF_WORDS.get(word, ""),
                nearest=(place + 1) % len(words),
            )
            for place, word in enumerate(words)
        ]
        return p.WordMap(
            points=points,
            method=query.method,
            explained=(0.31, 0.12),
            unknown=[],
            table="tied",
            transformation=query.view.transformation,
            components=0,
            step=self.status.step,
        )

    def _measured(self, query: p.MeasureSimilarity | p.MeasureAnalogies) -> Iterator[p.AnyAnswer]:
        seen = {"table": "tied", "transformation": query.view.transformation, "components": 0}
        if isinstance(query, p.MeasureSimilarity):
            yield p.SimilarityScore(
                spearman=0.4321, pearson=None, used=312, unknown=41, bad_lines=2,
                step=self.status.step, **seen,
            )  # fmt: skip
            return
        yield Progress(task="solving analogies", done=64, total=190, unit="questions")
        sections = [
            p.AnalogySection(name=f"kind {number}", correct=number, asked=10, unknown=5)
            for number in range(10)
        ]
        yield p.AnalogyScore(
            sections=sections, correct=45, asked=100, unknown=50, bad_lines=0,
            step=self.status.step, **seen,
        )  # fmt: skip

    def _past(self) -> p.WordPast:
        return p.WordPast(
            pinned=self.pinned, kept=64, steps=KEPT_AT, bytes=123_456, most_bytes=64 << 20
        )

    def _drift(self, query: p.WordDrift) -> p.Drift:
        words = [word for word in NEAREST if word != query.word][: query.top]
        return p.Drift(
            word=query.word,
            note="",
            step=self.status.step,
            steps=KEPT_AT,
            neighbours=[
                p.DriftedNeighbour(
                    word=word,
                    cosine=0.93 - 0.11 * rank,
                    cosines=[(0.93 - 0.11 * rank) * step / 100 for step in KEPT_AT],
                    arrived=KEPT_AT[rank] if rank < len(KEPT_AT) else None,
                )
                for rank, word in enumerate(words)
            ],
            past=self._past(),
        )

    def _represent(self, query: p.Represent) -> p.Representation:
        known = {"i": 31, "am": 29, "going": 33, "to": 2, "the": 1}
        tokens = []
        for text in query.text.lower().replace(".", " .").split():
            place = known.get(text, 3)
            tokens.append(
                p.TokenView(
                    text=text,
                    id=place,
                    known=text in known,
                    embedding=[math.sin(1 + 0.37 * k * (1 + place % 7)) for k in range(EMBEDDING)],
                )
            )
        return p.Representation(
            tokens=tokens,
            vocabulary=64,
            embedding_size=EMBEDDING,
            one_hot_bytes=len(tokens) * 64 * 4,
            embedding_bytes=len(tokens) * EMBEDDING * 4,
        )

    def _similarities(self, query: p.Similarities) -> p.SimilarityMatrix:
        tokens = query.text.lower().replace(".", " .").split()
        ids = [len(text) for text in tokens]
        return p.SimilarityMatrix(
            tokens=tokens,
            ids=ids,
            cosines=[[round(math.cos(one - other), 4) for other in ids] for one in ids],
            step=self.status.step,
            vocabulary_one_hot_bytes=64 * 64 * 4,
            vocabulary_embedding_bytes=64 * 32 * 4,
            text_tokens=72_000,
            text_one_hot_bytes=72_000 * 64 * 4,
        )


class Launch:
    """Stands in for `client.launch`: fake engines, one a folder, kept to be looked at."""

    def __init__(self, make: Callable[[Path], p.Status] = built) -> None:
        self._make = make
        self.engines: list[FakeEngine] = []
        self.error: Exception | None = None
        self.held = asyncio.Event()
        """Cleared to hold a launch until it is set."""
        self.held.set()

    async def __call__(self, folder: Path) -> FakeEngine:
        await self.held.wait()
        if self.error is not None:
            raise self.error
        self.engines.append(FakeEngine(self._make(folder)))
        return self.engines[-1]

    @property
    def engine(self) -> FakeEngine:
        """The one launched last."""
        return self.engines[-1]
