"""Widgets: one pane a file, its .tcss beside it, and the Braille chart they share."""
