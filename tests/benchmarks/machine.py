"""What a benchmark ran on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


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
