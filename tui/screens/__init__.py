"""Screens: the playground and the dialogs over it."""
