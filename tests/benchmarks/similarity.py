"""How well word vectors agree with people, ours beside gensim's, after as long a training.

    python -m tests.benchmarks.similarity CORPUS [--preset large-vocabulary] [--epochs 3]
                                          [--set SETTING=VALUE] [--keep FILE.npz]

A model trains for `--epochs`; then skip-gram and CBOW (Mikolov et al. 2013, by gensim) on the same
text, with as many words and numbers, for as many epochs as fit into the same seconds, and into a
quarter of them. All on one thread, by the processor's time, so that it may run beside other work.
Each table and each way to see it is then asked for the pairs of WordSim-353 and SimLex-999 and for
the analogies that gensim brings along; the nearest words of *his* are named. `--keep` keeps the
vectors of each model, and takes those that it finds.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gensim.models import Word2Vec
from gensim.test.utils import datapath
from numpy.typing import NDArray

from engine.bench.machine import this_machine
from engine.config import preset, replace
from engine.embeddings.benchmarks import (
    Correlation,
    correlate,
    known_words,
    read_analogies,
    read_pairs,
    solve_analogies,
)
from engine.embeddings.space import Space, Vectors
from engine.embeddings.transformations import Transformation, transformed
from engine.text.corpus import Corpus, open_corpus
from engine.text.vocabulary import Vocabulary
from engine.training.trainer import Trainer
from tests.benchmarks.machine import as_an_engine

PAIRS = ("wordsim353.tsv", "simlex999.txt")
ANALOGIES = "questions-words.txt"
HOW: tuple[tuple[Transformation, int], ...] = (
    ("raw", 0),
    ("mean-removed", 0),
    *(("all-but-the-top", k) for k in (1, 2, 3, 5, 10, 20)),
)
WORD = "his"
PARTS = (0.25, 1.0)
"""Of the seconds that ours takes."""
Tables = dict[str, NDArray[np.float32]]


class Trained(NamedTuple):
    """Vectors of the vocabulary's words by table, and the seconds of processor time they took."""

    tables: Tables
    seconds: float


def ours(trainer: Trainer, epochs: int) -> Trained:
    """The model's, after so many epochs."""
    began = time.process_time()
    while trainer.step < epochs * trainer.cursor.windows:
        for _ in trainer.take_step():
            pass
    seconds = time.process_time() - began
    model = trainer.model
    tables = {"input": model.embedding.weight.detach().numpy().copy()}
    if not trainer.config.model.tied:
        tables["output"] = model.output.weight.detach().numpy().copy()
    return Trained(tables, seconds)


def gensims(corpus: Corpus, size: int, seconds: float) -> Iterator[tuple[str, Trained]]:
    """Skip-gram's and CBOW's, each after as many epochs as fit into these seconds, and into a
    part of them: on a small text more epochs need not be better."""
    vocabulary = corpus.tokenizer.vocabulary
    for name, skip_gram in (("skip-gram", 1), ("CBOW", 0)):
        _, once = word2vec(corpus, size, skip_gram, 1)
        for part in PARTS:
            epochs = max(1, int(part * seconds / once))
            model, taken = word2vec(corpus, size, skip_gram, epochs)
            found = np.zeros((len(vocabulary), size), np.float32)
            for word, index in model.wv.key_to_index.items():
                found[int(word)] = model.wv.vectors[index]
            yield f"{name}, {epochs} epochs", Trained({"input": found}, taken)


def word2vec(corpus: Corpus, size: int, skip_gram: int, epochs: int) -> tuple[Word2Vec, float]:
    """Trained on the ids of the text, line by line, so that all know the same words; and the
    seconds."""
    vocabulary = corpus.tokenizer.vocabulary
    ids = np.asarray(corpus.splits["train"])
    ends = np.flatnonzero(ids == vocabulary.end_of_sentence)
    split = (line[line != vocabulary.end_of_sentence] for line in np.split(ids, ends))
    lines = [list(map(str, line.tolist())) for line in split if len(line)]
    model = Word2Vec(vector_size=size, min_count=1, sg=skip_gram, workers=1, seed=1)
    model.build_vocab(lines)
    began = time.process_time()
    model.train(lines, total_examples=len(lines), epochs=epochs)
    return model, time.process_time() - began


def kept(path: Path | None) -> dict[str, Trained]:
    """What an earlier run has put into a file."""
    if path is None or not path.exists():
        return {}
    found: dict[str, Trained] = {}
    with np.load(path) as file:
        for key in file.files:
            name, table, seconds = key.split("|")
            found.setdefault(name, Trained({}, float(seconds))).tables[table] = file[key]
    return found


def keep(path: Path | None, found: dict[str, Trained]) -> None:
    if path is not None:
        np.savez(
            path,
            **{
                f"{name}|{table}|{trained.seconds}": vectors
                for name, trained in found.items()
                for table, vectors in trained.tables.items()
            },
        )


def seen(tables: Tables) -> Tables:
    """The tables, and what can be made of two."""
    if "output" in tables:
        tables = tables | {"both": (tables["input"] + tables["output"]) / np.float32(2)}
    return tables


def told(vocabulary: Vocabulary, vectors: Vectors) -> str:
    """Spearman by each file of pairs, analogies solved, and what is near WORD."""
    known = known_words(vocabulary.tokens)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1)

    def find(word: str) -> Vectors | None:
        index = known.get(word.upper())
        return None if index is None else units[index]

    row = []
    for name in PAIRS:
        *_, found = correlate(read_pairs(Path(datapath(name))), find)
        assert isinstance(found, Correlation)
        row.append(f"{found.spearman or 0:.3f} ({found.used})")
    *_, sections = solve_analogies(
        read_analogies(Path(datapath(ANALOGIES)))[0], vocabulary.tokens, vectors
    )
    assert isinstance(sections, list)
    asked = sum(section.asked for section in sections)
    row.append(f"{sum(section.correct for section in sections) / asked:.1%} ({asked:,})")
    space = Space(vocabulary.tokens, vectors, vocabulary.readable)
    near = space.most_similar([space.meant(vocabulary.encode([WORD])[0])], top=8)
    return " | ".join([*row, " ".join(vocabulary.tokens[index] for index, _ in near)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--preset", default="large-vocabulary")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    as_an_engine("tests.benchmarks.similarity")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(this_machine())
    changes = dict(change.split("=", 1) for change in options.changes)
    changes |= {"corpus.source": str(options.corpus.absolute()), "training.epochs": options.epochs}
    config = replace(preset(options.preset), changes)
    corpus = open_corpus(config.corpus)
    vocabulary = corpus.tokenizer.vocabulary
    found = kept(options.keep)
    name = f"{options.preset} {' '.join(options.changes)}".strip()
    if name not in found:
        found[name] = ours(Trainer(config, corpus, torch.device("cpu")), options.epochs)
        keep(options.keep, found)
    if len(found) == 1:
        for other, trained in gensims(corpus, config.model.embedding_size, found[name].seconds):
            found[other] = trained
            keep(options.keep, found)
    print(f"{len(vocabulary):,} words\n\n| vectors | {' | '.join((*PAIRS, ANALOGIES, WORD))} |")
    print("| --- | --- | --- | --- | --- |")
    for name, trained in found.items():
        for table, vectors in seen(trained.tables).items():
            for how, components in HOW:
                changed = transformed(vectors, how, components, vocabulary.readable)
                view = f"{name}, {trained.seconds:.0f} s, {table}, {how} {components or ''}"
                print(f"| {view} | {told(vocabulary, changed)} |", flush=True)


if __name__ == "__main__":
    main()
