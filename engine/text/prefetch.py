"""Items made in another thread before they are asked for."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], count: int = 4) -> Iterator[Item]:
    """The same items, each made while those before are used: up to `count` of them wait.

    What making one raises is raised in its place. It pays where one side or both spend their time
    outside the interpreter: in numpy, in a digest, in the file system.
    """
    end = object()
    with ThreadPoolExecutor(1, "prefetch") as maker:
        waiting = deque(maker.submit(next, items, end) for _ in range(count))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(maker.submit(next, items, end))
            yield item  # type: ignore[misc]
