"""What a benchmark runs on."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from engine.service.process import ENVIRONMENT


def tell_machine(*packages: str) -> None:
    """Print the processor, the system, and the versions of Python and these packages."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"{cpu}, {os.cpu_count()} cores, {platform.platform(terse=True)}")
    print(f"Python {platform.python_version()}, {versions}")


def as_an_engine(module: str) -> None:
    """Begin this program anew in the environment of an engine, unless it has that already."""
    if not ENVIRONMENT.items() <= os.environ.items():
        command = [sys.executable, "-m", module, *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | ENVIRONMENT)
