"""What is said of runs of several seeds: checked against numpy."""

import numpy as np
import pytest

from tui.commands.seeds import Outcome, spread


def outcome(seed: int, loss: float | None) -> Outcome:
    perplexity = None if loss is None else float(np.exp(loss))
    return Outcome(
        seed, {"run": f"a-seed{seed}", "valid_loss": loss, "valid_perplexity": perplexity}
    )


def test_the_mean_and_the_deviation_of_a_sample() -> None:
    losses = [5.1, 5.2, 5.6, 5.15]
    record, sentences = spread([outcome(seed, loss) for seed, loss in enumerate(losses, 1)])
    assert record["valid_loss"]["mean"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert record["valid_loss"]["deviation"] == pytest.approx(np.std(losses, ddof=1), rel=1e-12)
    perplexities = np.exp(losses)
    assert record["valid_perplexity"]["mean"] == pytest.approx(perplexities.mean(), rel=1e-12)
    assert sentences[0] == "seed 1  a-seed1  valid loss 5.1000, perplexity 164.02"
    assert sentences[-1] == (
        f"4 runs: valid loss 5.2625 ± {np.std(losses, ddof=1):.4f}, perplexity "
        f"{perplexities.mean():.2f} ± {perplexities.std(ddof=1):.2f} (mean ± standard deviation)."
    )


def test_those_that_were_not_validated_are_left_out_and_counted() -> None:
    record, sentences = spread([outcome(1, 5.0), outcome(2, None)])
    assert record["valid_loss"] == {"of": 1, "mean": 5.0, "deviation": None}
    assert sentences[1].endswith("not validated")
    assert sentences[-1].startswith("one run: valid loss 5.0000, perplexity 148.41 (")
    _, sentences = spread([outcome(2, None)])
    assert sentences[-1] == "None of them was validated."
