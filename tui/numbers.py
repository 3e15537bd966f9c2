"""Numbers in a few characters."""

SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def short(value: float, digits: int = 4) -> str:
    """A number in a few characters: 0.25, 1.5k, 20M, 3e-5."""
    size = abs(value)
    if size == 0:
        return "0"
    if not 1e-3 <= size < 1e12:
        return exponent(f"{value:.{min(digits, 2)}g}" if size < 1e-3 else f"{value:.0e}")
    written = float(f"{size:.{digits}g}")  # 999,999 in three digits is 1M
    unit, suffix = next((u, s) for u, s in SUFFIXES if written >= u or u == 1)
    return f"{value / unit:.{digits}g}{suffix}"


def grouped(value: float, decimals: int) -> str:
    """A number with its thousands apart, as long as all its digits can be read."""
    return f"{value:,.{decimals}f}" if abs(value) < 1e9 else short(value)


def counted(count: int, what: str) -> str:
    """So many of something whose plural ends in s: 1 step, 1,000 steps."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Roughly how long, in its most fitting unit: 75 s, 12 min, 3.5 h, 4 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def exponent(text: str) -> str:
    """1e-05 as 1e-5."""
    mantissa, _, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if power else text


def rounded(count: int) -> str:
    """A count for people: exact up to 99,999, then three digits."""
    return f"{count:,}" if count < 100_000 else short(count, 3)


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "bytes"
    for bigger in ("kB", "MB", "GB"):
        if value < 999.5:  # which in three digits is the next unit's 1
            break
        value, unit = value / 1000, bigger
    return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}"
