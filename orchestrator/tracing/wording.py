"""Figures of a trace in words, the same in all its forms."""

from typing import Final

from tasks.results import UsageReport

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


def duration(ms: float | None) -> str:
    """`340 ms`, `2.5 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`; empty when it is not known."""
    if ms is None:
        return ""
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < MINUTE_MS - 50:
        return f"{ms / 1000:.1f} s"
    if ms < HOUR_MS - 500:
        minutes, seconds = divmod(round(ms / 1000), 60)
        return f"{minutes} min {seconds:02} s"
    if ms < DAY_MS - 30_000:
        hours, minutes = divmod(round(ms / MINUTE_MS), 60)
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(round(ms / HOUR_MS), 24)
    return f"{days} d {hours} h"


def money(usd: float) -> str:
    """Dollars to the micro-dollar, without needless zeros: `$0.0123`; empty for nothing."""
    if usd <= 0:
        return ""
    text = f"{usd:.6f}".rstrip("0")
    return f"${text}{'0' * max(0, 2 - len(text.partition('.')[2]))}"


def cost(usage: UsageReport | None) -> str:
    """What it cost; empty when it cost nothing."""
    return money(usage.cost_usd) if usage is not None else ""


def tokens_of(usage: UsageReport | None) -> int:
    """All tokens, cached ones included."""
    if usage is None:
        return 0
    return usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens


def tokens(usage: UsageReport | None) -> str:
    """`1,204`, `35.1k`, `2.4M`; empty when there are none."""
    count = tokens_of(usage)
    if count < 10_000:
        return f"{count:,}" if count else ""
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1e6:.1f}M"


def counted(number: int, what: str) -> str:
    """`1 call`, `1,204 calls`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """The text with a blank for each character that cannot be printed: what others say is not to steer a terminal."""
    return "".join(one if one.isprintable() else " " for one in text)
