"""The embedding laboratory: what is asked, pinned and chosen, and a file a view."""

from tui.panes.neighbours.pane import NeighboursPane

__all__ = ["NeighboursPane"]
