"""What the word vectors hold, a module a capability."""

from engine.service.answers.embeddings import (
    drift,
    measuring,
    neighbours,
    projecting,
    queries,
    similarities,
)

__all__ = ["drift", "measuring", "neighbours", "projecting", "queries", "similarities"]
