"""The progress line: what it says, what it leaves out when the terminal is narrow, how long it
expects the run to take."""

import io
import json
import re
import time
from pathlib import Path

import msgspec
import pytest

from engine.config import TokenizerName, TrainingConfig
from engine.events import Evaluated, NonFinite, Progress, Remark, SaveFailed, Stepped
from engine.runs import open_past
from tests.recorded import write_old
from tests.tui.fake_engine import CORPUS
from tui.progress_line import JsonReport, Report, Tally, TerminalReport
from tui.remarks import in_brief


def stepped(step: int, **changes: object) -> Stepped:
    values: dict[str, object] = {
        "step": step,
        "epoch": step / 100,
        "loss": 4.123456,
        "learning_rate": 0.005,
        "norm_before": 1.25,
        "norm_after": 0.5,
        "groups_before": {},
        "groups_after": {},
        "norm_median": 1.2,
        "norm_p90": 2.4,
        "norm_p99": 3.6,
        "clip_mode": "norm",
        "clip_threshold": 0.5,
        "clipped": step % 2 == 0,
        "clip_fraction": 0.5,
        "seconds": float(step),
        "tokens_per_second": 12345.6,
    }
    return Stepped(**(values | changes))  # type: ignore[arg-type]


def evaluated(step: int, perplexity: float = 153.2) -> Evaluated:
    return Evaluated(
        step=step, split="valid", loss=5.03, perplexity=perplexity, tokens=9, seconds=0.1, best=True
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time in seconds, to be set by the test."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def tally_at_one_step_a_second(limits: TrainingConfig) -> Tally:
    tally = Tally(limits)
    for step in range(1, 11):
        tally.apply([stepped(step)])
    return tally


def test_says_all_that_matters() -> None:
    tally = tally_at_one_step_a_second(TrainingConfig(steps=130))
    tally.apply([evaluated(10)])
    assert tally.line() == (
        "step 10  epoch 0.10  loss 4.12  valid ppl 153.2/word  lr 0.005  norm 1.25→0.5  "
        "clip 50%  12,346 tok/s  2 min left"
    )


@pytest.mark.parametrize("width", range(1, 130))
def test_fits_any_width(width: int) -> None:
    tally = tally_at_one_step_a_second(TrainingConfig(steps=130))
    tally.apply([evaluated(10)])
    line = tally.line(width)
    assert len(line) <= width
    assert line.startswith("step 10"[:width])
    if width >= 47:
        assert "loss 4.12  valid ppl 153.2" in line
        assert "2 min left" in line
    if width >= 65:
        assert "valid ppl 153.2/word  " in line


@pytest.mark.parametrize(
    ("tokenizer", "bits", "short", "line"),
    [
        ("word", None, "ppl 153.2/word", "perplexity 153.20 per word token"),
        ("whitespace", None, "ppl 153.2/word", "perplexity 153.20 per word token"),
        (
            "character",
            7.2578,
            "7.258 bits/char",
            "7.258 bits/character  perplexity 153.20 per character",
        ),
        ("character", None, "ppl 153.2/char", "perplexity 153.20 per character"),
        (
            "subword",
            1.5,
            "ppl 153.2/piece",
            "perplexity 153.20 per sub-word piece  1.500 bits/character",
        ),
    ],
)
def test_what_the_numbers_are_per(
    clock: list[float], tokenizer: TokenizerName, bits: float | None, short: str, line: str
) -> None:
    out = io.StringIO()
    report = Report(out, TrainingConfig(), tokenizer)
    clock[0] += 10
    report.apply([msgspec.structs.replace(evaluated(9), bits_per_character=bits), stepped(9)])
    validation, progress = out.getvalue().splitlines()
    assert validation == f"step 9  valid loss 5.0300  {line}  best so far"
    assert f"  loss 4.12  valid {short}  " in progress


def test_the_text_is_told_once_and_what_helps_with_it() -> None:
    out = io.StringIO()
    report = Report(out, TrainingConfig())
    remarks = [
        Remark(kind="unknown", sentence="So it is.", settings=["a=1", "b=2", "c=3"]),
        Remark(kind="passed-over", sentence="Left\x1b out.", source="/my code/*.py"),
        Remark(kind="says-unknown", sentence="Nothing helps."),
    ]
    rates = {"train": 0.0, "valid": 0.0001, "test": 0.0916}
    corpus = msgspec.structs.replace(
        CORPUS, unknown_rate=rates, remarks=remarks, too_long={"train": 3, "test": 1000}
    )
    report.tell_text(corpus)
    report.tell_text(corpus)
    assert out.getvalue().splitlines() == [
        (
            "Text: 72,000 train tokens (4,000 valid, 4,000 test), vocabulary 64; unknown <0.1% of "
            "valid, 9.2% of test, 1,003 as longer than 128 characters."
        ),
        "Note: So it is. Try `--set a=1`, `--set b=2` or `--set c=3`.",
        "Note: Left␛ out. Try `lstm-tui train '/my code/*.py'`.",
        "Note: Nothing helps.",
    ]
    assert in_brief(msgspec.structs.replace(CORPUS, tokens={"train": 5})).endswith(
        " 5 train tokens, vocabulary 64; unknown none."
    )


def test_not_finite_and_slow_tasks_are_told() -> None:
    tally = Tally(TrainingConfig())
    assert tally.line() == "preparing"
    tally.apply([Progress(task="reading", done=1000, total=5000, unit="bytes")])
    assert tally.line() == "reading 1,000 of 5,000 bytes"
    tally.apply([Progress(task="reading", done=5000, total=5000, unit="bytes")])
    assert tally.line() == "preparing"
    tally.apply([stepped(1, loss=None, norm_before=None, norm_after=None)])
    assert "loss not finite" in tally.line()


def test_plain_lines_every_ten_seconds_and_at_events(clock: list[float]) -> None:
    out = io.StringIO()
    report = Report(out, TrainingConfig())
    report.apply([stepped(1), stepped(2)])
    assert out.getvalue() == ""
    report.apply([evaluated(2), NonFinite(step=3, tensor="lstm.0", value="nan", in_a_row=1)])
    report.apply([NonFinite(step=4, tensor="loss", value="nan", in_a_row=2)])
    report.apply([SaveFailed(step=3, reason="No space\x1b[2J left")])
    clock[0] += 10
    report.apply([stepped(4)])
    report.apply([stepped(5)])
    assert out.getvalue().splitlines() == [
        "step 2  valid loss 5.0300  perplexity 153.20 per word token  best so far",
        "step 3  nan in lstm.0",
        "step 3  No space␛[2J left",
        (
            "step 4  epoch 0.04  loss 4.12  valid ppl 153.2/word  lr 0.005  norm 1.25→0.5  "
            "clip 67%  12,346 tok/s"
        ),
    ]


def test_a_sampled_loss_is_told_to_be_one() -> None:
    tally = Tally(TrainingConfig())
    tally.apply([stepped(1)])
    assert "loss 4.12  " in tally.line()
    tally.apply([stepped(2, sampled=True)])
    assert "loss 4.12 sampled  " in tally.line()


def test_early_stopping_is_told_with_each_validation_that_was_no_better(tmp_path: Path) -> None:
    out = io.StringIO()
    report = Report(out, TrainingConfig(patience=3))
    worse = msgspec.structs.replace(evaluated(3), loss=6.0, best=False, stale=2)
    past = [stepped(1), evaluated(1), stepped(2), msgspec.structs.replace(worse, step=2, stale=1)]
    write_old(tmp_path, past)
    report.recall(open_past(tmp_path).spans())
    assert out.getvalue() == ""
    report.apply([stepped(3), worse])
    assert out.getvalue().endswith("  2 of 3 validations without a better one\n")
    report.apply([stepped(4), msgspec.structs.replace(evaluated(4), loss=4.0)])
    assert out.getvalue().endswith("best so far\n")


def test_terminal_line_is_rewritten(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = io.StringIO()
    report = TerminalReport(out, TrainingConfig())
    for step in range(1, 4):
        clock[0] += 1
        report.apply([stepped(step)])
    report.apply([evaluated(3)])
    pieces = re.split(r"\r\x1b\[K", out.getvalue())
    assert [piece[:6] for piece in pieces] == ["", "step 1", "step 2", "step 3", "step 3"]
    assert all("\n" not in piece and len(piece) < 60 for piece in pieces[:4])
    assert pieces[4].endswith("best so far\n")


def test_json_has_nothing_but_evaluations_and_the_summary() -> None:
    out = io.StringIO()
    report = JsonReport(out, TrainingConfig())
    report.say("Saving…")
    report.apply([stepped(1), evaluated(1), stepped(2)])
    report.finish({"type": "Summary", "valid_loss": float("inf")}, ["Finished."])
    first, last = map(json.loads, out.getvalue().splitlines())
    assert (first["type"], first["step"], first["perplexity"]) == ("Evaluated", 1, 153.2)
    assert first["per"] == "word token"
    assert last == {"type": "Summary", "valid_loss": None}
