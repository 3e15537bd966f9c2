"""Early stopping as the screen tells it: what the engine says, never worked out again."""

from engine.events import Evaluated, RolledBack
from tui.validations import Validations


def valid(number: int, stale: int | None) -> Evaluated:
    steers = stale is not None
    return Evaluated(
        step=number, split="valid", loss=3.0, perplexity=20.1, tokens=9, seconds=0.1,
        steers=steers, stale=stale,
    )  # fmt: skip


def standing(*events, patience: int | None = 5) -> str:
    validations = Validations()
    for event in events:
        validations.apply(event)
    return validations.standing(patience)


def test_it_is_what_the_newest_that_steers_says() -> None:
    assert standing() == ""
    assert standing(valid(1, 0)).startswith("0 of 5")
    assert standing(valid(1, 0), valid(2, 1)) == "1 of 5 validations without a better one"
    assert standing(valid(1, 0), valid(2, 1), patience=None) == ""


def test_those_that_only_measure_say_nothing() -> None:
    assert standing(valid(3, None)) == ""
    assert standing(valid(2, 1), valid(3, None)).startswith("1 of 5")


def test_a_run_that_went_back_stands_as_it_then_stood() -> None:
    back = RolledBack(step=1, from_step=3, learning_rate=0.1, stale=0)
    assert standing(valid(2, 1), back).startswith("0 of 5")
    older = RolledBack(step=1, from_step=3, learning_rate=0.1)
    assert standing(valid(2, 1), older) == "", "an older record doesn't say"
