"""Many comparisons at once: the more questions are asked, the less a single small p-value says.

Holm bounds the chance of *any* false claim in the family and is what decides about bold print here. Benjamini and
Hochberg bound the expected *share* of false claims among those made: right for sifting many candidates that will be
tested again, wrong for a headline.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's step-down adjusted p-values, in the order given: compare each with alpha as if it were alone."""
    m = len(p_values)
    adjusted, running = [0.0] * m, 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        running = max(running, (m - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values of Benjamini and Hochberg (1995), in the order given, for independent or like-signed tests."""
    return tuple(map(float, stats.false_discovery_control(np.asarray(p_values)))) if len(p_values) else ()


def benjamini_yekutieli(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values of Benjamini and Yekutieli (2001): the same promise under any dependence, at a price."""
    return tuple(map(float, stats.false_discovery_control(np.asarray(p_values), method="by"))) if len(p_values) else ()
