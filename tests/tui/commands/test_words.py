"""Word vectors on the command line: asked, measured, drawn, written, and started from."""

import csv
import json
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from gensim.models import KeyedVectors

from engine.errors import UserError
from engine.text.toy_world import CLASSES
from tui.commands import svg_map
from tui.commands.svg_map import check_png


class CommandLine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        from os import environ

        places = {
            "LSTM_TUI_MODELS": str(self.folder / "models"),
            "LSTM_TUI_CACHE": str(self.folder / "cache"),
        }
        return subprocess.run(
            [sys.executable, "-m", "tui.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
            env=environ | places,
        )

    def well(self, *arguments: str) -> str:
        ended = self(*arguments)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Where a model of the toy world is saved, after 60 steps."""
    run = CommandLine(tmp_path_factory.mktemp("words"))
    run.well("train", "toy-world", "--name", "toy", "--steps", "60", "--json")
    return run


def test_every_kind_of_query_is_answered(run: CommandLine) -> None:
    assert len(run.well("neighbours", "toy", "teacher", "--top", "3").splitlines()) == 3
    analogy = json.loads(run.well("neighbours", "toy", "teacher - doctor + baker", "--json"))
    assert (analogy["kind"], len(analogy["neighbours"])) == ("analogy", 10)
    multiplied = run.well("neighbours", "toy", "teacher - doctor + baker", "--multiply", "--json")
    assert json.loads(multiplied)["score"] == "3CosMul"
    assert "doesn't belong" in run.well("neighbours", "toy", "odd: red green dog").splitlines()[-1]
    assert "red is number" in run.well("neighbours", "toy", "red ~ green")
    assert "nearer to red than green" in run.well("neighbours", "toy", "closer: red green")
    past = json.loads(run.well("neighbours", "toy", "red green", "--at", "20", "--json"))
    assert 0 < past["step"] <= 20 and len(past["neighbours"]) == 10
    view = ["--transform", "all-but-the-top", "--min-count", "50", "--words-only"]
    assert run.well("neighbours", "toy", "red green", *view)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (["teacher -"], "after it a word is missing"),
        (["techer"], "did you mean teacher"),
        (["odd: red green"], "at least three words"),
        (["red", "--rank", "green", "--at", "20"], "leave out --at"),
        (["red", "--rank", "green", "--top", "3"], "leave out --top"),
        (["red", "--at", "20", "--compare"], "not the past's"),
    ],
)
def test_what_can_not_be_asked_is_one_line(run: CommandLine, asked: list[str], why: str) -> None:
    ended = run("neighbours", "toy", *asked)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert why in ended.stderr


def test_what_is_exported_can_be_asked_by_gensim_and_here(run: CommandLine) -> None:
    told = run.well("export", "toy", "toy.txt", "--format", "word2vec")
    assert str(run.folder / "toy.txt") in told
    theirs = KeyedVectors.load_word2vec_format(str(run.folder / "toy.txt"))
    asked = json.loads(run.well("neighbours", "toy", "teacher", "--json"))
    of_file = json.loads(run.well("words", "toy.txt", "teacher", "--json"))
    expected = dict(theirs.most_similar("teacher", topn=len(theirs)))
    assert of_file["table"] == "file"
    for answer in (asked, of_file):
        for near in answer["neighbours"]:
            assert near["cosine"] == pytest.approx(expected[near["word"]], abs=1e-6)


def test_vectors_are_measured_as_gensim_does(run: CommandLine) -> None:
    words = [word for words in CLASSES.values() for word in words[:3]]
    pairs = [f"{one}\t{other}\t{index % 7}" for index, (one, other) in
             enumerate(zip(words, words[5:], strict=False))]  # fmt: skip
    (run.folder / "pairs.tsv").write_text("\n".join([*pairs, "nowhere\tred\t1"]) + "\n")
    (run.folder / "questions.txt").write_text(
        ": days\nred green monday tuesday\nred blue dog cat\nred x y z\n"
    )
    run.well("export", "toy", "measured.bin", "--format", "word2vec-binary")
    theirs = KeyedVectors.load_word2vec_format(str(run.folder / "measured.bin"), binary=True)
    score = json.loads(run.well("similarity", "toy", "--pairs", "pairs.tsv", "--json"))
    pearson, spearman, _ = theirs.evaluate_word_pairs(str(run.folder / "pairs.tsv"))
    assert score["spearman"] == pytest.approx(spearman[0], abs=1e-6)
    assert score["pearson"] == pytest.approx(pearson[0], abs=1e-6)
    assert (score["used"], score["unknown"]) == (len(pairs), 1)
    assert "Spearman" in run.well("similarity", "toy", "--pairs", "pairs.tsv")
    solved = json.loads(run.well("analogies", "toy", "questions.txt", "--json"))
    accuracy, _ = theirs.evaluate_word_analogies(str(run.folder / "questions.txt"))
    assert solved["correct"] / solved["asked"] == pytest.approx(accuracy)
    assert solved["unknown"] == 1


def test_a_map_is_a_drawing_or_a_table(run: CommandLine) -> None:
    (run.folder / "list.txt").write_text("red green blue\ndog cat monday nowhere\n", "utf-8-sig")
    ended = run("map", "toy", "--words", "list.txt", "-o", "map.svg")
    assert ended.returncode == 0
    assert ended.stderr == "1 not on the map: nowhere\n"
    drawing = ET.parse(run.folder / "map.svg").getroot()
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"red", "dog", "monday", "colour", "animal"} <= set(texts)
    run.well("map", "toy", "--around", "teacher", "--top", "20", "-o", "map.csv")
    with (run.folder / "map.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), rows[0]["word"], rows[0]["group"]) == (20, "teacher", "profession")
    ended = run("map", "toy", "-o", "map.pdf")
    assert (ended.returncode, "or a table, .csv" in ended.stderr) == (1, True)
    assert not (run.folder / "map.pdf").exists()


def test_a_map_is_a_picture_where_there_is_what_draws_it(run: CommandLine) -> None:
    run.well("map", "toy", "--top", "20", "-o", "map.png")
    begin = (run.folder / "map.png").read_bytes()[:24]
    assert begin[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", begin[16:]) == (2000, 1400)


def test_without_its_package_a_picture_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UserError, match=r"pip install 'lstm-tui\[png\]', or draw an \.svg"):
        check_png()


def test_without_a_font_a_picture_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg_map, "_FONTS", "a font that nobody has")
    with pytest.raises(UserError, match="this machine has none that is known"):
        check_png()


def test_a_file_of_vectors_is_asked_as_a_model_is(run: CommandLine) -> None:
    run.well("export", "toy", "own.txt", "--format", "glove")
    (run.folder / "few.tsv").write_text("red\tgreen\t9\ndog\tcat\t8\nred\tmonday\t1\n")
    (run.folder / "few.txt").write_text(": days\nred green monday tuesday\n")
    (run.folder / "words.txt").write_text("red green blue dog cat monday")
    for command, options, field in (
        ("neighbours", ["red ~ green"], "cosine"),
        ("similarity", ["--pairs", "few.tsv"], "spearman"),
        ("analogies", ["few.txt"], "correct"),
        ("map", ["--words", "words.txt"], "explained"),
    ):
        own, of_file = (
            json.loads(run.well(command, model, *options, "--json")) for model in ("toy", "own.txt")
        )
        assert own[field] == pytest.approx(of_file[field], abs=1e-5), command
    run.well("export", "own.txt", "again.txt", "--format", "glove")
    again = (run.folder / "again.txt").read_bytes()
    assert again == (run.folder / "own.txt").read_bytes()
    ended = run("similarity", "nowhere.txt", "--pairs", "few.tsv")
    assert (ended.returncode, "There is no run 'nowhere.txt'" in ended.stderr) == (1, True)


def test_a_run_starts_from_a_file_of_vectors(run: CommandLine) -> None:
    run.well("export", "toy", "start.gz.txt", "--format", "glove")
    told = run.well("train", "toy-world", "--name", "started", "--steps", "5",
                    "--set", "model.vectors=start.gz.txt",
                    "--set", "model.vectors_frozen=yes")  # fmt: skip
    assert "Starts from the vectors of" in told
    before = json.loads(run.well("neighbours", "toy", "teacher", "--json"))
    after = json.loads(run.well("neighbours", "started", "teacher", "--json"))
    assert [near["word"] for near in after["neighbours"]] == [
        near["word"] for near in before["neighbours"]
    ]
    ended = run("train", "toy-world", "--set", "model.vectors=nowhere.txt", "--steps", "1")
    assert (ended.returncode, "Can't read the vectors" in ended.stderr) == (1, True)
