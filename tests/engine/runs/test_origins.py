"""What is known of a run is true of its folder, and of no other."""

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from engine import runs
from engine.config import preset, replace
from engine.errors import UserError
from engine.runs.origins import MARK, check_own_text, tidy
from engine.runs.private import place_of

SOURCE = "/texts/a.txt"
CONFIG = replace(preset("toy"), {"corpus.source": SOURCE})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(runs.STATE_VARIABLE, str(tmp_path / "state"))
    return runs.create_run(tmp_path / "models", "mine", CONFIG)


@pytest.fixture
def stranger(run: Path, tmp_path: Path) -> Path:
    """A run made on another machine, with a mark of its own."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(run, folder)
    (folder / MARK).write_text("theirs")
    return folder


@pytest.mark.parametrize("marked", [False, True])
def test_who_takes_the_place_of_a_run_that_was_removed_inherits_nothing(
    run: Path, stranger: Path, marked: bool
) -> None:
    assert runs.is_made_here(run) and runs.is_allowed(run, SOURCE)
    shutil.rmtree(run)
    if not marked:
        (stranger / MARK).unlink()
    shutil.copytree(stranger, run)
    assert not runs.is_made_here(run) and not runs.is_allowed(run, SOURCE)
    with pytest.raises(UserError, match="was made elsewhere"):
        runs.check_own_vectors(run, "/home/me/vectors.txt")
    runs.remove_unbegun(run)
    assert run.exists()
    runs.allow(run, SOURCE)
    assert runs.is_allowed(run, SOURCE) and not runs.is_made_here(run)


def test_a_stranger_renamed_to_what_a_run_of_ours_was_called_inherits_nothing(
    run: Path, stranger: Path
) -> None:
    shutil.rmtree(run)
    (stranger / MARK).unlink()
    theirs = stranger.rename(run.with_name("theirs"))
    renamed = runs.rename_run(theirs, run.name)
    assert renamed == run
    assert not runs.is_made_here(run) and not runs.is_allowed(run, SOURCE)


def test_a_mark_that_is_a_link_is_none(run: Path, tmp_path: Path) -> None:
    (run / MARK).rename(tmp_path / MARK)
    (run / MARK).symlink_to(tmp_path / MARK)
    assert not runs.is_made_here(run)


def test_what_an_earlier_version_wrote_counts(run: Path) -> None:
    path = place_of(run) / "origin.json"
    origin = msgspec.json.decode(path.read_bytes())
    del origin["mark"]
    path.write_bytes(msgspec.json.encode(origin))
    (run / MARK).unlink()
    assert runs.is_made_here(run) and runs.is_allowed(run, SOURCE)
    runs.allow(run, "/texts/b.txt")
    assert runs.is_made_here(run) and runs.is_allowed(run, "/texts/b.txt")
    (run / MARK).unlink()
    assert not runs.is_made_here(run), "from then on it goes by its mark"


# --- the text that a run names ------------------------------------------------------------------


@pytest.fixture
def outside(run: Path, tmp_path: Path) -> Path:
    """A folder beside a text that is none of the run's business; a link in the run leads there."""
    (tmp_path / "home" / "texts").mkdir(parents=True)
    (tmp_path / "home" / "secret.txt").write_text("secret")
    (run / "link").symlink_to(tmp_path / "home" / "texts")
    (run / "secret.txt").write_text("a decoy")
    (run.parent / "secret.txt").write_text("a decoy")
    return tmp_path / "home"


@pytest.mark.parametrize(
    "source", ["link/../secret.txt", "link/../../secret.txt", "link/../../home/secret.txt", "link"]
)
@pytest.mark.parametrize("by", ["models/mine", "models/../models/mine", "linked"])
def test_a_path_through_a_link_in_the_run_s_folder_is_refused(
    run: Path, outside: Path, source: str, by: str
) -> None:
    (outside.parent / "linked").symlink_to(run)
    with pytest.raises(UserError, match=r"no symbolic link and no \.\. on the way"):
        check_own_text(run, f"{outside.parent}/{by}/{source}")


@pytest.mark.usefixtures("outside")
def test_other_texts_are_left_to_the_user(run: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(run)
    for source in (
        "toy-world",
        f"{run}/secret.txt",
        f"{tmp_path}/linked/secret.txt",
        f"{tmp_path}/home/texts/../secret.txt",
        f"{tmp_path}/home/*.txt",
        f"{tmp_path}/nowhere",
        "a\0b",
        "x" * 5000,
    ):
        check_own_text(run, source)


# --- tidying --------------------------------------------------------------------------------------


def forgotten(run: Path) -> bool:
    """Whether the run's place is tidied away after months without a use of it."""
    place = place_of(run)
    long_ago = time.time() - 100 * 24 * 3600
    os.utime(place, (long_ago, long_ago))
    tidy()
    return not place.exists()


def test_the_place_of_a_run_that_was_removed_goes_after_a_while(run: Path) -> None:
    shutil.rmtree(run)
    tidy()
    assert place_of(run).exists()
    assert forgotten(run)


def test_making_a_run_doesn_t_wait_for_a_look_at_all_others(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runs.origins.places", lambda: pytest.fail("all are looked at"))
    runs.create_run(run.parent, "other", CONFIG)


@pytest.mark.parametrize("why", ["there", "unmounted", "unreadable"])
def test_the_place_of_a_run_whose_disk_is_away_stays(run: Path, why: str) -> None:
    if why != "there":
        run.parent.rename(run.parent.with_name("away"))
    if why == "unreadable":  # no answer but "no such file" says that it is gone
        run.parent.mkdir()
        run.symlink_to(run)
    assert not forgotten(run)
    if why != "there":
        if why == "unreadable":
            run.unlink()
            run.parent.rmdir()
        run.parent.with_name("away").rename(run.parent)
    assert runs.is_made_here(run)
