"""Neighbours by cosine."""

import pytest
import torch

from engine.embeddings.neighbours import nearest


def test_neighbours_are_by_cosine_without_the_word_itself() -> None:
    weight = torch.tensor([[1.0, 0], [10, 1], [0, 1], [-1, 0], [-1, 1]])
    found = nearest(weight, token=0, top=10)
    assert [token for token, _ in found] == [1, 2, 4, 3]
    assert [cosine for _, cosine in found] == pytest.approx([10 / 101**0.5, 0, -(0.5**0.5), -1])


def test_neighbours_among_more_than_a_block() -> None:
    weight = torch.randn(3000, 200, generator=torch.Generator().manual_seed(1))
    units = torch.nn.functional.normalize(weight, dim=1)
    cosines = units @ units[2500]
    cosines[2500] = -1
    found = nearest(weight, token=2500, top=50)
    assert [token for token, _ in found] == cosines.topk(50).indices.tolist()
    assert [near for _, near in found] == pytest.approx(cosines.topk(50).values.tolist(), abs=1e-6)


def test_a_vector_of_zeros_is_near_nothing() -> None:
    weight = torch.tensor([[0.0, 0], [1, 2], [3, 4]])
    assert nearest(weight, token=0, top=2) == [(1, 0), (2, 0)]
    assert nearest(weight, token=1, top=2)[1] == (0, 0)


def test_neighbours_follow_the_training() -> None:
    weight = torch.nn.Parameter(torch.tensor([[1.0, 0], [1, 0.1], [0, 1]]))
    assert nearest(weight, token=0, top=1)[0][0] == 1
    with torch.no_grad():
        weight.copy_(torch.tensor([[1.0, 0], [0, 1], [1, 0.1]]))
    assert nearest(weight, token=0, top=1)[0][0] == 2
