import numpy as np
import pytest
import torch

from engine.errors import UserError
from engine.text.batches import BatchCursor


def test_columns_go_on_from_window_to_window_and_targets_are_one_ahead() -> None:
    tokens = np.arange(23, dtype=np.uint16)
    cursor = BatchCursor(tokens, batch_size=3, bptt=3)
    assert (cursor.rows, cursor.windows) == (7, 3)
    seen = []
    for _ in range(cursor.windows):
        inputs, targets = cursor.next()
        assert (targets == inputs + 1).all()
        seen.append(inputs)
    columns = np.concatenate(seen)
    assert columns.T.tolist() == [list(range(7)), list(range(7, 14)), list(range(14, 21))]
    assert cursor.at_start


def test_too_little_text_for_the_batch_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"3 tokens are too few for training.batch_size = 4"):
        BatchCursor(np.arange(3, dtype=np.uint16), batch_size=4, bptt=2)


def random_cursor(rows: int, bptt: int, seed: int = 1) -> BatchCursor:
    tokens = np.arange(2 * rows + 1, dtype=np.uint32)
    return BatchCursor(tokens, 2, bptt, torch.Generator().manual_seed(seed))


def lengths(cursor: BatchCursor, epochs: int = 1) -> list[int]:
    """Of the windows of some epochs, without the last of each, which the text cuts short."""
    found = []
    while cursor.epoch < epochs:
        length = len(cursor.next()[0])
        found += [] if cursor.at_start else [length]
    return found


def test_random_windows_cover_the_text_once_an_epoch() -> None:
    cursor = random_cursor(rows=1003, bptt=20)
    epochs = []
    for epoch in (1, 2):
        seen, edges = [], []
        while cursor.epoch < epoch:
            inputs, targets = cursor.next()
            assert (targets == inputs + 1).all()
            seen.append(inputs)
            edges.append(cursor.row)
        columns = np.concatenate(seen).T.tolist()
        assert columns == [list(range(1003)), list(range(1003, 2006))]
        assert cursor.at_start
        epochs.append(edges)
    assert epochs[0] != epochs[1]


def test_random_windows_are_as_long_as_the_paper_says() -> None:
    """Merity et al. 2018: normal around bptt, a deviation of 5; one in twenty around the half."""
    found = np.array(lengths(random_cursor(rows=300_000, bptt=70)))
    count = len(found)
    assert count > 4_000
    halved = found < 52
    assert halved.mean() == pytest.approx(0.05, abs=5 * (0.05 * 0.95 / count) ** 0.5)
    # A normal number cut down to an integer is half a token shorter.
    for part, middle in ((found[~halved], 69.5), (found[halved], 34.5)):
        assert part.mean() == pytest.approx(middle, abs=5 * 5 / len(part) ** 0.5)
        assert part.std() == pytest.approx(5, rel=5 / (2 * len(part)) ** 0.5)


def test_random_windows_are_at_least_five_long() -> None:
    found = lengths(random_cursor(rows=20_000, bptt=7))
    assert min(found) == 5
    assert found.count(5) > len(found) / 4
    assert max(found) > 15


def test_the_same_seed_draws_the_same_windows_and_torch_s_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (lengths(random_cursor(2_000, 20, seed), 2) for seed in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)


def test_fixed_windows_are_all_as_long_as_asked() -> None:
    cursor = BatchCursor(np.arange(2_007, dtype=np.uint32), 2, 20)
    assert set(lengths(cursor)) == {20}
