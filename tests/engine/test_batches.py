import numpy as np
import pytest

from engine.errors import UserError
from engine.training.batches import BatchCursor


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
