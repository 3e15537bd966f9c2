"""The command line: `lstm-tui` opens the playground, its sub-commands do without a screen.

Imports that take time (the engine's client, asyncio, Textual) are left to the command that needs
them, so that help and errors come at once.
"""

import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.errors import UserError

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.service.protocol import AnyAnswer, CorpusScore, Replayed
    from tui.rate_curve import RateCurve

DEBUG_VARIABLE = "LSTM_TUI_DEBUG"
LIMITS = ("steps", "epochs", "minutes")
_PLOT_SIZE = (78, 18)
"""Columns and rows of a chart that is printed."""

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


def main() -> None:
    """The console script: every user error is one line on standard error."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        return int(cli.main(prog_name="lstm-tui", standalone_mode=False) or 0)
    except click.Abort:
        return 130
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "lstm-tui"
        return _complain(f"{error.format_message()} See `{command} --help`.", error.exit_code)
    except (click.ClickException, UserError) as error:
        return _complain(str(error))
    except Exception as error:
        from engine.service.client import EngineEnded

        if isinstance(error, EngineEnded):
            return _complain(error.reason)
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
            return 1
        return _complain(
            f"{type(error).__name__}: {error}. This is a fault of lstm-tui; "
            f"{DEBUG_VARIABLE}=1 shows where it is."
        )


def _complain(text: str, exit_code: int = 1) -> int:
    from tui.sanitize import visible

    print(f"lstm-tui: {visible(' '.join(text.split()))}", file=sys.stderr)  # noqa: T201
    return exit_code


def _remember_models_dir(
    context: click.Context, _parameter: click.Parameter, value: Path | None
) -> None:
    if value is not None:
        context.meta["models_dir"] = value


models_dir_option = click.option(
    "--models-dir",
    type=click.Path(path_type=Path),
    callback=_remember_models_dir,
    expose_value=False,
    help="Where models live: else LSTM_TUI_MODELS, else ./saved_models.",
)
_SETTINGS = (
    click.option("--preset", help="Where the settings start from: `lstm-tui settings` lists them."),
    click.option(
        "--config",
        "config_file",
        metavar="FILE.toml",
        type=click.Path(path_type=Path),
        help="Settings from a file, over the preset's.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="One setting, such as model.layers=2, over the file's. May be repeated.",
    ),
)


def settings_options(command: Command) -> Command:
    """The options that say what a new run is, as `_configure` takes them."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def _models() -> Path:
    from engine.service.runs import models_dir

    return models_dir(click.get_current_context().meta.get("models_dir"))


def _find(model: str) -> Path:
    from engine.service.runs import find_run

    return find_run(_models(), model)


def _wait_for(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(work)


def _print_json(value: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@models_dir_option
@click.pass_context
def cli(context: click.Context) -> None:
    """A playground for LSTM language models. Without a command it opens in this terminal."""
    if context.invoked_subcommand is None:
        _play(None)


def _play(folder: Path | None) -> None:
    """Open the playground, on a run's live engine if its folder is given."""
    on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not on_terminal and "TEXTUAL_DRIVER" not in os.environ:
        raise UserError("The playground needs a terminal: `lstm-tui train` does without one.")
    from tui.app import PlaygroundApp

    app = PlaygroundApp(models=_models(), folder=folder)
    if farewell := app.run():
        click.echo(farewell)
    if app.return_code:
        raise click.exceptions.Exit(app.return_code)


@cli.command()
@click.argument("corpus")
@click.option("--name", help="The run's name; without one it is made from the corpus.")
@settings_options
@click.option("--steps", type=int, help="Finish after this many steps in all.")
@click.option("--epochs", type=float, help="Finish after this many passes over the text.")
@click.option("--minutes", type=float, help="Finish after this many minutes of training.")
@click.option("--resume", is_flag=True, help="Go on with a saved run: --name's, or the newest.")
@json_option
@models_dir_option
def train(
    corpus: str,
    name: str | None,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    steps: int | None,
    epochs: float | None,
    minutes: float | None,
    resume: bool,
    as_json: bool,
) -> int:
    """Train a model on a text.

    CORPUS is a file, a folder, a glob, - for standard input, toy-world or python-docs.
    Ctrl-C saves and ends. Exit codes: 0 finished, 1 failed, 130 interrupted.
    """
    from engine.service.runs import load_config

    limits = {"steps": steps, "epochs": epochs, "minutes": minutes}
    if resume:
        if preset or config_file or settings:
            raise UserError(
                "--resume goes on with the run's own settings: "
                "only --steps, --epochs and --minutes can be given with it."
            )
        folder = _resumed_run(corpus, name, limits)
    else:
        config = _configure(corpus, preset, config_file, settings, limits)
        folder = _new_run(_models(), corpus, name, config)
    return _train(folder, load_config(folder), as_json)


def _configure(
    corpus: str,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    limits: dict[str, Any],
) -> "RunConfig":
    """The preset's settings, then the file's, then each --set, then the limits."""
    from engine import config as c

    named, changes = c.read_toml(config_file) if config_file else (None, {})
    default = "toy" if corpus == "toy-world" else c.DEFAULT_PRESET
    config = c.preset(preset or named or default)
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, such as model.layers=2; {setting!r} is not.")
        changes[path.strip()] = value
    changes |= _limit_changes(limits)
    changes["corpus.source"] = _source(corpus)
    return c.replace(config, changes)


def _limit_changes(limits: dict[str, Any]) -> dict[str, Any]:
    """A limit on the command line takes the place of all the others; none leaves them."""
    if all(value is None for value in limits.values()):
        return {}
    return {f"training.{name}": value for name, value in limits.items()}


def _source(corpus: str) -> str:
    """The corpus as the run's record names it. Raises UserError where there is no such text."""
    from tui.source import chosen_source

    return "standard-input" if corpus == "-" else chosen_source(corpus)


def _new_run(models: Path, corpus: str, name: str | None, config: "RunConfig") -> Path:
    from engine.config import replace
    from engine.service.runs import create_run, save_config

    folder = create_run(models, name, config)
    if corpus == "-":
        try:
            _spool(folder / "corpus.txt")
            save_config(folder, replace(config, {"corpus.source": str(folder / "corpus.txt")}))
        except BaseException:
            import shutil

            shutil.rmtree(folder)
            raise
    return folder


def _spool(path: Path) -> None:
    """Copy standard input to a file. Raises UserError where it is empty."""
    import shutil

    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    if path.stat().st_size == 0:
        raise UserError("Standard input was empty: there is no text to read.")


def _resumed_run(corpus: str, name: str | None, limits: dict[str, Any]) -> Path:
    """The run to go on with, its limits replaced where new ones are given."""
    from engine.config import replace
    from engine.service.runs import find_run, is_live, list_runs, load_config, save_config

    source = _source(corpus)
    if corpus == "-":
        raise UserError("--resume needs the run's own text: that of - is corpus.txt in its folder.")
    if name is not None:
        folder = find_run(_models(), name)
    else:
        runs = list_runs(_models())
        same = [run.folder for run in runs if run.config and run.config.corpus.source == source]
        if not same:
            raise UserError(f"No run in {_models()} was trained on {source}: leave out --resume.")
        folder = same[0]
    config = load_config(folder)
    if config.corpus.source != source:
        raise UserError(f"{folder.name} was trained on {config.corpus.source}, not on {source}.")
    if is_live(folder):
        raise UserError(
            f"{folder.name} is open already: see it by `lstm-tui attach {folder.name}`."
        )
    if changes := _limit_changes(limits):
        save_config(folder, replace(config, changes))
    return folder


def _train(folder: Path, config: "RunConfig", as_json: bool) -> int:
    import shlex

    from engine.service.runs import models_dir
    from tui.headless import Training
    from tui.progress_line import JsonReport, Report, TerminalReport

    on_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    kind = JsonReport if as_json else TerminalReport if on_terminal else Report
    report = kind(sys.stdout, config.training)
    limits = [
        f"{getattr(config.training, name):,g} {name}"
        for name in LIMITS
        if getattr(config.training, name) is not None
    ]
    until = f"until {' or '.join(limits)}; " if limits else "without a limit: "
    report.say(f"Training {folder.name} on {config.corpus.source}, {until}Ctrl-C saves and ends.")
    known_by = folder.name if folder.parent == models_dir(None) else shlex.quote(str(folder))
    try:
        return _wait_for(Training(folder, report, f"lstm-tui generate {known_by}").run())
    except BaseException:
        report.clear()
        raise


@cli.command("lr-find")
@click.argument("corpus")
@settings_options
@json_option
def find_rate(
    corpus: str,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Find a learning rate to begin with.

    A learning-rate range test (Smith 2017): a fresh model takes one step on CORPUS (as for train)
    at each of about 150 rates, from far too small to far too large. Nothing is kept of it.
    """
    import tempfile

    config = _configure(corpus, preset, config_file, settings, {})
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        curve = _wait_for(_find_rate(_new_run(Path(temporary), corpus, "lr-find", config)))
    found = curve.found
    assert found is not None
    if as_json:
        tried = [{"rate": tried.rate, "loss": tried.loss} for tried in curve.tried]
        answer = {"corpus": corpus, "tried": tried, "rate": found.rate, "reason": found.reason}
        _print_json(answer)
        return
    from tui.plot import draw

    click.echo(draw(curve.chart(), *_PLOT_SIZE))
    click.echo(found.reason)
    if found.rate is not None:
        click.echo(f"{found.rate:g} is a rate to begin with:")
        click.echo(f"    --set optimiser.learning_rate={found.rate:g}")


async def _find_rate(folder: Path) -> "RateCurve":
    from engine.events import Progress
    from engine.service import protocol as p
    from tui.headless import opened
    from tui.progress_line import Waiting
    from tui.rate_curve import RateCurve

    curve = RateCurve()
    waiting = Waiting(sys.stderr)
    try:
        async with opened(folder, waiting.tell) as engine:
            async for answer in engine.stream(p.FindRate()):
                if isinstance(answer, p.RateTried):
                    curve.add(answer)
                    done = round(100 * curve.share)
                    waiting.tell(Progress(task="testing rates", done=done, total=100, unit="%"))
                elif isinstance(answer, p.RateFound):
                    curve.found = answer
                    return curve
    finally:
        waiting.clear()
    raise UserError("The engine ended the test without a rate.")


@cli.command()
@click.argument("model")
@click.option("--prompt", default="", help="The text to go on from.")
@click.option(
    "--tokens", type=click.IntRange(min=1), default=100, show_default=True, help="How many tokens."
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Below 1 is safer, above is wilder; 0 takes the most probable token always.",
)
@click.option(
    "--top-k", type=click.IntRange(min=0), default=0, help="Draw from the K most probable tokens."
)
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="Draw from the most probable tokens that make up this share.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="The same seed writes the same text."
)
@json_option
@models_dir_option
def generate(model: str, as_json: bool, **request: Any) -> None:
    """Write text with a model.

    MODEL is a run's name, or a path to its folder.
    """
    _wait_for(_generate(_find(model), request, as_json))


async def _generate(folder: Path, request: dict[str, Any], as_json: bool) -> None:
    from engine.service import protocol as p
    from tui.headless import opened
    from tui.sanitize import visible

    # Raw text goes to a pipe; a terminal gets no control characters from a model.
    shown = (lambda text: visible(text, keep_newlines=True)) if sys.stdout.isatty() else str
    pieces: list[str] = []
    step = 0
    async with opened(folder) as engine:
        if not as_json:
            sys.stdout.write(shown(request["prompt"]))
        async for piece in engine.stream(p.Generate(**request)):
            assert isinstance(piece, p.TextPiece)
            pieces.append(piece.text)
            step = piece.step
            if not as_json:
                sys.stdout.write(shown(piece.text))
                sys.stdout.flush()
    text = "".join(pieces)
    if as_json:
        _print_json({"model": folder.name, "step": step, **request, "text": text})
    elif not text.endswith("\n"):
        click.echo()


@cli.command()
@click.argument("model")
@click.argument("word")
@click.option(
    "--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many words."
)
@json_option
@models_dir_option
def neighbours(model: str, word: str, top: int, as_json: bool) -> None:
    """List the words closest to a word.

    Closest by the cosine of their embeddings in MODEL, a run's name or a path to its folder.
    """
    from engine.service import protocol as p

    answer = _wait_for(_ask(_find(model), p.Neighbours(word=word, top=top)))
    assert isinstance(answer, p.NeighbourList)
    if as_json:
        _print_json(answer)
    else:
        _print_table([(near.word, f"{near.cosine:+.3f}") for near in answer.neighbours])


async def _ask(folder: Path, query: Any) -> "AnyAnswer":
    from tui.headless import opened

    async with opened(folder) as engine:
        return await engine.call(query)


@cli.command()
@click.argument("model")
@click.argument("corpus")
@click.option(
    "--split",
    type=click.Choice(["train", "valid", "test"]),
    help="A split of MODEL's own text, or of a folder that brings train.txt.",
)
@click.option(
    "--dynamic",
    is_flag=True,
    help="Let a copy of the weights learn from the text as it is read (Krause et al. 2018).",
)
@click.option(
    "--cache",
    is_flag=True,
    help="Beside the model, a cache of the recent text (Grave et al. 2017).",
)
@json_option
@models_dir_option
def evaluate(
    model: str, corpus: str, split: str | None, dynamic: bool, cache: bool, as_json: bool
) -> None:
    """Measure a model on a text.

    The perplexity of CORPUS (as for train) under MODEL, a run's name or a path to its folder; for
    a model of characters the bits a character takes. Of the text MODEL was trained on, and of a
    folder with train.txt, one split is measured: without --split its test, else valid.
    """
    import tempfile

    folder = _find(model)
    with tempfile.TemporaryDirectory(prefix="lstm-tui-") as temporary:
        source = _source(corpus)
        if corpus == "-":
            source = str(Path(temporary, "corpus.txt"))
            _spool(Path(source))
        request = {"split": split or "", "dynamic": dynamic, "cache": cache}
        score = _wait_for(_evaluate(folder, {"source": source, **request}))
    if as_json:
        _print_json(score)
    else:
        _print_score(folder.name, score)


async def _evaluate(folder: Path, request: dict[str, Any]) -> "CorpusScore":
    from engine.events import Progress
    from engine.service import protocol as p
    from tui.headless import opened
    from tui.progress_line import Waiting

    waiting = Waiting(sys.stderr)
    try:
        async with opened(folder, waiting.tell) as engine:
            async for answer in engine.stream(p.EvaluateCorpus(**request)):
                if isinstance(answer, p.CorpusScore):
                    return answer
                assert isinstance(answer, Progress)
                waiting.tell(answer)
    finally:
        waiting.clear()
    raise UserError("The engine ended the evaluation without a score.")


def _print_score(run: str, score: "CorpusScore") -> None:
    """What the model is measured by first: bits for characters, perplexity for words."""
    from tui.sanitize import visible

    part = "" if score.split == "all" else f", {score.split} split"
    click.echo(visible(f"{run} after {score.step:,} steps, on {score.source}{part}"))
    measures = [f"perplexity {score.perplexity:,.2f}", f"loss {score.loss:.4f} nats"]
    if (bits := score.bits_per_character) is not None:
        measures.insert(0 if score.tokenizer == "character" else 2, f"{bits:.3f} bits/character")
    counts = f"{score.tokens:,} tokens, {score.unknown:,} unknown"
    click.echo("  ".join([*measures, counts]))
    click.echo(score.convention)


@cli.command()
@click.argument("run")
@json_option
@models_dir_option
def replay(run: str, as_json: bool) -> int:
    """Train a run once more and compare bit by bit.

    Everything done to RUN by hand is done again at its step. Exit codes: 0 the same, 1 not.
    """
    folder = _find(run)
    result = _wait_for(_replay(folder))
    same = result.first_difference is None and result.weights_equal is not False
    if as_json:
        _print_json({"run": folder.name, "same": same, "result": result})
        return 0 if same else 1
    click.echo(_verdict(result))
    if result.note and not same:
        click.echo(result.note)
    return 0 if same else 1


async def _replay(folder: Path) -> "Replayed":
    from engine.events import Progress
    from engine.service import protocol as p
    from tui.headless import opened
    from tui.progress_line import Waiting

    waiting = Waiting(sys.stderr)
    try:
        async with opened(folder, waiting.tell) as engine:
            async for answer in engine.stream(p.Replay()):
                if isinstance(answer, p.Replayed):
                    return answer
                assert isinstance(answer, Progress)
                waiting.tell(answer)
    finally:
        waiting.clear()
    raise UserError("The engine ended the replay without a result.")


def _verdict(result: "Replayed") -> str:
    steps = f"{result.steps:,} steps replayed"
    if result.first_difference is not None:
        return f"{steps}: the first difference is at step {result.first_difference:,}."
    weights = {
        True: " and the checkpoint's weights",
        False: ", but the checkpoint's weights are others",
        None: "; there is no checkpoint to compare weights with",
    }
    return f"{steps}: every number is the same{weights[result.weights_equal]}."


@cli.command()
@json_option
@models_dir_option
def models(as_json: bool) -> None:
    """List the saved runs, the one changed last first."""
    from datetime import UTC, datetime

    from engine.service.runs import list_runs

    runs = list_runs(_models())
    if as_json:
        _print_json(
            [
                {
                    "name": run.name,
                    "folder": str(run.folder),
                    "corpus": run.config.corpus.source if run.config else None,
                    "preset": run.config.preset if run.config else None,
                    "step": run.step,
                    "valid_perplexity": run.valid_perplexity,
                    "live": run.live,
                    "modified": datetime.fromtimestamp(run.modified, UTC),
                    "problem": run.problem or None,
                }
                for run in runs
            ]
        )
    elif not runs:
        click.echo(f"No run is saved in {_models()} yet: `lstm-tui train toy-world` makes one.")
    else:
        _print_table(
            [("name", "steps", "valid perplexity", "", "modified", "corpus")]
            + [
                (
                    run.name,
                    f"{run.step:,}",
                    "" if run.valid_perplexity is None else f"{run.valid_perplexity:,.2f}",
                    "live" if run.live else "",
                    datetime.fromtimestamp(run.modified).strftime("%Y-%m-%d %H:%M"),
                    run.config.corpus.source if run.config else run.problem,
                )
                for run in runs
            ]
        )


@cli.command()
@click.argument("run", required=False)
@models_dir_option
def attach(run: str | None) -> None:
    """Open the playground on a run that is training.

    RUN is its name; it may be left out where there is only one.
    """
    from engine.service.runs import is_live, list_runs

    if run is not None:
        folder = _find(run)
        if not is_live(folder):
            raise UserError(
                f"{folder.name} is not training now: `lstm-tui` opens it from the disk."
            )
        _play(folder)
        return
    live = [info for info in list_runs(_models()) if info.live]
    if not live:
        raise UserError(f"No run in {_models()} is training now.")
    if len(live) > 1:
        names = ", ".join(info.name for info in live)
        raise UserError(f"Several runs are training: attach to one of {names}.")
    _play(live[0].folder)


@cli.command()
@json_option
def settings(as_json: bool) -> None:
    """List the settings and the presets."""
    from engine.config import PRESETS, fields

    if as_json:
        presets = [
            {"name": name, "purpose": preset.purpose, "config": preset.config}
            for name, preset in PRESETS.items()
        ]
        _print_json({"settings": list(fields()), "presets": presets})
        return
    for field in fields():
        click.echo(f"{field.path}  ({field.values}{', or none' if field.optional else ''})")
        click.echo(f"    {field.effect}")
    click.echo("\nPresets, for --preset:")
    _print_table([(f"  {name}", preset.purpose) for name, preset in PRESETS.items()])


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell on a terminal, two spaces between them."""
    from rich.cells import cell_len

    from tui.sanitize import visible

    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        padded = [
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


if __name__ == "__main__":
    main()
