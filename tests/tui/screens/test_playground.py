"""What the playground does when things happen: engines that die, refuse, or come back."""

import asyncio
import math
import signal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.geometry import Region
from textual.screen import Screen
from textual.widgets import Input, Static

from engine import messages as p
from engine.config import RunConfig, fields, get, preset, replace
from engine.errors import UserError
from engine.events import (
    AnyEvent,
    Extent,
    Intervened,
    NonFinite,
    Progress,
    Rewound,
    RolledBack,
    Sampled,
    Saved,
    SaveFailed,
    StateChanged,
)
from engine.numerals import real_number
from engine.runs import create_run, load_config
from engine.service.client import EngineEnded
from tests.tui.fake_engine import CORPUS, READY, FakeEngine, Launch, built, evaluation, status, step
from tests.tui.screen_help import Room, playground
from tui import ladder
from tui.numbers import grouped, short
from tui.panes.corpus import CorpusPane
from tui.panes.generation.write_view import WriteView
from tui.panes.laboratory import View
from tui.panes.neighbours.suggestion import suggested
from tui.panes.pane import Pane
from tui.panes.training import _fixed as fixed_loss
from tui.run.session import Session
from tui.screens.new_run import NewRun, as_text
from tui.screens.open_corpus import OpenCorpus, complete
from tui.screens.open_model import OpenModel
from tui.screens.quit import Leave
from tui.widgets.choice import Choice
from tui.widgets.key_bar import KeyBar
from tui.widgets.text import Block

HOSTILE = "\x1b[31mred\u202e[/oops] [@click=app.quit]x[/]\x9b5m"
RUNNING = (StateChanged(state="running"), step(1), step(2))


def run_of(models: Path, *events) -> Path:
    """A run on disk that has a past."""
    folder = create_run(models, "past", preset("toy"))
    lines = [msgspec.json.encode(event) for event in events]
    (folder / "metrics.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return folder


# --- starting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120, 200])
async def test_the_first_frame_is_styled_once_and_as_it_stays(
    tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    styled: list[DOMNode] = []
    first_frame: list[frozenset[str]] = []
    update_styles, paint = App.update_styles, Screen._compositor_refresh

    def style(app: App[str], node: DOMNode, **how: bool) -> None:
        styled.append(node)
        update_styles(app, node, **how)

    def frame(screen: Screen[None]) -> None:
        first_frame[:] = first_frame or [screen.classes]
        paint(screen)

    monkeypatch.setattr(App, "update_styles", style)
    monkeypatch.setattr(Screen, "_compositor_refresh", frame)
    async with playground(tmp_path, Launch(status), size=(width, 36)) as room:
        screen = room.app.playground
        assert first_frame == [screen.classes]
        assert not [
            node for node in styled if len(node.children) > 1 and not isinstance(node, View)
        ]


async def test_the_first_start_makes_a_toy_world_and_says_what_to_press(tmp_path: Path) -> None:
    launch = Launch(status)
    launch.held.clear()
    async with playground(tmp_path, launch, wait=False) as room:
        await room.until(lambda: "starting the engine" in room.text("#status"))
        launch.held.set()
        await room.until(lambda: room.app.session is not None)
        await room.happens(Progress(task="loading torch", done=0, total=0))
        assert "loading torch" in room.text("#status")
        await room.happens(*READY)
        assert "toy-world-1" in room.text("#status")
        assert "space" in room.text("#numbers") and "g lets" in room.current
        assert load_config(tmp_path / "toy-world-1") == preset("toy")


async def test_where_no_run_is_open_start_says_what_opens_one(tmp_path: Path) -> None:
    launch = Launch()
    launch.error = UserError("It can't be opened.")
    async with playground(tmp_path, launch, wait=False) as room:
        await room.press("space")
        await room.until(lambda: "can't be opened" in room.app.playground.runs.problem)
        await room.press("space")
        assert "No run is open: m opens a model, o a text." in room.toasts
        assert "starts when ready" not in room.text("#status")


async def test_what_matters_is_drawn_without_waiting_for_the_next_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.screens.playground.DRAWS_A_SECOND", 1e-3)
    monkeypatch.setattr("tui.screens.playground.SLOWEST", 1e3)
    launch = Launch(status)
    launch.held.clear()
    async with playground(tmp_path, launch, wait=False) as room:
        await room.press("space")
        assert "starts when ready" in room.text("#status")
        launch.held.set()
        await room.until(lambda: "toy-world-1" in room.text("#status"))
        room.engine.push(*READY)
        await room.until(lambda: "ready" in room.text("#status").split())
        room.engine.push(StateChanged(state="running"))
        await room.until(lambda: "running" in room.text("#status"))
        room.engine.push(step(1))
        await room.until(lambda: "step 1" in room.text("#status"))
        room.engine.push(step(2))
        await room.until(lambda: room.app.session and room.app.session.status.step == 2)
        assert "step 1" in room.text("#status"), "other steps wait for their turn"


async def test_a_key_waits_for_one_part_of_what_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        shown = room.app.playground
        await room.until(lambda: room.app.session and room.app.session.history.last)
        monkeypatch.setattr(shown, "set_timer", lambda *_: None)  # from now on by hand
        await room.pilot.pause(0.3)
        drawn: list[str] = []
        show = Pane.show

        def seen(pane: Pane, session: Session | None) -> None:
            drawn.append(pane.ID)
            show(pane, session)

        monkeypatch.setattr(Pane, "show", seen)
        shown.draw()
        assert drawn == ["training", "generation", "corpus", "neighbours"]
        shown.stale = True
        parts = []
        while not shown.drawn:
            drawn.clear()
            shown._draw_on_time()
            parts.append(tuple(drawn))
        assert parts == [("training",), ("generation",)], "the others have nothing new"


async def test_a_pane_is_drawn_anew_for_what_it_shows_of_the_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        corpus, drawn = room.app.playground.query_one(CorpusPane), []
        session = room.app.session
        assert session is not None
        await room.until(lambda: not corpus.stale)
        draw = corpus.draw
        monkeypatch.setattr(corpus, "draw", lambda shown: (drawn.append(1), draw(shown)))
        corpus.show(session)
        assert not drawn
        summary = session.status.corpus
        assert summary is not None
        other = msgspec.structs.replace(summary, lines=summary.lines + 1)
        session.status = msgspec.structs.replace(session.status, corpus=other)
        corpus.show(session)
        assert drawn and f"{other.lines:,}" in room.text("#facts")
        drawn.clear()
        corpus.stale = True
        corpus.show(session)
        assert drawn


async def test_a_launch_that_fails_says_why_and_leaves_the_program_usable(tmp_path: Path) -> None:
    launch = Launch()
    launch.error = EngineEnded("The engine (process 7) ended with exit code 1.\nMemoryError")
    async with playground(tmp_path, launch, wait=False) as room:
        await room.until(lambda: "MemoryError" in room.text("#trouble"))
        assert "r new run" in room.text("#trouble")
        launch.error = None
        await room.press("r")
        await room.until(lambda: isinstance(room.app.screen, NewRun))
        await room.press("ctrl+s")
        await room.until(lambda: room.app.session is not None)
        await room.until(lambda: not room.app.playground.query_one("#trouble").display)
        await room.press("q")
        await room.until(lambda: room.app._exit)


async def test_a_run_comes_back_with_its_history(tmp_path: Path) -> None:
    folder = run_of(
        tmp_path,
        *[step(number) for number in range(1, 5001)],
        Saved(step=4000, checkpoint="step-00004000", seconds=0.1),
        Intervened(step=5000, action="learning_rate", old=0.005, new=0.02),
    )
    launch = Launch(lambda folder: built(folder, state="running", step=5000, learning_rate=0.01))
    async with playground(tmp_path, launch, folder=folder) as room:
        session = room.app.session
        assert len(session.history.loss) == 5000
        assert session.history.interventions[-1].new == 0.02
        assert session.status.learning_rate == 0.01, "what the engine says now is what counts"
        assert session.unsaved, "it was saved a thousand steps ago"
        await room.happens(step(5001))
        assert session.history.step == 5001


async def test_a_saved_run_stands_where_its_checkpoint_is(tmp_path: Path) -> None:
    folder = run_of(
        tmp_path,
        *[step(number) for number in range(1, 41)],
        Saved(step=40, checkpoint="step-00000040", seconds=0.1),
        *[step(number) for number in range(41, 61)],
    )
    async with playground(tmp_path, Launch(status), folder=folder) as room:
        assert room.app.session.history.step == 60
        # The engine drops what no checkpoint holds.
        lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
        rewound = Rewound(recorded=Extent(sum(map(len, lines[:41])), 0))
        loaded = msgspec.structs.replace(READY[1], step=40, epoch=0.5)
        room.engine.push(READY[0], rewound, loaded, StateChanged(state="paused"))
        await room.until(lambda: "step 40" in room.text("#status"))
        session = room.app.session
        assert session.history.step == 40 and not session.unsaved


# --- trouble -------------------------------------------------------------------------------------


async def test_an_engine_that_dies_is_shown_with_its_last_words(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        room.engine.die("The engine (process 9) was killed by SIGKILL (out of memory?).\nlast line")
        await room.until(lambda: "out of memory" in room.text("#trouble"))
        assert "last line" in room.text("#trouble")
        assert "✗ failed" in room.text("#status")
        assert room.engine.closed
        await room.press("space", "s", "+")
        assert not room.engine.asked(p.Pause) and not room.engine.asked(p.SetKnob)
        await room.press("m")
        await room.until(lambda: isinstance(room.app.screen, OpenModel))
        await room.until(lambda: room.app.screen.query_one("#runs").row_count == 1)
        await room.press("enter")
        await room.until(lambda: len(room.launch.engines) == 2)
        await room.until(lambda: "✗" not in room.text("#status"))


async def test_a_refused_command_is_told_in_one_sentence(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.engine.refusals[p.SetKnob] = f"The rate is too high {HOSTILE}"
        await room.press("+")
        await room.until(lambda: room.toasts)
        assert room.toasts[0].startswith("The rate is too high ␛[31mred‹U+202E›[/oops]")
        assert room.app.session.knob("learning_rate") == 0.005, "what stands is what was"


async def test_what_comes_of_saving_is_told(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING, SaveFailed(step=2, reason="Can't save to x: disk full."))
        assert room.toasts == ["Can't save to x: disk full."]
        room.engine.note = "step-00000002"
        await room.press("s")
        await room.until(lambda: "Saved as step-00000002." in room.toasts)


async def test_why_a_run_finished_is_in_the_status_line(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING, StateChanged(state="finished", reason="Reached 2 steps."))
        assert "✓ finished  Reached 2 steps." in room.text("#status")


async def test_where_a_run_computes_is_in_the_status_line(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(160, 48)) as room:
        await room.happens(*READY)
        assert "cpu, 2 threads" in room.text("#status")
        assert "float32" not in room.text("#status")
        await room.happens(msgspec.structs.replace(READY[1], precision="bfloat16"))
        assert "cpu, 2 threads, bfloat16" in room.text("#status")


async def test_a_pause_with_a_reason_is_explained(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        reason = "Three gradients in a row were not finite: lower the learning rate."
        await room.happens(StateChanged(state="paused", reason=reason))
        assert reason in room.text("#trouble")
        await room.happens(StateChanged(state="running"))
        assert not room.app.playground.query_one("#trouble").display


async def test_hostile_text_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    corpus = msgspec.structs.replace(
        CORPUS, source=HOSTILE, tokenizer=HOSTILE, frequent=[(HOSTILE, 10), (HOSTILE * 3, 5)]
    )
    launch = Launch(
        lambda folder: built(folder, corpus=corpus, run=HOSTILE, state="failed", reason=HOSTILE)
    )
    async with playground(tmp_path, launch) as room:
        room.engine.passage = (HOSTILE, "\x07\ud800 more")
        await room.happens(Sampled(step=1, text=HOSTILE))
        await room.press("g")
        await room.until(lambda: "more" in room.current)
        await room.press("3", "enter", "ctrl+u")
        room.app.playground.query_one("#word", Input).value = HOSTILE
        await room.until(lambda: "vocabulary" in room.text("#nearest"))
        shown = "\n".join(
            line.text for line in room.app.screen._compositor.render_strips(room.app.size)
        )
        assert "␛[31mred‹U+202E›[/oops]" in shown
        for character in "\x1b\u202e\x9b\x07\ud800":
            assert character not in shown.replace("\n", "")


async def test_what_is_under_way_is_in_the_status_line_with_the_time_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("tui.pace.monotonic", lambda: clock[0])
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        assert "▶ running  step 2  48,210 tokens/s" in room.text("#status")
        await room.happens(Progress(task="evaluating", done=0, total=100))
        clock[0] += 10
        await room.happens(Progress(task="evaluating", done=25, total=100))
        assert "▶ running  evaluating 25%, 30 s left  step 2" in room.text("#status")
        assert "tokens/s" not in room.text("#status"), "nothing is trained meanwhile"
        assert "evaluating" not in room.text("#numbers")
        await room.happens(StateChanged(state="running"), Progress(task="saving", done=0, total=0))
        assert "saving…" in room.text("#status")


async def test_a_run_that_went_back_says_so_and_is_where_it_went(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        taken = [step(number) for number in range(1, 31)]
        saved = Saved(step=20, checkpoint="step-00000020", seconds=0.1)
        back = RolledBack(step=20, from_step=30, learning_rate=0.0025)
        damaged = msgspec.structs.replace(saved, step=28)
        past = (*taken[:20], saved, *taken[20:28], damaged, *taken[28:])
        await room.happens(StateChanged(state="running"), *past, back)
        session = room.app.session
        assert room.toasts[0].startswith("Step 30 was not finite: back to step 20, on at")
        assert room.text("#status").endswith("running  step 20")
        assert session.knob("learning_rate") == 0.0025
        assert session.saved_step == session.history.step == 20
        after = step(21, clip_mode="layer", clip_threshold=0.8, learning_rate=0.0025)
        await room.happens(after)
        assert (session.status.clip_mode, session.status.clip_threshold) == ("layer", 0.8)
        assert "went back from step 30 to 20 · on at rate 0.0025" in room.text("#numbers")


async def test_adaptive_clipping_keeps_the_threshold_that_was_set(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(
            StateChanged(state="running"), step(1, clip_mode="adaptive", clip_threshold=0.123)
        )
        assert room.app.session.status.clip_mode == "adaptive"
        assert room.app.session.status.clip_threshold == 0.5
        assert "now 0.123" in room.text("#numbers")


def exploded() -> list[AnyEvent]:
    lost = dict.fromkeys(("loss", "norm_before", "norm_after"))
    return [
        StateChanged(state="running"),
        step(1),
        *[step(number, **lost, non_finite_steps=number - 1) for number in (2, 3)],
        NonFinite(step=3, tensor="loss", value="nan", in_a_row=2),
    ]


def let_explode() -> Launch:
    config = replace(preset("toy"), {"training.non_finite": "let-it-happen"})
    return Launch(lambda folder: built(folder, config=config))


async def test_a_run_that_exploded_is_opened_anew_from_the_list(tmp_path: Path) -> None:
    async with playground(tmp_path, let_explode()) as room:
        await room.happens(*exploded())
        assert "not finite since step 2 · m reopens" in room.text("#numbers")
        await open_form(room, "m", OpenModel)
        await room.until(lambda: room.app.screen.query_one("#runs").row_count == 1)
        await room.press("enter")
        await room.until(lambda: len(room.launch.engines) == 2)
        first, second = room.launch.engines
        assert first.asked(p.Shutdown) and first.folder == second.folder
        await room.until(lambda: "step" not in room.text("#status"))


async def test_a_run_that_exploded_is_left_without_a_question(tmp_path: Path) -> None:
    async with playground(tmp_path, let_explode()) as room:
        await room.happens(*exploded())
        assert "not saved" not in room.text("#status")
        await room.press("q")
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(p.Shutdown)


async def test_a_damaged_record_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = run_of(tmp_path, step(1), step(10**15), Saved(step=-4, checkpoint="x", seconds=0.1))
    launch = Launch(lambda folder: built(folder, state="paused", step=2))
    async with playground(tmp_path, launch, folder=folder) as room:
        await room.until(lambda: room.toasts)
        assert "record is damaged: 2 of its entries" in room.toasts[0]
        assert room.app.session.history.step == 1
        await room.happens(step(2))
        assert room.app.session.history.step == 2


async def test_a_screenshot_is_saved_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with playground(tmp_path / "models") as room:
        screenshot = next(
            command
            for command in room.app.get_system_commands(room.app.screen)
            if command.title == "Screenshot"
        )
        screenshot.callback()
        await room.until(lambda: list(tmp_path.glob("*.svg")))


# --- asking --------------------------------------------------------------------------------------


async def test_neighbours_follow_the_word_and_the_training(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.until(lambda: "physicist" in room.text("#nearest"))
        asked = len(room.engine.asked(p.WordQuery))
        await room.happens(*RUNNING)
        await room.until(lambda: len(room.engine.asked(p.WordQuery)) > asked)
        await room.until(lambda: "live" in room.text("#seen"))
        await room.press("3", "enter", "ctrl+u", *"tebcher")
        await room.until(lambda: "did you mean" in room.text("#nearest"))
        await room.press("ctrl+u", *"teacher", "enter")
        await room.until(lambda: "mathematician" not in room.engine.asked(p.WordQuery)[-1].query)
        await room.until(lambda: "physicist" in room.text("#nearest"))
        assert room.app.focused is None, "enter gives the keys back"


async def test_of_characters_a_letter_is_asked_for_not_the_blank(tmp_path: Path) -> None:
    letters = msgspec.structs.replace(CORPUS, frequent=[(" ", 900), ("\n", 500), ("e", 400)])
    launch = Launch(lambda folder: built(folder, corpus=letters))
    async with playground(tmp_path, launch) as room:
        await room.until(lambda: bool(room.engine.asked(p.WordQuery)))
        assert room.engine.asked(p.WordQuery)[-1].query == "e"
    blank = msgspec.structs.replace(CORPUS, frequent=[(" ", 900), ("\n", 500), ("।", 400)])
    launch = Launch(lambda folder: built(folder, corpus=blank))
    async with playground(tmp_path, launch) as room:
        await room.until(lambda: "enter types one" in room.text("#nearest"))


@pytest.mark.parametrize(
    ("frequent", "word"),
    [
        (["।", "हिन्दी", "का", "<eos>"], "हिन्दी"),
        ([",", "שָׁלוֹם", "ה"], "שָׁלוֹם"),
        (["。", "的", "天地玄黄宇"], "天地玄黄宇"),
        (["،", "می\u200cخواهم"], "می\u200cخواهم"),
        (["།", "་", "བཀྲ", "ཤིས"], "བཀྲ"),
        (["-", "don't", "the"], "don't"),
        (["\u093e", "क", " "], "क"),
        ([" the", "er", " walks", "ing"], "walks"),
        (["!", "42", "…"], "42"),
        (["<eos>", "<unk>", "!", "\U0001f642"], ""),
    ],
)
def test_what_is_suggested_is_a_word_of_its_script(frequent: list[str], word: str) -> None:
    assert suggested(frequent) == word


async def test_what_is_pasted_is_asked_as_it_is(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        for key, kind, name in (("1", p.Represent, "text"), ("3", p.WordQuery, "query")):
            await room.press(key, "enter", "ctrl+u")
            room.app.focused.post_message(events.Paste("a\u200d\tb\r\nc "))
            await room.until(
                lambda kind=kind, name=name: (
                    getattr(room.engine.asked(kind)[-1], name) == "a\u200d\tb\nc "
                )
            )
            await room.press("escape")
        await room.press("4", "enter")
        room.app.focused.post_message(events.Paste("two\rlines "))
        await room.press("enter")
        await room.until(lambda: bool(room.engine.asked(p.Generate)))
        assert room.engine.asked(p.Generate)[-1].prompt == "two\nlines "


async def test_a_still_model_is_not_asked_again_and_again(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.until(lambda: "physicist" in room.text("#nearest"))
        await room.until(lambda: room.engine.asked(p.LookUp))
        asked = len(room.engine.calls)
        await room.pilot.pause(1.5)
        assert len(room.engine.calls) == asked


async def test_a_sentence_is_compared_both_ways(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.until(lambda: "one-hot row" in room.text("#comparison"))
        shown = room.text("#comparison")
        assert room.engine.asked(p.Represent)[-1].text == "I am going to office."
        assert "6 × 64 × 4 bytes = 1.54 kB" in shown and "6 × 32 × 4 bytes = 768 bytes" in shown
        rows = [line for line in shown.split("\n") if line.startswith(("going", "office"))]
        assert rows[0].split()[1] == "33" and "34 of 64" in rows[0]
        assert rows[1].startswith("office*") and "<unk>" in shown
        await room.press("1", "enter", "ctrl+u", *"the")
        await room.until(lambda: "1 × 64 × 4 bytes = 256 bytes" in room.text("#comparison"))


async def test_the_model_writes_passage_by_passage_while_it_trains(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        await room.press("4", "enter", *"the", "enter")

        def prompts() -> list[str]:
            return [call.prompt for call in room.engine.asked(p.Generate)]

        await room.until(lambda: prompts()[-2:] == ["the", "the"])
        await room.until(lambda: "step 2 · temp 1.0  the the mathematician" in room.earlier)
        await room.press("g")
        await room.until(lambda: not room.app.playground.query_one(WriteView).writing)


@pytest.mark.parametrize(
    ("tokenizer", "prompt", "text", "shown"),
    [
        ("character", "Hel", "lo  \n\nx ", "Hello  \n\nx "),
        ("character", "Hel ", " lo", "Hel  lo"),
        ("character", "", "\n  a", "\n  a"),
        ("character", "\u0915", "\u093f", "\u0915\u093f"),
        ("subword", "\n the", "re is", "\n there is"),
        ("word", "the", " cat\n", "the cat"),
        ("word", "the ", "cat", "the cat"),
        ("word", "the", ", cat", "the, cat"),
        ("word", "", "\nthe cat", "the cat"),
    ],
)
async def test_a_passage_is_shown_as_it_was_written(
    tmp_path: Path, tokenizer: str, prompt: str, text: str, shown: str
) -> None:
    config = replace(preset("toy"), {"corpus.tokenizer": tokenizer})
    launch = Launch(lambda folder: built(folder, config=config))
    async with playground(tmp_path, launch) as room:
        pane = room.app.playground.query_one(WriteView)
        room.app.playground.query_one("#prompt", Input).value = prompt
        pane.request()
        pane.show(room.app.playground.session)
        pane.add(p.WrittenToken(text=text, step=5, seed=77))
        pane.show(room.app.playground.session)
        assert room.current == f"step 5 · temp 1.0  {shown}"
        assert room.app.playground.query_one("#seed", Input).placeholder == "77"


async def begin_writing(room: Room, pane: WriteView) -> None:
    """Let a passage begin of which no word comes but by the test's own hand."""
    room.engine.passage, room.engine.unhurried = (), True
    pane.action_generate()
    await room.until(lambda: room.engine.asked(p.Generate))


async def test_the_temperature_is_never_cut_off_by_the_seed(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        pane = room.app.playground.query_one(WriteView)
        await begin_writing(room, pane)
        pane.add(p.WrittenToken(text="the", step=5, seed=999_999_999))
        for columns in (40, 80, 120, 200):
            await room.pilot.resize_terminal(columns, 36)
            room.app.playground.action_show_pane("generation")
            await room.pilot.pause()
            pane.show(room.app.playground.session)
            await room.pilot.pause()
            block = room.app.playground.query_one("#temperature", Block)
            assert block.content.cell_length <= block.size.width, f"at {columns} columns"


async def test_unknown_words_of_the_prompt_are_told_with_the_passage(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        pane = room.app.playground.query_one(WriteView)
        pane.request()
        pane.add(p.WrittenToken(text="cat", step=5, note="1 of 1 words unknown: \x1b[1m"))
        pane.show(room.app.playground.session)
        assert room.current == "step 5 · temp 1.0  1 of 1 words unknown: ␛[1m\ncat"


async def test_a_passage_that_is_refused_is_not_asked_for_again(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.engine.refusals[p.Generate] = "Temperature goes from 0 to 100."
        await room.happens(*RUNNING)
        await room.until(lambda: "Temperature goes" in room.current)
        await room.happens(step(3))
        await room.happens(step(4))
        assert len(room.engine.asked(p.Generate)) == 1


async def test_a_sample_comes_below_what_was_written_before_it(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        pane = room.app.playground.query_one(WriteView)
        pane.add(p.WrittenToken(text="written", step=5))
        await room.happens(Sampled(step=9, text="sampled"))
        await room.until(lambda: "sampled" in room.earlier)
        assert room.earlier.index("written") < room.earlier.index("sampled")
        await begin_writing(room, pane)
        pane.add(p.WrittenToken(text="going on", step=9))
        await room.happens(Sampled(step=10, text="another"))
        await room.until(lambda: "another" in room.earlier)
        assert "going on" in room.current, "what still grows stays at the end"


async def test_what_is_kept_of_generation_is_bounded(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        pane = room.app.playground.query_one(WriteView)
        for number in range(100):
            pane.request()
            pane.add(p.WrittenToken(text=f"passage {number}", step=number))
        await room.happens(step(1))
        assert "passage 98" in room.earlier and "passage 99" in room.current
        assert "passage 50" not in room.earlier


# --- leaving -------------------------------------------------------------------------------------


async def training(room: Room) -> None:
    await room.happens(*RUNNING)
    await room.press("q")
    await room.until(lambda: isinstance(room.app.screen, Leave))


async def test_quit_stop_and_save_is_the_default(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await training(room)
        await room.press("enter")
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(p.Shutdown) == [p.Shutdown(save=True)]
        assert room.app.return_value is None


async def test_quit_leave_it_training(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await training(room)
        await room.press("l")
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(p.Detach) and not room.engine.asked(p.Shutdown)
        assert "lstm-tui attach toy-world-1" in room.app.return_value


@pytest.mark.parametrize("key", ["c", "escape"])
async def test_quit_cancel(tmp_path: Path, key: str) -> None:
    async with playground(tmp_path) as room:
        await training(room)
        await room.press(key)
        await room.until(lambda: room.app.screen is room.app.playground)
        assert not room.engine.asked(p.Shutdown) and not room.engine.asked(p.Detach)
        await room.press("q", "s")
        await room.until(lambda: room.app._exit)


async def test_a_new_run_goes_again_where_the_user_would_rather_stay(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        before = sorted(tmp_path.iterdir())
        await room.press("r")
        await room.until(lambda: isinstance(room.app.screen, NewRun))
        await room.press("ctrl+s")
        await room.until(lambda: isinstance(room.app.screen, Leave))
        assert len(list(tmp_path.iterdir())) == len(before) + 1
        await room.press("c")
        await room.until(lambda: room.app.screen is room.app.playground)
        await room.until(lambda: sorted(tmp_path.iterdir()) == before)
        await room.press("q", "s")
        await room.until(lambda: room.app._exit)


async def test_unsaved_steps_of_a_paused_run_are_asked_about(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING, StateChanged(state="paused"))
        await room.press("q")
        await room.until(lambda: isinstance(room.app.screen, Leave))
        await room.press("escape")
        await room.until(lambda: room.app.screen is room.app.playground)
        await room.happens(Saved(step=2, checkpoint="step-00000002", seconds=0.1))
        await room.press("q")
        await room.until(lambda: room.app._exit)


async def test_a_save_that_fails_keeps_the_program_open(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.engine.refusals[p.Shutdown] = "Can't write the checkpoint: the disk is full."
        await training(room)
        await room.press("s")
        await room.until(lambda: "disk is full" in "".join(room.toasts))
        assert not room.app._exit


async def test_another_run_asks_what_becomes_of_the_one_that_trains(tmp_path: Path) -> None:
    create_run(tmp_path, "other", preset("toy"))
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        for key in ("c", "l"):
            await room.press("m")
            await room.until(lambda: isinstance(room.app.screen, OpenModel))
            table = room.app.screen.query_one("#runs")
            await room.until(lambda table=table: table.row_count == 2)
            table.move_cursor(row=table.get_row_index(str(tmp_path / "other")))
            await room.press("enter")
            await room.until(lambda: isinstance(room.app.screen, Leave))
            await room.press(key)
            await room.until(lambda: room.app.screen is room.app.playground)
            assert bool(room.launch.engines[0].asked(p.Detach)) == (key == "l")
            if key == "c":
                assert len(room.launch.engines) == 1
        await room.until(lambda: len(room.launch.engines) == 2)
        assert room.engine.folder.name == "other"


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGTERM, p.Shutdown), (signal.SIGHUP, p.Detach)]
)
async def test_signals(tmp_path: Path, number: signal.Signals, kind: type) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        signal.raise_signal(number)
        await room.until(lambda: room.app._exit)
        assert room.engine.asked(kind)


# --- forms ---------------------------------------------------------------------------------------


async def open_form(room: Room, key: str, kind: type) -> None:
    await room.press(key)
    await room.until(lambda: isinstance(room.app.screen, kind))


async def test_the_form_keeps_what_was_typed_when_it_is_refused(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await open_form(room, "r", NewRun)
        form = room.app.screen
        form.query_one("#name", Input).value = "mine"
        form.query_one("#model-layers", Input).value = "99"
        await room.press("ctrl+s")
        error = form.query_one("#error")
        await room.until(lambda: "model.layers can't be '99'" in str(error.render()))
        assert room.app.focused is form.query_one("#model-layers"), "it goes to the field"
        form.query_one("#model-layers", Input).value = "2"
        form.query_one("#preset", Choice).value = "ptb-small"
        await room.until(lambda: form.query_one("#optimiser-name", Choice).value == "sgd")
        assert form.query_one("#model-layers", Input).value == "2"
        await room.press("ctrl+s")
        await room.until(lambda: len(room.launch.engines) == 2)
        config = load_config(tmp_path / "mine")
        assert get(config, "optimiser.learning_rate") == 30 and config.preset == "ptb-small"


async def test_the_form_warns_of_what_goes_badly_together_and_makes_the_run(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await open_form(room, "r", NewRun)
        form = room.app.screen
        told = form.query_one("#error", Static)
        form.query_one("#preset", Choice).value = "large-vocabulary"
        await room.until(lambda: form.query_one("#training-candidates", Input).value == "1024")
        await room.pilot.pause()
        assert str(told.render()) == ""
        form.query_one("#optimiser-name", Choice).value = "adamw"
        await room.until(lambda: "adamw diverges" in str(told.render()))
        form.query_one("#training-candidates", Input).value = ""
        await room.until(lambda: str(told.render()) == "")
        form.query_one("#training-candidates", Input).value = "64"
        form.query_one("#name", Input).value = "mine"
        await room.press("ctrl+s")
        await room.until(lambda: (tmp_path / "mine").exists())
        assert load_config(tmp_path / "mine").training.candidates == 64


async def test_the_form_goes_from_section_to_section(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await open_form(room, "r", NewRun)
        form = room.app.screen
        reached = []
        await room.press("tab", "tab")  # to the first of those that are used most
        for key in ["pagedown"] * 8 + ["pageup"] * 2:
            await room.press(key)
            assert room.app.focused is not None
            reached.append(room.app.focused.id)
            heading = next(iter(room.app.focused.query_ancestor(".section").children))
            await room.until(
                lambda heading=heading: form.query_one("#form").region.contains_region(
                    heading.region
                )
            )
        assert reached == [
            "corpus-lowercase",
            "model-last_size",
            "regularisation-embedding_dropout",
            "optimiser-name",
            "schedule-name",
            "clipping-mode",
            "training-bptt",
            "training-bptt",
            "clipping-mode",
            "schedule-name",
        ]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_every_field_of_the_form_is_named_and_explained_in_full(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with playground(tmp_path, size=size) as room:
        await open_form(room, "r", NewRun)
        await room.pilot.pause()
        form = room.app.screen
        assert "What holds the model back" in "".join(
            str(about.render()) for about in form.query(".about").results(Static)
        )
        for field in fields(RunConfig):
            row = form.query_one(f"#{field.path.replace('.', '-')}").parent
            name, effect = row.query_one(".name", Static), row.query_one(".effect", Static)
            assert str(name.render()) == field.path.split(".")[1]
            assert len(str(name.render())) < name.size.width
            assert str(effect.render()).startswith(field.effect)
            shown = "".join(line.text for line in effect.render_lines(Region(0, 0, *effect.size)))
            assert "".join(str(effect.render()).split()) == "".join(shown.split()), field.path


async def test_a_form_left_alone_is_its_preset(tmp_path: Path) -> None:
    threshold = preset("toy").clipping.threshold
    launch = Launch(lambda folder: built(folder, clip_threshold=threshold))
    async with playground(tmp_path, launch) as room:
        await open_form(room, "r", NewRun)
        room.app.screen.query_one("#name", Input).value = "plain"
        await room.press("ctrl+s")
        await room.until(lambda: (tmp_path / "plain").exists())
        assert load_config(tmp_path / "plain") == preset("toy"), "that of the run that is shown"


async def test_a_text_file_is_opened(tmp_path: Path) -> None:
    text = tmp_path / "a text.txt"
    text.write_text("one two three\n")
    async with playground(tmp_path / "models") as room:
        await open_form(room, "o", OpenCorpus)
        form = room.app.screen
        await room.press("enter")
        await room.until(lambda: "Type the path" in str(form.query_one("#error").render()))
        form.query_one("#path", Input).value = str(tmp_path / "nothing")
        await room.press("enter")
        await room.until(lambda: "There is no file" in str(form.query_one("#error").render()))
        form.query_one("#path", Input).value = str(text)
        form.query_one("#tokenizer", Choice).value = "character"
        await room.press("enter")
        await room.until(lambda: len(room.launch.engines) == 2)
        config = load_config(room.engine.folder)
        assert config.corpus.source == str(text) and config.corpus.tokenizer == "character"
        assert config.preset == "laptop"


HOPELESS = {
    "binary": b"\x7fELF" + bytes(300),
    "empty": b"",
    "blank": b"\n" * 300,
    "latin": b"Gr\xfc\xdfe",
    "folder/notes.odt": b"PK\x03\x04",
}
SOURCES = ["binary", "empty", "blank", "latin", "folder", "*.nothing", "~nosuch/x", "x" * 5000]


@pytest.mark.parametrize("form", ["OpenCorpus", "NewRun"])
async def test_a_hopeless_text_is_refused_in_the_form_and_nothing_is_closed(
    tmp_path: Path, form: str
) -> None:
    for name, data in HOPELESS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    async with playground(tmp_path / "models") as room:
        before = room.engine
        if form == "NewRun":
            await open_form(room, "r", NewRun)
            field, key = "#corpus-source", "ctrl+s"
        else:
            await open_form(room, "o", OpenCorpus)
            field, key = "#path", "enter"
        dialog = room.app.screen
        told = set()
        for source in SOURCES:
            path = source if source[0] in "~x" else str(tmp_path / source)
            dialog.query_one(field, Input).value = path
            dialog.query_one("#error", Static).update("")
            await room.press(key)
            await room.until(lambda: str(dialog.query_one("#error").render()))
            told.add(str(dialog.query_one("#error").render()))
        assert len(told) == len(SOURCES)
        assert room.app.screen is dialog and room.engine is before
        assert len(room.launch.engines) == 1
        assert [path.name for path in (tmp_path / "models").iterdir()] == [before.folder.name]


async def test_numbers_in_the_form_are_read_as_people_write_them(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await open_form(room, "r", NewRun)
        form = room.app.screen
        written = {"#training-steps": "10,000", "#optimiser-learning_rate": ".0123456789"}
        for field, text in written.items():
            form.query_one(field, Input).value = text
        form.query_one("#regularisation-input_dropout", Input).value = "0,5"
        form.query_one("#name", Input).value = "x" * 5000
        await room.press("ctrl+s")
        error = form.query_one("#error")
        await room.until(lambda: "'0,5'" in str(error.render()))
        form.query_one("#regularisation-input_dropout", Input).value = "+0.5"
        await room.press("ctrl+s")
        await room.until(lambda: "can't be a run's name" in str(error.render()))
        assert len(str(error.render())) < 200
        form.query_one("#name", Input).value = "mine"
        await room.press("ctrl+s")
        await room.until(lambda: (tmp_path / "mine").exists())
        config = load_config(tmp_path / "mine")
        assert (config.training.steps, config.regularisation.input_dropout) == (10_000, 0.5)
        assert config.optimiser.learning_rate == 0.0123456789


@pytest.mark.parametrize("value", [0.1, 20.0, 1e-9, 0.0123456789, 1 / 3, 123456.789])
def test_the_form_shows_a_number_as_it_is(value: float) -> None:
    assert real_number(as_text(value)) == value


async def test_a_built_in_text_is_chosen_by_keys(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await open_form(room, "o", OpenCorpus)
        room.app.screen.query_one("#source").focus()
        await room.press("up", "ctrl+s")
        await room.until(lambda: room.engine.folder.name == "python-docs-1")


async def test_paths_are_completed(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "novel.txt").touch()
    (tmp_path / "books" / "\x1bbad.txt").touch()
    (tmp_path / ".hidden").touch()
    assert complete(f"{tmp_path}/b") == f"{tmp_path}/books/"
    assert complete(f"{tmp_path}/") == f"{tmp_path}/books/"
    assert complete(f"{tmp_path}/books/") == f"{tmp_path}/books/novel.txt"
    assert complete(f"{tmp_path}/books/x") is None
    for typed in (
        "~nosuch/x",
        "x" * 5000 + "/",
        "a\0/b",
        f"{tmp_path}/books/novel.txt/x",
        "\udcff/",
    ):
        assert complete(typed) is None
    assert complete(f"{tmp_path}/nowhere/x") is None


async def test_an_empty_models_folder_says_what_to_press(tmp_path: Path) -> None:
    launch = Launch()
    launch.error = UserError("no")
    async with playground(tmp_path, launch, wait=False) as room:
        await room.until(lambda: room.app.runs.problem)
        (tmp_path / "toy-world-1" / "config.json").unlink()
        await open_form(room, "m", OpenModel)
        empty = room.app.screen.query_one("#empty")
        await room.until(lambda: empty.display)
        assert "r begins a run" in str(empty.render())


# --- small terminals and small parts -------------------------------------------------------------


async def test_a_narrow_terminal_shows_one_pane_and_whole_keys(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("4")
        await room.until(
            lambda: (
                [pane.id for pane in room.app.playground.query(Pane) if pane.display]
                == ["generation"]
            )
        )
        for width in (80, 60, 40, 30):
            await room.pilot.resize_terminal(width, 24)
            await room.pilot.pause()
            bar = room.app.playground.query_one(KeyBar).render().plain
            assert bar.rstrip().endswith("q quit") and len(bar) <= width


def test_the_ladder_climbs_ten_rungs_to_ten_times_and_comes_back() -> None:
    value = 0.005
    for _ in range(10):
        value = ladder.up(value)
    assert value == 0.05
    for _ in range(10):
        value = ladder.down(value)
    assert value == 0.005
    assert ladder.up(0.3) == 0.32 and ladder.down(0.3) == 0.25


def test_a_session_knows_what_is_unsaved(tmp_path: Path) -> None:
    session = Session(FakeEngine(built(tmp_path)))
    assert not session.unsaved
    session.apply([step(1), step(2)])
    assert session.unsaved and session.status.step == 2
    session.apply([Saved(step=2, checkpoint="step-00000002", seconds=0.0)])
    assert not session.unsaved
    session.apply([Progress(task="evaluating", done=1, total=2)])
    assert session.status.progress is not None
    session.apply([Progress(task="evaluating", done=2, total=2)])
    assert session.status.progress is None
    session.end("gone", orderly=False)
    assert session.status.state == "failed" and not session.answering


# --- little room, and limits --------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 60, 80])
async def test_a_narrow_status_line_cuts_the_name_before_the_state(
    tmp_path: Path, columns: int
) -> None:
    launch = Launch(lambda folder: built(folder, run="a-run-with-quite-a-long-name-of-its-own"))
    async with playground(tmp_path, launch, size=(columns, 24)) as room:
        await room.happens(*RUNNING)
        line = room.text("#status")
        assert "▶ running  step 2" in line[:columns]
        assert "…" in line or "its-own" in line


async def test_a_narrow_tab_strip_shows_every_pane(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(40, 12)) as room:
        for key, name in (("1", "corpus"), ("3", "neighbours"), ("4", "generation")):
            await room.press(key)
            await room.pilot.pause()
            row = room.app.playground.query_one("#tabs").render().plain
            assert len(row) <= 38
            assert f"[{key} {name}]" in row and all(number in row for number in "1234")


async def test_an_answer_goes_when_its_word_is_erased(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.until(lambda: "physicist" in room.text("#nearest"))
        room.app.playground.query_one("#word", Input).value = ""
        await room.until(lambda: "No word is asked for" in room.text("#nearest"))
        assert "step" not in room.text("#seen")


async def test_an_answer_that_comes_too_late_for_an_erased_word_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playground(tmp_path) as room:
        await room.until(lambda: "physicist" in room.text("#nearest"))
        held = asyncio.Event()
        answer = room.engine.call

        async def slow(body):
            await held.wait()
            return await answer(body)

        monkeypatch.setattr(room.engine, "call", slow)
        fields = (
            room.app.playground.query_one("#word", Input),
            room.app.playground.query_one("#sentence", Input),
        )
        for field in fields:
            field.value = "teacher"
        await room.pilot.pause(0.5)
        for field in fields:
            field.value = ""
        await room.until(lambda: "No word is asked for" in room.text("#nearest"))
        await room.until(lambda: "No sentence to show" in room.text("#comparison"))
        held.set()
        await room.pilot.pause(0.5)
        assert "No word is asked for" in room.text("#nearest")
        assert "No sentence to show" in room.text("#comparison")


@pytest.mark.parametrize(("tokenizer", "unit"), [("character", "character"), ("subword", "piece")])
async def test_a_pane_names_the_unit_of_its_text(tmp_path: Path, tokenizer: str, unit: str) -> None:
    config = replace(preset("toy"), {"corpus.tokenizer": tokenizer})
    async with playground(tmp_path, Launch(lambda folder: built(folder, config=config))) as room:
        room.app.playground.query_one("#word", Input).value = ""
        await room.until(lambda: f"No {unit} is asked for" in room.text("#nearest"))


async def test_turning_the_temperature_leaves_no_stubs(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        pane = room.app.playground.query_one(WriteView)
        await begin_writing(room, pane)
        pane.add(p.WrittenToken(text="a stub", step=5, seed=1))
        await room.press(".", ".", ",")
        await room.until(lambda: room.engine.asked(p.Generate)[-1].temperature == 1.1)
        assert "stub" not in room.earlier + room.current
        pane.add(p.WrittenToken(text="a whole one", step=5, seed=1))
        pane._whole = True
        await room.press(",")
        await room.until(lambda: "step 5 · temp 1.1  a whole one" in room.earlier)


async def test_the_seed_is_set_beside_the_prompt_and_else_drawn_and_told(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        seed = room.app.playground.query_one("#seed", Input)
        await room.press("4", "enter", *"the", "tab", *"4x2", "enter")
        await room.until(lambda: room.engine.asked(p.Generate))
        asked = room.engine.asked(p.Generate)[-1]
        assert (asked.prompt, asked.seed, seed.value) == ("the", 42, "42")
        await room.press("enter", "tab", "ctrl+u", "enter")
        await room.until(lambda: len(room.engine.asked(p.Generate)) == 2)
        assert room.engine.asked(p.Generate)[-1].seed is None
        pane = room.app.playground.query_one(WriteView)
        pane.add(p.WrittenToken(text="x", step=5, seed=77))
        pane._seed = 77
        pane.redraw()
        assert seed.placeholder == "77"


async def test_an_erased_prompt_takes_what_is_written_after_it_along(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        pane = room.app.playground.query_one(WriteView)
        prompt = room.app.playground.query_one("#prompt", Input)
        prompt.value = "zebra"
        await begin_writing(room, pane)
        pane.add(p.WrittenToken(text=" runs", step=5, note="1 of 1 words unknown: zebra"))
        pane.redraw()
        assert "zebra" in room.current
        prompt.value = ""
        await room.until(lambda: "zebra" not in room.current + room.earlier)
        await room.until(lambda: not pane.writing)


@pytest.mark.parametrize("width", [40, 80, 120, 160])
async def test_the_hint_of_the_temperature_is_always_there_before_that_of_the_seed(
    tmp_path: Path, width: int
) -> None:
    async with playground(tmp_path, size=(width, 24)) as room:
        await room.press("4")
        await room.pilot.pause()
        tabs = room.app.playground.query_one("#tabs").render().plain
        assert "seed" not in tabs or "temp" in tabs
        assert width != 80 or "temp" in tabs


async def test_a_knob_at_its_limit_says_so_once(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.engine.refusals[p.SetKnob] = "The threshold can't be larger."
        await room.press(*["]"] * 6)
        await room.until(lambda: len(room.engine.asked(p.SetKnob)) == 6)
        await room.pilot.pause(0.1)
        assert room.toasts == ["The threshold can't be larger."]


@given(st.floats(), st.integers(0, 4))
def test_numbers_beyond_all_bounds_stay_short(value: float, decimals: int) -> None:
    assert len(short(value)) <= 9
    assert len(grouped(value, decimals)) <= 17
    assert len(fixed_loss(value)) <= 9


def test_a_number_reads_as_people_write_it() -> None:
    assert short(-8.881907202012683e15) == grouped(-8.881907202012683e15, 2) == "-9e15"
    assert grouped(1234.5, 1) == "1,234.5"
    assert [short(each) for each in (math.nan, math.inf, -math.inf)] == ["nan", "inf", "-inf"]


async def test_trouble_that_is_cut_says_how_much_is_missing(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.engine.die("\n".join(f"line {number}" for number in range(9)))
        await room.until(lambda: "and 3 more lines" in room.text("#trouble"))


async def test_baselines_are_asked_for_once_there_is_a_loss_to_compare(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(StateChanged(state="running"), step(1), step(2))
        assert not room.engine.asked(p.HeldOutBaselines)
        await room.happens(evaluation(2, 3.5), step(3))
        await room.until(lambda: room.engine.asked(p.HeldOutBaselines))
        await room.happens(evaluation(3, 3.4), step(4))
        assert len(room.engine.asked(p.HeldOutBaselines)) == 1
