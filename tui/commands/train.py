"""`lstm-tui train`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import UserError
from engine.visible import quoted
from tui.commands.new_run import configure, limit_changes, new_run, source_of
from tui.commands.numbers import Real, Whole, WholeRange
from tui.commands.shared import (
    json_option,
    models_dir_option,
    models_folder,
    settings_options,
    wait_for,
    write_lines,
)
from tui.output import json_text

if TYPE_CHECKING:
    from engine.config import RunConfig, TrainingConfig
    from engine.messages import AnyCommand, Knob

LIMITS = ("steps", "epochs", "minutes")
_KNOBS: "dict[str, Knob]" = {
    "optimiser.learning_rate": "learning_rate",
    "clipping.mode": "clip_mode",
    "clipping.threshold": "clip_threshold",
}
"""What may be changed of a run that goes on, and the knob it is."""


@click.command()
@click.argument("corpus")
@click.option("--name", help="The run's name; without one it is made from the corpus.")
@settings_options
@click.option("--steps", type=Whole(), help="Finish after this many steps in all.")
@click.option("--epochs", type=Real(), help="Finish after this many passes over the text.")
@click.option("--minutes", type=Real(), help="Finish after this many minutes of training.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with a saved run: --name's, or the newest. The learning rate, clipping.mode and "
    "clipping.threshold can be --set anew.",
)
@click.option(
    "--from",
    "checkpoint",
    metavar="CHECKPOINT",
    help="With --resume: first go back to last-good, best, or the checkpoint of a step.",
)
@click.option(
    "--seeds",
    type=WholeRange(min=2, max=1000),
    help="Train so many runs one after the other, from training.seed on, and tell how far apart "
    "they end: NAME-seed1, NAME-seed2, ...",
)
@json_option
@models_dir_option
def train(
    corpus: str,
    name: str | None,
    preset: str | None,
    config_file: str | None,
    settings: tuple[str, ...],
    steps: int | None,
    epochs: float | None,
    minutes: float | None,
    resume: bool,
    checkpoint: str | None,
    seeds: int | None,
    as_json: bool,
) -> int:
    """Train a model on a text.

    CORPUS is a file, a folder, a glob, - for standard input, toy-world or python-docs.
    Ctrl-C saves and ends. Exit codes: 0 finished, 1 failed, 130 interrupted.
    """
    from engine.runs import load_config
    from engine.service.process import start_ahead

    limits = {"steps": steps, "epochs": epochs, "minutes": minutes}
    if resume:
        if seeds:
            raise UserError("--seeds begins new runs: it doesn't go with --resume.")
        if preset or config_file:
            raise UserError(
                "--resume goes on with the run's own settings: only --steps, --epochs, --minutes "
                "and --set of the learning rate and of clipping can be given with it."
            )
        first = _interventions(checkpoint, settings)
        folder = _resumed_run(corpus, name, limits)
    else:
        if checkpoint:
            raise UserError("--from goes with --resume.")
        first = []
        config = configure(corpus, preset, config_file, settings, limits)
        if seeds:
            return _train_seeds(seeds, corpus, name, config, as_json)
        folder = new_run(models_folder(), corpus, name, config)
    start_ahead(folder)
    code, _ = _train(folder, load_config(folder), first, as_json)
    return code


def _train_seeds(
    count: int, corpus: str, name: str | None, config: "RunConfig", as_json: bool
) -> int:
    """Train runs that differ in their seed, until one is interrupted, and tell how they compare."""
    from engine.config import replace
    from engine.service.process import start_ahead
    from tui.commands.seeds import Outcome, spread

    training = config.training
    if corpus == "-":
        raise UserError("--seeds reads the text again for each run: give a file, not -.")
    if not any((training.steps, training.epochs, training.minutes, training.patience)):
        raise UserError(
            "--seeds needs runs that end: give --steps, --epochs or --minutes, or set "
            "training.patience."
        )
    seeds = range(training.seed, training.seed + count)
    names = [f"{name}-seed{seed}" if name else None for seed in seeds]
    for taken in filter(None, names):
        if (models_folder() / taken).exists():
            raise UserError(f"There is a run {taken} already: choose another --name.")
    outcomes: list[Outcome] = []
    code = 0
    try:
        for seed, named in zip(seeds, names, strict=True):
            one = replace(config, {"training.seed": seed})
            folder = new_run(models_folder(), corpus, named, one)
            start_ahead(folder)
            code, summary = _train(folder, one, [], as_json)
            if code:
                break
            outcomes.append(Outcome(seed, summary))
    finally:
        if outcomes:
            record, sentences = spread(outcomes)
            write_lines([json_text(record)] if as_json else sentences)
    return code


def _interventions(checkpoint: str | None, settings: tuple[str, ...]) -> "list[AnyCommand]":
    """What is to be done to a run before it goes on. Raises UserError."""
    from engine.config import preset, replace
    from engine.messages import GoBack, SetKnob

    commands: list[AnyCommand] = [GoBack(to=checkpoint)] if checkpoint else []
    for setting in settings:
        path, _, value = setting.partition("=")
        path = path.strip()
        if path not in _KNOBS:
            raise UserError(
                f"A run that goes on keeps its settings: only {', '.join(_KNOBS)} and the limits "
                f"can be set anew, not {quoted(setting)}."
            )
        replace(preset("toy"), {path: value})  # refuses what can't be
        knob: Knob = _KNOBS[path]
        commands.append(SetKnob(knob=knob, value=value))
    return commands


def _resumed_run(corpus: str, name: str | None, limits: dict[str, Any]) -> Path:
    """The run to go on with, its limits replaced where new ones are given."""
    from engine.config import replace
    from engine.runs import (
        allow,
        check_own_text,
        find_run,
        is_live,
        list_runs,
        load_config,
        save_config,
    )
    from tui.source import named_source

    if corpus == "-":
        raise UserError("--resume needs the run's own text: that of - is corpus.txt in its folder.")
    source = named_source(corpus)
    if name is not None:
        folder = find_run(models_folder(), name)
    else:
        runs = list_runs(models_folder())
        same = [run.folder for run in runs if run.config and run.config.corpus.source == source]
        if not same:
            source_of(corpus)  # that there is no such text comes first
            raise UserError(
                f"No run in {models_folder()} was trained on {source}: leave out --resume."
            )
        folder = same[0]
    check_own_text(folder, source)
    source_of(corpus)
    config = load_config(folder)
    if config.corpus.source != source:
        raise UserError(f"{folder.name} was trained on {config.corpus.source}, not on {source}.")
    if is_live(folder):
        raise UserError(
            f"{folder.name} is open already: see it by `lstm-tui attach {folder.name}`."
        )
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} can't be written to: copy the run to go on with it.")
    allow(folder, source)
    if changes := limit_changes(limits):
        save_config(folder, replace(config, changes))
    return folder


def _until(training: "TrainingConfig") -> str:
    """What ends a run, as the beginning of a clause."""
    limits = {name: getattr(training, name) for name in LIMITS}
    told = [
        f"{limit:,.15g} {name.removesuffix('s') if limit == 1 else name}"
        for name, limit in limits.items()
        if limit is not None
    ]
    return f"until {' or '.join(told)}; " if told else "without a limit: "


def _train(
    folder: Path, config: "RunConfig", first: "list[AnyCommand]", as_json: bool
) -> tuple[int, dict[str, Any]]:
    """Train a run. Returns the exit code, and the end of the run as a record."""
    import shlex

    from engine.runs import load_standing, models_dir
    from tui.headless import Training
    from tui.progress_line import JsonReport, Report, TerminalReport

    on_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    kind = JsonReport if as_json else TerminalReport if on_terminal else Report
    report = kind(sys.stdout, config.training, config.corpus.tokenizer)
    until = _until(config.training)
    report.say(f"Training {folder.name} on {config.corpus.source}, {until}Ctrl-C saves and ends.")
    if config.warning:
        report.say(f"Note: {config.warning}")
    known_by = folder.name if folder.parent == models_dir(None) else shlex.quote(str(folder))
    training = Training(folder, report, known_by, first)
    try:
        code = wait_for(training.run())
    except BaseException:
        report.clear()
        raise
    if report.failed is None:
        return code, training.summary
    if report.failed.reader_left:
        raise report.failed
    standing = load_standing(folder)
    kept = (
        "No step was taken, and nothing is kept."
        if standing is None
        else f"The run is saved at step {standing.step:,} in {folder}."
    )
    raise UserError(f"{report.failed} {kept}")
