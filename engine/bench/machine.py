"""The machine that a measurement was taken on, in words. Free of torch."""

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct


class Machine(Struct, frozen=True, tag=True):
    """What a figure can't be understood without."""

    processor: str
    cores: int
    """That this process may use."""
    system: str
    python: str
    torch: str
    numpy: str
    textual: str

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores, {self.system}; Python {self.python}, torch "
            f"{self.torch}, numpy {self.numpy}, textual {self.textual}"
        )


def this_machine() -> Machine:
    """What the figures depend on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return Machine(
        processor=_processor(),
        cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
        system=platform.platform(terse=True),
        python=platform.python_version(),
        torch=version("torch"),
        numpy=version("numpy"),
        textual=version("textual"),
    )


def _processor() -> str:
    """Its name, where the system tells it; else its kind."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    return platform.processor() or platform.machine()
