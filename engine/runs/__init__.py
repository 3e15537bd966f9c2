"""Runs on disk, a folder a run: its configuration, its record, its checkpoints. Free of torch."""

from engine.runs.checkpoints import (
    MAX_TRAINING,
    Count,
    Standing,
    checkpoints_to_try,
    latest_checkpoint,
    load_standing,
    named_checkpoint,
    place,
    saved_checkpoints,
)
from engine.runs.folders import (
    MODELS_VARIABLE,
    RunInfo,
    create_run,
    discard_unopened,
    find_run,
    list_runs,
    load_config,
    models_dir,
    remove_unbegun,
    save_config,
)
from engine.runs.lives import EngineAddress, is_live, read_address
from engine.runs.record import MAX_LINE, decode_event, read_metrics, read_record

__all__ = [
    "MAX_LINE",
    "MAX_TRAINING",
    "MODELS_VARIABLE",
    "Count",
    "EngineAddress",
    "RunInfo",
    "Standing",
    "checkpoints_to_try",
    "create_run",
    "decode_event",
    "discard_unopened",
    "find_run",
    "is_live",
    "latest_checkpoint",
    "list_runs",
    "load_config",
    "load_standing",
    "models_dir",
    "named_checkpoint",
    "place",
    "read_address",
    "read_metrics",
    "read_record",
    "remove_unbegun",
    "save_config",
    "saved_checkpoints",
]
