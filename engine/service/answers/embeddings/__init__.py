"""What the word vectors hold, a module a capability."""

from engine.service.answers.embeddings import (
    drift,
    measuring,
    projecting,
    queries,
    sentences,
    similarities,
)

__all__ = ["drift", "measuring", "projecting", "queries", "sentences", "similarities"]
