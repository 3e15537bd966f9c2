"""The laboratory of what the model writes and reads, each of its views a file."""

from tui.panes.generation.pane import GenerationPane

__all__ = ["GenerationPane"]
