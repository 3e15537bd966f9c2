"""What is said of a text before a model learns from it, in the words of whoever reads them: keys on
the screen, options on the command line."""

from engine.events import CorpusSummary, Remark


def in_brief(corpus: CorpusSummary) -> str:
    """A line: how much there is to learn from, the vocabulary, and what isn't in it."""
    train, *others = (f"{count:,} {split}" for split, count in corpus.tokens.items())
    tokens = f"{train} tokens" + (f" ({', '.join(others)})" if others else "")
    return f"Text: {tokens}, vocabulary {corpus.vocabulary:,}; unknown {unknown(corpus)}."


def unknown(corpus: CorpusSummary) -> str:
    """The share of each split that is unknown to the model, and why if it is for length."""
    shares = [f"{_share(rate)} of {split}" for split, rate in corpus.unknown_rate.items() if rate]
    told = ", ".join(shares) or "none"
    if not (too_long := sum(corpus.too_long.values())):
        return told
    from engine.text.vocabulary import MAX_TOKEN  # it takes numpy, which can wait

    return f"{told}, {too_long:,} as longer than {MAX_TOKEN} characters"


def on_command_line(remark: Remark) -> str:
    """The remark, and which option helps."""
    options = [f"`--set {setting}`" for setting in remark.settings]
    if remark.source:
        import shlex

        options.append(f"`lstm-tui train {shlex.quote(remark.source)}`")
    return _with_help(remark, options)


def on_screen(remark: Remark) -> str:
    """The remark, and which key helps."""
    from tui.keys import shown  # it takes Textual, which the command line does without

    if remark.source:
        return _with_help(remark, [f"{remark.source} ({shown('open_corpus')} opens it)"])
    helped = _with_help(remark, remark.settings)
    return f"{helped[:-1]} in a new run ({shown('new_run')})." if remark.settings else helped


def in_dialog(remark: Remark) -> str:
    """The remark, and what to choose there."""
    choices = [setting.partition("=")[2] for setting in remark.settings]
    return _with_help(remark, [remark.source] if remark.source else choices)


def _with_help(remark: Remark, choices: list[str]) -> str:
    if not choices:
        return remark.sentence
    *others, last = choices
    return f"{remark.sentence} Try {', '.join(others)}{' or ' if others else ''}{last}."


def _share(rate: float) -> str:
    return f"{rate:.1%}" if rate >= 0.0005 else "<0.1%"
