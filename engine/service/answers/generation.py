"""Text of the model's own."""

import secrets
from collections.abc import Iterator

from engine.errors import UserError
from engine.generation.text import write
from engine.messages.generation import Generate, TextPiece
from engine.service.answers import answers, check_length
from engine.service.run import Run
from engine.text.lookup import unknown_words

MAX_PROMPT = 100_000
"""Characters."""
SEEDS = 1_000_000_000
"""That chance draws from: short enough to be typed."""


@answers(Generate)
def generate(query: Generate, run: Run) -> Iterator[TextPiece | None]:
    """Pieces of text, each from the weights of its moment."""
    tokenizer, model = run.require_model()
    check_length(query.prompt, MAX_PROMPT)
    if not (0 <= query.temperature <= 100 and 0 < query.top_p <= 1 and query.top_k >= 0):
        raise UserError("Temperature goes from 0 to 100, top-p from above 0 to 1, top-k from 0.")
    if query.tokens < 1:
        raise UserError("Ask for at least one token.")
    seed = secrets.randbelow(SEEDS) if query.seed is None else query.seed
    pieces = write(
        query.prompt,
        tokenizer,
        model,
        query.tokens,
        overrun=query.overrun,
        seed=seed,
        temperature=query.temperature,
        top_k=query.top_k,
        top_p=query.top_p,
    )
    note = None
    for piece in pieces:
        if piece is None:
            yield None
            continue
        note = unknown_words(query.prompt, tokenizer) if note is None else ""
        yield TextPiece(text=piece, step=run.step, seed=seed, note=note)
