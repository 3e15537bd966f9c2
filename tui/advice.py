"""What would help, in the words of whoever reads it: keys on the screen, options on the command
line. The engine says only what kind of help there is (`engine.errors.Advice`)."""

from engine.errors import Advice

_ON_SCREEN: dict[Advice, str] = {
    "calm": (
        "{go_back} goes back to a good checkpoint. A lower learning rate ({rate_down}), clipping "
        "by norm ({clip_mode}) or a lower threshold ({threshold_down}) keeps steps small; "
        "{start_pause} goes on."
    ),
    "start-over": (
        "There is no checkpoint to go back to: {new_run} begins a new run. A lower learning rate, "
        "clipping by norm or a lower threshold keeps steps small."
    ),
    "raise-limit": (
        "`lstm-tui train` with --resume and a later --steps, --epochs or --minutes goes on; "
        "{new_run} begins a new run."
    ),
    "pause-first": "{start_pause} pauses.",
    "train-first": "{new_run} begins a new run, {open_model} opens another model.",
    "resume": "{open_model} opens it.",
    "other-place": "",
    "list-settings": "{new_run} shows them all.",
}
_ON_COMMAND_LINE: dict[Advice, str] = {
    "calm": (
        "`lstm-tui train {corpus} --name {name} --resume --from last-good "
        "--set optimiser.learning_rate=RATE` goes on from the last good checkpoint at another "
        "rate; clipping.mode=norm and a lower clipping.threshold hold steps small too."
    ),
    "start-over": (
        "There is no checkpoint to go back to: begin anew with a lower optimiser.learning_rate, "
        "clipping.mode=norm or a lower clipping.threshold."
    ),
    "raise-limit": "A later --steps, --epochs or --minutes goes on.",
    "pause-first": "Pause it in the playground first: `lstm-tui attach {name}`.",
    "train-first": "`lstm-tui train {corpus}` makes one.",
    "resume": "--resume goes on with it.",
    "other-place": "--models-dir does so too.",
    "list-settings": "`lstm-tui settings` lists them all.",
}


def on_screen(advice: Advice) -> str:
    """A sentence with the keys that help; empty where none would."""
    from tui.keys import sentence  # it takes Textual, which the command line does without

    return sentence(_ON_SCREEN[advice]) if advice else ""


def on_command_line(advice: Advice, *, corpus: str = "CORPUS", name: str = "NAME") -> str:
    """A sentence with the command that helps; empty where none would."""
    return _ON_COMMAND_LINE[advice].format(corpus=corpus, name=name) if advice else ""
