"""Designs that differ in one choice, side by side on the same episodes, and who can be told from whom.

Every policy of the zoo plays the same seeds, so two of them are compared episode by episode. The one thing to watch:
that tells two trained policies apart, not two designs. Training a design again moves it, and by how much is only known
from designs that were trained with several seeds; `Scatter` carries it over to the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy import stats

from embodia.evaluation.statistics.ranks import outcome_verdict, rank_table
from embodia.evaluation.statistics.verdicts import Verdict, corrected
from embodia.evaluation.zoo.rows import Row


@dataclass(frozen=True, kw_only=True)
class Relatives:
    """Two policies and the choice in which the second differs from the first."""

    first: str
    second: str
    choice: str


RELATIVES = tuple(
    Relatives(first=first, second=second, choice=choice)
    for first, second, choice in (
        ("openvla", "openvla_oft", "head: numbers said one after another; all read off at once, absolute error"),
        ("openvla_oft", "cogact", "head: read off at once; denoised from one cognition token"),
        ("openvla", "pi0_fast", "action words: 256 bins a number; compressed cosines of the chunk"),
        ("pi0_fast", "pi0", "head: compressed cosines said; flow matching by an expert"),
        ("openvla", "spatialvla", "action words: 256 bins a number; three cells of an adaptive grid"),
        ("bet", "vq_bet", "action words: k-means with an offset; residual codes with an offset"),
        ("diffusion_policy", "diffusion_transformer", "denoiser: convolutional U-Net; causal transformer"),
        ("cogact", "tinyvla", "denoiser: transformer on one token; U-Net on the pooled features"),
        ("pi0", "smolvla", "expert: attends beside every layer; crosses over in every second"),
        ("pi0", "gr3", "expert: as deep as the reader; half as deep, with calmer attention"),
        ("openvla_oft", "robomamba", "reader: transformer; Mamba"),
        ("openvla_oft", "bitvla", "weights: whole; rounded to three values"),
        ("roboflamingo", "robovlms", "fusion: gated cross-attention; one sequence"),
        ("openvla", "ecot", "words before acting: none; sub-task and move"),
        ("openvla", "rt_h", "words before acting: none; a motion"),
        ("openvla", "inspire", "words before acting: none; where the thing lies"),
        ("openvla", "rad", "words before acting: none; all reasoning, videos too"),
        ("openvla", "magma", "words beside the action: none; boxes of all things"),
        ("openvla", "tracevla", "pictures: as they are; with the paths of points drawn in"),
        ("ecot", "emma_x", "words before acting: sub-task and move; and the plan of movement"),
        ("pi0", "pi05", "words before acting: none; a sub-task, gradients of the expert kept from the reader"),
        ("tinyvla", "divla", "words before acting: none; one line that modulates the head"),
        ("chatvla", "chatvla2", "experts for words and senses: fixed; chosen by a gate, and reasoning followed"),
        ("pi0", "forcevla", "senses: pictures; and force, by experts"),
        ("pi0", "tactile_vla", "senses: pictures; and touch"),
        ("gr1", "arm4r", "what is foreseen: the picture; where the hand will be"),
        ("gr1", "dreamvla", "what is foreseen: the picture; what moves, what it means, and depth"),
        ("helix", "gemini_robotics", "link: one vector; a course and plan tokens"),
        ("helix", "figure01", "link: one vector; the call of a skill"),
        ("openhelix", "robodual", "link: one vector; coarse actions and plan tokens"),
        ("robodual", "fast_in_slow", "lower system: its own; the last blocks of the upper one"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """By how much success moves from one training of a design to the next, pooled over those trained several times.

    deviation  standard, as a share of episodes; `freedom` the trainings it rests on beyond the first of each design
    trainings  success of every training of every design
    """

    deviation: float
    freedom: int
    trainings: Mapping[str, tuple[float, ...]]

    def difference(self, first: str, second: str) -> tuple[float, float]:
        """Second minus first over all their trainings, and the half width of its 95 % interval (Student)."""
        one, other = self.trainings[first], self.trainings[second]
        width = stats.t.ppf(0.975, self.freedom) * self.deviation * math.sqrt(1 / len(one) + 1 / len(other))
        return fmean(other) - fmean(one), float(width)


def scatter(rows: Sequence[Row], again: Sequence[Row]) -> Scatter | None:
    """What the trainings of other seeds (`again`) say; None where no design was trained twice.

    Trainings of the same design and seed count once.
    """
    found, seeds = {row.name: [row.rate.value] for row in rows}, {(row.name, row.seed) for row in rows}
    for row in again:
        if row.name in found and (row.name, row.seed) not in seeds:
            found[row.name].append(row.rate.value)
            seeds.add((row.name, row.seed))
    freedom = sum(len(rates) - 1 for rates in found.values())
    if not freedom:
        return None
    squares = sum((rate - fmean(rates)) ** 2 for rates in found.values() for rate in rates)
    trainings = {name: tuple(rates) for name, rates in found.items()}
    return Scatter(deviation=math.sqrt(squares / freedom), freedom=freedom, trainings=trainings)


def outcomes(row: Row) -> dict[tuple[str, int], bool]:
    """(task, index of the seed) -> success."""
    return {(task, index): mark == "1" for task, marks in row.outcomes.items() for index, mark in enumerate(marks)}


def compared(rows: Sequence[Row]) -> list[tuple[Relatives, Verdict]]:
    """The verdict on second against first for every pair whose episodes are known, corrected for all of them (Holm)."""
    known = {row.name: outcomes(row) for row in rows if row.outcomes}
    pairs = [pair for pair in RELATIVES if pair.first in known and pair.second in known]
    verdicts = corrected([outcome_verdict(known[pair.first], known[pair.second]) for pair in pairs])
    return list(zip(pairs, verdicts, strict=True))


def letters(rows: Sequence[Row]) -> dict[str, str]:
    """Policies that share a letter could not be told apart (all pairs tested exactly, Holm)."""
    known = {row.name: outcomes(row) for row in rows if row.outcomes}
    return {standing.name: standing.groups for standing in rank_table(known).standings} if known else {}
