"""A model from a stranger is opened, asked and trained, and nothing outside its folder is read,
written or made on its say-so."""

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import DataTable

from engine import messages as p
from engine import runs
from engine.errors import UserError
from engine.runs.origins import note_made
from engine.runs.private import place_of
from engine.service import client
from engine.visible import visible
from tests.conducted import conducted
from tests.engine.conftest import SMALL
from tests.faults.fuzz_models import _seal as seal
from tests.faults.outside import Watch, state
from tests.faults.sentences import assert_sentence
from tests.forking import VARIABLE
from tests.tui.screen_help import playground
from tui.screens.allow_text import AllowText
from tui.screens.open_model import OpenModel

LSTM_TUI = [sys.executable, "-m", "tui.cli"]
HOSTILE = "\x1b]0;x\x07\x1b[2J\n$(touch pwned)\n\r\x9b5m\u202e\u2066[/bold][link=x]\x7f"
LONG = "x" * 5000
MARK = "canary"
"""In whatever lies outside of the run's folder, and nowhere else."""
LATE = 2_000_000_000.0
"""When that was changed last, in Unix seconds: in 2033."""
Ended = subprocess.CompletedProcess[str]

LIBC = ctypes.CDLL(None)

linux = pytest.mark.skipif(sys.platform != "linux", reason="watches files by inotify")


class Sandbox:
    """A machine's files: a stranger's run among the models, and a folder that is none of its
    business."""

    def __init__(self, root: Path, run: Path) -> None:
        self.root = root
        self.models = root / "models"
        self.run = self.models / "theirs"
        self.outside = root / "outside"
        self.text = root / "text.txt"
        shutil.copytree(run, self.run)
        shutil.copytree(run, self.outside)
        (self.outside / "text.txt").write_text(f"the {MARK} sat on the mat\n" * 200)
        config = json.loads((self.outside / "config.json").read_text())
        config["corpus"]["source"] = MARK
        (self.outside / "config.json").write_text(json.dumps(config))
        shutil.copy(run.parent / "text.txt", self.text)
        for path in self.outside.rglob("*"):
            os.utime(path, (LATE, LATE))
        for name in ("home", "state", "cache", "tmp"):
            (root / name).mkdir(mode=0o700)
        self.environment = {
            **os.environ,
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "LSTM_TUI_MODELS": str(self.models),
            "LSTM_TUI_STATE": str(root / "state"),
            "LSTM_TUI_CACHE": str(root / "cache"),
        }
        for name in ("LSTM_TUI_DEBUG", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            self.environment.pop(name, None)

    def call(
        self,
        *arguments: str,
        preexec_fn: Callable[[], None] | None = None,
        **environment: str,
    ) -> Ended:
        """Run the command line to its end; where it is to be prepared, in a process that isn't
        forked."""
        if preexec_fn is not None:
            environment[VARIABLE] = ""
        return subprocess.run(
            [*LSTM_TUI, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.root / "home",
            env=self.environment | environment,
            preexec_fn=preexec_fn,
        )

    def state(self) -> dict[str, tuple[object, ...]]:
        """All there is; of the folder for temporary files only that it is empty again."""
        found = state(self.root)
        del found[str(self.root / "tmp")]
        return found

    def sources(self, source: str) -> None:
        """The stranger's configuration names this text."""
        config = json.loads((self.run / "config.json").read_text())
        config["corpus"]["source"] = source
        config["training"]["steps"] = None
        (self.run / "config.json").write_text(json.dumps(config))

    @property
    def checkpoints(self) -> list[Path]:
        return runs.saved_checkpoints(self.run)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Nothing outside of the run's folder is opened, listed or changed meanwhile."""
        before, watch = state(self.outside), Watch(self.outside)
        try:
            yield
            assert watch.seen() == []
            assert state(self.outside) == before
            assert not [path for path in self.root.rglob("*") if path.name in ("made", "pwned")]
        finally:
            watch.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps with two checkpoints, trained elsewhere on `text.txt`."""
    place = tmp_path_factory.mktemp("elsewhere")
    text = place / "text.txt"
    lines = (
        f"line {n} of the {('cat', 'dog', 'owl')[n % 3]} sat {n % 7} times" for n in range(400)
    )
    text.write_text("\n".join(lines) + "\n")
    settings = {**SMALL, "training.evaluate_every": 5, "corpus.source": None}
    options = [f"--set={path}={value}" for path, value in settings.items() if value is not None]
    for steps in ("6", "12"):
        ended = subprocess.run(
            [
                *LSTM_TUI,
                *("train", str(text), "--name", "run", "--steps", steps),
                *(options if steps == "6" else ["--resume"]),
            ],
            env={
                **os.environ,
                "LSTM_TUI_MODELS": str(place),
                "LSTM_TUI_STATE": str(place / "state"),
                "LSTM_TUI_CACHE": str(place / "cache"),
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
    assert len(runs.saved_checkpoints(place / "run")) >= 2
    return place / "run"


@pytest.fixture
def sandbox(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Its folders are this process's own too. Its text is at hand, and may not be read."""
    made = Sandbox(tmp_path, original)
    for name, value in made.environment.items():
        if name.startswith("LSTM_TUI_") or name in ("HOME", "TMPDIR"):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", None)
    made.sources(str(made.outside / "text.txt"))
    yield made


def link(path: Path, target: Path) -> None:
    """Put a link in the place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


# --- links ----------------------------------------------------------------------------------------

BESIDE = [
    "metrics.jsonl",
    "steps.bin",
    "older.bin",
    "words.bin",
    "mark",
    "pinned.json",
    "latest",
    "best",
    "corpus.txt",
    "engine.log",
    "engine.lock",
    "engine.json",
    "engine.sock",
    ".config.json.tmp",
    ".metrics.jsonl.tmp",
    ".steps.bin.tmp",
    ".older.bin.tmp",
    ".latest.tmp",
    ".best.tmp",
    "checkpoints/step-00000099",
    "checkpoints/.step-00000014.tmp",
    "checkpoints/.step-00000015.tmp",
]
"""Names in a run's folder, of now and of before, that may be links though the model is sound."""
WITHIN = [
    f"{folder}{name}"
    for folder in ("checkpoints/NEWEST", "checkpoints/OLDEST")
    for name in (
        "",
        "/manifest.json",
        "/training.json",
        "/tokenizer.json",
        "/model.safetensors",
        "/state.safetensors",
    )
]
PLACES = [*BESIDE, "config.json", "checkpoints", *WITHIN]


def places(sandbox: Sandbox, name: str) -> tuple[Path, Path]:
    """Where this is in the stranger's folder, and the same outside."""
    newest, oldest = sandbox.checkpoints[0].name, sandbox.checkpoints[-1].name
    name = name.replace("NEWEST", newest).replace("OLDEST", oldest)
    same = name.replace("step-00000099", newest)
    return sandbox.run / name, sandbox.outside / same


def look(run: Path) -> None:
    """All that is read of a run to list it, to show its past and to ask its model."""
    for read in (
        lambda: runs.list_runs(run.parent),
        lambda: runs.load_config(run),
        lambda: runs.load_standing(run),
        lambda: list(runs.read_metrics(run)),
        lambda: runs.named_checkpoint(run / "best"),
        lambda: conducted(run, asking=True),
    ):
        try:
            found: object = read()
        except UserError as error:
            assert_sentence(str(error))
        except OSError as error:
            assert error.strerror == "it is a symbolic link"
        else:
            assert MARK not in str(found) and str(LATE) not in str(found)


def train(run: Path) -> str:
    """As an engine does that was told to train: three steps, with two checkpoints. Returns why it
    could not."""
    try:
        conductor = conducted(run, asking=False)
        conductor.command(p.Start())
    except UserError as error:
        assert_sentence(str(error))
        return str(error)
    begun = conductor.run.step
    for best in (True, False):
        while conductor.run.step < begun + 2 - best:
            assert conductor.run.busy
            conductor.advance()
            conductor.run.record.flush()
        conductor.saver.save(best=best)
    conductor.run.record.close()
    return ""


@linux
@pytest.mark.parametrize("target", ["something", "nothing"])
@pytest.mark.parametrize("name", PLACES)
def test_no_link_is_followed(sandbox: Sandbox, name: str, target: str) -> None:
    """Wherever it is, whether it leads to what could be read or to what could be made."""
    path, same = places(sandbox, name)
    existing = same if same.exists() else sandbox.outside / "text.txt"
    link(path, existing if target == "something" else sandbox.root / "made")
    before = sandbox.state()
    with sandbox.untouched():
        look(sandbox.run)
    assert sandbox.state() == before
    source = str(sandbox.text)
    if path.name != "config.json":
        sandbox.sources(source)
    with sandbox.untouched():
        problem = train(sandbox.run)
    assert not problem or "is a symbolic link" in problem, problem
    assert bool(problem) == (
        name in ("metrics.jsonl", "steps.bin", "older.bin", "config.json", "checkpoints")
    )


ASKING = [
    ["models"],
    ["models", "--json"],
    ["metrics", "theirs"],
    ["metrics", "theirs", "--csv"],
    ["metrics", "theirs", "--json"],
    ["attach", "theirs"],
    ["neighbours", "theirs", "cat"],
    ["generate", "theirs", "--tokens", "5", "--json"],
    ["evaluate", "theirs", "TEXT"],
]


def ask(sandbox: Sandbox, refused: set[str], **options: Any) -> dict[str, Ended]:
    """Put every question, of which those `refused` are answered by a sentence and exit code 1:
    nothing at all is written. By the command and its format."""
    before = sandbox.state()
    asked: dict[str, Ended] = {}
    with sandbox.untouched():
        for command, *arguments in ASKING:
            call = [str(sandbox.text) if part == "TEXT" else part for part in arguments]
            ended = sandbox.call(command, *call, **options)
            check(ended, ok=command not in refused | {"attach"})
            formats = [part for part in arguments if part in ("--json", "--csv")]
            asked[" ".join([command, *formats])] = ended
    assert sandbox.state() == before
    return asked


def check(ended: Ended, *, ok: bool) -> None:
    """It prints what a terminal can show; where it is refused, one sentence behind what is told
    before."""
    for printed in (ended.stdout, ended.stderr):
        assert visible(printed, keep_newlines=True) == printed
        assert MARK not in printed
        assert "Traceback" not in printed and "fault of lstm-tui" not in printed
    assert ended.returncode == (0 if ok else 1), (ended.args, ended.stderr)
    if not ok:
        assert re.fullmatch(r"(Reading [^\n]+\n)?lstm-tui: [^\n]{1,2000}\n", ended.stderr)


@linux
def test_a_sound_model_among_links_is_asked(sandbox: Sandbox) -> None:
    """Links lead from all that lies beside it, each to what could be read or to what could be
    made."""
    for number, name in enumerate(BESIDE):
        path, same = places(sandbox, name)
        existing = same if same.exists() else sandbox.outside / "text.txt"
        link(path, existing if number % 2 else sandbox.root / "made")
    asked = ask(sandbox, {"metrics"})
    assert "is a symbolic link" in asked["metrics"].stderr
    sandbox.sources(str(sandbox.text))
    with sandbox.untouched():
        ended = sandbox.call("replay", "theirs")
        check(ended, ok=False)
        assert str(sandbox.text) in ended.stderr.split("\n")[0]
        assert "is a symbolic link" in ended.stderr


@linux
def test_a_model_of_links_is_refused(sandbox: Sandbox) -> None:
    """Nothing of the model is there but links to another's, which is sound."""
    for path in sorted((sandbox.run / "checkpoints").glob("*/*")):
        link(path, sandbox.outside / path.relative_to(sandbox.run))
    asked = ask(sandbox, {"neighbours", "generate", "evaluate"})
    for command in ("neighbours", "generate --json", "evaluate"):
        assert "is a symbolic link" in asked[command].stderr
    (info,) = json.loads(asked["models --json"].stdout)
    assert "is a symbolic link" in info["problem"]


# --- strings --------------------------------------------------------------------------------------


FREE = ["corpus", "torch", "processor", "device"]
"""Of training.json, what may be any text."""
Key = str | int


def put(value: Any, path: tuple[Key, ...], string: str) -> None:
    for key in path[:-1]:
        value = value[key]
    assert isinstance(value[path[-1]], str)
    value[path[-1]] = string


def strings_in(value: Any, path: tuple[Key, ...] = ()) -> Iterator[tuple[Key, ...]]:
    """Where strings are in JSON; of a long list only in its beginning."""
    match value:
        case dict():
            for name, each in value.items():
                yield from strings_in(each, (*path, name))
        case list():
            for number, each in enumerate(value[:2]):
                yield from strings_in(each, (*path, number))
        case str():
            yield path


@linux
@pytest.mark.parametrize(
    "string", [HOSTILE, LONG, "\ud800", ""], ids=["hostile", "long", "half", "empty"]
)
@pytest.mark.parametrize("name", ["config.json", "training.json", "tokenizer.json"])
def test_any_string_of_a_run_is_shown_or_refused(sandbox: Sandbox, name: str, string: str) -> None:
    """One after the other; a checkpoint's manifest says that it was saved so."""
    path = (sandbox.run if name == "config.json" else sandbox.checkpoints[0]) / name
    original = path.read_bytes()
    found = list(strings_in(json.loads(original)))
    assert len(found) >= 3
    with sandbox.untouched():
        for place in found:
            value = json.loads(original)
            put(value, place, string)
            path.write_text(json.dumps(value))
            if path.parent != sandbox.run:
                seal(path)
            look(sandbox.run)


@pytest.fixture
def strings(sandbox: Sandbox) -> Sandbox:
    """Hostile strings wherever a sound run may have any: its text's name is that of a pipe."""
    pipe = sandbox.root / f"pipe{HOSTILE.replace('/', '')}"
    os.mkfifo(pipe)
    config = json.loads((sandbox.run / "config.json").read_text())
    put(config, ("preset",), HOSTILE + LONG)
    put(config, ("corpus", "source"), str(pipe))
    (sandbox.run / "config.json").write_text(json.dumps(config))
    for checkpoint in sandbox.checkpoints:
        path = checkpoint / "training.json"
        training = json.loads(path.read_text())
        for name in FREE:
            put(training, (name,), HOSTILE + LONG)
        path.write_text(json.dumps(training))
        seal(path)
        path = checkpoint / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        words = tokenizer["tokens"]
        for number, word in enumerate(words):
            if word.isalpha() and word not in ("the", "cat"):
                words[number] = HOSTILE.replace("\n", "").replace("\r", "") + str(number)
        path.write_text(json.dumps(tokenizer))
        seal(path)
    record = sandbox.run / "metrics.jsonl"
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    for line in lines:
        for name, value in line.items():
            if isinstance(value, str) and name not in ("type", "checkpoint"):
                line[name] = HOSTILE + LONG
    record.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return sandbox


@linux
def test_hostile_strings_are_shown_and_do_nothing(strings: Sandbox) -> None:
    asked = ask(strings, set())
    assert "␛[2J" in asked["neighbours"].stdout
    (info,) = json.loads(asked["models --json"].stdout)
    assert info["problem"] is None and info["corpus"].endswith(HOSTILE.replace("/", ""))
    check(strings.call("replay", "theirs"), ok=False)
    source = runs.load_config(strings.run).corpus.source
    check(strings.call("train", source, "--resume", "--name", "theirs"), ok=False)


@linux
def test_what_is_opened_is_seen(tmp_path: Path) -> None:
    """The tests above can fail."""
    (tmp_path / "below").mkdir()
    file = tmp_path / "below" / "file"
    file.write_text(MARK)
    watch = Watch(tmp_path)
    file.stat()
    assert watch.seen() == []
    subprocess.run(["cat", str(file)], check=True, capture_output=True)
    assert str(file) in watch.seen()
    list(tmp_path.iterdir())
    assert watch.seen()
    watch.close()


@linux
def test_a_text_in_the_run_s_folder_is_no_link(sandbox: Sandbox) -> None:
    """A stranger's text is read at the user's wish; that it leads elsewhere is not to be seen."""
    source = sandbox.run / "corpus.txt"
    link(source, sandbox.outside / "text.txt")
    sandbox.sources(str(source))
    with sandbox.untouched():
        ended = sandbox.call("train", str(source), "--resume", "--name", "theirs", "--steps", "20")
        assert ended.returncode == 1 and "symbolic link" in ended.stderr
        ended = sandbox.call("replay", "theirs")
        assert ended.returncode == 1 and "symbolic link" in ended.stderr
        assert f"which is {sandbox.outside / 'text.txt'}." in ended.stderr


# --- nothing to be asked --------------------------------------------------------------------------


@linux
def test_a_run_without_a_checkpoint_says_so_and_is_kept(sandbox: Sandbox) -> None:
    """It was made here and took steps, and was killed or exploded before it saved."""
    shutil.rmtree(sandbox.run / "checkpoints")
    for name in ("latest", "best"):
        (sandbox.run / name).unlink()
    note_made(sandbox.run, runs.load_config(sandbox.run).corpus.source)
    before = sandbox.state()
    for command, argument in (
        ("neighbours", "cat"),
        ("generate", "--json"),
        ("evaluate", "toy-world"),
    ):
        ended = sandbox.call(command, "theirs", argument)
        check(ended, ok=False)
        assert "theirs has no checkpoint" in ended.stderr
    assert sandbox.state() == before


# --- where nothing can be written -----------------------------------------------------------------


def as_others_are() -> None:
    """In a child about to start a program: modes of files hold for it though it is the
    superuser's (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    drop_from_bounding_set = 24
    for capability in (1, 2):
        LIBC.prctl(drop_from_bounding_set, capability, 0, 0, 0)


@pytest.fixture
def read_only(original: Path) -> Iterator[tuple[Sandbox, dict[str, Any]]]:
    """A sandbox in which nothing can be written but temporary files, and how to call the program
    there."""
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as folder:
        sandbox = Sandbox(Path(folder), original)
        Path(folder).chmod(0o755)
        for path in sorted(sandbox.root.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        (sandbox.root / "tmp").chmod(0o777)
        options = {"preexec_fn": as_others_are}
        made = ["mkdir", str(sandbox.run / "made")]
        if subprocess.run(made, capture_output=True, **options).returncode == 0:
            pytest.skip("this user may write everywhere, and can't give that up")
        try:
            yield sandbox, options
        finally:
            for path in (sandbox.root, *sorted(sandbox.root.rglob("*"))):
                if path.is_dir():
                    path.chmod(0o755)


@linux
def test_a_read_only_run_is_asked_and_refused_to_train(
    read_only: tuple[Sandbox, dict[str, Any]],
) -> None:
    sandbox, options = read_only
    ask(sandbox, set(), **options)
    source = runs.load_config(sandbox.run).corpus.source
    before = sandbox.state()
    ended = sandbox.call("train", source, "--resume", "--name", "theirs", **options)
    check(ended, ok=False)
    assert "can't be written to" in ended.stderr
    assert sandbox.state() == before


def test_many_ask_at_once_where_nothing_can_be_written(
    read_only: tuple[Sandbox, dict[str, Any]],
) -> None:
    sandbox, options = read_only
    before = sandbox.state()
    asked = ["neighbours", "theirs", "cat", "--json"]
    with ThreadPoolExecutor(3) as pool:
        ends = [pool.submit(sandbox.call, *asked, **options) for _ in range(3)]
        answers = [end.result() for end in ends]
    for answer in answers:
        check(answer, ok=True)
    assert len({answer.stdout for answer in answers}) == 1
    assert sandbox.state() == before


@linux
def test_without_a_folder_for_states_it_is_asked_and_not_trained(sandbox: Sandbox) -> None:
    blocked = {"LSTM_TUI_STATE": str(sandbox.text / "state")}
    before = sandbox.state()
    del before[str(sandbox.models)]
    check(sandbox.call("neighbours", "theirs", "cat", **blocked), ok=True)
    for arguments in (
        ["train", "toy-world", "--steps", "3"],
        ["train", runs.load_config(sandbox.run).corpus.source, "--resume", "--name", "theirs"],
    ):
        ended = sandbox.call(*arguments, **blocked)
        check(ended, ok=False)
        assert "LSTM_TUI_STATE" in ended.stderr
    after = sandbox.state()
    del after[str(sandbox.models)]  # a folder was made in it, and removed again
    assert after == before


# --- on the screen --------------------------------------------------------------------------------


@linux
async def test_opened_on_the_screen_its_text_is_named_before_it_is_read(
    strings: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(strings.outside / "text.txt")
    strings.sources(source)
    monkeypatch.setenv("LSTM_TUI_MODELS", strings.environment["LSTM_TUI_MODELS"])
    run_before = state(strings.run)
    async with playground(strings.models, client.launch) as room:  # type: ignore[arg-type]
        app = room.app
        with strings.untouched():
            await room.press("m")
            await room.until(lambda: isinstance(app.screen, OpenModel))
            table = app.screen.query_one(DataTable)
            await room.until(lambda: table.row_count == 2)
            await room.press("down", "enter")
            await room.until(lambda: app.session is not None and app.session.name == "theirs", 60)
            await room.until(lambda: app.session is not None and app.session.answering, 60)
            assert app.session is not None and app.session.status.asking
            await room.press("space")
            await room.until(lambda: isinstance(app.screen, AllowText))
            shown = " ".join(str(block.render()) for block in app.screen.query("Static"))
            assert source in shown
            await room.press("escape")
            await room.until(lambda: app.screen is app.playground)
        assert state(strings.run) == run_before
        assert not list(place_of(strings.run).parent.glob(place_of(strings.run).name))
        app.exit()
