"""The sub-commands of `lstm-tui`, by what they are for."""
