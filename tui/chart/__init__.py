"""Charts: axes, what they show, how it is drawn, and the widget."""
