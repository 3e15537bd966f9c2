"""Training: batches, the trainer, clipping, schedules, evaluation, checkpoints."""
