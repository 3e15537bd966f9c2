"""How fast training goes."""

from collections import deque


class Throughput:
    """Tokens per second over the last second or so of unbroken training."""

    def __init__(self) -> None:
        self._steps: deque[tuple[int, float]] = deque()
        self._tokens = 0
        self._seconds = 0.0
        self._last_end: float | None = None

    def add(self, tokens: int, began: float, ended: float) -> None:
        """A step; what passed since the step before counts too, unless `rest` was called."""
        seconds = ended - (began if self._last_end is None else self._last_end)
        self._last_end = ended
        self._steps.append((tokens, seconds))
        self._tokens += tokens
        self._seconds += seconds
        while self._seconds - self._steps[0][1] > 1:
            oldest_tokens, oldest_seconds = self._steps.popleft()
            self._tokens -= oldest_tokens
            self._seconds -= oldest_seconds

    def rest(self) -> None:
        """Something else than training comes now: its time doesn't count."""
        self._last_end = None

    @property
    def rate(self) -> float:
        """Tokens per second; 0 before the first step."""
        return self._tokens / max(1e-9, self._seconds)
