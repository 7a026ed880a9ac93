"""Time: the wall clock for people, the monotonic one for everything that is waited for or expires."""

from __future__ import annotations

import time


class Clock:
    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that no setting of the clock changes; the same for all processes of a machine."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


def rfc3339(seconds: float) -> str:
    """UTC with milliseconds."""
    whole, millis = divmod(round(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{millis:03d}Z"


def parse_rfc3339(text: str) -> float:
    """Seconds since the epoch; takes any offset and any number of digits. Raises ValueError."""
    day, _, rest = text.partition("T")
    for sign in ("Z", "+", "-"):
        clock, found, offset = rest.partition(sign)
        if found:
            break
    else:
        raise ValueError(f"{text!r} has no offset from UTC")
    year, month, date = map(int, day.split("-"))
    hour, minute, seconds = clock.split(":")
    away = 0
    if offset:
        hours, _, minutes = offset.partition(":")
        away = (int(hours) * 60 + int(minutes or 0)) * (60 if sign == "+" else -60)
    days = _days(year, month, date)
    return days * 86400 + int(hour) * 3600 + int(minute) * 60 + float(seconds) - away


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01, by Howard Hinnant's days_from_civil; ``calendar`` would import ``datetime``."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
