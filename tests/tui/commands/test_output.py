"""What the command line prints, and what becomes of it where it can't be: real processes."""

import ast
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import preset
from engine.errors import UserError
from engine.runs import list_runs, load_config
from engine.visible import quoted, shortened, visible
from tests.drive import Program
from tui.commands import new_run
from tui.commands.new_run import spool
from tui.output import json_text

ROOT = Path(__file__).parents[3]
LSTM_TUI = [sys.executable, "-m", "tui.cli"]
HOSTILE = "a\x1b[2J\n\r\t\x9b5m\u202e\u2066\u200b\x7fb"
Ended = subprocess.CompletedProcess[str]


# --- one way to print ---------------------------------------------------------------------------

PRINTERS = {
    ("shared.py", "echo"),
    ("shared.py", "write_lines"),
    ("shared.py", "write_text"),
    ("shared.py", "print_json"),
    ("reading.py", "surprise"),
    ("output.py", "complain"),
    ("output.py", "write"),
    ("progress_line.py", "_write"),
}
"""The functions that write, each of what it has made visible or was told to leave as it is."""


def prints(path: Path) -> set[tuple[str, str]]:
    """The functions of a module that print, or write to a stream that could be a terminal."""
    found = set()
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("file.write", "self._write"):
                continue  # spooled to the disk; to the one function that writes
            if re.fullmatch(r"print|(click\.)?secho|click\.echo|.*\.(write|writelines)", called):
                found.add((path.name, function.name))
    return found


def test_nothing_else_prints() -> None:
    """A print elsewhere would show raw what is not ours."""
    tui = ROOT / "tui"
    modules = [tui / f"{name}.py" for name in ("cli", "headless", "output", "progress_line")]
    modules += (tui / "commands").glob("*.py")
    assert len(modules) > 8
    assert set().union(*map(prints, modules)) == PRINTERS


def test_what_the_progress_writes_is_made_visible() -> None:
    """`Report` and `Waiting` write by `_write`: only escape sequences of ours, and visible text."""
    source = (ROOT / "tui" / "progress_line.py").read_text()
    written = [
        ast.unparse(node.args[0])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._write"
    ]
    assert len(written) >= 6
    for text in written:
        for value in re.findall(r"\{([^{}]*)\}", text):
            assert value.startswith(("visible(", "json_text(")), text


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=40))
def test_json_shows_every_character_and_means_the_same(text: str) -> None:
    printed = json_text({"text": text, "more": [text]}, indent=2)
    assert visible(printed, keep_newlines=True) == printed
    assert json.loads(printed) == {"text": text, "more": [text]}
    assert visible(json_text(text)) == json_text(text)


def test_json_has_no_number_that_is_not_one() -> None:
    assert json_text({"a": [float("nan"), (float("inf"), 1.5)]}) == '{"a":[null,[null,1.5]]}'


@given(st.text(max_size=300), st.integers(10, 100))
def test_a_long_text_is_cut_in_the_middle(text: str, most: int) -> None:
    cut = shortened(text, most)
    assert len(cut) == min(len(text), most)
    assert cut == text or (text.startswith(cut.partition("…")[0]) and "…" in cut)


@pytest.mark.parametrize(
    "value", [10**5000, [10**5000], "x" * 10**6, HOSTILE, None, b"\xff"], ids=quoted
)
def test_a_value_in_a_message_is_short_and_visible(value: object) -> None:
    assert len(quoted(value)) <= 80 and visible(quoted(value)) == quoted(value)


# --- a hostile folder -----------------------------------------------------------------------------


class Place:
    """A folder of models with a run of 30 steps, `trained`."""

    def __init__(self, place: Path, models: Path) -> None:
        self.place, self.models = place, models
        self.environment = {
            **os.environ,
            "LSTM_TUI_MODELS": str(models),
            "LSTM_TUI_CACHE": str(place / "cache"),
            "LSTM_TUI_STATE": str(place / "state"),
        }
        self.environment.pop("LSTM_TUI_DEBUG", None)

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        return subprocess.run(
            [*LSTM_TUI, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.environment,
            cwd=self.place,
        )

    def shell(self, line: str) -> Ended:
        """Run a line of the shell, in which `lstm-tui` is the program."""
        command = " ".join(LSTM_TUI)
        return subprocess.run(
            ["bash", "-c", f'lstm-tui() {{ {command} "$@"; }}; {line}'],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.environment,
            cwd=self.place,
        )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("plain")
    place = Place(folder, folder / "models")
    assert place.run("train", "toy-world", "--name", "trained", "--steps", "30").returncode == 0
    return place


@pytest.fixture(scope="module")
def hostile(plain: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Its folder and its text, a run and a damaged run have hostile names; a run has hostile
    strings in its configuration; a run's name isn't UTF-8."""
    folder = tmp_path_factory.mktemp("hostile") / HOSTILE
    folder.mkdir()
    place = Place(folder, folder / "models")
    shutil.copytree(plain.models, place.models)
    shutil.copytree(place.models / "trained", place.models / HOSTILE)
    shutil.copytree(place.models / "trained", place.models / "strings")
    config = json.loads((place.models / "strings" / "config.json").read_text())
    config["preset"], config["corpus"]["source"] = HOSTILE, f"/nowhere/{HOSTILE}"
    (place.models / "strings" / "config.json").write_text(json.dumps(config))
    (place.models / "damaged").mkdir()
    config["model"] = {HOSTILE: HOSTILE}
    (place.models / "damaged" / "config.json").write_text(json.dumps(config))
    shutil.copytree(place.models / "trained", place.models / os.fsdecode(b"bad\xff"))
    (folder / f"{HOSTILE}.txt").write_text("The mathematician ran to the store.\n" * 300)
    return place


TEXT = "{text}"
COMMANDS = [
    ["models"],
    ["models", "--json"],
    ["settings"],
    ["attach"],
    ["attach", HOSTILE],
    ["attach", "strings"],
    ["models", "--models-dir", f"/nowhere/{HOSTILE}"],
    ["models", "--models-dir", f"~{HOSTILE}"],
    ["generate", HOSTILE, "--tokens", "5", "--json", "--prompt", HOSTILE],
    ["generate", "damaged"],
    ["generate", f"no{HOSTILE}"],
    ["neighbours", HOSTILE, HOSTILE],
    ["neighbours", HOSTILE, "the", "--json"],
    ["neighbours", "strings", "the"],
    ["evaluate", HOSTILE, TEXT],
    ["evaluate", HOSTILE, TEXT, "--json"],
    ["evaluate", "strings", "toy-world", "--split", "valid"],
    ["evaluate", HOSTILE, HOSTILE],
    ["replay", HOSTILE],
    ["replay", "strings"],
    ["replay", HOSTILE, "--json"],
    ["train", TEXT, "--steps", "3"],
    ["train", TEXT, "--steps", "3", "--json"],
    ["train", "toy-world", "--resume", "--name", HOSTILE, "--steps", "33"],
    ["train", "toy-world", "--resume", "--name", "strings"],
    ["train", "toy-world", "--resume", "--name", "damaged"],
    ["train", "toy-world", "--name", HOSTILE],
    ["train", "toy-world", "--preset", HOSTILE],
    ["train", "toy-world", "--set", f"{HOSTILE}={HOSTILE}"],
    ["train", "toy-world", "--set", f"clipping.mode={HOSTILE}"],
    ["train", "toy-world", "--config", HOSTILE],
    ["train", "toy-world", "--steps", HOSTILE],
    ["train", HOSTILE],
    ["lr-find", HOSTILE],
    [HOSTILE],
    ["settings", f"--{HOSTILE}"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda value: visible(" ".join(value)))
def test_no_hidden_character_is_printed(hostile: Place, arguments: list[str]) -> None:
    text = str(hostile.place / f"{HOSTILE}.txt")
    ended = hostile.run(*(text if part == TEXT else part for part in arguments))
    for printed in (ended.stdout, ended.stderr):
        assert visible(printed, keep_newlines=True) == printed
        assert "Traceback" not in printed and "fault of lstm-tui" not in printed
    assert ended.returncode in (0, 1, 2)
    if ended.returncode:
        assert re.fullmatch(r"lstm-tui: [^\n]{1,2000}\n", ended.stderr)


def test_a_name_that_is_not_utf_8_breaks_no_list(hostile: Place) -> None:
    listed = json.loads(hostile.run("models", "--json").stdout)
    problems = {entry["name"]: entry["problem"] for entry in listed}
    assert problems["trained"] is None and problems[HOSTILE] is None
    assert "rename its folder" in problems[os.fsdecode(b"bad\xff")]
    assert "bad‹U+DCFF›" in hostile.run("models").stdout
    ended = hostile.run("generate", os.fsdecode(b"bad\xff"))
    assert ended.returncode == 1 and "isn't UTF-8" in ended.stderr


# --- streams that fail ----------------------------------------------------------------------------

PRINTING = [
    "--help",
    "train --help",
    "settings",
    "settings --json",
    "models",
    "models --json",
    "generate trained --tokens 3",
    "generate trained --tokens 3 --json",
    "neighbours trained the",
    "neighbours trained the --json",
    "neighbours trained the --rank to",
    "evaluate trained toy-world --split valid",
    "evaluate trained toy-world --split valid --json",
    "replay trained",
]


@pytest.mark.parametrize("command", PRINTING)
@pytest.mark.parametrize(
    ("place", "reason"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_output_that_can_t_be_written_is_told(
    plain: Place, command: str, place: str, reason: str
) -> None:
    ended = plain.shell(f"lstm-tui {command} {place}")
    assert ended.stderr == f"lstm-tui: Can't write to standard output: {reason}.\n"
    assert ended.returncode == 1


@pytest.mark.parametrize("command", PRINTING)
def test_a_reader_that_left_ends_a_command_quietly(plain: Place, command: str) -> None:
    ended = plain.shell(f"(sleep 0.1; lstm-tui {command}; echo $? >&2) | true")
    assert ended.stderr == f"{128 + signal.SIGPIPE}\n"


@pytest.mark.parametrize("command", ["settings", "nothing", "generate nowhere", "models --x"])
@pytest.mark.parametrize("place", ["2>&-", "2>/dev/full"])
def test_without_standard_error_the_exit_code_still_tells(
    plain: Place, command: str, place: str
) -> None:
    heard = plain.shell(f"lstm-tui {command}")
    unheard = plain.shell(f"lstm-tui {command} {place}")
    assert unheard.returncode == heard.returncode
    assert unheard.stdout == heard.stdout


@pytest.mark.parametrize("place", [">/dev/full", ">&-", "--json >/dev/full"])
def test_a_run_with_an_end_is_trained_and_saved_though_nothing_can_be_told(
    plain: Place, place: str
) -> None:
    ended = plain.shell(f"lstm-tui train toy-world --name unheard --steps 20 {place}")
    folder = plain.models / "unheard"
    assert re.fullmatch(
        rf"lstm-tui: Can't write to standard output: [\w ]+\. The run is saved at step 20 in "
        rf"{folder}\.\n",
        ended.stderr,
    )
    assert ended.returncode == 1
    assert [info.step for info in list_runs(plain.models) if info.name == "unheard"] == [20]
    shutil.rmtree(folder)


def test_a_run_without_an_end_ends_where_nothing_can_be_told(plain: Place) -> None:
    ended = plain.shell("lstm-tui train toy-world --name endless >/dev/full")
    assert "No step was taken, and nothing is kept." in ended.stderr
    assert ended.returncode == 1
    assert not (plain.models / "endless").exists()


def test_a_run_whose_reader_left_is_saved(plain: Place) -> None:
    settings = "--set training.evaluate_every=5"
    ended = plain.shell(
        f"(lstm-tui train toy-world --name left {settings}; echo $? >&2) | head -n 2"
    )
    assert ended.stdout.startswith("Training left on toy-world")
    assert ended.stderr == f"{128 + signal.SIGPIPE}\n"
    [step] = [info.step for info in list_runs(plain.models) if info.name == "left"]
    assert step >= 5
    shutil.rmtree(plain.models / "left")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("<&-", "Can't read standard input: Bad file descriptor"),
        ("</dev/null", "Standard input was empty"),
        (f"<{sys.executable}", "Standard input isn't text: byte"),
        ("< <(head -c 1000 /dev/zero)", "Standard input isn't text: byte 0 is NUL"),
        ("< <(yes '' | head -c 1000)", "Standard input is empty"),
    ],
)
@pytest.mark.parametrize("command", ["train - --name void", "lr-find -", "evaluate trained -"])
def test_standard_input_without_a_text(plain: Place, command: str, place: str, words: str) -> None:
    before = sorted(plain.models.iterdir())
    ended = plain.shell(f"lstm-tui {command} {place}")
    assert ended.returncode == 1
    assert re.fullmatch(r"lstm-tui: [^\n]+\n", ended.stderr) and words in ended.stderr
    assert str(plain.place) not in ended.stderr
    assert sorted(plain.models.iterdir()) == before


@pytest.mark.parametrize("failing", ["spool", "save_config"])
def test_standard_input_that_can_t_be_kept_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one two three\n" * 99)))
    if failing == "spool":
        monkeypatch.setattr(new_run, "spool", lambda _: spool(Path("/dev/full")))
    else:

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("engine.runs.save_config", fail)
    with pytest.raises(UserError, match="No space left on device"):
        new_run.new_run(tmp_path, "-", "mine", preset("toy"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["settings", "models", "generate trained --tokens 3 --seed 1"])
def test_a_command_that_reads_nothing_needs_no_standard_input(plain: Place, command: str) -> None:
    assert (
        plain.shell(f"lstm-tui {command} <&-").stdout == plain.shell(f"lstm-tui {command}").stdout
    )


# --- what is asked ------------------------------------------------------------------------------

LONG = "x" * 5000
REFUSED = {
    f"train toy-world --name {LONG}": "can't be a run's name",
    f"train {LONG}": "too long",
    f"train toy-world --config {LONG}": "too long",
    f"train toy-world --set {LONG}": "key=value",
    f"train toy-world --set {LONG}=1": "There is no setting",
    f"train toy-world --set training.steps={'9' * 5000}": "training.steps can't be",
    f"train toy-world --steps {'9' * 5000}": "not a valid integer",
    f"train toy-world --preset {LONG}": "There is no preset",
    f"generate {LONG}": "There is no run",
    f"neighbours trained {LONG}": "longer than 2,000 characters",
    f"models --models-dir {LONG}": "too long",
    f"{LONG}": "the name is too long",
    f"settings --{LONG}": "No such option",
    "models --models-dir ''": "empty name",
    "models --models-dir '~nosuch/x'": "no user's home",
    "models --models-dir /etc/passwd": "that is a file",
    "LSTM_TUI_MODELS='~nosuch/x' models": "no user's home",
    "LSTM_TUI_CACHE='~nosuch/x' train toy-world --steps 1": "no user's home",
    "LSTM_TUI_CACHE=/dev/null train toy-world --steps 1": "Not a directory",
    "train '~nosuch/x'": "no user's home",
    "train ''": "empty name",
    "train toy-world --config <(echo '[model]')": "not a plain file",
    "train toy-world --config /dev/zero": "not a plain file",
    "train toy-world --epochs inf": "not a valid float",
    "train toy-world --minutes 1,5": "not a valid float",
    "train toy-world --minutes 1e400": "not a valid float",
    "train toy-world --minutes=-1": "training.minutes can't be -1",
    "generate trained --tokens 99999999999999999999": "not in the range",
    "generate trained --temperature nan": "it takes 0 to 100",
    "generate trained --seed 1e30": "it takes 0 to",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: shortened(line, 60))
def test_what_can_t_be_is_one_short_sentence_and_leaves_nothing(plain: Place, line: str) -> None:
    before = sorted(plain.models.iterdir())
    variable, command = re.fullmatch(r"(\w+=\S+ )?(.*)", line).groups(default="")
    ended = plain.shell(f"{variable}lstm-tui {command}")
    assert ended.returncode in (1, 2)
    assert re.fullmatch(r"lstm-tui: [^\n]{10,800}\n", ended.stderr), ended.stderr
    assert REFUSED[line] in ended.stderr and "fault of lstm-tui" not in ended.stderr
    assert sorted(plain.models.iterdir()) == before


def test_numbers_on_the_command_line_are_read_as_people_write_them(plain: Place) -> None:
    ended = plain.run(
        *("train", "toy-world", "--name", "numbers", "--steps", "+1e1", "--epochs", "5."),
        *("--minutes", ".5", "--set", "regularisation.input_dropout=.2"),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    config = load_config(plain.models / "numbers")
    training = config.training
    assert (training.steps, training.epochs, training.minutes) == (10, 5.0, 0.5)
    assert config.regularisation.input_dropout == 0.2
    shutil.rmtree(plain.models / "numbers")


@pytest.mark.parametrize("place", ["<&-", "</dev/null", ">&-", ">/dev/full", "| cat", "2>&-"])
@pytest.mark.parametrize("command", ["", "attach"])
def test_the_playground_needs_every_stream_on_a_terminal(
    plain: Place, tmp_path: Path, command: str, place: str
) -> None:
    line = f"set -o pipefail; {' '.join(LSTM_TUI)} {command} {place}; echo code $? >{tmp_path}/code"
    environment = plain.environment | {"LSTM_TUI_MODELS": str(tmp_path / "models")}
    with Program(["bash", "-c", line], environment=environment) as program:
        program.wait()
        told = program.raw().decode()
    assert (tmp_path / "code").read_text() == "code 1\n"
    assert not (tmp_path / "models").exists()
    if place != "2>&-":
        assert ("needs a terminal" if not command else "is training now") in told
