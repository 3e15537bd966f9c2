"""Paths as people name them: each stands for a place, or is refused in one sentence."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import runs
from engine.errors import UserError
from engine.paths import named_path
from engine.visible import visible

UNUSABLE = {
    "": "empty",
    "~nosuch-user/x": "no user's home",
    "~\x1b[2J/x": "no user's home",
    "a/" + "x" * 5000: "too long",
    "y/" * 5000: "too long",
    "a\0b": "NUL",
    "bad\udcff": "UTF-8",
}


@pytest.mark.parametrize("text", UNUSABLE)
def test_what_can_be_no_path_is_one_short_sentence(text: str) -> None:
    with pytest.raises(UserError, match=UNUSABLE[text]) as caught:
        named_path(text, "The place")
    sentence = str(caught.value)
    assert sentence.startswith("The place can't be ") and sentence.endswith(".")
    assert len(sentence) < 300 and visible(sentence) == sentence


def test_home_and_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert named_path("~", "It") == tmp_path
    assert named_path("~/a", "It") == named_path("a", "It") == tmp_path / "a"
    assert named_path("./~nosuch-user", "It") == tmp_path / "~nosuch-user"


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UserError, match="working folder is gone"):
        named_path("models", "It")
    assert named_path("/models", "It") == Path("/models")


def test_a_working_folder_that_has_no_utf_8_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"bad\xff")
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="isn't UTF-8"):
        named_path("models", "It")


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=300))
def test_any_text_is_an_absolute_path_or_refused(text: str) -> None:
    try:
        assert named_path(text, "It").is_absolute()
    except UserError as error:
        assert visible(str(error)) == str(error)


@pytest.mark.parametrize("by", ["option", "variable"])
@pytest.mark.parametrize("text", [*UNUSABLE, "file"])
def test_the_folder_of_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(runs.MODELS_VARIABLE, raising=False)
    (tmp_path / "file").write_text("")
    if by == "variable":
        if "\0" in text:
            return  # no variable can hold one
        monkeypatch.setenv(runs.MODELS_VARIABLE, text)
    if by == "variable" and not text:
        assert runs.models_dir(None) == tmp_path / "saved_models"
        return
    with pytest.raises(UserError, match=r"^The folder of models can't be"):
        runs.models_dir(text if by == "option" else None)
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208
