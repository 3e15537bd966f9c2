"""The configuration: presets, TOML, changes by path, and the sentences for what can't be."""

import datetime
import math
import os
import re
from pathlib import Path

import msgspec
import pytest

from engine import runs
from engine.config import PRESETS, RunConfig, fields, get, preset, read_toml, replace
from engine.errors import UserError
from engine.visible import quoted, shortened, visible


def test_every_preset_is_valid_and_says_what_it_is_for() -> None:
    for name, entry in PRESETS.items():
        assert replace(entry.config, {}) == entry.config
        assert entry.config.preset == name
        assert entry.purpose.endswith(".")


def test_every_setting_tells_its_range_and_effect() -> None:
    table = msgspec.to_builtins(RunConfig())
    paths = {f"{s}.{name}" for s, values in table.items() if s != "preset" for name in values}
    assert {field.path for field in fields(RunConfig)} == paths
    for field in fields(RunConfig):
        assert field.values, field.path
        assert field.effect.endswith("."), field.path
        assert len(field.effect) > 15, field.path


def test_strings_are_read_as_the_field_s_type() -> None:
    config = replace(
        preset("toy"),
        {
            "model.layers": "2",
            "model.tied": "no",
            "regularisation.output_dropout": "0.5",
            "training.steps": "100",
            "training.epochs": "none",
            "clipping.mode": "off",
        },
    )
    assert (config.model.layers, config.model.tied, config.regularisation.output_dropout) == (
        2,
        False,
        0.5,
    )
    assert (config.training.steps, config.training.epochs) == (100, None)
    assert config.clipping.mode == "off"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("model.layers", "0", "model.layers can't be '0': it takes 1 to 16."),
        ("model.layers", "two", "model.layers can't be 'two': it takes 1 to 16."),
        (
            "regularisation.output_dropout",
            "1",
            "regularisation.output_dropout can't be '1': it takes 0 to below 1.",
        ),
        ("model.tied", "perhaps", "model.tied can't be 'perhaps': it takes yes | no."),
        (
            "clipping.mode",
            "sideways",
            "clipping.mode can't be 'sideways': it takes off | norm | value | layer | adaptive.",
        ),
        (
            "clipping.threshold",
            "nan",
            "clipping.threshold can't be 'nan': it takes 1e-09 to 1e+06.",
        ),
        ("model.wings", "2", "There is no setting 'model.wings'."),
    ],
)
def test_a_bad_value_is_one_sentence(path: str, value: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        replace(preset("toy"), {path: value})
    assert str(caught.value).startswith(sentence)


THRESHOLDS = [0.0, -0.0, -1.0, 1e-320, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("path", ["clipping.threshold", "optimiser.learning_rate"])
@pytest.mark.parametrize("value", [*THRESHOLDS, *map(str, THRESHOLDS), "1e400"])
def test_a_threshold_or_rate_that_is_not_a_positive_number_is_one_sentence(
    path: str, value: float | str
) -> None:
    with pytest.raises(UserError) as caught:
        replace(preset("toy"), {path: value})
    assert str(caught.value).startswith(f"{path} can't be {value!r}: it takes 1e-09 to 1")
    assert str(caught.value).count(".") == str(caught.value).rstrip(".").count(".") + 1


@pytest.mark.parametrize("value", [0, 0.5, 100.5, -3, math.nan, math.inf, "nan"])
def test_a_percentile_outside_1_to_100_is_one_sentence(value: float | str) -> None:
    with pytest.raises(UserError, match=r"clipping\.percentile can't be .*: it takes 1 to 100\.$"):
        replace(preset("toy"), {"clipping.percentile": value})


@pytest.mark.parametrize("field", [field.path for field in fields(RunConfig)])
@pytest.mark.parametrize("value", [2**63, 10**30, -(10**30)])
def test_no_setting_takes_a_number_that_can_not_be_sent(field: str, value: int) -> None:
    with pytest.raises(UserError):
        replace(preset("toy"), {field: value})


@pytest.mark.parametrize("field", [field.path for field in fields(RunConfig)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_setting_takes_a_number_that_is_not_finite(field: str, value: float) -> None:
    with pytest.raises(UserError):
        replace(preset("toy"), {field: value})


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        # Zaremba et al. 2014, table 1: non-regularised and medium regularised LSTM.
        ("ptb-small", ("Zaremba et al. 2014", "120.7 validation, 114.5 test")),
        ("ptb-medium", ("Zaremba et al. 2014", "86.2 validation, 82.7 test")),
        # Merity et al. 2018, tables 1 and 2.
        ("awd-lstm-ptb", ("Merity et al. 2018", "60.0 validation, 57.3 test")),
        ("awd-lstm-wikitext-2", ("Merity et al. 2018", "68.6 validation, 65.8 test")),
    ],
)
def test_a_preset_names_the_published_figure_it_aims_at(
    name: str, figures: tuple[str, ...]
) -> None:
    for figure in figures:
        assert figure in PRESETS[name].purpose


def test_the_awd_lstm_presets_are_the_authors_settings() -> None:
    """github.com/salesforce/awd-lstm-lm: main.py's defaults and the commands of its README."""
    ptb, wikitext = PRESETS["awd-lstm-ptb"].config, PRESETS["awd-lstm-wikitext-2"].config
    for config in (ptb, wikitext):
        model, optimiser = config.model, config.optimiser
        assert (model.embedding_size, model.hidden_size, model.last_size) == (400, 1150, 400)
        assert (model.layers, model.tied, model.init_range) == (3, True, 0.1)
        assert (optimiser.name, optimiser.learning_rate) == ("nt-asgd", 30.0)
        assert (optimiser.momentum, optimiser.weight_decay) == (0.0, 1.2e-6)
        assert optimiser.trigger == 5
        assert (config.clipping.mode, config.clipping.threshold) == ("norm", 0.25)
        assert (config.training.bptt, config.training.random_bptt) == (70, True)
        assert config.schedule.name == "constant"
        off = config.regularisation
        assert (off.embedding_dropout, off.output_dropout, off.weight_drop) == (0.1, 0.4, 0.5)
        assert (off.activation, off.temporal_activation) == (2.0, 1.0)
    dropouts = [
        (config.regularisation.input_dropout, config.regularisation.layer_dropout)
        for config in (ptb, wikitext)
    ]
    assert dropouts == [(0.4, 0.25), (0.65, 0.2)]
    assert (ptb.training.batch_size, wikitext.training.batch_size) == (20, 80)
    assert (ptb.training.epochs, wikitext.training.epochs) == (500, 750)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"schedule.name": "cosine"}, "A cosine schedule needs an end"),
        ({"schedule.name": "linear"}, "A linear schedule needs an end"),
        ({"schedule.name": "one-cycle", "training.patience": 3}, "schedule needs an end"),
        ({"corpus.valid_fraction": 0.5, "corpus.test_fraction": 0.45}, "leave too little"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    changes: dict[str, object], word: str
) -> None:
    with pytest.raises(UserError, match=word):
        replace(preset("toy"), changes)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("candidates", [None, 1024])
def test_adamw_with_sampled_words_is_warned_of_and_taken(
    name: str, optimiser: str, candidates: int | None
) -> None:
    assert preset(name).warning == ""
    changes = {"optimiser.name": optimiser, "training.candidates": candidates}
    warning = replace(preset(name), changes).warning
    assert bool(warning) == (optimiser == "adamw" and candidates is not None)
    assert not warning or re.fullmatch("adamw .*optimiser.name.*training.candidates.*[.]", warning)


def test_toml_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('preset = "toy"\n', encoding="utf-8-sig")
    assert read_toml(path) == ("toy", {})


def test_toml_names_a_preset_and_changes_settings(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'preset = "ptb-small"\n[regularisation]\noutput_dropout = 0.5\n[training]\nsteps = 7\n'
    )
    name, changes = read_toml(path)
    assert name == "ptb-small"
    config = replace(preset(name), changes)
    assert (get(config, "regularisation.output_dropout"), get(config, "model.hidden_size")) == (
        0.5,
        200,
    )
    assert config.training.steps == 7


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[model\n", "isn't TOML"),
        ("seed = 3\n", "seed stands outside a table"),
        ("[engine]\nfast = true\n", r"no setting 'engine\.fast'"),
        ("[model]\nwings = 2\n", r"no setting 'model\.wings'"),
        ("[model]\nlayers = 99\n", r"model\.layers can't be 99"),
        ("[model.deep]\nlayers = 9\n", r"no setting 'model\.deep'"),
        ("[model]\nlayers = [1]\n", r"model\.layers can't be \[1\]"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=sentence):
        replace(preset("toy"), read_toml(path)[1])


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Can't read"):
        read_toml(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("field", [field.path for field in fields(RunConfig)])
@pytest.mark.parametrize(
    "value",
    [
        "9" * 5000,
        "-" + "9" * 5000,
        "1e999999999",
        "0,5",
        "1.000,5",
        "\x1b[2Jx\x00\n\u202e",
        "\udcff",
        "",
        " ",
        10**5000,
        -(10**5000),
        2**64,
        10**13,
        math.nan,
        -math.inf,
        datetime.date(2026, 1, 1),
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        [[]] * 5000,
        {"a": {}},
        True,
        None,
        b"\xff" * 5000,
        "x" * 100_000,
    ],
    ids=lambda value: shortened(quoted(value), 20),
)
def test_any_value_of_any_setting_works_or_is_one_short_sentence(field: str, value: object) -> None:
    try:
        config = replace(preset("toy"), {field: value})
    except UserError as error:
        sentence = str(error)
        assert sentence.startswith(f"{field} can't be ") and sentence.endswith(".")
        assert len(sentence) < 300 and visible(sentence) == sentence
    else:
        if field != "corpus.source":
            written = msgspec.json.encode(config)
            assert msgspec.json.decode(written, type=RunConfig) == config


@pytest.mark.parametrize(
    ("path", "written", "number"),
    [
        ("regularisation.input_dropout", ".2", 0.2),
        ("regularisation.input_dropout", "+0.2", 0.2),
        ("optimiser.learning_rate", "5.", 5.0),
        ("optimiser.learning_rate", "1e-3", 1e-3),
        ("training.steps", "1_000", 1000),
        ("training.steps", "10,000", 10_000),
        ("training.steps", "1e4", 10_000),
        ("training.batch_size", "5.", 5),
    ],
)
def test_numbers_as_people_write_them(path: str, written: str, number: float) -> None:
    assert get(replace(preset("toy"), {path: written}), path) == number


def test_a_decimal_comma_is_refused_with_advice() -> None:
    with pytest.raises(UserError, match=r"'0,5': it takes 0 to 0\.5; decimals .* with a point"):
        replace(preset("toy"), {"corpus.valid_fraction": "0,5"})


HOSTILE_FILES = {
    "not UTF-8": b"[model]\nlayers = 2 # \xff\n",
    "UTF-16": "[model]\nlayers = 2\n".encode("utf-16"),
    "5,000 digits": b"[training]\nsteps = " + b"9" * 900 + b"\n",
    "a hexadecimal number without end": b"[training]\nsteps = 0x" + b"f" * 900 + b"\n",
    "nested brackets": b"[model]\nlayers = " + b"[\n" * 5000,
    "closed brackets": b"[model]\nlayers = " + b"[\n" * 150 + b"]\n" * 150,
    "a long line": b"[model]\n" + b"a." * 20_000 + b"b = 1\n",
    "many parts": b"[model]\n" + (b"a." * 400 + b"b = 1\n") * 70,
    "huge": b"# nothing\n" * 100_000,
    "a number as preset": b"preset = 3\n",
    "a list as preset": b"preset = ['toy']\n",
    "an unknown preset": b"preset = '" + b"x" * 900 + b"'\n",
    "control characters in a key": b'"\\u001b[2J\\u202e" = 1\n',
    "an unknown key": b'[model]\n"\\u001b[2J" = 1\n',
    "NUL": b"[model]\nlayers = 2\0",
    "inf": b"[optimiser]\nlearning_rate = inf\n",
    "nan": b"[optimiser]\nlearning_rate = -nan\n",
    "a date": b"[optimiser]\nlearning_rate = 1979-05-27\n",
    "no date": b"[optimiser]\nlearning_rate = 1979-99-99\n",
    "a table": b"[model.layers]\nx = 1\n",
    "a list of tables": b"[[model]]\nlayers = 1\n",
    "text": b"Call me Ishmael. Some years ago\n" * 3,
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_hostile_file_is_one_short_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(HOSTILE_FILES[name])
    with pytest.raises(UserError) as caught:
        chosen, changes = read_toml(path)
        replace(preset(chosen or "toy"), changes)
    sentence = str(caught.value)
    assert len(sentence) < 400 + len(str(path)) and visible(sentence) == sentence
    assert sentence.count(": ") <= 3 and sentence.endswith(".")


@pytest.mark.parametrize(
    ("name", "reason"), [("a long line", "a line of"), ("huge", "larger than")]
)
def test_a_file_that_would_take_long_is_not_read(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(HOSTILE_FILES[name])
    with pytest.raises(UserError, match=f"^Can't read .* it .*{reason}"):
        read_toml(path)


@pytest.mark.parametrize("kind", ["pipe", "folder", "gone", "device", "long", "link to nothing"])
def test_a_file_of_settings_that_is_no_plain_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.toml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path = Path("/dev/zero")
        case "long":
            path = tmp_path / ("x" * 5000)
        case "link to nothing":
            path.symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"^Can't read ") as caught:
        read_toml(path)
    assert len(str(caught.value)) < 400


def test_a_link_to_a_file_of_settings_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("[model]\nlayers = 3\n")
    (tmp_path / "link.toml").symlink_to(tmp_path / "real.toml")
    assert read_toml(tmp_path / "link.toml") == (None, {"model.layers": 3})


@pytest.mark.parametrize("path", [None, *(field.path for field in fields(RunConfig))])
@pytest.mark.parametrize(
    "value", ["9" * 5000, "[" * 5000, "{}", f'"{"x" * 5000}\\ud800"', '"\\u001b\\ud800"', "1e400"]
)
def test_the_configuration_in_a_run_s_folder_works_or_is_one_short_sentence(
    tmp_path: Path, path: str | None, value: str
) -> None:
    section, _, name = (path or "preset.").partition(".")
    entry = f'"{section}": {{"{name}": {value}}}' if path else f'"preset": {value}'
    (tmp_path / "config.json").write_text(f"{{{entry}}}")
    with pytest.raises(UserError) as caught:
        runs.load_config(tmp_path)
    sentence = str(caught.value)
    assert "is damaged" in sentence and visible(sentence) == sentence
    assert len(sentence) < 300 + len(str(tmp_path))
