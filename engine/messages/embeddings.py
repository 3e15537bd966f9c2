"""Questions to the word vectors."""

from typing import Literal

from msgspec import Struct

from engine.messages.base import Message

WordTable = Literal["input", "output", "both"]
"""The input embedding, the output layer's weights, or the mean of both; tied, they are one."""
SeenTable = Literal["input", "output", "both", "tied", "file"]
"""tied: input and output are one. file: the vectors of a file."""


class View(Struct, frozen=True, kw_only=True):
    """Which word vectors are asked, seen how, and which words may be answered."""

    table: WordTable = "input"
    transformation: Literal["raw", "mean-removed", "all-but-the-top"] = "raw"
    """raw: cosines as they are. mean-removed: of vectors less their mean. all-but-the-top: less
    the directions they differ most in besides (Mu & Viswanath 2018)."""
    components: int | None = None
    """How many directions all-but-the-top takes away; None takes a hundredth of the size."""
    min_count: int = 0
    """Only words that occur at least so often in the training split."""
    among: list[str] = []
    """Only these words, as the vocabulary has them; empty for all. At most 20,000."""
    words_only: bool = False
    """Leave out `<unk>`, `<eos>` and numbers."""


class Neighbour(Struct, frozen=True):
    """A word near another."""

    word: str
    cosine: float


class Rank(Message, frozen=True, kw_only=True):
    """Which place one word takes among the neighbours of another: NeighbourRank. A word is one
    token; of characters and pieces as it stands in the text, a blank too."""

    word: str
    """At most 2,000 characters."""
    other: str
    """The one whose place is asked for; at most 2,000 characters."""
    view: View = View()


class NeighbourRank(Message, frozen=True, kw_only=True):
    """The place of `other` among the neighbours of `word`, as `rank` of gensim's KeyedVectors."""

    word: str
    """As the vocabulary has it."""
    other: str
    """The same."""
    notes: list[str]
    """How the two were read, where they are in another form in the vocabulary."""
    step: int
    rank: int
    """1 for the nearest neighbour."""
    among: int
    """How many words have a place."""
    cosine: float
    """Of the two words' vectors."""


class Represent(Message, frozen=True, kw_only=True):
    """A sentence as one-hot rows, ids and embeddings: Representation."""

    text: str
    """At most 2,000 characters."""


class TokenView(Struct, frozen=True, kw_only=True):
    """One token of a sentence, both ways."""

    text: str
    id: int
    known: bool
    """False: it is <unk> to the model; `id` is that of <unk>."""
    embedding: list[float]
    """Its vector, or the first 1,024 numbers of it; empty until the model is built, and for the
    tokens behind the first 64."""


class Representation(Message, frozen=True, kw_only=True):
    """A sentence as one-hot rows and as embedding rows, with what each costs as float32."""

    tokens: list[TokenView]
    vocabulary: int
    """Length of a one-hot row."""
    embedding_size: int
    one_hot_bytes: int
    """For the whole sentence: tokens x vocabulary x 4."""
    embedding_bytes: int
    """For the whole sentence: tokens x embedding_size x 4."""


# --- the laboratory: asking ----------------------------------------------------------------------


class WordQuery(Message, frozen=True, kw_only=True):
    """A question to the word vectors as it is typed (see `engine.text.queries`): WordAnswer."""

    query: str
    """At most 2,000 characters."""
    view: View = View()
    top: int = 10
    """At most 1,000."""
    multiply: bool = False
    """Analogies by 3CosMul (Levy & Goldberg 2014) instead of 3CosAdd."""
    at: int | None = None
    """Of the vectors as they were kept at the last step not after this one; None asks those of now.
    Only the input embedding's, and of the words whose past is kept."""
    compare: bool = False
    """Say how far the list agrees with that of an earlier checkpoint, and of another run: of one
    word, a centroid or an analogy, asked of now."""


class AskedWord(Struct, frozen=True, kw_only=True):
    """A word of a query."""

    word: str
    """As the vocabulary has it, or as it was typed where it is composed."""
    pieces: list[str]
    """The tokens it is composed of; empty where it is one."""
    count: int
    """How often it occurs in the training split; of pieces the rarest."""


class Overlap(Struct, frozen=True, kw_only=True):
    """How far a list agrees with another one. Neighbours of a young model are noise: another seed,
    or a few steps more, bring others (Hellrich & Hahn 2016)."""

    other: str
    """What it is compared with: `checkpoint`, or the name of another run on the same corpus."""
    step: int
    """Steps that model was trained for."""
    shared: int
    """How many of the first `of` are among the other's first `of`."""
    of: int
    """10, or as many as there are."""


class WordAnswer(Message, frozen=True, kw_only=True):
    """What the word vectors hold."""

    kind: Literal["neighbours", "analogy", "centroid", "odd", "pair", "closer"]
    word: str
    """The query as it was understood."""
    words: list[AskedWord]
    """In the order they were typed."""
    notes: list[str]
    """How words were read, where they are in another form in the vocabulary, or composed."""
    table: SeenTable
    transformation: str
    components: int
    """Directions taken away by all-but-the-top; 0 by the others."""
    step: int
    score: Literal["cosine", "3CosMul"]
    count: int
    """How often the word of a single-word query occurs in the training split, else 0."""
    neighbours: list[Neighbour]
    """The best first. Of `odd` its words by their cosine with the centroid: the last doesn't
    belong. Of `pair` empty."""
    among: int
    """How many words have a place in the list; of `closer` how many are nearer."""
    cosine: float | None = None
    """Of a pair, and of the two words of `closer`."""
    ranks: tuple[int, int] | None = None
    """Of a pair: the second's place in the first's list, and the reverse; 1 for the nearest."""
    overlaps: list[Overlap] = []  # noqa: RUF012


class CompleteWord(Message, frozen=True, kw_only=True):
    """Words that begin so, the most frequent first: Completions."""

    beginning: str
    """At most 2,000 characters."""
    top: int = 10
    """At most 1,000."""


class Completions(Message, frozen=True, kw_only=True):
    """Words of the vocabulary."""

    words: list[str]


class LookUp(Message, frozen=True, kw_only=True):
    """Which words of a query aren't known, while it is typed: LookedUp."""

    words: list[str]
    """At most 100, of 2,000 characters together."""


class LookedUp(Message, frozen=True, kw_only=True):
    """Words the vocabulary doesn't hold, and that aren't composed of what it holds."""

    unknown: list[str]
    """As they were asked for."""


# --- the laboratory: measuring, and out -----------------------------------------------------


class MeasureSimilarity(Message, frozen=True, kw_only=True):
    """How the cosines agree with the scores people gave to pairs of words: SimilarityScore. As
    gensim's `evaluate_word_pairs`; filters of the view don't count."""

    pairs: str
    """Path of a file: word, word, score; tabs, commas or blanks between them."""
    view: View = View()


class SimilarityScore(Message, frozen=True, kw_only=True):
    """How cosines agree with people's scores."""

    spearman: float | None
    """Correlation of ranks; None where all scores, or all cosines, are alike."""
    pearson: float | None
    used: int
    """Pairs of which both words are known."""
    unknown: int
    """Pairs left out because one is not."""
    bad_lines: int
    """Lines of the file that are no pair."""
    table: SeenTable
    transformation: str
    components: int
    step: int


class MeasureAnalogies(Message, frozen=True, kw_only=True):
    """How many analogies are solved: Progress, then AnalogyScore. As gensim's
    `evaluate_word_analogies`; filters of the view don't count."""

    questions: str
    """Path of a file in the format of word2vec's questions-words.txt."""
    view: View = View()


class AnalogySection(Struct, frozen=True, kw_only=True):
    """Analogies of a kind."""

    name: str
    correct: int
    asked: int
    """Those whose words are all known."""
    unknown: int
    """Those left out."""


class AnalogyScore(Message, frozen=True, kw_only=True):
    """How many analogies were solved."""

    sections: list[AnalogySection]
    correct: int
    asked: int
    unknown: int
    bad_lines: int
    """Lines of the file that are no question."""
    table: SeenTable
    transformation: str
    components: int
    step: int


class Export(Message, frozen=True, kw_only=True):
    """Write word vectors to a file for other programs: Progress, then Exported. A file of that name
    is replaced, once the new one is whole."""

    path: str
    """Absolute."""
    format: Literal["word2vec", "word2vec-binary", "projector", "npz", "glove"]
    table: WordTable = "input"


class Exported(Message, frozen=True, kw_only=True):
    """What an export has put on the disk."""

    files: list[str]
    """The vectors, and of `projector` the words after them."""
    words: int
    size: int
    """Numbers of a vector."""
    escaped: int
    """Words that would have broken the format, written with codes such as \\x20."""
    table: SeenTable
    step: int


# --- the laboratory: the map --------------------------------------------------------------------


class MapPoint(Struct, frozen=True):
    """A word on the map."""

    word: str
    x: float
    y: float
    count: int = 0
    """How often it occurs in the training split."""
    group: str = ""
    """Its class, where that is known: of the toy world's words."""
    nearest: int = 0
    """The place, in the list of points, of the one with the largest cosine in the full space."""


class MapWords(Message, frozen=True, kw_only=True):
    """Words as points in a plane: WordMap, with None or Progress before it where it takes a while.
    Of a query's words and their neighbours, of a list of words, else of the most frequent ones."""

    around: str = ""
    """A query, as WordQuery takes it; at most 2,000 characters."""
    words: list[str] = []  # noqa: RUF012
    """Those that are not known are left out; at most 2,000."""
    top: int = 200
    """Points, where no words are given; at most 2,000."""
    view: View = View()
    method: Literal["pca", "tsne"] = "pca"
    """tsne needs a package that may not be installed."""
    previous: list[MapPoint] = []  # noqa: RUF012
    """The points as they are seen now: the answer is turned and mirrored, as a whole, to lie
    nearest to them. At most 2,000."""


class WordMap(Message, frozen=True, kw_only=True):
    """Words in a plane."""

    points: list[MapPoint]
    """The most frequent first; around a query its words first."""
    method: Literal["pca", "tsne"]
    explained: tuple[float, float]
    """Share of the variance that each axis shows; zeros for t-SNE. After an alignment the two
    components lie aslant, and the shares are theirs together."""
    unknown: list[str]
    """Words of the list that are left out: not known, or without a direction."""
    table: SeenTable
    transformation: str
    components: int
    step: int


# --- the laboratory: drift --------------------------------------------------------------------


class PinWords(Message, frozen=True, kw_only=True):
    """Keep the past of these words besides the frequent ones, from now on: WordPast."""

    words: list[str] | None = None
    """In the place of those pinned before, at most 64; those that are not known are left out. None
    only asks."""


class WordPast(Message, frozen=True, kw_only=True):
    """What is kept of the input embedding's past, with the run. `at` of a WordQuery asks it."""

    pinned: list[str]
    kept: int
    """Words whose vectors are kept: the most frequent and the pinned ones."""
    steps: list[int]
    """At which they were, the oldest first: further and further apart, each some 8% after the one
    before. At most 208."""
    bytes: int
    """Of the file they are in."""
    most_bytes: int
    """That it can come to: then no more is kept."""


class WordDrift(Message, frozen=True, kw_only=True):
    """How today's neighbours of a word came near it: Drift, with nothing before it. Of the input
    embedding; a word is read as that of Rank."""

    word: str
    """At most 2,000 characters."""
    top: int = 10
    """At most 50."""


class DriftedNeighbour(Struct, frozen=True, kw_only=True):
    """One of today's neighbours, and its past."""

    word: str
    cosine: float
    """Now."""
    cosines: list[float | None]
    """At each of the steps; None where its past, or that of the word, isn't kept."""
    arrived: int | None
    """The first of the steps since which it is among the nearest of those kept without a break;
    None where it isn't at the last one."""


class Drift(Message, frozen=True, kw_only=True):
    """How a word's neighbours came about."""

    word: str
    """As the vocabulary has it."""
    note: str
    """How it was read, where it is in another form in the vocabulary."""
    step: int
    steps: list[int]
    neighbours: list[DriftedNeighbour]
    """The nearest now first."""
    past: WordPast


# --- the laboratory: one-hot against embedding -------------------------------------------------


class Similarities(Message, frozen=True, kw_only=True):
    """How near the tokens of a sentence are to one another: SimilarityMatrix."""

    text: str
    """At most 2,000 characters."""


class SimilarityMatrix(Message, frozen=True, kw_only=True):
    """A sentence's tokens compared with one another, and what tokens cost as float32."""

    tokens: list[str]
    """At most the first 64, as they stand in the sentence."""
    ids: list[int]
    """In the vocabulary; of those it lacks that of <unk>. One-hot rows are as near as 1 where the
    id is the same, else 0."""
    cosines: list[list[float | None]]
    """Of embeddings, a row a token; None where a vector has no direction."""
    step: int
    vocabulary_one_hot_bytes: int
    """A row for each token of the vocabulary: vocabulary x vocabulary x 4."""
    vocabulary_embedding_bytes: int
    """The same: vocabulary x embedding_size x 4."""
    text_tokens: int
    """Of the training split; 0 where its text was not read."""
    text_one_hot_bytes: int
    """A row for each of them: text_tokens x vocabulary x 4."""


EmbeddingQuestion = (
    Rank
    | Represent
    | WordQuery
    | CompleteWord
    | LookUp
    | MeasureSimilarity
    | MeasureAnalogies
    | Export
    | MapWords
    | PinWords
    | WordDrift
    | Similarities
)
EmbeddingReply = (
    NeighbourRank
    | Representation
    | WordAnswer
    | Completions
    | LookedUp
    | SimilarityScore
    | AnalogyScore
    | Exported
    | WordMap
    | WordPast
    | Drift
    | SimilarityMatrix
)
