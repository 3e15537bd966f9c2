"""Every key of the playground, by what the engine is told or what the screen then shows."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from engine import messages as p
from engine.config import preset
from engine.events import Intervened, StateChanged
from engine.runs import create_run
from tests.tui.fake_engine import Launch, built, step
from tests.tui.screen_help import Room, playground
from tui.panes.generation import GenerationPane
from tui.panes.generation.write_view import WriteView
from tui.panes.neighbours import NeighboursPane
from tui.panes.pane import Pane
from tui.panes.registry import ACTIONS, BY_ID
from tui.screens.find_rate import FindRate
from tui.screens.go_back import BackTo
from tui.screens.gradient_flow import GradientFlow
from tui.screens.help import Help
from tui.screens.new_run import NewRun
from tui.screens.open_corpus import OpenCorpus
from tui.screens.open_model import OpenModel
from tui.screens.terms import Terms

Check = Callable[[Room], Awaitable[None]]
CHECKS: dict[str, Check] = {}
RUNNING = (StateChanged(state="running"), step(1), step(2))


def check(*actions: str) -> Callable[[Check], Check]:
    """The function tests the keys of these actions."""

    def keep(function: Check) -> Check:
        CHECKS.update(dict.fromkeys(actions, function))
        return function

    return keep


@check("start_pause")
async def start_pause(room: Room) -> None:
    await room.press("space")
    await room.until(lambda: room.engine.asked(p.Start))
    await room.happens(*RUNNING)
    await room.press("space")
    await room.until(lambda: room.engine.asked(p.Pause))


@check("single_step")
async def single_step(room: Room) -> None:
    await room.press("n")
    await room.until(lambda: room.engine.asked(p.Step))


@check("stop_training")
async def stop_training(room: Room) -> None:
    await room.press("x")
    assert not room.engine.asked(p.Stop), "there is nothing to stop yet"
    await room.happens(*RUNNING)
    await room.press("x")
    await room.until(lambda: room.engine.asked(p.Stop))


@check("rate_up", "rate_down")
async def learning_rate(room: Room) -> None:
    await room.press("+", "=")
    await room.until(lambda: len(room.engine.asked(p.SetKnob)) == 2)
    # News of the first press, come after the second, must not undo it.
    await room.happens(Intervened(step=0, action="learning_rate", old=0.005, new=0.0063))
    await room.press("+", "-")
    await room.until(lambda: len(room.engine.asked(p.SetKnob)) == 4)
    knobs = room.engine.asked(p.SetKnob)
    assert {knob.knob for knob in knobs} == {"learning_rate"}
    assert [knob.value for knob in knobs] == [0.0063, 0.008, 0.01, 0.008]


@check("threshold_up", "threshold_down")
async def clip_threshold(room: Room) -> None:
    await room.press("]", "[", "[")
    await room.until(lambda: len(room.engine.asked(p.SetKnob)) == 3)
    knobs = room.engine.asked(p.SetKnob)
    assert {knob.knob for knob in knobs} == {"clip_threshold"}
    assert [knob.value for knob in knobs] == [0.63, 0.5, 0.4]


@check("clip_mode")
async def clip_mode(room: Room) -> None:
    await room.press(*["c"] * 5)
    await room.until(lambda: len(room.engine.asked(p.SetKnob)) == 5)
    knobs = room.engine.asked(p.SetKnob)
    assert {knob.knob for knob in knobs} == {"clip_mode"}
    assert [knob.value for knob in knobs] == ["value", "layer", "adaptive", "off", "norm"]
    room.app.session.forget_wishes()
    for mode in ("off", "adaptive"):
        await room.happens(Intervened(step=0, action="clip_mode", old="norm", new=mode))
        room.engine.calls.clear()
        await room.press("]", "n")
        await room.until(lambda: room.engine.asked(p.Step))
        assert not room.engine.asked(p.SetKnob), "there is no threshold to move"


@check("explode")
async def explode(room: Room) -> None:
    await room.press("!")
    await room.until(lambda: any("Training doesn't run" in toast for toast in room.toasts))
    await room.happens(*RUNNING)
    await room.press("!")
    await room.until(lambda: room.engine.asked(p.SetKnobs))
    asked = [call for call in room.engine.calls if isinstance(call, p.Save | p.SetKnobs)]
    turned = p.SetKnobs(values={"clip_mode": "off", "learning_rate": 5.0})
    assert asked == [p.Save(), turned], "first there is a checkpoint to go back to"
    await room.until(lambda: any("u goes back" in toast for toast in room.toasts))


@check("terms")
async def terms(room: Room) -> None:
    await room.press("t")
    await room.until(lambda: isinstance(room.app.screen, Terms))
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)


@check("find_rate")
async def find_rate(room: Room) -> None:
    await room.press("f")
    await room.until(lambda: isinstance(room.app.screen, FindRate))
    await room.until(lambda: room.engine.asked(p.FindRate))
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)
    assert not room.engine.asked(p.SetKnob), "closing it takes nothing over"
    await room.happens(*RUNNING)
    await room.press("f", "n", "e")
    await room.until(lambda: room.engine.asked(p.Evaluate))
    assert len(room.engine.asked(p.FindRate)) == 1, "it can't be done while training runs"


@check("gradient_flow")
async def gradient_flow(room: Room) -> None:
    await room.happens(*RUNNING)
    await room.press("v")
    await room.until(lambda: isinstance(room.app.screen, GradientFlow))
    await room.until(lambda: room.engine.asked(p.GradientFlow))
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)


@check("evaluate")
async def evaluate(room: Room) -> None:
    await room.press("e")
    await room.until(lambda: room.engine.asked(p.Evaluate))


@check("save")
async def save(room: Room) -> None:
    await room.press("s")
    assert not room.engine.asked(p.Save), "no step was taken, so there is nothing to save"
    await room.happens(*RUNNING)
    await room.press("s")
    await room.until(lambda: room.engine.asked(p.Save))


@check("open_corpus")
async def open_corpus(room: Room) -> None:
    await room.press("o")
    await room.until(lambda: isinstance(room.app.screen, OpenCorpus))
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)


@check("open_model")
async def open_model(room: Room) -> None:
    await room.press("m")
    await room.until(lambda: isinstance(room.app.screen, OpenModel))
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)


@check("new_run")
async def new_run(room: Room) -> None:
    await room.press("r")
    await room.until(lambda: isinstance(room.app.screen, NewRun))
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)


@check("show_corpus", "show_training", "show_neighbours", "show_generation")
async def show_panes(room: Room) -> None:
    for key, name in (("1", "corpus"), ("3", "neighbours"), ("4", "generation"), ("2", "training")):
        await room.press(key)
        pane = room.app.playground.query_one(f"#{name}", Pane)
        await room.until(lambda name=name: room.app.playground.current == name)
        assert pane.has_class("-current")
        assert len(room.app.playground.query("Pane.-current")) == 1


@check("zoom")
async def zoom(room: Room) -> None:
    def shown() -> list[str]:
        return [pane.id for pane in room.app.playground.query(Pane) if pane.display]

    assert len(shown()) == 4
    await room.press("3", "z")
    await room.until(lambda: shown() == ["neighbours"])
    await room.press("z")
    await room.until(lambda: len(shown()) == 4)


@check("all_losses", "last_part")
async def range_of_the_loss(room: Room) -> None:
    await room.happens(*RUNNING, *(step(number) for number in range(3, 1001)))

    def loss() -> str:
        chart = room.app.playground.query_one("#loss")
        return "\n".join(chart.render_line(y).text for y in range(chart.size.height))

    assert "↑" in loss()
    await room.press("a")
    await room.until(lambda: "↑" not in loss())
    await room.press("l")
    await room.until(lambda: "╵700" in loss() and "╵0" not in loss())
    await room.press("l")
    await room.until(lambda: "↑" in loss() and "╵0" in loss())


@check("x_axis")
async def what_the_x_axis_tells(room: Room) -> None:
    await room.happens(*RUNNING, *(step(number) for number in range(3, 1001)))

    def axis() -> str:
        chart = room.app.playground.query_one("#loss")
        return chart.render_line(chart.size.height - 1).text

    assert axis().split()[0] == "step"
    await room.press("X")
    await room.until(lambda: axis().split()[0] == "epoch" and "╵2" in axis())
    await room.press("X")
    await room.until(lambda: axis().startswith("seconds") and "╵10" in axis())
    await room.press("X")
    await room.until(lambda: axis().split()[0] == "step")


@check("log_axis")
async def log_axis(room: Room) -> None:
    await room.happens(*RUNNING)
    loss = room.app.playground.query_one("#loss")

    def title() -> str:
        return loss.render_line(0).text

    before = title()
    await room.press("y")
    await room.until(lambda: "log" in title() and title() != before)
    await room.press("y")
    await room.until(lambda: title() == before)


@check("generate")
async def generate(room: Room) -> None:
    pane = room.app.playground.query_one(WriteView)
    await room.press("g")
    await room.until(lambda: "mathematician ran to the store" in room.current)
    assert room.engine.asked(p.Generate)[0].temperature == 1.0
    await room.until(lambda: not pane.writing)
    room.engine.endless = True
    await room.press("g")
    await room.until(lambda: pane.writing)
    await room.press("g")
    await room.until(lambda: not pane.writing and room.engine.cancelled == 1)


@check("cooler", "warmer")
async def temperature(room: Room) -> None:
    await room.press(".", ".", ",")
    await room.until(lambda: "1.1" in room.text("#temperature"))
    await room.press(*[","] * 20)
    await room.until(lambda: "0.0" in room.text("#temperature"))
    await room.press("g")
    await room.until(lambda: room.engine.asked(p.Generate))
    assert room.engine.asked(p.Generate)[0].temperature == 0.0


@check("go_back")
async def go_back(room: Room) -> None:
    folder = room.engine.folder
    for name in ("step-00000003", "step-00000007"):
        (folder / "checkpoints" / name).mkdir(parents=True)
    (folder / "latest").write_text("step-00000007")
    (folder / "best").write_text("step-00000003")
    await room.happens(step(1), StateChanged(state="paused"))
    for key, to in (("l", "last-good"), ("b", "best")):
        await room.press("u")
        await room.until(lambda: isinstance(room.app.screen, BackTo))
        await room.press(key)
        await room.until(lambda to=to: p.GoBack(to=to) in room.engine.calls)
    await room.press("u")
    await room.until(lambda: isinstance(room.app.screen, BackTo))
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)
    assert len(room.engine.asked(p.GoBack)) == 2


@check("type_in", "leave_input")
async def type_and_leave(room: Room) -> None:
    await room.press("3")
    await room.until(lambda: room.app.playground.current == "neighbours")
    await room.press("enter")
    await room.until(lambda: isinstance(room.app.focused, Input))
    await room.press("end", "s", "n", "space")
    word = room.app.playground.query_one("#word", Input)
    assert word.value == "mathematiciansn ", "letters go into the input"
    assert not room.engine.asked(p.Step)
    await room.press("escape", "n")
    await room.until(lambda: room.engine.asked(p.Step))


@check("view_list", "view_drift", "view_map", "view_one_hot", "view_measure")
async def views_of_the_words(room: Room) -> None:
    pane = room.app.playground.query_one(NeighboursPane)
    await room.press("3")
    for view in reversed(pane.VIEWS):
        await room.press(pane.go(view).keys)
        await room.until(lambda view=view: room.app.playground.zoomed and pane.active.ID == view.ID)


@check("table", "transformation", "components", "multiply", "words_only", "min_count", "pin")
async def words_seen_otherwise(room: Room) -> None:
    pane = room.app.playground.query_one(NeighboursPane)
    await room.press("3", "z", "b", "h", "k", "w", "d", "*", "p")
    view = p.View(
        table="output",
        transformation="mean-removed",
        components=1,
        min_count=2,
        words_only=True,
    )
    await room.until(lambda: pane.asked.view == view)
    assert pane.asked.multiply and pane.asked.pins == ["mathematician"]
    await room.press("b", "b", *["h"] * 2, *["k"] * 5, "w", *["d"] * 5, "*", "p")
    await room.until(lambda: pane.asked.view == p.View())
    assert not pane.asked.multiply and not pane.asked.pins


@check("measure")
async def measuring(room: Room) -> None:
    await room.press("3", "9", "enter", *"/no/pairs.tsv", "enter")
    await room.until(lambda: "Spearman +0.4321" in room.text("#measured"))
    await room.press("M")
    await room.until(lambda: len(room.engine.asked(p.MeasureSimilarity)) == 2)


@check("among")
async def words_of_a_list(room: Room) -> None:
    await room.press("3", "z", "i", *"soup", "enter")
    pane = room.app.playground.query_one(NeighboursPane)
    await room.until(lambda: pane.asked.view.among == ["soup"])


@check("view_write", "view_read", "view_through_time", "view_cell", "view_beside")
async def views_of_texts(room: Room) -> None:
    pane = room.app.playground.query_one(GenerationPane)
    await room.press("4")
    for view in reversed(pane.VIEWS):
        await room.press(pane.go(view).keys)
        await room.until(lambda view=view: room.app.playground.zoomed and pane.active.ID == view.ID)


@check(
    "walk_back", "walk_on", "walk_up", "walk_down", "walk_first", "walk_last", "pick", "back",
    "next_branch", "branch_before", "name_branch", "copy_text", "raw_tokens", "shading",
)  # fmt: skip
async def walking_over_a_text(room: Room) -> None:
    room.engine.opens = True
    view = room.app.playground.query_one(WriteView)
    await room.press("4", "z", "g")
    await room.until(lambda: view._whole and not view.writing)
    await room.press("left")
    await room.until(lambda: view._cursor == 99)
    await room.press("home", "right", "right", "left")
    await room.until(lambda: view._cursor == 1)
    await room.press("down", "down", "up", "p")
    await room.until(lambda: len(view._tree) == 2 and view._whole and not view.writing)
    branch = view._tree.now
    await room.press("backspace")
    assert view._tree.now is branch.parent
    await room.press("b")
    assert view._tree.now is branch
    await room.press("B")
    assert view._tree.now is branch.parent
    await room.press("end")
    assert view._cursor is None
    await room.press("N", *"first", "enter")
    await room.until(lambda: view._tree.now.name == "first")
    await room.press("C", "w", "j")
    assert view._raw and not view._shaded
    assert any("Copied" in toast for toast in room.toasts)


@check("knobs", "by_hand")
async def knobs_and_by_hand(room: Room) -> None:
    room.engine.opens = True
    await room.press("4", "z", "k")
    await room.until(lambda: room.app.playground.query_one("#form").display)
    form = room.app.playground.query_one("#form")
    await room.press("escape", "k")
    assert not form.display
    await room.press("h")
    await room.until(lambda: "What comes next?" in room.text("#token"))


@check("read_written", "copies", "cell_written")
async def what_was_written_is_read(room: Room) -> None:
    room.engine.opens = True
    view = room.app.playground.query_one(WriteView)
    await room.press("4", "z", "g")
    await room.until(lambda: view._whole and not view.writing)
    await room.press("6", "R")
    await room.until(lambda: "perplexity" in room.text("#totals"))
    assert room.engine.asked(p.Surprise)[-1].text == view.text
    await room.press("i")
    await room.until(lambda: room.engine.asked(p.FindCopies))
    await room.press("8", "W")
    await room.until(lambda: room.engine.asked(p.TraceCell)[-1].text == view.text[:400])


@check("next_layer", "next_quantity", "follow", "far_back", "saturation", "places")
async def the_inside_of_the_cell(room: Room) -> None:
    await room.press("4", "8", "L", "M")
    await room.until(lambda: room.engine.asked(p.TraceCell)[-1].quantities == ["hidden"])
    await room.press("F")
    await room.until(lambda: room.engine.asked(p.FindUnits))
    await room.press("H")
    await room.until(lambda: room.engine.asked(p.HowFarBack))
    await room.press("S")
    await room.until(lambda: room.engine.asked(p.Saturation))
    await room.press("P")
    await room.until(lambda: room.engine.asked(p.FindPlaces))


@check("earlier", "later", "next_pin")
async def drift(room: Room) -> None:
    pane = room.app.playground.query_one(NeighboursPane)
    await room.happens(step(120))
    await room.press("3", "6", "p")
    await room.until(lambda: "as of now" in room.text("#past"))
    await room.press("<", "<", ">")
    await room.until(lambda: pane.asked.at == 100)
    await room.press("enter", "ctrl+u", *"soup", "enter", ";")
    await room.until(lambda: pane.asked.query == "mathematician")


@check(
    "map_subject",
    "map_method",
    "map_in",
    "map_out",
    "map_left",
    "map_right",
    "map_up",
    "map_down",
    "map_ask",
)
async def the_map(room: Room) -> None:
    pane = room.app.playground.query_one(NeighboursPane)
    await room.press("3", "7", "7")
    await room.until(lambda: "nearest to it" in room.text("#chosen"))
    await room.press("left")
    await room.until(lambda: not room.text("#chosen").startswith("mathematician "))
    await room.press(")", "right", "up", "down", "(", "left", "left")
    await room.until(lambda: not room.text("#chosen").startswith("mathematician "))
    await room.press("j")
    await room.until(lambda: pane.asked.query != "mathematician")
    await room.press("/", "#")
    await room.until(lambda: "frequent · t-SNE" in room.text("#subject"))


@check("help")
async def show_help(room: Room) -> None:
    await room.press("?")
    await room.until(lambda: isinstance(room.app.screen, Help))
    shown = "\n".join(str(block.render()) for block in room.app.screen.query("Static"))
    for action in ACTIONS:
        assert action.title in shown and action.effect in shown
    await room.press("escape")
    await room.until(lambda: room.app.screen is room.app.playground)


@check("quit")
async def quit_program(room: Room) -> None:
    await room.press("q")
    await room.until(lambda: room.app._exit)
    assert room.engine.asked(p.Shutdown) == [p.Shutdown(save=True)]


@pytest.mark.parametrize("works", dict.fromkeys(CHECKS.values()), ids=lambda works: works.__name__)
async def test_key(works: Check, tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await works(room)


def test_every_action_is_tested() -> None:
    assert set(CHECKS) == set(BY_ID)


async def test_ctrl_q_quits_from_an_input_and_from_a_dialog(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.press("3", "enter", "ctrl+q")
        await room.until(lambda: room.app._exit)
    async with playground(tmp_path) as room:
        await room.press("o")
        await room.until(lambda: isinstance(room.app.screen, OpenCorpus))
        await room.press("ctrl+q")
        await room.until(lambda: room.app._exit)


def burst(room: Room, *keys: str) -> None:
    """Keys that a slow line delivers together: all are there before the first is acted on."""
    named = {"ctrl+u": "\x15", "enter": "\r", "tab": "\t"}
    for key in keys:
        room.app.post_message(events.Key(key, named.get(key, key)))


async def test_keys_that_arrive_together_keep_their_order(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        word = room.app.playground.query_one("#word", Input)
        burst(room, "3", "enter", "ctrl+u", *"library", "enter", "s")
        await room.until(lambda: room.engine.asked(p.Save))
        assert word.value == "library"
        await room.press("3", "enter")
        burst(room, "ctrl+u", *"cat", "enter", "e")
        await room.until(lambda: room.engine.asked(p.Evaluate))
        assert word.value == "cat"


_FIRST_FIELDS = ("name", "corpus-source")


async def test_tab_in_a_form_goes_before_what_is_typed_after_it(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.press("r")
        await room.until(lambda: isinstance(room.app.screen, NewRun))
        name, source = (room.app.screen.query_one(f"#{field}", Input) for field in _FIRST_FIELDS)
        source.value = ""
        name.focus()
        await room.pilot.pause()
        burst(room, *"mine", "tab", *"toy-world")
        await room.until(lambda: name.value + source.value == "minetoy-world")
        assert name.value == "mine"


async def test_a_key_can_be_remapped(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        room.app.set_keymap({"single_step": "f2"})
        await room.press("f2")
        await room.until(lambda: room.engine.asked(p.Step))


async def test_space_while_preparing_starts_as_soon_as_it_is_ready(tmp_path: Path) -> None:
    launch = Launch(lambda folder: built(folder, state="preparing", parameters=0, corpus=None))
    async with playground(tmp_path, launch) as room:
        await room.press("space")
        await room.until(lambda: "starts when ready" in room.text("#status"))
        assert not room.engine.asked(p.Start)
        await room.happens(StateChanged(state="ready"))
        await room.until(lambda: room.engine.asked(p.Start))
        assert "starts when ready" not in room.text("#status")


async def test_the_palette_offers_what_can_be_done_now(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.press("ctrl+p")
        await room.pilot.pause()
        await room.press(*"single", "space", *"step")
        await room.until(lambda: room.app.screen.query("CommandList"))
        await room.until(lambda: room.app.screen.query_one("CommandList").option_count > 0)
        await room.press("enter", "enter")
        await room.until(lambda: room.engine.asked(p.Step))


async def test_without_a_checkpoint_nothing_explodes(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        room.engine.refusals[p.Save] = "There is no room left on the disk."
        await room.press("!")
        await room.until(lambda: any("no room left" in toast for toast in room.toasts))
        assert not room.engine.asked(p.SetKnobs)


async def test_the_rate_it_explodes_at_is_one_there_is(tmp_path: Path) -> None:
    launch = Launch(lambda folder: built(folder, learning_rate=63.0))
    async with playground(tmp_path, launch) as room:
        await room.happens(*RUNNING)
        await room.press("!")
        await room.until(lambda: room.engine.asked(p.SetKnobs))
        assert room.engine.asked(p.SetKnobs)[0].values["learning_rate"] == 1000


async def test_the_palette_explodes_by_name(tmp_path: Path) -> None:
    async with playground(tmp_path) as room:
        await room.happens(*RUNNING)
        await room.press("ctrl+p")
        await room.pilot.pause()
        await room.press(*"explode")
        await room.until(lambda: room.app.screen.query("CommandList"))
        await room.until(lambda: room.app.screen.query_one("CommandList").option_count > 0)
        await room.press("enter", "enter")
        await room.until(lambda: room.engine.asked(p.SetKnobs))


async def test_a_saved_run_opens_from_the_list(tmp_path: Path) -> None:
    other = create_run(tmp_path, "other", preset("laptop"))
    async with playground(tmp_path) as room:
        await room.press("m")
        await room.until(lambda: isinstance(room.app.screen, OpenModel))
        table = room.app.screen.query_one("#runs")
        await room.until(lambda: table.row_count == 2)
        table.move_cursor(row=table.get_row_index(str(other)))
        await room.press("enter")
        await room.until(lambda: room.launch.engine.folder == other)
        assert room.launch.engines[0].asked(p.Shutdown), "the run that was open is ended"
