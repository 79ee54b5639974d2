"""Numbers as text that people read."""


def four_digits(value: float) -> str:
    """Four digits, of large numbers all before the point and without an exponent."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def percentage(percent: float) -> str:
    """Two digits without an exponent; 100 is said of exactly 100 only."""
    if 99.5 <= percent < 100:
        return f"{min(percent, 99.9):.1f}"
    return f"{percent:.0f}" if percent >= 9.5 else f"{percent:.2g}"


def count(number: int, noun: str) -> str:
    """``1 task``, ``2 tasks``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
