"""A run's folder gets another name, goes into the trash and comes back, with all that is kept."""

from pathlib import Path

import pytest

from engine import runs
from engine.config import preset, replace
from engine.errors import UserError
from engine.runs.engines import hold
from engine.runs.private import make_place, place_of

CONFIG = replace(preset("toy"), {"model.layers": 3})


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return runs.create_run(tmp_path / "models", "mine", CONFIG)


def test_a_renamed_run_is_the_same_run(run: Path) -> None:
    runs.log_path(run).write_text("said")
    before = contents(run)
    renamed = runs.rename_run(run, "yours")
    assert renamed == run.with_name("yours") and not run.exists()
    assert contents(renamed) == before
    assert [info.name for info in runs.list_runs(run.parent)] == ["yours"]


def test_what_the_user_agreed_to_follows_the_run(run: Path) -> None:
    runs.log_path(run).write_text("said")
    place = place_of(run)
    runs.allow(run, "/texts/a.txt")
    renamed = runs.rename_run(run, "yours")
    assert runs.is_made_here(renamed) and runs.is_allowed(renamed, "/texts/a.txt")
    assert runs.log_path(renamed).read_text() == "said"
    assert not place.exists()
    runs.create_run(run.parent, "other", CONFIG)  # which tidies the places of runs that are gone
    assert runs.is_made_here(renamed)
    stranger = run.with_name("mine")
    assert not runs.is_made_here(stranger), "who takes its old name inherits nothing"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "a b", "\x1b", "x" * 81])
def test_a_name_that_is_not_plain_is_refused(run: Path, name: str) -> None:
    before = contents(run)
    with pytest.raises(UserError, match="can't be a run's name"):
        runs.rename_run(run, name)
    assert contents(run) == before


@pytest.mark.parametrize("what", ["run", "file", "link"])
def test_a_name_that_is_taken_is_refused(run: Path, what: str) -> None:
    other = run.with_name("other")
    if what == "run":
        runs.create_run(run.parent, "other", preset("laptop"))
    elif what == "file":
        other.write_text("mine")
    else:
        other.symlink_to("nowhere")
    with pytest.raises(UserError, match="There is a run 'other' already"):
        runs.rename_run(run, "other")
    assert runs.load_config(run) == CONFIG
    assert what != "run" or runs.load_config(other) == preset("laptop")
    assert what != "file" or other.read_text() == "mine"


def test_a_run_that_an_engine_holds_stays(run: Path) -> None:
    with hold(run):
        for move in (lambda: runs.rename_run(run, "yours"), lambda: runs.trash_run(run)):
            with pytest.raises(UserError, match="held by an engine"):
                move()
    assert runs.load_config(run) == CONFIG and not run.with_name("yours").exists()


def test_deleted_runs_are_in_the_trash_and_come_back(run: Path) -> None:
    models = run.parent
    before = contents(run)
    first = runs.trash_run(run)
    assert first == models / ".trash" / "mine" and contents(first) == before
    assert runs.list_runs(models) == []
    again = runs.create_run(models, "mine", preset("laptop"))
    second = runs.trash_run(again)
    assert second == models / ".trash" / "mine-2" and contents(first) == before
    runs.bring_back(second, again)
    assert runs.load_config(again) == preset("laptop") and runs.is_made_here(again)
    with pytest.raises(UserError, match="already"):
        runs.bring_back(first, again)
    assert contents(first) == before


def test_a_move_that_fails_leaves_the_run_where_it_was(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(UserError, match="No space left on device"):
        runs.rename_run(run, "yours")
    assert runs.load_config(run) == CONFIG and runs.is_made_here(run)
    assert not run.with_name("yours").exists()


def test_a_link_to_a_run_is_not_moved(run: Path) -> None:
    link = run.with_name("link")
    link.symlink_to(run)
    with pytest.raises(UserError, match="link"):
        runs.rename_run(link, "yours")
    assert link.is_symlink() and make_place(run) == place_of(link)


def test_a_trash_that_leads_elsewhere_is_not_used(run: Path, tmp_path: Path) -> None:
    (run.parent / ".trash").symlink_to(tmp_path)
    with pytest.raises(UserError, match="is a link"):
        runs.trash_run(run)
    assert runs.load_config(run) == CONFIG


def test_a_text_in_the_folder_of_its_run_comes_along(tmp_path: Path) -> None:
    source = tmp_path / "mine" / "corpus.txt"
    run = runs.create_run(tmp_path, "mine", replace(CONFIG, {"corpus.source": str(source)}))
    source.write_text("one two")
    renamed = runs.rename_run(run, "yours")
    now = runs.load_config(renamed).corpus.source
    assert now == str(renamed / "corpus.txt") and Path(now).read_text() == "one two"
    assert runs.is_allowed(renamed, now)
    trashed = runs.trash_run(renamed)
    runs.bring_back(trashed, renamed)
    assert runs.load_config(renamed).corpus.source == now and runs.is_allowed(renamed, now)
