"""What few observations can prove: exact limits of rates and shares."""

import math
from typing import Final

CONFIDENCE: Final = 0.95


def false_per_hour_at_most(alarms: int, hours: float, confidence: float = CONFIDENCE) -> float:
    """The highest rate of false alarms that so few in so long do not rule out.

    Source: Garwood 1936, the exact upper limit of a Poisson rate; 3.0 over the hours where there was none.
    """
    if hours <= 0:
        return math.inf
    low, high = float(alarms), alarms + 20.0 + 10 * math.sqrt(alarms + 1)
    for _ in range(200):
        mean = (low + high) / 2
        at_most = sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(alarms + 1))
        low, high = (mean, high) if at_most > 1 - confidence else (low, mean)
    return high / hours


def recall_at_least(found: int, planted: int, confidence: float = CONFIDENCE) -> float:
    """The lowest recall that so many of so many do not rule out.

    Source: Clopper and Pearson 1934, the exact lower limit of a binomial share.
    """
    if not found:
        return 0.0
    low, high = 0.0, found / planted
    for _ in range(100):
        share = (low + high) / 2
        as_many = sum(
            math.comb(planted, k) * share**k * (1 - share) ** (planted - k) for k in range(found, planted + 1)
        )
        low, high = (share, high) if as_many < 1 - confidence else (low, share)
    return low
