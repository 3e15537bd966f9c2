"""The laboratory of words: what each view shows of an answer."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.widgets import Input

from engine import messages as p
from engine.text.queries import parse_query
from tests.tui.fake_engine import KEPT_AT, FakeEngine, step
from tests.tui.screen_help import Room, playground
from tui.panes.laboratory import View
from tui.panes.neighbours import NeighboursPane
from tui.panes.neighbours.asked import listed, typed
from tui.panes.neighbours.placing import line, placed, towards, window_on
from tui.panes.neighbours.word_plot import WordPlot


def pane(room: Room) -> NeighboursPane:
    return room.app.playground.query_one(NeighboursPane)


def plot(room: Room) -> str:
    drawn = room.app.playground.query_one(WordPlot)
    return "\n".join(drawn.render_line(y).text for y in range(drawn.size.height))


async def ask(room: Room, query: str) -> None:
    await room.press("enter", "ctrl+u", *query, "enter")


# --- the list ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("teacher", "physicist"),
        ("physicist - teacher + soup", "chemist"),
        ("odd: teacher soup store", "store"),
        ("teacher ~ soup", "3 of 63 nearest to teacher"),
        ("closer: teacher soup", "physicist"),
        ("teacher soup", "physicist"),
    ],
)
async def test_every_kind_of_query_has_its_answer(query: str, told: str, tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z")
        await ask(room, query)
        await room.until(lambda: told in room.text("#nearest"))
        assert room.engine.asked(p.WordQuery)[-1].query == query


async def test_the_grammar_is_shown_while_nothing_is_asked(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z")
        await ask(room, "")
        await room.until(lambda: "king - man + woman" in room.text("#nearest"))
        assert "closer: cat dog" in room.text("#nearest")


async def test_a_mistake_is_marked_where_it_is_and_not_asked(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z")
        await ask(room, "teacher + - soup")
        await room.until(lambda: "a word is missing" in room.text("#nearest"))
        seen = room.app.playground.query_one("#seen").content
        assert seen.plain == "teacher + - soup"
        (mark,) = [span for span in seen.spans if "reverse" in str(span.style)]
        assert (mark.start, mark.end) == (10, 11)
        assert all("+ -" not in query.query for query in room.engine.asked(p.WordQuery))


async def test_what_is_wrong_in_the_typed_line_is_marked_there(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        room.engine.unknown = {"phisicist", "sup"}
        line = room.app.playground.query_one("#word", Input)

        def marked() -> list[str]:
            """What is underlined, so that it is seen without colours."""
            spans = [span for span in line._value.spans if getattr(span.style, "underline", False)]
            return [line.value[span.start : span.end] for span in spans]

        await room.press("3")
        await ask(room, "teacher - phisicist + sup")
        await room.until(lambda: marked() == ["phisicist", "sup"])
        await ask(room, "teacher + - sup")
        await room.until(lambda: marked() == ["-", "sup"])
        await ask(room, "teacher")
        await room.until(lambda: not marked())


async def test_a_word_is_completed_within_a_query(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "enter", "ctrl+u", *"teacher - phys")
        word = room.app.playground.query_one("#word", Input)
        await room.until(lambda: word._suggestion == "teacher - physicist")
        await room.press("right")
        assert word.value == "teacher - physicist"


async def test_switches_change_what_is_asked(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "b", "h", "h", "k", "w", "d", "*")
        await room.until(
            lambda: (
                room.engine.asked(p.WordQuery)[-1].view
                == p.View(
                    table="output",
                    transformation="all-but-the-top",
                    components=1,
                    min_count=2,
                    words_only=True,
                )
            )
        )
        await room.until(lambda: room.engine.asked(p.WordQuery)[-1].multiply)
        await room.until(lambda: "all but the top" in room.text("#how"))


async def test_answers_can_be_limited_to_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("soup store\nchemist\n")
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "i", *"soup, store", "enter")
        await room.until(lambda: room.engine.asked(p.WordQuery)[-1].view.among == ["soup", "store"])
        await room.press("i", "ctrl+u", *str(tmp_path / "list.txt"), "enter")
        await room.until(
            lambda: room.engine.asked(p.WordQuery)[-1].view.among == ["soup", "store", "chemist"]
        )
        await room.press("i", "ctrl+u", *"/no/where", "enter")
        await room.until(lambda: "There is no file" in " ".join(room.toasts))
        await room.press("i", "ctrl+u", "enter")
        await room.until(lambda: not room.engine.asked(p.WordQuery)[-1].view.among)


async def test_the_list_says_how_sure_it_is(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.until(lambda: room.engine.asked(p.WordQuery) or True)
        await room.press("3", "z")
        await room.until(lambda: "7 of 10 as checkpoint at step 100" in room.text("#how"))


@given(st.text(min_size=1, max_size=12).filter(lambda word: '"' not in word))
def test_any_word_can_be_asked_for(word: str) -> None:
    found = parse_query(typed(word))
    assert (found.kind, [term.text for term in found.terms]) == ("neighbours", [word])


def test_a_list_is_words_or_a_file_of_them(tmp_path: Path) -> None:
    assert listed("a, b  c a") == ["a", "b", "c"]
    assert listed("and/or else") == ["and/or", "else"]
    (tmp_path / "marked.txt").write_text("soup store", encoding="utf-8-sig")
    assert listed(str(tmp_path / "marked.txt")) == ["soup", "store"]


# --- drift ---------------------------------------------------------------------------------------


async def test_pinned_words_stay_and_the_engine_keeps_their_past(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.happens(step(120))
        await room.press("3", "z", "6", "p")
        await room.until(lambda: room.engine.pinned == ["mathematician"])
        await ask(room, "teacher")
        await room.until(lambda: "○ teacher" in room.text("#pinned"))
        assert "● mathematician" in room.text("#pinned")
        await room.press(";", "p")
        await room.until(lambda: room.engine.pinned == [])


async def test_a_word_pinned_before_the_drift_is_seen_joins_those_of_before(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        room.engine.pinned = ["soup"]
        await room.happens(step(120))
        await room.press("3", "z", "p", "6")
        await room.until(lambda: room.engine.pinned == ["soup", "mathematician"])


async def test_the_scrubber_walks_through_the_past_and_back(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.happens(step(120))
        await room.press("3", "z", "6", "p")
        await room.until(lambda: "as of now" in room.text("#past"))
        await room.press("<")
        await room.until(lambda: f"as at step {KEPT_AT[-1]}" in room.text("#past"))
        await room.press(*["<"] * 20)
        await room.until(lambda: f"as at step {KEPT_AT[0]} " in room.text("#past"))
        await room.until(lambda: room.engine.asked(p.WordQuery)[-1].at == KEPT_AT[0])
        await room.press(*[">"] * 20)
        await room.until(lambda: "as of now" in room.text("#past"))


async def test_who_came_who_left_and_who_moved_is_marked(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.happens(step(120))
        await room.press("3", "z", "6")
        await room.until(lambda: "▲" in room.text("#pinned"))
        assert "▼" in room.text("#pinned") or "+" in room.text("#pinned")
        await room.until(lambda: "−" in room.text("#pinned") or "▼" in room.text("#pinned"))
        chart = room.app.playground.query_one("#growth")
        await room.until(lambda: "cosine with mathematician" in chart.render_line(0).text)


async def test_an_unknown_word_is_named_where_its_neighbours_would_be(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(160, 40)) as room:
        await room.happens(step(120))
        await room.press("3", "z", "6", "6", "p")
        await room.until(lambda: "physicist" in room.text("#pinned"))
        await ask(room, "techer")
        await room.until(lambda: "did you mean" in room.text("#pinned"))
        assert "physicist" in room.text("#pinned"), "those of the pinned word stay"
        await room.press("5")
        await room.until(lambda: "did you mean mathematician, teacher" in room.text("#nearest"))


# --- measuring ------------------------------------------------------------------------------------


async def test_pairs_are_measured_by_their_file_and_again_at_a_key(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "9")
        await room.until(lambda: "types the path of a file" in room.text("#measured"))
        await room.press("M", "enter", *str(tmp_path / "pairs.tsv"), "enter")
        await room.until(lambda: "Spearman +0.4321" in room.text("#measured"))
        told = room.text("#measured")
        assert "Pearson undefined (all alike)" in told
        assert "coverage 88.4%: of 353 pairs 312" in told
        assert "step 0 · embedding and output layer, tied · raw cosine" in told
        assert "being of another form: 2" in told
        await room.happens(step(120))
        await room.press("h", "M")
        await room.until(lambda: "step 120" in room.text("#measured"))
        asked = room.engine.asked(p.MeasureSimilarity)
        assert asked[-1].view.transformation == "mean-removed"
        assert {each.pairs for each in asked} == {str(tmp_path / "pairs.tsv")}


async def test_questions_are_counted_by_section(tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text(": kinds\na b c d\n", encoding="utf-8-sig")
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "9", "enter", *str(tmp_path / "questions.txt"), "enter")
        await room.until(lambda: "solved 45.0%: 45 of 100" in room.text("#measured"))
        told = room.text("#measured")
        assert "coverage 66.7%: of 150 questions 100" in told
        assert "kind 3" in told and "30.0%  3 of 10" in told
        room.engine.refusals[p.MeasureAnalogies] = "It holds no analogy."
        await room.press("M")
        await room.until(lambda: room.text("#measured") == "It holds no analogy.")


# --- the map -------------------------------------------------------------------------------------


async def test_the_map_shows_words_and_a_key_asks_for_the_chosen_one(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "7")
        await room.until(lambda: "physicist" in plot(room) and "soup" in plot(room))
        assert "person" in room.text("#subject") and "●" in plot(room)
        await room.until(lambda: "nearest to it physicist" in room.text("#chosen"))
        before = room.text("#chosen")
        await room.press("left")
        await room.until(lambda: room.text("#chosen") != before)
        chosen = room.text("#chosen").split()[0]
        await room.press("j")
        await room.until(lambda: room.app.playground.query_one("#word", Input).value == chosen)


async def test_a_map_on_its_way_waits_for_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = FakeEngine.call

    async def slow(self: FakeEngine, body: p.AnyCommand | p.AnyQuery) -> p.AnyAnswer:
        if isinstance(body, p.MapWords):
            await self._gone.wait()
        return await call(self, body)

    monkeypatch.setattr(FakeEngine, "call", slow)
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "7")
        await room.until(lambda: "Asking the model" in plot(room))


async def test_a_token_is_called_what_it_is(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(120, 36)) as room:
        status, config = room.engine.status, room.engine.status.config
        corpus = msgspec.structs.replace(config.corpus, tokenizer="character")
        changed = msgspec.structs.replace(config, corpus=corpus)
        assert room.app.session is not None
        room.app.session.status = msgspec.structs.replace(status, config=changed)
        await room.press("3", "z", "w", "7", "/", "/")
        await room.until(lambda: "characters only" in room.text("#how"))
        await room.until(lambda: "No list of characters yet" in plot(room))
        await ask(room, "")
        await room.press("p")
        await room.until(lambda: "One character is pinned at a time: ask for one." in room.toasts)


async def test_the_map_is_of_frequent_words_or_of_a_list_too(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "7", "/")
        await room.until(lambda: "most frequent" in room.text("#subject"))
        await room.press("/")
        await room.until(lambda: "No list of words yet" in plot(room))
        await room.press("i", *"soup store open", "enter")
        await room.until(lambda: "3 of the list" in room.text("#subject"))
        await room.press("#")
        await room.until(lambda: "t-SNE" in room.text("#subject"))


async def test_the_map_is_asked_again_only_once_the_model_has_changed(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "7")
        await room.until(lambda: "soup" in plot(room))
        await room.pilot.pause(2.5)
        asked = len(room.engine.asked(p.MapWords))
        assert asked <= 2
        await room.happens(step(1))
        await room.until(lambda: len(room.engine.asked(p.MapWords)) > asked)
        assert room.engine.asked(p.MapWords)[-1].previous, "so that the map does not flip"


CELLS = st.lists(
    st.tuples(st.integers(-5, 60), st.integers(-3, 25), st.text("aé漢 😀x", max_size=12)),
    min_size=1,
    max_size=60,
)


@given(CELLS, st.integers(1, 50), st.integers(1, 20))
def test_no_label_covers_another_or_a_mark(
    points: list[tuple[int, int, str]], width: int, height: int
) -> None:
    cells = [(x, y) for x, y, _ in points]
    labels = [(label, cell_len(label)) for *_, label in points]
    found = placed(cells, ["●"] * len(points), labels, range(len(points)), width, height)
    taken: set[tuple[int, int]] = set()
    for each in found:
        own = {(each.x + column, each.y) for column in range(cell_len(each.text))}
        assert not own & taken
        assert all(0 <= x < width and 0 <= y < height for x, y in own)
        taken |= own
    inside = {(x, y) for x, y in cells if 0 <= x < width and 0 <= y < height}
    assert {(each.x, each.y) for each in found if not each.label} == inside


PLACES = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


@given(PLACES, st.integers(10, 200), st.integers(3, 60))
def test_all_words_lie_within_the_map(
    places: list[tuple[float, float]], width: int, height: int
) -> None:
    window = window_on(places, width, height, min(16, width // 3))
    for place in places:
        x, y = window.cell(place, width, height)
        assert 0 <= x < width and 0 <= y < height


@given(PLACES, st.sampled_from([(1, 0), (-1, 0), (0, 1), (0, -1)]))
def test_the_next_word_lies_in_the_direction(
    places: list[tuple[float, float]], direction: tuple[int, int]
) -> None:
    cells = [(round(x / 1e4), round(y / 1e4)) for x, y in places]
    to = towards(cells, 0, direction, range(len(cells)))
    across, down = cells[to][0] - cells[0][0], cells[to][1] - cells[0][1]
    assert to == 0 or across * direction[0] + down * direction[1] > 0


def test_a_line_joins_two_cells() -> None:
    assert list(line((0, 0), (4, 2))) == [(1, 0), (2, 1), (3, 2)]
    assert not list(line((1, 1), (1, 1)))


# --- one-hot against embedding --------------------------------------------------------------------


async def test_both_matrices_stand_side_by_side_with_what_they_cost(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(80, 24)) as room:
        await room.press("3", "z", "8", "enter", "ctrl+u", *"a bb a", "enter")
        await room.until(lambda: room.engine.asked(p.Similarities)[-1].text == "a bb a")
        await room.until(lambda: "bb" in room.text("#matrices"))

        def one_hot() -> list[list[str]]:
            return [row.split()[1:4] for row in room.text("#matrices").splitlines()[2:5]]

        # The same token twice is the one likeness that one-hot rows know.
        await room.until(lambda: one_hot() == [["1", "0", "1"], ["0", "1", "0"], ["1", "0", "1"]])
        rows = room.text("#matrices").splitlines()
        assert rows[2].split()[4:] == ["+1.0", "+.54", "+1.0"]
        costs = "\n".join(rows[5:])
        assert "16.4 kB" in costs and "8.19 kB" in costs and "18.4 MB" in costs


async def test_a_long_sentence_fits_by_shades_then_by_leaving_out(tmp_path: Path) -> None:
    async with playground(tmp_path, size=(40, 12)) as room:
        await room.press("3", "z", "8", "enter", "ctrl+u", *("word " * 30), "enter")
        await room.until(lambda: "more tokens" in room.text("#matrices"))
        rows = room.text("#matrices").splitlines()
        assert all(cell_len(row) <= 40 for row in rows)


@pytest.mark.parametrize("columns", [60, 80, 160])
async def test_no_key_of_a_view_is_cut_in_half(tmp_path: Path, columns: int) -> None:
    async with playground(tmp_path, size=(columns, 24)) as room:
        for keys in ("4", "z", "6"), ("7",), ("8",), ("3", "7"), ("8",):
            await room.press(*keys)
            await room.pilot.pause()
            shown = [view for view in room.app.playground.query(View) if view.seen and view.size]
            assert shown
            for view in shown:
                title = view._border_title.plain
                assert len(title) <= view.size.width - 4
                hint = title.removeprefix(view.NAME).strip()
                assert view.hint.removeprefix(hint)[:3] in ("", " · "), "whole parts"
                assert hint or not view.hint
