"""Star-Gen's 22 axes (arXiv 2503.01238) played on Desk, and the five scores object, environment, task, action, body.

Each axis is played on episodes to which it applies, beside the same episodes unchanged. The one thing to watch: the
axis of another body is played in translation (`Retargeted`) and for as many seconds; where a policy's contract cannot
be translated its n stays 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from embodia.envs.desk.bodies import body
from embodia.envs.desk.knobs import KNOBS, SCORES, Knob, Trial, trial, turned
from embodia.envs.desk.knobs.behavioural import ANOTHER_BODY, OTHER_BODY
from embodia.envs.protocol import EnvConfig
from embodia.envs.rollout import EpisodeResult, Progress
from embodia.evaluation.generalisation.intention import by_category, intended
from embodia.evaluation.generalisation.playing import Key, PlayConfig, Subject, keys, plain, play
from embodia.evaluation.generalisation.shifts import Shift, groups, table


def changed(task: str, seed: int, *, code: str, strength: float) -> Trial:
    """The trial with a knob turned, the plain one where it does not apply."""
    found = trial(task, seed)
    return turned(found, code, strength, seed) or found


def play_axes(
    policy: Subject,
    config: PlayConfig,
    *,
    codes: Sequence[str] = tuple(KNOBS),
    strength: float = 1.0,
    progress: Progress | None = None,
) -> list[Shift]:
    """One shift an axis. Raises what Desk and the policy raise, `UnknownNameError` for a code that is no axis."""
    chosen = {code: _applying(config, code, strength) for code in codes}
    everything = list(dict.fromkeys(key for pairs in chosen.values() for key in pairs))
    before = play(policy, config, everything, plain, name="plain", progress=progress) or []
    done = dict(zip(everything, before, strict=False))
    return [_shift(policy, config, code, strength, pairs, done, progress) for code, pairs in chosen.items()]


def report(shifts: Sequence[Shift]) -> dict[str, Any]:
    """Axes, the five scores and INT-ACT's categories, for a result file."""
    return {
        "axes": table(shifts),
        "scores": groups(shifts, SCORES),
        "intention": table(tuple(by_category(shifts).values())),
    }


def _applying(config: PlayConfig, code: str, strength: float) -> list[Key]:
    def applies(task: str, seed: int) -> bool:
        return turned(trial(task, seed), code, strength, seed) is not None

    return keys(config, applies)


def _shift(
    policy: Subject,
    config: PlayConfig,
    code: str,
    strength: float,
    pairs: Sequence[Key],
    done: Mapping[Key, EpisodeResult],
    progress: Progress | None,
) -> Shift:
    knob, prepare = KNOBS[code], partial(changed, code=code, strength=strength)
    env = _body(config.env, knob, strength)
    results = play(policy, config, pairs, prepare, name=code, env=env, progress=progress)
    if not results or len(done) < len(pairs):
        return Shift(name=code, group=knob.score, title=knob.title)
    went = [intended(result, prepare(*key)) for key, result in zip(pairs, results, strict=True)]
    known = tuple(outcome for outcome in went if outcome is not None)
    return Shift(
        name=code,
        group=knob.score,
        title=knob.title,
        plain=tuple(done[key].success for key in pairs),
        shifted=tuple(result.success for result in results),
        intended=known or None,
    )


def _body(env: EnvConfig, knob: Knob, strength: float) -> EnvConfig | None:
    """The environment of the axis that exchanges the body; the others keep their own."""
    if knob.code != ANOTHER_BODY:
        return None
    before, after = (body(name).rate_hz for name in ((env.options or {}).get("body", "arm7"), OTHER_BODY))
    horizon = round(env.horizon * after / before) if env.horizon else 0
    return replace(env, horizon=horizon, options={**(env.options or {}), "knob": knob.code, "strength": str(strength)})
