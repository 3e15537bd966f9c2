"""Random and hostile input, thousands of cases by one command.

    python -m tests.faults.fuzz TARGET [--cases 10000] [--seed N] [--minutes M]

TARGET is texts, models, messages, screen, words, or all of them. Case I of seed N is case 0 of seed
N + I, so that `--seed` with its number and `--cases 1` repeat it alone, but for what earlier
messages have left behind in the engine. Exit code 1 where there was a fault.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults import fuzz_messages, fuzz_models, fuzz_screen, fuzz_texts, fuzz_words

Case = Callable[[Random], str]
"""Does one case and says what came of it in a word; raises where it isn't what it has to be."""
TARGETS: dict[str, Callable[[Path], AbstractContextManager[Case]]] = {
    "texts": fuzz_texts.target,
    "models": fuzz_models.target,
    "messages": fuzz_messages.target,
    "screen": fuzz_screen.target,
    "words": fuzz_words.target,
}
"""Each is given an empty folder to work in."""
LONGEST = 20.0
"""Seconds of a case."""
GROWTH = 128 * 1024 * 1024
"""Bytes of memory that may come to what is resident after the first tenth of the cases. Learning
sub-words leaves about 20 KiB behind each time, within the library (tokenizers)."""
SHOWN = 10
"""Faults told in full."""


class Hang(BaseException):
    """A case takes too long. Nothing that a case does may catch it."""


@dataclass
class Report:
    """What came of a target."""

    target: str
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    early: int = 0
    """Bytes resident after the first tenth."""
    late: int = 0
    """At the end."""

    def __str__(self) -> str:
        counts = sorted(self.outcomes.items())
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in counts)
        return (
            f"{self.target}: {self.outcomes.total() + len(self.faults):,} cases in "
            f"{self.seconds:.0f} s: {outcomes}, {len(self.faults)} faults; "
            f"{self.early >> 20} MiB resident after a tenth, {self.late >> 20} MiB at the end"
        )


def run(target: str, cases: int, seed: int, seconds: float = float("inf")) -> Report:
    """Do so many cases of a target, fewer where the time is up."""
    report, began = Report(target), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lstm-tui-fuzz-") as folder, _alarm() as set_alarm:
        try:
            with TARGETS[target](Path(folder)) as case:
                for number in range(cases):
                    if time.monotonic() - began > seconds:
                        break
                    if number == cases // 10:
                        report.early = _resident()
                    set_alarm(LONGEST)
                    try:
                        report.outcomes[case(Random(seed + number))] += 1
                    except (Exception, Hang):
                        report.faults.append(f"--seed {seed + number}\n{traceback.format_exc()}")
                    finally:
                        set_alarm(0)
                report.late = _resident()
                set_alarm(10 * LONGEST)
        except (Exception, Hang):
            report.faults.append(f"at the end\n{traceback.format_exc()}")
    if report.late > report.early + GROWTH:
        report.faults.append("resident memory grew")
    report.seconds = time.monotonic() - began
    return report


@contextmanager
def _alarm() -> Iterator[Callable[[float], object]]:
    """A function that sets when Hang is raised, again and again; what was set before comes back."""

    def ring(*_: object) -> None:
        raise Hang

    handler = signal.signal(signal.SIGALRM, ring)
    before = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield lambda delay: signal.setitimer(signal.ITIMER_REAL, delay, 1.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


def _resident() -> int:
    """Bytes of this process in memory; 0 where the system doesn't tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    faults = 0
    for target in TARGETS if options.target == "all" else [options.target]:
        report = run(target, options.cases, options.seed, 60 * options.minutes)
        print(report, *report.faults[:SHOWN], sep="\n")
        faults += len(report.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
