"""Words in a plane: PCA that neither flips nor turns, and a map's points."""

from typing import Any

import numpy as np
import pytest
import torch

from engine import messages as p
from engine.config import CorpusConfig, ModelConfig, RunConfig, replace
from engine.embeddings import projection
from engine.embeddings.projection import aligned, nearest_points, pca, unit_vectors
from engine.errors import UserError
from engine.model.lstm import LSTMLanguageModel
from engine.service.run import Run
from engine.text.corpus import open_corpus
from engine.text.toy_world import CLASSES
from tests.conducted import ask, model_of


def vectors(words: int, size: int, seed: int = 1) -> Any:
    random = np.random.default_rng(seed)
    scales = 1 / np.arange(1, size + 1)
    return unit_vectors((random.normal(size=(words, size)) * scales).astype(np.float32))


@pytest.mark.parametrize(("words", "size"), [(2, 1), (2, 5), (3, 2), (40, 10), (10, 40)])
def test_it_is_the_plane_of_the_singular_value_decomposition(words: int, size: int) -> None:
    units = vectors(words, size)
    plane = pca(units)
    centred = units.astype(np.float64) - units.mean(axis=0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    for axis in range(min(2, size)):
        if values[axis] < 1e-5:
            continue
        expected = left[:, axis] * values[axis]
        found = plane.points[:, axis]
        assert min(abs(found - expected).max(), abs(found + expected).max()) < 1e-5
        share = values[axis] ** 2 / (values**2).sum()
        assert plane.explained[axis] == pytest.approx(share)
    assert np.isfinite(plane.points).all()


def test_words_that_are_all_alike_lie_on_one_point() -> None:
    plane = pca(np.ones((4, 3), np.float32))
    assert plane.points == pytest.approx(np.zeros((4, 2)))
    assert plane.explained == (0.0, 0.0)


def test_axes_keep_their_signs_when_vectors_hardly_change() -> None:
    units = vectors(60, 8)
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=units.shape).astype(np.float32)
        moved = pca(unit_vectors(units + 1e-4 * noise)).points
        assert moved == pytest.approx(pca(units).points, abs=0.02)


@pytest.mark.parametrize("seen", ["before", "another plane", "one point", "half of it new"])
def test_it_is_found_as_well_from_the_plane_that_was_seen_last(
    seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = vectors(80, 30)
    noise = np.random.default_rng(4).normal(size=units.shape).astype(np.float32)
    before = pca(unit_vectors(units + 1e-2 * noise)).points
    left, values, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    match seen:
        case "another plane":  # directions that are exact, but not the first two
            before = left[:, 2:4] * values[2:4]
        case "one point":
            before = np.zeros_like(before)
        case "half of it new":
            before[::2] = np.nan
            before[1] = 1e300
    expected = pca(units)
    monkeypatch.setattr(np.linalg, "svd", None)
    found = pca(units, before)
    assert found.points == pytest.approx(expected.points, abs=1e-3)
    assert found.explained == pytest.approx(expected.explained, rel=1e-4)


def test_directions_that_are_hard_to_tell_apart_are_found_too() -> None:
    random = np.random.default_rng(5)
    units = unit_vectors(random.normal(size=(500, 60)).astype(np.float32))
    assert pca(units, random.normal(size=(500, 2))).points == pytest.approx(pca(units).points)


def test_points_that_were_turned_and_mirrored_come_back() -> None:
    points = np.random.default_rng(2).normal(size=(30, 2))
    points -= points.mean(axis=0)
    for angle, mirror in ((0.0, 1), (1.0, 1), (2.5, -1), (3.14, -1)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turned = points @ turn * [mirror, 1]
        assert aligned(turned, points) == pytest.approx(points)
        some = np.where(np.arange(30)[:, np.newaxis] < 12, points, np.nan)
        again = aligned(turned, some)
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
        assert np.linalg.norm(again[:, None] - again[None], axis=-1) == pytest.approx(distances)
    nowhere = np.full((30, 2), np.nan)
    assert aligned(points, nowhere) is points


def test_neighbours_on_the_map_are_those_of_the_full_space() -> None:
    units = vectors(50, 20)
    cosines = units @ units.T - 3 * np.eye(50)
    assert nearest_points(units).tolist() == cosines.argmax(axis=1).tolist()


@pytest.fixture
def run() -> Run:
    corpus = open_corpus(CorpusConfig(source="toy-world"))
    torch.manual_seed(3)
    model = LSTMLanguageModel(len(corpus.tokenizer.vocabulary), ModelConfig(embedding_size=16))
    return model_of(corpus.tokenizer, model, replace(RunConfig(), {"corpus.source": "toy-world"}))


def test_a_map_holds_the_words_asked_for_with_their_classes(run: Run) -> None:
    frequent = ask(p.MapWords(top=30), run)
    counts = [point.count for point in frequent.points]
    assert len(counts) == 30 and counts == sorted(counts, reverse=True)
    listed = ask(p.MapWords(words=["Monday", "dog", "nowhere", "dog", "red"]), run)
    assert [(point.word, point.group) for point in listed.points] == [
        ("monday", "day"),
        ("dog", "animal"),
        ("red", "colour"),
    ]
    assert listed.unknown == ["nowhere"]
    around = ask(p.MapWords(around="teacher - doctor + baker", top=12), run)
    names = [point.word for point in around.points]
    near = ask(p.WordQuery(query="teacher - doctor + baker", top=9), run).neighbours
    assert names == ["teacher", "doctor", "baker", *(word.word for word in near)]
    for point in around.points:
        assert point.group in (*CLASSES, "")
        assert 0 <= point.nearest < 12 and around.points[point.nearest] is not point


def test_the_next_map_lies_as_the_one_before(run: Run) -> None:
    before = ask(p.MapWords(top=40), run)
    turned = [p.MapPoint(point.word, -point.y, point.x) for point in before.points]
    after = ask(p.MapWords(top=40, previous=turned), run)
    for point, wanted in zip(after.points, turned, strict=True):
        assert (point.x, point.y) == pytest.approx((wanted.x, wanted.y), abs=1e-6)


def test_words_without_a_direction_are_named_and_too_few_are_refused(run: Run) -> None:
    weight = run.saved_model.embedding.weight  # type: ignore[union-attr]
    with torch.no_grad():
        weight[run.tokenizer.vocabulary.id("dog")] = 0  # type: ignore[union-attr]
    assert ask(p.MapWords(words=["dog", "cat", "red"]), run).unknown == ["dog"]
    with pytest.raises(UserError, match="at least two words"):
        ask(p.MapWords(words=["dog", "cat"]), run)
    with pytest.raises(UserError, match="at most 2,000"):
        ask(p.MapWords(top=2001), run)


def test_without_its_package_t_sne_is_refused_in_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="openTSNE, which isn't installed"):
        ask(p.MapWords(method="tsne"), run)


def test_t_sne_keeps_clusters_together(run: Run) -> None:
    pytest.importorskip("openTSNE")
    weight = run.saved_model.embedding.weight  # type: ignore[union-attr]
    vocabulary = run.tokenizer.vocabulary  # type: ignore[union-attr]
    words = [*CLASSES["day"], *CLASSES["food"]]
    with torch.no_grad():
        for word in words:
            weight[vocabulary.id(word)] = 0.01 * torch.randn(16)
            weight[vocabulary.id(word), word in CLASSES["day"]] += 1  # type: ignore[index]
    found = ask(p.MapWords(words=words, method="tsne"), run)
    places = np.array([(point.x, point.y) for point in found.points])
    days, foods = places[:7], places[7:]
    apart = np.linalg.norm(days.mean(axis=0) - foods.mean(axis=0))
    assert apart > np.linalg.norm(days - days.mean(axis=0), axis=1).max()
