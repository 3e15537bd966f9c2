"""The generation: what the model writes and reads, how sure it is of it, and why."""

from typing import ClassVar

from typing_extensions import override

from tui.keys import Action, sentence
from tui.panes.generation.beside_view import BesideView
from tui.panes.generation.cell_view import CellView
from tui.panes.generation.read_view import ReadView
from tui.panes.generation.text_view import TextView
from tui.panes.generation.time_view import TimeView
from tui.panes.generation.write_view import WriteView
from tui.panes.laboratory import Laboratory, action


class GenerationPane(Laboratory):
    """In its column a small live stream. Zoomed, its keys walk over the text of the active view."""

    ID = "generation"
    KEY = "4"
    ABOUT = "Text written by the model, live."
    COLUMN = "left"
    SHARE = 10
    VIEWS: ClassVar[tuple[type[TextView], ...]] = (
        WriteView,
        ReadView,
        TimeView,
        CellView,
        BesideView,
    )
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        action("walk_back", "left", "Walk back", "Go to the token, or the sample, before."),
        action("walk_on", "right", "Walk on", "Go to the next token, or sample."),
        action("walk_up", "up", "Walk up", "Go to the other token, word or unit above."),
        action("walk_down", "down", "Walk down", "Go to the other token, word or unit below."),
        action("walk_first", "home", "Walk to the beginning", "Go to the first token or sample."),
        action("walk_last", "end", "Walk to the end", "Go to the last; the text flows again."),
        action("pick", "p", "Pick it", "Take the other token; keep the sample beside the others."),
    )

    def __init__(self) -> None:
        self.write = WriteView()
        of_it = ReadView(self.write), TimeView(), CellView(self.write), BesideView(self.write)
        super().__init__([self.write, *of_it])

    @property
    @override
    def hint(self) -> str:
        # Tab and enter within an input are those of every form, and no actions of ours.
        seed = " · tab seed" if self.write.has_room_for_seed(self.content_size.width) else ""
        return sentence(
            f"{{type_in}} prompt · {{cooler}} {{warmer}} temp{seed} · {{zoom}} laboratory"
        )

    # --- what is done whichever view is shown ---------------------------------------------------

    def action_generate(self) -> None:
        """Let the model write, or let it stop."""
        if not self.display:
            self.post_message(self.Wanted(self))
        if self.zoomed and self.write not in self.shown:
            self.choose(self.write.ID)
        self.write.action_generate()

    def action_cooler(self) -> None:
        """Lower the temperature by a tenth."""
        self.write.warm(-0.1)

    def action_warmer(self) -> None:
        """Raise the temperature by a tenth."""
        self.write.warm(0.1)

    def action_walk_back(self) -> None:
        """Go to what lies before."""
        self._walking.walk(-1)

    def action_walk_on(self) -> None:
        """Go to what lies behind."""
        self._walking.walk(1)

    def action_walk_up(self) -> None:
        """Go to what stands above."""
        self._walking.climb(-1)

    def action_walk_down(self) -> None:
        """Go to what stands below."""
        self._walking.climb(1)

    def action_walk_first(self) -> None:
        """Go to the beginning."""
        self._walking.walk_to(first=True)

    def action_walk_last(self) -> None:
        """Go to the end."""
        self._walking.walk_to(first=False)

    def action_pick(self) -> None:
        """Take what was walked to."""
        self._walking.pick()

    @property
    def _walking(self) -> TextView:
        view = self.active
        assert isinstance(view, TextView)
        return view
