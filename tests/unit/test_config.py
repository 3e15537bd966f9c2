"""The configuration: presets, TOML, changes by path, and the sentences for what can't be."""

from pathlib import Path

import msgspec
import pytest

from engine.config import PRESETS, RunConfig, fields, from_table, get, preset, read_toml, replace
from engine.errors import UserError


def test_every_preset_is_valid_and_says_what_it_is_for() -> None:
    for name, entry in PRESETS.items():
        assert from_table(msgspec.to_builtins(entry.config)) == entry.config
        assert entry.config.preset == name
        assert entry.purpose.endswith(".")


def test_every_setting_tells_its_range_and_effect() -> None:
    table = msgspec.to_builtins(RunConfig())
    paths = {f"{s}.{name}" for s, values in table.items() if s != "preset" for name in values}
    assert {field.path for field in fields()} == paths
    for field in fields():
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
            "clipping.mode can't be 'sideways': it takes off | norm | value.",
        ),
        (
            "clipping.threshold",
            "nan",
            "clipping.threshold can't be 'nan': it takes 1e-09 to 1e+06.",
        ),
        ("model.wings", "2", "There is no setting 'model.wings': `lstm-tui settings` lists them"),
    ],
)
def test_a_bad_value_is_one_sentence(path: str, value: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        replace(preset("toy"), {path: value})
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"model.hidden_size": 33}, "Tied weights need"),
        ({"schedule.name": "cosine"}, "needs an end"),
        ({"corpus.valid_fraction": 0.5, "corpus.test_fraction": 0.45}, "leave too little"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    changes: dict[str, object], word: str
) -> None:
    with pytest.raises(UserError, match=word):
        replace(preset("toy"), changes)


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
