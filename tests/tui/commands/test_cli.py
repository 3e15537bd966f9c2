"""The command line as a user has it: real processes, real exit codes, the real engine."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np
import pytest

from engine import messages as p
from engine.runs import is_live, list_runs, load_config, read_address
from engine.runs.private import place_of
from engine.runs.steps import HEADER
from engine.service.client import Engine, attach
from tests.drive import Program

ROOT = Path(__file__).parents[3]
LSTM_TUI = [sys.executable, "-m", "tui.cli"]
CROWDED = ["--set", "training.batch_size=65536", "--set", "corpus.valid_fraction=0.5"]
"""More streams than there are tokens."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A place of its own for models and caches."""
    place = tmp_path_factory.mktemp("lstm-tui")
    return {
        **os.environ,
        "LSTM_TUI_MODELS": str(place / "models"),
        "LSTM_TUI_CACHE": str(place / "cache"),
    }


@pytest.fixture(scope="module")
def models(environment: dict[str, str]) -> Path:
    return Path(environment["LSTM_TUI_MODELS"])


@pytest.fixture(scope="module")
def run(environment: dict[str, str]) -> "Run":
    return Run(environment)


class Run:
    """Runs the command line to its end."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(
        self, *arguments: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*LSTM_TUI, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.environment | environment,
        )

    def well(self, *arguments: str, stdin: str = "") -> str:
        """What it printed, having ended well and without a word on standard error."""
        ended = self(*arguments, stdin=stdin)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout


@asynccontextmanager
async def attached(folder: Path) -> AsyncIterator[Engine]:
    engine = await attach(folder)
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture(scope="module")
def trained(run: Run) -> tuple[str, list[dict[str, Any]]]:
    """A saved run of 30 steps, and the JSON lines its training printed."""
    lines = run.well("train", "toy-world", "--name", "trained", "--steps", "30", "--json")
    return "trained", [json.loads(line) for line in lines.splitlines()]


@pytest.fixture
def live(run: Run, models: Path) -> Iterator[Path]:
    """A run that trains on in its engine, after the terminal it was started from has closed."""
    command = [*LSTM_TUI, "train", "toy-world", "--set", "training.evaluate_every=10"]
    with Program([*command, "--name", "live"], environment=run.environment) as program:
        program.wait_for("valid loss", timeout=60)
        program.process.send_signal(signal.SIGHUP)
        assert program.wait() == 128 + signal.SIGHUP
    folder = models / "live"
    assert is_live(folder)
    yield folder
    if is_live(folder):
        end_engine(folder)
    shutil.rmtree(folder, ignore_errors=True)


def end_engine(folder: Path) -> None:
    os.kill(read_address(folder).pid, signal.SIGKILL)
    wait_until_ended(folder)


def wait_until_ended(folder: Path) -> None:
    """The lock is released at the very end of the engine's process."""
    lock = (place_of(folder) / "lock").open("rb")
    with lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_SH)


# --- train ------------------------------------------------------------------------------------


def test_train_prints_evaluations_and_a_summary_as_json(
    trained: tuple[str, list[dict[str, Any]]], models: Path
) -> None:
    name, lines = trained
    assert [line["type"] for line in lines] == ["Evaluated", "Summary"]
    evaluated, summary = lines
    assert (evaluated["step"], evaluated["per"]) == (30, "word token")
    assert summary == {
        "type": "Summary",
        "run": name,
        "folder": str(models / name),
        "outcome": "finished",
        "step": 30,
        "epoch": pytest.approx(evaluated["step"] * summary["epoch"] / 30),
        "valid_loss": evaluated["loss"],
        "valid_perplexity": evaluated["perplexity"],
        "valid_bits_per_character": None,
        "tokenizer": "word",
        "vocabulary": 116,
        "unknown_rate": {"train": 0.0, "valid": 0.0, "test": 0.0},
        "remarks": [],
        "saved": True,
    }
    assert not is_live(models / name)
    assert load_config(models / name).preset == "toy"


def test_train_warns_of_adamw_with_sampled_words_and_trains(run: Run) -> None:
    settings = ["--set", "training.candidates=64", "--steps", "3", "--name"]
    told = run.well("train", "toy-world", *settings, "sampled")
    assert told.count("Note: adamw diverges") == 1 and "step 3" in told
    told = run.well("train", "toy-world", "--preset", "toy-clipping", *settings, "plain")
    assert "Note" not in told


def test_seeds_are_trained_one_after_the_other_and_compared(run: Run, models: Path) -> None:
    settings = ["--set", "training.seed=7", "--steps", "12", "--seeds", "3", "--name", "spread"]
    lines = run.well("train", "toy-world", *settings, "--json").splitlines()
    *told, seeds = map(json.loads, lines)
    summaries = [line for line in told if line["type"] == "Summary"]
    names = [f"spread-seed{seed}" for seed in (7, 8, 9)]
    assert [summary["run"] for summary in summaries] == names
    assert [load_config(models / name).training.seed for name in names] == [7, 8, 9]
    assert [one["seed"] for one in seeds["runs"]] == [7, 8, 9]
    for measure in ("valid_loss", "valid_perplexity"):
        values = np.array([summary[measure] for summary in summaries])
        assert len(set(values.tolist())) == 3
        assert [one[measure] for one in seeds["runs"]] == values.tolist()
        assert seeds[measure]["of"] == 3
        assert seeds[measure]["mean"] == pytest.approx(values.mean(), rel=1e-12)
        assert seeds[measure]["deviation"] == pytest.approx(values.std(ddof=1), rel=1e-9)
    alone = run.well("train", "toy-world", "--set", "training.seed=8", "--steps", "12", "--json")
    assert json.loads(alone.splitlines()[-1])["valid_loss"] == summaries[1]["valid_loss"]
    again = run("train", "toy-world", *settings)
    assert again.returncode == 1
    assert "There is a run spread-seed7 already" in again.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["toy-world", "--seeds", "2"], "--seeds needs runs that end"),
        (["toy-world", "--seeds", "2", "--resume"], "doesn't go with --resume"),
        (["-", "--seeds", "2", "--steps", "3"], "give a file, not -"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(
    run: Run, options: list[str], problem: str, models: Path
) -> None:
    before = sorted(models.glob("*"))
    done = run("train", *options)
    assert done.returncode == 1
    assert problem in done.stderr
    assert sorted(models.glob("*")) == before


def test_resume_goes_on_to_the_new_limit(
    run: Run, trained: tuple[str, list[dict[str, Any]]], models: Path
) -> None:
    shutil.copytree(models / trained[0], models / "resumed")
    printed = run.well(
        "train", "toy-world", "--resume", "--name", "resumed", "--steps", "45", "--json"
    )
    summary = json.loads(printed.splitlines()[-1])
    assert (summary["run"], summary["step"], summary["outcome"]) == ("resumed", 45, "finished")
    printed = run.well("metrics", "resumed", "--json")
    steps = [json.loads(line) for line in printed.splitlines()]
    assert [step["step"] for step in steps] == list(range(1, 46))
    table = list(csv.DictReader(run.well("metrics", "resumed", "--csv").splitlines()))
    assert list(table[0]) == list(steps[0])
    for printed_step, step in zip(table, steps, strict=True):
        assert {name: str(value) for name, value in step.items()} == printed_step
    assert steps[7]["loss_min"] == steps[7]["loss"] > 0
    told = run.well("metrics", "resumed")
    assert told.startswith("resumed: 45 steps recorded.\nstep ")
    assert [line.split()[0] for line in told.splitlines()[2:12]] == list(map(str, range(36, 46)))


def test_resume_takes_the_newest_run_of_the_corpus_and_refuses_at_its_limit(
    run: Run, trained: tuple[str, list[dict[str, Any]]], models: Path
) -> None:
    shutil.copytree(models / trained[0], models / "newest")
    (models / "newest" / "latest").touch()
    ended = run("train", "toy-world", "--resume")
    assert ended.returncode == 1
    assert ended.stdout.startswith("Training newest on toy-world")
    assert re.fullmatch(r"lstm-tui: .*reached.*training\.steps[^\n]*\n", ended.stderr)
    assert [info.step for info in list_runs(models) if info.name == "newest"] == [30]
    assert not is_live(models / "newest")


def test_a_run_that_is_let_explode_ends_well_and_keeps_nothing(run: Run, models: Path) -> None:
    changes = {
        "optimiser.name": "sgd",
        "optimiser.learning_rate": "500",
        "clipping.mode": "off",
        "training.non_finite": "let-it-happen",
    }
    settings = [part for path, value in changes.items() for part in ("--set", f"{path}={value}")]
    told = run.well("train", "toy-world", "--name", "boom", "--steps", "60", *settings)
    assert len(re.findall(r"(?:inf|nan) in ", told)) == 1, "of an explosion only the first step"
    assert "valid loss not finite  perplexity not finite" in told
    assert told.endswith("Nothing is kept: the weights were never saved while they were finite.\n")
    assert not is_live(models / "boom"), "the engine ends though there is nothing it can save"


def test_train_from_standard_input_in_plain_lines(run: Run, models: Path) -> None:
    text = "The mathematician ran to the store.\n" * 300
    printed = run.well("train", "-", "--name", "piped", "--steps", "5", stdin=text)
    first, text_line, *_, evaluation, finished, saved, hint = printed.splitlines()
    assert text_line == (
        "Text: 2,160 train tokens (120 valid, 120 test), vocabulary 8; unknown none."
    )
    assert first == (
        f"Training piped on {models / 'piped' / 'corpus.txt'}, until 5 steps; "
        "Ctrl-C saves and ends."
    )
    assert re.fullmatch(
        r"step 5  valid loss \d+\.\d{4}  perplexity [\d,.]+ per word token  best so far",
        evaluation,
    )
    assert re.fullmatch(
        r"Finished at step 5: valid loss \d+\.\d{4}, perplexity [\d,.]+ per word token\.", finished
    )
    assert saved == f"Saved in {models / 'piped'}."
    assert "`lstm-tui generate piped`" in hint
    assert "\x1b" not in printed and "\r" not in printed
    assert (models / "piped" / "corpus.txt").read_text() == text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends(run: Run, models: Path, number: signal.Signals) -> None:
    name = f"ended-by-{number.name}"
    command = [*LSTM_TUI, "train", "toy-world", "--set", "training.evaluate_every=5"]
    with subprocess.Popen(
        [*command, "--name", name],
        env=run.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        read_until(process.stdout, "valid loss")
        process.send_signal(number)
        rest = process.stdout.read()
        assert (process.wait(30), process.stderr.read()) == (128 + number, "")
    assert "Saving…" in rest
    step = int(re.findall(r"Interrupted at step ([\d,]+)", rest)[0].replace(",", ""))
    assert step >= 5
    assert [info.step for info in list_runs(models) if info.name == name] == [step]
    assert not is_live(models / name)


def read_until(stream: IO[str], text: str) -> str:
    read = ""
    while text not in read:
        line = stream.readline()
        assert line, f"ended without {text!r}: {read}"
        read += line
    return read


def test_settings_come_from_preset_file_and_options_in_this_order(
    run: Run, models: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[model]\nlayers = 2\n[regularisation]\noutput_dropout = 0.5\n"
        '[schedule]\nname = "cosine"\n[training]\nsteps = 90\n'
    )
    settings = ["--set", "regularisation.output_dropout=0.25", "--set", "corpus.source=ignored"]
    limit = ["--epochs", "0.01"]
    run.well("train", "toy-world", "--name", "set", "--config", str(file), *settings, *limit)
    config = load_config(models / "set")
    assert (config.preset, config.model.hidden_size, config.model.layers) == ("toy", 32, 2)
    assert (config.regularisation.output_dropout, config.corpus.source) == (0.25, "toy-world")
    assert (config.training.steps, config.training.epochs) == (None, 0.01)


def test_progress_on_a_terminal_is_one_line(run: Run) -> None:
    command = [*LSTM_TUI, "train", "toy-world", "--name", "watched", "--steps", "600"]
    with Program(command, columns=70, rows=20, environment=run.environment) as program:
        screen = program.wait_for("Finished at step 600", timeout=90)
        assert program.wait() == 0
    lines = [line.rstrip() for line in screen.splitlines() if line.strip()]
    assert lines[0].startswith("Training watched on toy-world, until 600 steps;")
    assert not [line for line in lines if "tok/s" in line]  # each was rewritten by the next
    shown = re.findall(r"\r\x1b\[K(step [^\r\n]*tok/s[^\r\n]*)\r", program.raw().decode())
    assert shown and all(len(line) < 70 for line in shown)


# --- questions ----------------------------------------------------------------------------------


def test_generate_writes_the_same_text_with_the_same_seed(
    run: Run, trained: tuple[str, list[dict[str, Any]]], models: Path
) -> None:
    name, _ = trained
    request = ["--prompt", "the physicist", "--tokens", "20", "--temperature", "0.8", "--top-k"]
    text = run.well("generate", name, *request, "9", "--seed", "7")
    assert text.startswith("the physicist ") and text.endswith("\n")
    again = json.loads(run.well("generate", name, *request, "9", "--seed", "7", "--json"))
    assert again["prompt"] + again["text"] == text.removesuffix("\n")
    assert (again["model"], again["step"], again["seed"]) == (name, 30, 7)
    assert not is_live(models / name)


def test_generate_lays_each_token_open_as_json(
    run: Run, trained: tuple[str, list[dict[str, Any]]]
) -> None:
    found = json.loads(run.well("generate", trained[0], "--tokens", "5", "--seed", "7", "--json"))
    assert "".join(piece["text"] for piece in found["pieces"]) == found["text"]
    for piece in found["pieces"]:
        others = [other["probability"] for other in piece["alternatives"]]
        assert len(others) == 10 and others == sorted(others, reverse=True)
        assert sum(others) + piece["probability"] < 1
        assert (piece["rank"] == 1) == (piece["probability"] > others[0])


def test_many_texts_are_those_that_their_seeds_write_alone(
    run: Run, trained: tuple[str, list[dict[str, Any]]]
) -> None:
    request = ["generate", trained[0], "--tokens", "20", "--top-p", "0.9", "--json", "--seed"]
    many = json.loads(run.well(*request, "7", "--count", "3"))
    assert [text["seed"] for text in many["texts"]] == [7, 8, 9]
    for text in many["texts"]:
        alone = json.loads(run.well(*request, str(text["seed"])))
        assert alone["text"] == text["text"]
        for piece, same in zip(text["pieces"], alone["pieces"], strict=True):
            found, expected = (
                [each["probability"] for each in (one, *one.pop("alternatives"))]
                for one in (piece, same)
            )
            assert found == pytest.approx(expected, rel=1e-4)
            assert piece.pop("entropy") == pytest.approx(same.pop("entropy"), rel=1e-4)
            del piece["probability"], same["probability"]
            assert piece == same


def test_what_chance_wrote_can_be_written_again(
    run: Run, trained: tuple[str, list[dict[str, Any]]]
) -> None:
    name, _ = trained
    ended = run("generate", name, "--tokens", "20", "--prompt", "Xyzzy ", "--json")
    assert ended.stderr == "1 of 1 words unknown: xyzzy\n"
    first = json.loads(ended.stdout)
    plain = run("generate", name, "--tokens", "20")
    assert (seed := re.fullmatch(r"seed (\d+)\n", plain.stderr))
    assert run.well("generate", name, "--tokens", "20", "--seed", seed[1]) == plain.stdout
    arguments = ["--tokens", "20", "--prompt", "Xyzzy ", "--json", "--seed", str(first["seed"])]
    assert json.loads(run("generate", name, *arguments).stdout) == first


def test_surprise_gives_the_number_that_evaluate_gives(
    run: Run, trained: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    text = "The physicist solved\n the xyzzy <b>problem</b> \x1b[31m.\n" * 40
    path = tmp_path / "text.txt"
    path.write_text(text)
    score = json.loads(run.well("evaluate", trained[0], str(path), "--json"))
    found = json.loads(run.well("surprise", trained[0], str(path), "--json"))
    assert found["totals"]["loss"] == pytest.approx(score["loss"], rel=1e-5)
    bits = sum(token["bits"] or 0 for token in found["tokens"])
    assert bits * np.log(2) / score["tokens"] == pytest.approx(score["loss"], rel=1e-5)
    assert "".join(token["text"] for token in found["tokens"]) == text
    assert sum("unknown" in token for token in found["tokens"]) == score["unknown"]
    shown = run.well("surprise", trained[0], str(path))
    assert re.search(r"this model .*\nuniform .*\nunigram .*\ngzip .*\nxz ", shown)
    assert run.well("surprise", trained[0], "-", stdin=text) == shown


@pytest.mark.parametrize("form", ["--html", "--svg"])
def test_a_shaded_text_is_sound_whatever_it_holds(
    run: Run, trained: tuple[str, list[dict[str, Any]]], form: str
) -> None:
    text = 'the <b> & "owl" \x1b[31m \u202e 日本語 e\u0301 🦉\n' * 9
    shown = run.well("surprise", trained[0], "-", form, stdin=text)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", shown)
    xml = shown.removeprefix("<!doctype html>").replace('<meta charset="utf-8">', "")
    assert len(list(ElementTree.fromstring(xml).iter())) > 50
    refused = run("surprise", trained[0], "-", form, "--json", stdin=text)
    assert refused.returncode == 2 and form in refused.stderr


def test_copies_tells_what_stands_in_the_training_text(
    run: Run, trained: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    path = tmp_path / "text.txt"
    path.write_text("xyzzy the physicist solved the problem xyzzy")
    found = json.loads(run.well("copies", trained[0], str(path), "--json", "--least", "2"))
    assert found["tokens"] == 7 and found["longest"][0] == found["longest"][-1] == 0
    for copy in found["copies"]:
        assert copy["text"] in path.read_text() and copy["places"] >= 1
    shown = run.well("copies", trained[0], str(path), "--least", "2")
    assert re.match(r"[\d.]+% of 7 tokens are in stretches of 2", shown)
    path.write_text("the old physicist solved the hard problem .\n" * 20, encoding="utf-8")
    assert max(map(len, run.well("copies", trained[0], str(path)).splitlines())) < 150


def test_inspect_writes_arrays_that_numpy_reads(
    run: Run, trained: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    path = tmp_path / "states.npz"
    run.well("inspect", trained[0], "--text", "the physicist solved", "-o", str(path))
    with np.load(path, allow_pickle=False) as states:
        assert states["tokens"].tolist() == ["<eos>", "the", "physicist", "solved"]
        assert states["texts"].tolist() == ["", "the", " physicist", " solved"]
        assert states["step"] == 30 and states["ids"].shape == (4,)
        forget, inputs, candidate, cell, output, hidden = (
            states[f"layer0.{name}"]
            for name in ("forget_gate", "input_gate", "candidate", "cell", "output_gate", "hidden")
        )
        assert forget.shape == hidden.shape == (4, 32) and cell.dtype == np.float32
        expected = forget[1:] * cell[:-1] + inputs[1:] * candidate[1:]
        assert cell[1:] == pytest.approx(expected, abs=1e-6)
        assert hidden == pytest.approx(output * np.tanh(cell), abs=1e-6)
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    before = path.read_bytes()
    run.well("inspect", trained[0], "--text", "the", "-o", str(link))
    assert link.is_symlink() and path.read_bytes() != before
    home = run("inspect", trained[0], "--text", "the", "-o", "~/s.npz", HOME=str(tmp_path))
    assert home.returncode == 0 and (tmp_path / "s.npz").exists()
    for special in ("/dev/null", str(tmp_path)):
        refused = run("inspect", trained[0], "--text", "the", "-o", special)
        assert refused.returncode == 1 and "name" in refused.stderr
    assert not Path("/dev/null").is_file()
    refused = run("inspect", trained[0], "--text", "a", "-o", str(tmp_path / "no" / "a.npz"))
    assert refused.returncode == 1 and "Can't write" in refused.stderr


def test_a_word_in_another_form_is_told_beside_the_answer(
    run: Run, trained: tuple[str, list[dict[str, Any]]]
) -> None:
    ended = run("neighbours", trained[0], " Ma\u00adthematician ", "--top", "3")
    assert (ended.returncode, ended.stderr) == (0, "read as 'mathematician'\n")
    assert len(ended.stdout.splitlines()) == 3


def test_a_rank_is_a_place_among_the_neighbours(
    run: Run, trained: tuple[str, list[dict[str, Any]]]
) -> None:
    arguments = ("neighbours", trained[0], "mathematician")
    second = json.loads(run.well(*arguments, "--json"))["neighbours"][1]
    told = run.well(*arguments, "--rank", second["word"])
    assert re.fullmatch(rf"2 of \d+  {re.escape(format(second['cosine'], '+.3f'))}\n", told)
    found = json.loads(run.well(*arguments, "--rank", second["word"], "--json"))
    assert (found["other"], found["rank"]) == (second["word"], 2)


async def test_questions_to_a_live_run_leave_it_training(run: Run, live: Path) -> None:
    found = json.loads(run.well("neighbours", "live", "mathematician", "--top", "3", "--json"))
    assert (found["word"], len(found["neighbours"])) == ("mathematician", 3)
    table = run.well("neighbours", str(live), "mathematician", "--top", "3").splitlines()
    assert [re.fullmatch(r"\w+ +[+-]\d\.\d{3}", line) is not None for line in table] == [True] * 3
    assert run.well("generate", "live", "--tokens", "5", "--seed", "1").strip()

    unknown = run("neighbours", "live", "matematician")
    assert unknown.returncode == 1
    assert re.fullmatch(r"lstm-tui: .*mathematician.*\n", unknown.stderr)

    [listed] = [m for m in json.loads(run.well("models", "--json")) if m["name"] == "live"]
    assert listed["live"] is True
    async with attached(live) as engine:
        before = engine.welcome.status
        assert before.state == "running"
        async for events in engine.events():  # ends only by a step, or by the engine's end
            if any(getattr(event, "step", 0) > before.step for event in events):
                break
        await engine.call(p.Detach())


def test_evaluate_measures_another_text(
    run: Run, trained: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    text = tmp_path / "other.txt"
    text.write_text("The physicist solved the zyzzyva.\n" * 20)
    score = json.loads(run.well("evaluate", trained[0], str(text), "--json"))
    assert score["source"] == str(text)
    assert score["unknown"] == 20
    assert score["perplexity"] > 1
    assert score["convention"]
    people = run.well("evaluate", trained[0], "-", stdin=text.read_text())
    assert f"perplexity {score['perplexity']:,.2f}" in people
    assert "20 unknown" in people


def test_evaluate_gives_the_number_that_training_reported(
    run: Run, trained: tuple[str, list[dict[str, Any]]]
) -> None:
    name, (told, _) = trained
    score = json.loads(run.well("evaluate", name, "toy-world", "--split", "valid", "--json"))
    assert (score["loss"], score["perplexity"]) == (told["loss"], told["perplexity"])
    assert (score["split"], score["step"], score["tokens"]) == ("valid", 30, told["tokens"])
    people = run.well("evaluate", name, "toy-world", "--split", "valid").splitlines()
    assert people[0] == f"{name} after 30 steps, on toy-world, valid split"
    assert people[1].startswith(f"perplexity {told['perplexity']:,.2f} per token  ")
    assert re.search(r"nats  [\d.]+ bits/character  ", people[1])
    assert people[2] == score["convention"]


def test_evaluate_with_dynamic_evaluation_and_the_cache(
    run: Run, trained: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    text = tmp_path / "repeated.txt"
    text.write_text("The physicist solved the equation.\n" * 100)
    asked = [[], ["--dynamic"], ["--cache"], ["--dynamic", "--cache"]]
    scores = [
        json.loads(run.well("evaluate", trained[0], str(text), *options, "--json"))
        for options in asked
    ]
    assert [[s["dynamic"], s["cache"]] for s in scores] == [
        ["--dynamic" in options, "--cache" in options] for options in asked
    ]
    plain, *others = [score["perplexity"] for score in scores]
    assert len({plain, *others}) == 4 and max(others) < plain
    fitted = json.loads(
        run.well("evaluate", trained[0], str(text), "--cache", "--fit", "--lambda", "0.3", "--json")
    )
    assert fitted["settings"]["lambda"] == 0.3
    assert {tried["settings"]["lambda"] for tried in fitted["tried"]} == {0.3}
    assert fitted["settings"]["theta"] in {tried["settings"]["theta"] for tried in fitted["tried"]}
    told = run.well("evaluate", trained[0], str(text), "--cache", "--theta", "0.5")
    assert "per token" in told and "theta 0.5, lambda 0.1279" in told


def test_evaluate_tells_bits_per_character_first_for_a_model_of_characters(
    run: Run, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The mathematician ran to the store.\n" * 300)
    settings = ["--set", "corpus.tokenizer=character", "--steps", "5"]
    trained = run.well("train", str(text), "--name", "characters", *settings)
    told = re.search(
        r"Finished at step 5: .*, ([\d.]+) bits/character, .* per character\.", trained
    )
    assert told is not None
    score = json.loads(run.well("evaluate", "characters", str(text), "--split", "valid", "--json"))
    assert f"{score['bits_per_character']:.3f}" == told[1]
    printed = run.well("evaluate", "characters", str(text)).splitlines()
    assert printed[0].endswith(f"on {text}, test split")
    measures = re.fullmatch(
        r"([\d.]+) bits/character  perplexity ([\d,.]+) per character  loss [\d.]+ nats  .*",
        printed[1],
    )
    assert measures is not None
    assert 2 ** float(measures[1]) == pytest.approx(float(measures[2]), rel=1e-3)


def test_replay_tells_what_the_record_lacks(
    run: Run, models: Path, trained: tuple[str, list[dict[str, Any]]]
) -> None:
    shutil.copytree(models / trained[0], models / "lacking")
    path = models / "lacking" / "steps.bin"
    data = bytearray(path.read_bytes())
    row = (len(data) - HEADER) // 30
    data[HEADER + 10 * row : HEADER + 15 * row] = bytes(5 * row)
    path.write_bytes(data)
    assert run.well("replay", "lacking").splitlines() == [
        "30 steps replayed: every recorded number is the same and the checkpoint's weights.",
        "The record lacks the numbers of 5 steps.",
    ]


def test_lr_find_plots_the_curve_and_ends_with_the_rate_and_how_to_use_it(
    run: Run, models: Path, tmp_path: Path
) -> None:
    before = sorted(models.iterdir()) if models.exists() else []
    place, sockets = {"TMPDIR": str(tmp_path)}, f"lstm-tui-{os.getuid()}"
    ended = run("lr-find", "toy-world", "--set", "training.threads=1", **place)
    assert (ended.returncode, ended.stderr) == (0, "")
    *plot, reason, sentence, use = ended.stdout.splitlines()
    assert plot[0].startswith("loss in the end, by learning rate")
    assert len(plot) == 18 and "╵0.002" in plot[-1] and max(map(len, plot)) < 80
    assert "within 15% of the best" in reason
    rate = float(sentence.split()[0])
    assert 4e-3 <= rate <= 16e-3
    assert use.strip() == f"--set optimiser.learning_rate={rate:g}"
    assert [path for path in tmp_path.glob("lstm-tui-*") if path.name != sockets] == []
    assert (sorted(models.iterdir()) if models.exists() else []) == before


def test_lr_find_reads_standard_input_and_a_file_of_settings(run: Run, tmp_path: Path) -> None:
    text = "The mathematician ran to the store.\n" * 300
    file = tmp_path / "mine.toml"
    file.write_text(
        'preset = "toy"\nmodel.embedding_size = 8\nmodel.hidden_size = 8\ntraining.batch_size = 4\n'
        'training.bptt = 4\n[optimiser]\nname = "sgd"\nweight_decay = 0\n'
    )
    answer = json.loads(run.well("lr-find", "-", "--config", str(file), "--json", stdin=text))
    assert list(answer) == ["corpus", "tried", "rate", "reason"]
    rates = [tried["rate"] for tried in answer["tried"]]
    assert rates == sorted(rates) and 5 <= len(rates) <= 9
    assert 5.0 in rates, "where sgd's search begins"
    assert answer["rate"] is None or answer["rate"] in [float(f"{rate:.2g}") for rate in rates]


def test_models_lists_what_is_saved(
    run: Run, trained: tuple[str, list[dict[str, Any]]], models: Path
) -> None:
    [listed] = [m for m in json.loads(run.well("models", "--json")) if m["name"] == trained[0]]
    assert listed["folder"] == str(models / trained[0])
    assert (listed["corpus"], listed["preset"]) == ("toy-world", "toy")
    assert (listed["step"], listed["live"], listed["problem"]) == (30, False, None)
    assert listed["valid_perplexity"] == pytest.approx(trained[1][-1]["valid_perplexity"])
    rows = run.well("models").splitlines()
    assert rows[0].split() == ["name", "steps", "valid", "perplexity", "modified", "corpus"]
    [row] = [row for row in rows if row.startswith("trained ")]
    assert row.split()[1] == "30" and row.endswith("toy-world")
    assert row.split()[2] == f"{trained[1][-1]['valid_perplexity']:,.2f}/word"


def test_models_dir_option_before_and_after_the_command(run: Run, tmp_path: Path) -> None:
    place = str(tmp_path / "elsewhere")
    assert place in run.well("--models-dir", place, "models")
    assert place in run.well("models", "--models-dir", place)


def test_settings_lists_every_field_and_preset(run: Run) -> None:
    listed = json.loads(run.well("settings", "--json"))
    paths = [setting["path"] for setting in listed["settings"]]
    assert "clipping.threshold" in paths and "training.minutes" in paths
    assert {preset["name"] for preset in listed["presets"]} >= {"toy", "laptop", "ptb-small"}
    text = run.well("settings")
    assert all(f"{path}  (" in text for path in paths)
    assert all(setting["effect"] in text for setting in listed["settings"])


# --- what can go wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["fly"], 2, "There is no such file as 'fly', and no such sub-command. See"),
        (["trian"], 2, "no such sub-command; is it train?"),
        (["fly", "--models-dir", "."], 2, "There is no such file as 'fly'"),
        (["-"], 1, "reads keys from standard input"),
        (["toy-world", "twice"], 2, "unexpected extra argument (twice)"),
        (["toy-world"], 1, "needs a terminal"),
        ([f"{ROOT}/README.md"], 1, "needs a terminal"),
        ([f"{ROOT}/pyproject.*x"], 1, "No file matches"),
        (["/dev/null"], 1, "neither a file nor a folder"),
        (["open"], 2, "Missing argument 'RUN'"),
        (["open", "nowhere"], 1, "There is no run 'nowhere'"),
        (["open", "trained"], 1, "needs a terminal"),
        (["train"], 2, "Missing argument 'CORPUS'"),
        (["train", "toy-world", "--steps", "many"], 2, "'many' is not a valid integer"),
        (["generate", "trained", "--top-p", "1.5"], 2, "--top-p"),
        (["generate", "nowhere"], 1, "There is no run 'nowhere'"),
        (["neighbours", "nowhere", "word"], 1, "There is no run 'nowhere'"),
        (["evaluate", "nowhere", "toy-world"], 1, "There is no run 'nowhere'"),
        (["evaluate", "trained", "toy-world", "--split", "dev"], 2, "'dev' is not one of"),
        (["evaluate", "trained", "python-docs", "--split", "test"], 1, "no splits of its own"),
        (["attach"], 1, "`lstm-tui open RUN` opens a saved one"),
        (["attach", "nowhere"], 1, "There is no run 'nowhere'"),
        (["attach", "trained"], 1, "needs a terminal"),
        ([], 1, "needs a terminal"),
        (["train", "toy-world", "--preset", "huge"], 1, "There is no preset 'huge'"),
        (["train", "toy-world", "--set", "model.size=3"], 1, "There is no setting 'model.size'"),
        (["train", "toy-world", "--set", "model.layers"], 1, "key=value"),
        (["train", "toy-world", "--set", "model.layers=99"], 1, "model.layers can't be '99'"),
        (["train", "toy-world", "--steps", "0"], 1, "training.steps can't be 0"),
        (["train", "toy-world", "--config", "none.toml"], 1, "none.toml"),
        (["train", "toy-world", "--name", "../out"], 1, "can't be a run's name"),
        (["train", "toy-world", "--name", "trained"], 1, "--resume"),
        (["train", "toy-world", "--resume", "--name", "nowhere"], 1, "There is no run 'nowhere'"),
        (["train", "toy-world", "--resume", "--preset", "toy"], 1, "only --steps"),
        (["train", "python-docs", "--resume", "--name", "trained"], 1, "trained on toy-world"),
        (["train", "python-docs", "--resume"], 1, "leave out --resume"),
        (["train", "-", "--resume"], 1, "corpus.txt"),
        (["train", "-", "--name", "void"], 1, "Standard input was empty"),
        (["train", "missing.txt", "--name", "void"], 1, "missing.txt"),
        (["evaluate", "trained", "missing.txt"], 1, "missing.txt"),
        (["lr-find"], 2, "Missing argument 'CORPUS'"),
        (["lr-find", "missing.txt"], 1, "missing.txt"),
        (["lr-find", "-"], 1, "Standard input was empty"),
        (["lr-find", "toy-world", "--set", "model.layers=99"], 1, "model.layers can't be '99'"),
        (["lr-find", "toy-world", *CROWDED], 1, "too few"),
        (["generate", "trained", "--temperature", "1000"], 2, "temperature can't be"),
        (["generate", "trained", "--count", "9999"], 1, "1,000 texts"),
    ],
)
def test_an_error_is_one_line_and_leaves_nothing(
    run: Run,
    trained: tuple[str, list[dict[str, Any]]],
    models: Path,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    before = sorted(models.iterdir())
    ended = run(*arguments)
    assert ended.returncode == code
    assert re.fullmatch(r"lstm-tui: [^\n]+\n", ended.stderr), ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stdout
    assert sorted(models.iterdir()) == before


def test_control_characters_in_an_error_are_made_visible(run: Run) -> None:
    ended = run("generate", "no\x1b[2Jsuch")
    assert "\x1b" not in ended.stderr and ended.stderr.count("\n") == 1


def test_a_dead_engine_is_told_in_one_line(run: Run, models: Path) -> None:
    command = [*LSTM_TUI, "train", "toy-world", "--set", "training.evaluate_every=5"]
    with subprocess.Popen(
        [*command, "--name", "killed"],
        env=run.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        read_until(process.stdout, "valid loss")
        end_engine(models / "killed")
        error = process.stderr.read()
        assert process.wait(10) == 1
    assert re.fullmatch(r"lstm-tui: The engine .* was killed by SIGKILL[^\n]*\n", error)


def test_a_closed_pipe_ends_quietly(run: Run) -> None:
    with subprocess.Popen(
        [*LSTM_TUI, "settings"],
        env=run.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_an_unforeseen_fault_is_one_line_unless_debugging(run: Run, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("not a folder")
    code = "import tui.cli, tui.commands.explore as e; e.find = None; tui.cli.main()"
    command = [sys.executable, "-c", code, "generate", "x"]
    for variable, words in (("", r"lstm-tui: TypeError: [^\n]+\n"), ("1", r"Traceback.*")):
        ended = subprocess.run(
            command,
            env=run.environment | {"LSTM_TUI_DEBUG": variable},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 1
        assert re.fullmatch(words, ended.stderr, re.DOTALL)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["settings"], ["models"], ["generate", "nowhere"]]
)
def test_no_command_loads_more_than_it_needs(run: Run, arguments: list[str]) -> None:
    code = (
        "import sys, tui.cli\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try: tui.cli.main()\n"
        "except SystemExit: pass\n"
        "sys.stdout.flush()\n"
        "heavy = {'torch', 'safetensors', 'textual.app', 'engine.service.client'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=run.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.splitlines()[-1] == ""


def test_the_version_names_what_it_stands_on(run: Run) -> None:
    done = run("--version")
    assert done.returncode == 0
    assert re.fullmatch(
        r"lstm-tui \S+ \(Python \S+, torch \S+, textual \S+, numpy \S+\)\n", done.stdout
    )
