"""Widgets that are not the matter of one pane or dialog alone."""
