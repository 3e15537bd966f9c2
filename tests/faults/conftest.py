"""What the tests of faults share with those of the engine."""

from tests.engine.conftest import (  # noqa: F401 - fixtures
    _own_cache,
    make_trainer,
    small_config,
    small_corpus,
    text_file,
)
