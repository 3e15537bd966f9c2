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
from engine.runs.engines import EngineAddress, is_live, log_path, read_address
from engine.runs.folders import (
    MODELS_VARIABLE,
    TRASH,
    RunInfo,
    create_run,
    find_run,
    list_runs,
    load_config,
    models_dir,
    remove_unbegun,
    save_config,
)
from engine.runs.moving import bring_back, rename_run, trash_run
from engine.runs.origins import allow, check_own_text, check_own_vectors, is_allowed, is_made_here
from engine.runs.private import STATE_VARIABLE
from engine.runs.reading import open_past, read_metrics
from engine.runs.record import MAX_LINE, decode_event

__all__ = [
    "MAX_LINE",
    "MAX_TRAINING",
    "MODELS_VARIABLE",
    "STATE_VARIABLE",
    "TRASH",
    "Count",
    "EngineAddress",
    "RunInfo",
    "Standing",
    "allow",
    "bring_back",
    "check_own_text",
    "check_own_vectors",
    "checkpoints_to_try",
    "create_run",
    "decode_event",
    "find_run",
    "is_allowed",
    "is_live",
    "is_made_here",
    "latest_checkpoint",
    "list_runs",
    "load_config",
    "load_standing",
    "log_path",
    "models_dir",
    "named_checkpoint",
    "open_past",
    "place",
    "read_address",
    "read_metrics",
    "remove_unbegun",
    "rename_run",
    "save_config",
    "saved_checkpoints",
    "trash_run",
]
