"""Panes: a registry, and one file a pane with its stylesheet beside it."""
