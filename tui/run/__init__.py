"""Runs: what is open, what is known of it, and how it comes and goes."""
