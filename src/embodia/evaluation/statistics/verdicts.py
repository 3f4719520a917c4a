"""The verdict on two rates: one sentence that calls them different only when an exact test does.

The default answer is "not distinguishable", with the number of episodes that a difference of the size seen would need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from embodia.core.errors import ConfigError
from embodia.evaluation.statistics.differences import paired_difference, unpaired_difference
from embodia.evaluation.statistics.exact import mcnemar_exact, unpaired_exact
from embodia.evaluation.statistics.families import holm
from embodia.evaluation.statistics.intervals import ALPHA, Interval, Rate, rate_of
from embodia.evaluation.statistics.planning import planned_n_paired, planned_n_unpaired


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What may be said about second minus first.

    `difference` and `interval` are shares of episodes; `p_value` is already corrected when several comparisons were
    made at once; `distinguishable` needs both a small p-value and an interval without zero. `gain` and `loss` are the
    shares of pairs that only the second, or only the first, arm solved; None without pairs.
    """

    first: Rate
    second: Rate
    difference: float
    interval: Interval
    p_value: float
    gain: float | None = None
    loss: float | None = None

    @property
    def paired(self) -> bool:
        """Whether both arms ran the same episodes."""
        return self.gain is not None

    @property
    def distinguishable(self) -> bool:
        """Whether the difference is more than chance, at the 5 % level."""
        return self.p_value <= ALPHA and not self.interval[0] <= 0 <= self.interval[1]

    @property
    def planned_n(self) -> int | None:
        """Episodes per arm at which a true difference of this size is seen four times in five.

        None when there is no difference to plan for, or it has been seen already.
        """
        if self.distinguishable or self.difference == 0:
            return None
        if self.gain is not None and self.loss is not None:
            return planned_n_paired(self.gain, self.loss)
        return planned_n_unpaired(self.first.value, self.second.value)

    @property
    def text(self) -> str:
        """One sentence; the default answer is "not distinguishable"."""
        low, high = self.interval
        span = f"{100 * low:+.0f} to {100 * high:+.0f}"
        points = f"{100 * self.difference:+.0f} points ({span}), p {p_text(self.p_value)}"
        if self.distinguishable:
            return f"{'higher' if self.difference > 0 else 'lower'} by {points}"
        need = f"; about {self.planned_n} episodes each would show it" if self.planned_n else ""
        return f"not distinguishable: {points}{need}"


def verdict_paired(first: Sequence[bool], second: Sequence[bool]) -> Verdict:
    """Compare two arms that ran the same episodes, in the same order; `ConfigError` for lists of different length."""
    if len(first) != len(second):
        raise ConfigError(f"{len(first)} outcomes against {len(second)} are no pairs", leaf="second")
    n = len(first)
    loss = sum(bool(a) and not b for a, b in zip(first, second, strict=True))
    gain = sum(bool(b) and not a for a, b in zip(first, second, strict=True))
    return Verdict(
        first=rate_of(first),
        second=rate_of(second),
        difference=(gain - loss) / n if n else 0.0,
        interval=paired_difference(loss, gain, n),
        p_value=mcnemar_exact(loss, gain),
        gain=gain / n if n else 0.0,
        loss=loss / n if n else 0.0,
    )


def verdict_unpaired(first: Rate, second: Rate) -> Verdict:
    """Compare two arms that ran different episodes, by Boschloo's exact test and Newcombe's interval."""
    return Verdict(
        first=first,
        second=second,
        difference=second.value - first.value if first.n and second.n else 0.0,
        interval=unpaired_difference(first, second),
        p_value=unpaired_exact(first, second),
    )


def corrected(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The same verdicts with Holm's correction over the family; more comparisons, fewer claims."""
    adjusted = holm([verdict.p_value for verdict in verdicts])
    return tuple(replace(v, p_value=p) for v, p in zip(verdicts, adjusted, strict=True))


def p_text(p_value: float) -> str:
    """A p-value for people: "= 0.012", and "< 0.001" below that."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"
