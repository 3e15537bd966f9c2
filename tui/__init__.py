"""The terminal: the playground and the `lstm-tui` command line. Never imports torch."""
