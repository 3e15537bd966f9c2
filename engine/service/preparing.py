"""A run made ready: its text read, its model built, its newest checkpoint loaded."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.events import CorpusReady, ModelReady, Progress
from engine.runs import check_own_text, check_own_vectors
from engine.service.run import Run
from engine.service.saving import Saver

if TYPE_CHECKING:
    import torch

    from engine.training.checkpoint import Checkpoint
    from engine.training.trainer import Trainer

TOLD_EVERY = 0.1
"""Seconds."""


def open_corpus(run: Run, on_progress: Callable[[Progress], None]) -> None:
    """Read and encode the corpus; needs no torch. Raises UserError."""
    from engine.text import corpus

    check_own_text(run.folder, run.config.corpus.source)
    run.corpus = corpus.open_corpus(run.config.corpus, progress=on_progress)
    run.tokenizer = run.corpus.tokenizer
    run.publish(CorpusReady(corpus=run.corpus.summary))


def load_file(run: Run, on_progress: Callable[[Progress], None]) -> None:
    """Load a file of word vectors to be asked, in the place of a run; needs no torch. Raises
    UserError."""
    from engine.embeddings.files import load_vectors
    from engine.text.words import WhitespaceTokenizer

    path = run.folder
    vocabulary, run.file_vectors = load_vectors(path, _telling(path, on_progress))
    run.tokenizer = WhitespaceTokenizer(vocabulary)
    run.parameters, run.device, run.threads = run.file_vectors.size, "cpu", 1
    _publish_model(run)
    run.set_state("paused", f"{path.name} holds word vectors alone: there is no model to ask.")


def build(
    run: Run,
    saver: Saver,
    corpus_problem: str = "",
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Build the model and load the newest checkpoint. Without a corpus, whose problem is then
    given, a saved model can still be asked. Raises UserError where there is none."""
    import torch

    from engine.embeddings.history import WordHistory
    from engine.training.checkpoint import load_latest
    from engine.training.device import pick_device, pick_threads
    from engine.training.memory import too_large
    from engine.training.trainer import Trainer

    device = pick_device()
    run.tell_progress("building")
    checkpoint, note = load_latest(run.folder)
    if checkpoint is None and (run.asking or run.corpus is None):
        if corpus_problem:
            raise UserError(corpus_problem)
        raise UserError(
            f"{run.folder.name} has no checkpoint: nothing of it was saved that could be asked.",
            "train-first",
        )
    trainer, problem = None, corpus_problem
    if run.corpus is not None:
        problem = too_large(run.config, run.corpus, device)
    if run.corpus is not None and not problem:
        trainer = Trainer(run.config, run.corpus, device)
        wanted = run.config.training.threads
        saved = checkpoint.training.threads if checkpoint and not wanted else 0
        torch.set_num_threads(saved or pick_threads(trainer))
        if checkpoint is not None:
            try:
                note = f"{note} {checkpoint.restore(trainer)}".strip()
            except UserError as error:
                trainer, problem = None, str(error)
        else:
            note = _start_from_vectors(run, trainer, on_progress)
    if trainer is not None:
        told = run.record.rewind(trainer.step, checkpoint.path.name if checkpoint else "")
        note = f"{note} {told}".strip()
        run.trainer = trainer
        readable = trainer.corpus.tokenizer.vocabulary.readable
        run.history = WordHistory(run.folder, run.config.model.embedding_size, readable)
        if checkpoint is not None:
            run.changed_limits = list(checkpoint.changed_limits(trainer))
    elif checkpoint is not None:
        can = "The saved model can be asked, not trained." if problem else ""
        note = f"{problem} {can}".strip()
        _load_model(run, checkpoint, device)
    else:
        raise UserError(problem)
    saver.kept_step = checkpoint.training.step if checkpoint else None
    saver.kept_name = checkpoint.path.name if checkpoint else ""
    saver.held_step = saver.kept_step if trainer else None
    _tell_model(run, device.type, torch.get_num_threads())
    run.set_state("ready" if run.step == 0 else "paused", note)


def _start_from_vectors(
    run: Run, trainer: "Trainer", on_progress: Callable[[Progress], None]
) -> str:
    """Let a fresh model start from the vectors that its configuration names, if it does. Returns
    what of the vocabulary they cover. Raises UserError."""
    from engine.embeddings.files import starting_vectors

    name = run.config.model.vectors
    if name is None:
        return ""
    check_own_vectors(run.folder, name)
    path, wanted = Path(name), run.config.model.embedding_size
    vocabulary = trainer.corpus.tokenizer.vocabulary
    starting = starting_vectors(path, vocabulary, wanted, _telling(path, on_progress))
    trainer.start_from(starting)
    projected = f", projected from {starting.size:,} numbers" if starting.size > wanted else ""
    return (
        f"Starts from the vectors of {len(starting.rows):,} of {len(vocabulary):,} words "
        f"({len(starting.rows) / len(vocabulary):.1%}), which are {starting.tokens:.1%} of the "
        f"training text{projected}."
    )


def _telling(path: Path, on_progress: Callable[[Progress], None]) -> Callable[[int], None]:
    """Tells how much of a file of vectors is read."""
    last = 0.0

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > TOLD_EVERY:
            last, size = time.monotonic(), path.stat().st_size
            on_progress(Progress(task="reading vectors", done=done, total=size, unit="bytes"))

    return tell


def _load_model(run: Run, checkpoint: "Checkpoint", device: "torch.device") -> None:
    """Of a run that is only asked."""
    from engine.model.lstm import LSTMLanguageModel

    run.asking = True
    run.tokenizer = checkpoint.tokenizer
    model = LSTMLanguageModel(len(run.tokenizer.vocabulary), run.config.model).to(device)
    checkpoint.load_weights(model)
    run.saved_model, run.saved_step = model, checkpoint.training.step


def _tell_model(run: Run, device: str, threads: int) -> None:
    import torch

    assert run.model is not None
    run.parameters = sum(parameter.numel() for parameter in run.model.parameters())
    run.groups = [name for name, _ in run.model.parameter_groups()]
    run.device, run.threads = device, threads
    dtype = run.model.training_dtype or torch.float32
    run.precision = str(dtype).removeprefix("torch.")
    _publish_model(run)


def _publish_model(run: Run) -> None:
    status = run.status()
    run.publish(
        ModelReady(**{name: getattr(status, name) for name in ModelReady.__struct_fields__})
    )
