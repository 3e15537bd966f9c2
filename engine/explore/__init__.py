"""Exploring a model: neighbours and generation."""
