"""What may be said about n episodes: intervals, exact and sequential tests, families of comparisons, ranks, plans.

Every name of the folder can be imported from here. No rate leaves this house without its n and its interval, and two
rates are called different only when an exact test on the episodes says so.
"""

from embodia.evaluation.statistics.differences import paired_difference, unpaired_difference
from embodia.evaluation.statistics.exact import (
    barnard,
    boschloo,
    fisher,
    mcnemar_exact,
    mean_interval,
    paired_mean,
    paired_permutation,
    unpaired_exact,
)
from embodia.evaluation.statistics.families import benjamini_hochberg, benjamini_yekutieli, holm
from embodia.evaluation.statistics.intervals import (
    ALPHA,
    Interval,
    Rate,
    bound_text,
    clopper_pearson,
    rate_of,
    wilson,
)
from embodia.evaluation.statistics.planning import paired_power, planned_n_paired, planned_n_unpaired
from embodia.evaluation.statistics.ranks import RankTable, Standing, bootstrap_ranks, letter_groups, rank_table
from embodia.evaluation.statistics.sequential import (
    Race,
    advance,
    begin,
    difference_sequence,
    evidence,
    rate_sequence,
    run_race,
)
from embodia.evaluation.statistics.strata import MeanRate, mean_over_tasks
from embodia.evaluation.statistics.verdicts import (
    Verdict,
    corrected,
    p_text,
    verdict_paired,
    verdict_unpaired,
)

__all__ = [
    "ALPHA",
    "Interval",
    "MeanRate",
    "Race",
    "RankTable",
    "Rate",
    "Standing",
    "Verdict",
    "advance",
    "barnard",
    "begin",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "bootstrap_ranks",
    "boschloo",
    "bound_text",
    "clopper_pearson",
    "corrected",
    "difference_sequence",
    "evidence",
    "fisher",
    "holm",
    "letter_groups",
    "mcnemar_exact",
    "mean_interval",
    "mean_over_tasks",
    "p_text",
    "paired_difference",
    "paired_mean",
    "paired_permutation",
    "paired_power",
    "planned_n_paired",
    "planned_n_unpaired",
    "rank_table",
    "rate_of",
    "rate_sequence",
    "run_race",
    "unpaired_difference",
    "unpaired_exact",
    "verdict_paired",
    "verdict_unpaired",
    "wilson",
]
