"""Every action of the playground, once: its keys, its words, and when it can be done.

Key bindings, the key bar, the help screen and the command palette are all made from `ACTIONS`.
An action's id is the name of its method on the playground (`action_<id>`), and of its binding.
"""

from collections.abc import Callable
from dataclasses import dataclass

from textual.binding import Binding, BindingType

from tui.session import Session


@dataclass(frozen=True, slots=True)
class Action:
    id: str
    keys: str
    """As Textual names them, separated by commas."""
    shown: str
    """The keys as people know them."""
    label: str
    """A word for the key bar. Neighbouring actions with one label share it there."""
    title: str
    group: str
    effect: str
    """A sentence: what it does."""
    available: Callable[[Session | None], bool]


def _always(_session: Session | None) -> bool:
    return True


def _trainable(session: Session | None) -> bool:
    """Also while it prepares: the wish to start is kept until it is ready."""
    return session is None or (not session.ended and session.status.state != "failed")


def _at_rest(session: Session | None) -> bool:
    return _built(session) and session is not None and not session.running


def _under_way(session: Session | None) -> bool:
    return session is not None and not session.ended and session.status.state in _UNDER_WAY


def _built(session: Session | None) -> bool:
    return session is not None and session.answering and session.status.state not in _NOT_READY


def _clipping(session: Session | None) -> bool:
    """Adaptive clipping finds its threshold by itself."""
    return (
        _built(session)
        and session is not None
        and session.knob("clip_mode") not in ("off", "adaptive")
    )


def _validated(session: Session | None) -> bool:
    corpus = session.status.corpus if session else None
    return _built(session) and corpus is not None and "valid" in corpus.tokens


def _stepped(session: Session | None) -> bool:
    return _built(session) and session is not None and session.status.step > 0


def _can_go_back(session: Session | None) -> bool:
    return _at_rest(session) and _stepped(session) and session is not None and session.trains


_UNDER_WAY = ("running", "paused")
_NOT_READY = ("preparing", "failed")

ACTIONS: tuple[Action, ...] = (
    Action(
        "start_pause",
        "space",
        "space",
        "start/pause",
        "Start or pause training",
        "Training",
        "Start training, pause after the current step, or go on.",
        _trainable,
    ),
    Action(
        "single_step",
        "n",
        "n",
        "step",
        "Take one step",
        "Training",
        "Take a single step and wait: see one gradient, one clipping, one change.",
        _at_rest,
    ),
    Action(
        "generate",
        "g",
        "g",
        "write",
        "Generate text",
        "Generation",
        "Let the model write from the weights as they are now; again to stop.",
        lambda session: session is not None and session.answering,
    ),
    Action(
        "rate_up",
        "plus,equals_sign",
        "+",
        "rate",
        "Raise the learning rate",
        "Training",
        "Learning rate a quarter up, to the next round number (ten presses: ten times).",
        _built,
    ),
    Action(
        "rate_down",
        "minus",
        "-",
        "rate",
        "Lower the learning rate",
        "Training",
        "Learning rate a fifth down, to the next round number.",
        _built,
    ),
    Action(
        "threshold_up",
        "right_square_bracket",
        "]",
        "clip",
        "Raise the clip threshold",
        "Training",
        "Clip threshold up: let larger gradients through.",
        _clipping,
    ),
    Action(
        "threshold_down",
        "left_square_bracket",
        "[",
        "clip",
        "Lower the clip threshold",
        "Training",
        "Clip threshold down: clip more.",
        _clipping,
    ),
    Action(
        "new_run",
        "r",
        "r",
        "new",
        "New run…",
        "Runs",
        "Begin a new run: choose a preset, then any setting.",
        _always,
    ),
    Action(
        "open_corpus",
        "o",
        "o",
        "corpus",
        "Open a corpus…",
        "Runs",
        "Open a text of your own, or a built-in one, and begin a run on it.",
        _always,
    ),
    Action(
        "open_model",
        "m",
        "m",
        "models",
        "Open a model…",
        "Runs",
        "Go on with a run that was saved, or come back to one that is training.",
        _always,
    ),
    Action(
        "clip_mode",
        "c",
        "c",
        "clip mode",
        "Change the clip mode",
        "Training",
        "Clipping off, by global norm, by value, by layer, adaptive: each press is the next.",
        _built,
    ),
    Action(
        "find_rate",
        "f",
        "f",
        "find rate",
        "Find a learning rate…",
        "Training",
        "Try rates from tiny to huge on a copy of the model, while training is paused.",
        _at_rest,
    ),
    Action(
        "gradient_flow",
        "v",
        "v",
        "vanishing",
        "See the gradient vanish…",
        "Training",
        "How much of the last prediction's gradient reaches each token before it.",
        _built,
    ),
    Action(
        "evaluate",
        "e",
        "e",
        "evaluate",
        "Evaluate now",
        "Training",
        "Measure the loss and perplexity of the held-out validation text.",
        _validated,
    ),
    Action(
        "save",
        "s",
        "s",
        "save",
        "Save now",
        "Training",
        "Write a checkpoint: weights and everything needed to go on exactly.",
        _stepped,
    ),
    Action(
        "go_back",
        "u",
        "u",
        "go back",
        "Go back to a checkpoint…",
        "Training",
        "Put the run back to its last good checkpoint, or to the best by validation.",
        _can_go_back,
    ),
    Action(
        "stop_training",
        "x",
        "x",
        "stop",
        "Stop training",
        "Training",
        "End training and save. Space goes on with it.",
        _under_way,
    ),
    Action(
        "show_corpus",
        "1",
        "1",
        "panes",
        "Go to the corpus",
        "Panes",
        "The text: its size, its words, and a sentence as one-hot rows and as embeddings.",
        _always,
    ),
    Action(
        "show_training",
        "2",
        "2",
        "panes",
        "Go to the training",
        "Panes",
        "Loss, perplexity, and gradient norms before and after clipping.",
        _always,
    ),
    Action(
        "show_neighbours",
        "3",
        "3",
        "panes",
        "Go to the neighbours",
        "Panes",
        "The words whose embeddings are closest to the one you type.",
        _always,
    ),
    Action(
        "show_generation",
        "4",
        "4",
        "panes",
        "Go to the generation",
        "Panes",
        "Text written by the model, live.",
        _always,
    ),
    Action(
        "zoom",
        "z",
        "z",
        "zoom",
        "Zoom the pane",
        "Panes",
        "Give the whole screen to the current pane; again to see all.",
        _always,
    ),
    Action(
        "log_axis",
        "y",
        "y",
        "log axis",
        "Switch the loss axis",
        "Panes",
        "Draw the loss on a logarithmic axis, or back on a linear one.",
        _always,
    ),
    Action(
        "type_in",
        "enter",
        "enter",
        "type",
        "Type into the pane",
        "Panes",
        "Type a sentence, a word or a prompt into the current pane.",
        _always,
    ),
    Action(
        "leave_input",
        "escape",
        "esc",
        "keys",
        "Back to the keys",
        "Panes",
        "Leave the input: letters are keys of the playground again.",
        _always,
    ),
    Action(
        "cooler",
        "comma",
        ",",
        "temperature",
        "Lower the temperature",
        "Generation",
        "Temperature down by 0.1: safer words; 0 always takes the most probable.",
        _always,
    ),
    Action(
        "warmer",
        "full_stop",
        ".",
        "temperature",
        "Raise the temperature",
        "Generation",
        "Temperature up by 0.1: bolder words; 1 is the model's own distribution.",
        _always,
    ),
    Action(
        "help",
        "question_mark",
        "?",
        "help",
        "Help",
        "Program",
        "Every key with what it does.",
        _always,
    ),
    Action(
        "quit",
        "q,ctrl+q",
        "q",
        "quit",
        "Quit",
        "Program",
        "Leave; a run with something to lose asks whether to save it or leave it training.",
        _always,
    ),
)
BY_ID = {action.id: action for action in ACTIONS}


def bindings() -> list[BindingType]:
    """A binding for each action; its id lets a keymap give it another key."""
    return [
        Binding(
            action.keys,
            "app.quit" if action.id == "quit" else action.id,
            action.label,
            key_display=action.shown,
            tooltip=action.effect,
            id=action.id,
        )
        for action in ACTIONS
    ]
