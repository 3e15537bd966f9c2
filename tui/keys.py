"""Every action of the playground, once: its keys, its words, and why it can't be done now.

Key bindings, the key bar, the help screen and the command palette are all made from `ACTIONS` and
from the panes (`tui.panes.registry`). An action's id is that of its binding, and the name of the
method that does it (`action_<id>`), on the playground or on its pane.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from textual.keys import format_key, key_to_character

from tui.run.session import Session

Why = Callable[[Session | None], str]
"""Why something can't be done now, in a sentence; empty where it can."""


class Action(Struct, frozen=True):
    """Something the user can do."""

    id: str
    keys: str
    """As Textual names them, separated by commas; the first is the one that is shown."""
    label: str
    """A word for the key bar. Neighbouring actions with one label share it there."""
    title: str
    group: str
    effect: str
    """A sentence: what it does."""
    why_not: Why
    pane: str = ""
    """The id of the pane that does it; empty where the playground does."""
    view: str = ""
    """The id of the pane's view that does it, if one does."""
    local: bool = False
    """Whether its keys are its own only while its pane is current and zoomed."""


def at_once(one: Action, other: Action) -> bool:
    """Whether both can be on the keys at the same time, which then must differ."""
    return not (one.local and other.local) or one.pane == other.pane


def can(session: Session | None, action: Action) -> bool:
    """Whether it can be done now."""
    return not action.why_not(session)


# --- why something can't be done ------------------------------------------------------------------


def _never(_session: Session | None) -> str:
    return ""


def _cannot_train(session: Session | None) -> str:
    """While it prepares the wish to start is kept until it is ready."""
    if session is None:
        return ""
    if session.ended:
        return "The engine has ended."
    return "The run has failed." if session.status.state == "failed" else ""


def no_model(session: Session | None) -> str:
    """Why there is no model to put questions to."""
    if session is None:
        return "No run is open yet."
    if session.ended:
        return "The engine has ended."
    return "" if session.answering else "The model isn't built yet."


def _not_built(session: Session | None) -> str:
    if reason := no_model(session):
        return reason
    state = session.status.state if session else "preparing"
    if state == "failed":
        return "The run has failed."
    return "The run is still being prepared." if state == "preparing" else ""


def _cannot_at_work(session: Session | None) -> str:
    if reason := _not_built(session):
        return reason
    running = session is not None and session.running
    return f"Training runs: {shown('start_pause')} pauses it first." if running else ""


def _nothing_under_way(session: Session | None) -> str:
    if session is None or session.ended or session.status.state not in ("running", "paused"):
        return "No training is under way."
    return ""


def _not_running(session: Session | None) -> str:
    if reason := _not_built(session):
        return reason
    running = session is not None and session.running
    return "" if running else f"Training doesn't run: {shown('start_pause')} starts it."


def _no_threshold(session: Session | None) -> str:
    if reason := _not_built(session):
        return reason
    mode = session.knob("clip_mode") if session else ""
    if mode == "adaptive":
        return "Adaptive clipping finds its threshold by itself."
    return f"Clipping is off: {shown('clip_mode')} turns it on." if mode == "off" else ""


def _no_validation(session: Session | None) -> str:
    if reason := _not_built(session):
        return reason
    corpus = session.status.corpus if session else None
    if corpus is None:
        return "The text has not been read: there is nothing to validate on."
    return "" if "valid" in corpus.tokens else "The text has no validation split."


def _no_step(session: Session | None) -> str:
    if reason := _not_built(session):
        return reason
    return "" if session is not None and session.status.step > 0 else "No step was taken yet."


def _cannot_go_back(session: Session | None) -> str:
    if reason := _cannot_at_work(session) or _no_step(session):
        return reason
    return "" if session is not None and session.trains else "The run is asked only, not trained."


# --- the actions ----------------------------------------------------------------------------------

ACTIONS: tuple[Action, ...] = (
    Action(
        "start_pause",
        "space",
        "start/pause",
        "Start or pause training",
        "Training",
        "Start training, pause after the current step, or go on.",
        _cannot_train,
    ),
    Action(
        "single_step",
        "n",
        "step",
        "Take one step",
        "Training",
        "Take a single step and wait: see one gradient, one clipping, one change.",
        _cannot_at_work,
    ),
    Action(
        "generate",
        "g",
        "write",
        "Generate text",
        "Generation",
        "Let the model write from the weights as they are now; again to stop.",
        no_model,
        pane="generation",
    ),
    Action(
        "rate_up",
        "plus,equals_sign",
        "rate",
        "Raise the learning rate",
        "Training",
        "Learning rate a quarter up, to the next round number (ten presses: ten times).",
        _not_built,
    ),
    Action(
        "rate_down",
        "minus",
        "rate",
        "Lower the learning rate",
        "Training",
        "Learning rate a fifth down, to the next round number.",
        _not_built,
    ),
    Action(
        "threshold_up",
        "right_square_bracket",
        "clip",
        "Raise the clip threshold",
        "Training",
        "Clip threshold up: let larger gradients through.",
        _no_threshold,
    ),
    Action(
        "threshold_down",
        "left_square_bracket",
        "clip",
        "Lower the clip threshold",
        "Training",
        "Clip threshold down: clip more.",
        _no_threshold,
    ),
    Action(
        "new_run",
        "r",
        "new",
        "New run…",
        "Runs",
        "Begin a new run: from the settings of this one or a preset, any of them changed.",
        _never,
    ),
    Action(
        "open_corpus",
        "o",
        "corpus",
        "Open a corpus…",
        "Runs",
        "Open a text of your own, one opened before or a built-in one, and begin a run on it.",
        _never,
    ),
    Action(
        "open_model",
        "m",
        "models",
        "Open a model…",
        "Runs",
        "Go on with a saved run or come back to one that trains; find, rename or delete one, or "
        "draw its loss beside that of the run you see.",
        _never,
    ),
    Action(
        "clip_mode",
        "c",
        "clip mode",
        "Change the clip mode",
        "Training",
        "Clipping off, by global norm, by value, by layer, adaptive: each press is the next.",
        _not_built,
    ),
    Action(
        "find_rate",
        "f",
        "find rate",
        "Find a learning rate…",
        "Training",
        "Try rates from tiny to huge on a copy of the model, while training is paused.",
        _cannot_at_work,
    ),
    Action(
        "gradient_flow",
        "v",
        "vanishing",
        "See the gradient vanish…",
        "Training",
        "How much of the last prediction's gradient reaches each token before it.",
        _not_built,
    ),
    Action(
        "evaluate",
        "e",
        "evaluate",
        "Evaluate now",
        "Training",
        "Measure the loss and perplexity of the held-out validation text.",
        _no_validation,
    ),
    Action(
        "save",
        "s",
        "save",
        "Save now",
        "Training",
        "Write a checkpoint: weights and everything needed to go on exactly.",
        _no_step,
    ),
    Action(
        "go_back",
        "u",
        "go back",
        "Go back to a checkpoint…",
        "Training",
        "Put the run back to its last good checkpoint, or to the best by validation.",
        _cannot_go_back,
    ),
    Action(
        "stop_training",
        "x",
        "stop",
        "Stop training",
        "Training",
        "End training and save. It can be started again.",
        _nothing_under_way,
    ),
    Action(
        "explode",
        "exclamation_mark",
        "explode",
        "Explode on purpose",
        "Training",
        "Save, then turn clipping off and the learning rate up a thousand times: see what it "
        "holds back.",
        _not_running,
    ),
    Action(
        "zoom",
        "z",
        "zoom",
        "Zoom the pane",
        "Panes",
        "Give the whole screen to the current pane; again to see all.",
        _never,
    ),
    Action(
        "log_axis",
        "y",
        "log axis",
        "Switch the loss axis",
        "Panes",
        "Draw the loss on a logarithmic axis, or back on a linear one.",
        _never,
        pane="training",
    ),
    Action(
        "all_losses",
        "a",
        "all",
        "See every loss",
        "Panes",
        "Show the few highest losses too, such as those of the first steps, or not.",
        _never,
        pane="training",
    ),
    Action(
        "last_part",
        "l",
        "last part",
        "See the last part",
        "Panes",
        "Draw the last quarter of the steps alone; again to see all.",
        _never,
        pane="training",
    ),
    Action(
        "x_axis",
        "X",
        "x axis",
        "Switch the x axis",
        "Panes",
        "Place the steps of loss and norm by number, by epoch, or by seconds of training.",
        _never,
        pane="training",
    ),
    Action(
        "type_in",
        "enter",
        "type",
        "Type into the pane",
        "Panes",
        "Type a sentence, a word or a prompt into the current pane.",
        _never,
    ),
    Action(
        "leave_input",
        "escape",
        "keys",
        "Back to the keys",
        "Panes",
        "Leave the input: letters are keys of the playground again.",
        _never,
    ),
    Action(
        "cooler",
        "comma",
        "temperature",
        "Lower the temperature",
        "Generation",
        "Temperature down by 0.1: safer words; 0 always takes the most probable.",
        _never,
        pane="generation",
    ),
    Action(
        "warmer",
        "full_stop",
        "temperature",
        "Raise the temperature",
        "Generation",
        "Temperature up by 0.1: bolder words; 1 is the model's own distribution.",
        _never,
        pane="generation",
    ),
    Action(
        "terms",
        "t",
        "terms",
        "Explain the terms…",
        "Program",
        "What the terms in the current pane mean, such as perplexity or clip fraction.",
        _never,
    ),
    Action(
        "help",
        "question_mark",
        "help",
        "Help",
        "Program",
        "Every key with what it does.",
        _never,
    ),
    Action(
        "quit",
        "q,ctrl+q",
        "quit",
        "Quit",
        "Program",
        "Leave; a run with something to lose asks whether to save it or leave it training.",
        _never,
    ),
)
"""All but going to a pane, which each pane brings with it."""

# --- the keys that are theirs now -----------------------------------------------------------------

_DEFAULTS = {action.id: action.keys for action in ACTIONS}
_remapped: dict[str, str] = {}


def know(actions: Iterable[Action]) -> None:
    """Let sentences name these too, which panes bring with them."""
    _DEFAULTS.update({action.id: action.keys for action in actions})


def remap(keys: Mapping[str, str]) -> None:
    """Show other keys for these actions from now on; all others have their own."""
    _remapped.clear()
    _remapped.update(keys)


def keys_of(action: Action) -> list[str]:
    """The keys of an action as Textual names them."""
    return _remapped.get(action.id, action.keys).split(",")


def shown(id: str, default: str = "") -> str:  # noqa: A002
    """The key of an action as people know it."""
    first = _remapped.get(id) or default or _DEFAULTS[id]
    *modifiers, key = first.split(",")[0].split("+")
    return "+".join([*modifiers, _as_people_know(key)])


def sentence(text: str) -> str:
    """The text with the key of each action that it names as in `{zoom}`."""
    return text.format_map(_Shown())


class _Shown(dict[str, str]):
    def __missing__(self, id: str) -> str:  # noqa: A002
        return shown(id)


def _as_people_know(key: str) -> str:
    character = key_to_character(key)
    if character is not None and character.isprintable() and character != " ":
        return character
    return key if key in ("enter", "space") else format_key(key)
