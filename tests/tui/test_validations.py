"""Early stopping as the screen counts it, against the trainer's own rule."""

from engine.events import Evaluated, Intervened, RolledBack
from tests.tui.fake_engine import step
from tui.validations import Validations

ASKED = Intervened(step=3, action="evaluate", new="valid")


def valid(number: int, loss: float | None) -> Evaluated:
    return Evaluated(step=number, split="valid", loss=loss, perplexity=None, tokens=9, seconds=0.1)


def stale(*events) -> int:
    validations = Validations()
    for event in events:
        validations.apply(event)
    return validations.stale


def test_those_since_the_best_count() -> None:
    assert stale() == 0
    assert stale(valid(1, 3.0)) == 0
    assert stale(valid(1, 3.0), valid(2, 2.0), valid(3, 2.5), valid(4, 2.0)) == 2
    assert stale(valid(1, 3.0), valid(2, 4.0), valid(3, 2.5)) == 0


def test_those_without_a_number_and_of_other_splits_do_not() -> None:
    test = Evaluated(step=2, split="test", loss=9.0, perplexity=None, tokens=9, seconds=0.1)
    assert stale(valid(1, 3.0), valid(2, None), test) == 0


def test_those_asked_for_do_not() -> None:
    assert stale(valid(2, 3.0), ASKED, valid(3, 4.0)) == 0
    assert stale(valid(2, 3.0), ASKED, ASKED, valid(3, 4.0), valid(3, 4.0), valid(3, 4.0)) == 1
    lost = (ASKED, step(4))  # the engine ended before it was made
    assert stale(valid(2, 3.0), *lost, valid(4, 4.0)) == 1


def test_what_a_run_that_went_back_had_measured_is_void() -> None:
    before = (step(1), valid(1, 3.0), step(2), valid(2, 4.0))
    assert stale(*before) == 1
    assert stale(*before, RolledBack(step=1, from_step=2, learning_rate=0.1)) == 0
    assert stale(*before, step(2)) == 0
    assert stale(*before, step(2), valid(2, 5.0)) == 1


def test_in_words() -> None:
    validations = Validations()
    assert validations.standing(5) == ""
    for event in (valid(1, 3.0), valid(2, 4.0)):
        validations.apply(event)
    assert validations.standing(5) == "1 of 5 validations without a better one"
    assert validations.standing(None) == ""
