"""The red team of an evaluation: which scenes it plays, and what is refused before the first episode."""

from dataclasses import replace

import pytest
from evaluation_lamps import Board

from embodia.core.errors import ConfigError
from embodia.envs.adapters import dots
from embodia.envs.local import LocalVector
from embodia.evaluation import runner
from embodia.evaluation.chains import TASK, ChainRule
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.redteam.audit import audit
from embodia.evaluation.redteam.calibration import Demonstrations, Looker, dots_config
from embodia.evaluation.runner import Subject, evaluate

CONTRACT = dots.build(dots_config()).contract
CONFIG = EvalConfig(
    family="dots", env=dots_config(), episodes=3, control_episodes=0, controls=(), redteam=9, clips=0, filmed=0
)


class Recorded(LocalVector):
    """Remembers which scenes were begun."""

    def __init__(self):
        super().__init__(lambda: dots.build(dots_config()), slots=4)
        self.begun = []

    def begin(self, starts):
        self.begun += [start.seed for start in starts.values()]
        return super().begin(starts)


@pytest.fixture
def brief(monkeypatch):
    """Audits without attacks and triggers."""

    def shortened(policy, world, config, **known):
        return audit(policy, world, replace(config, attack_episodes=0, suspects=0, scouting=4), **known)

    monkeypatch.setattr(runner, "audit", shortened)


@pytest.mark.parametrize("trained", [range(5), range(1_000_003, 1_000_009)], ids=["far below", "just above"])
def test_the_red_team_plays_scenes_that_neither_training_nor_evaluation_used(tmp_path, brief, trained):
    vector = Recorded()
    subject = Subject(data=(Demonstrations(dots_config(), trained),))
    report = evaluate(Looker(CONTRACT), CONFIG, tmp_path, subject=subject, vector=vector)
    judged, audited = vector.begun[: report["n"]], vector.begun[report["n"] :]
    assert set(judged) == set(CONFIG.seeds) and len(audited) > 9
    assert min(audited) == max([*CONFIG.seeds, *trained]) + 1


@pytest.mark.parametrize("budget", [8, -1])
def test_a_budget_that_cannot_decide_is_refused_before_the_first_episode(tmp_path, budget):
    vector = Recorded()
    with pytest.raises(ConfigError, match="at least 9 are needed.*Use --redteam 48"):
        evaluate(Looker(CONTRACT), replace(CONFIG, redteam=budget), tmp_path, vector=vector)
    assert vector.begun == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("rule", "tasks"), [(None, Board().tasks), (ChainRule(length=2), (TASK,))])
def test_decoys_play_the_tasks_of_the_evaluation(monkeypatch, rule, tasks):
    monkeypatch.setattr(runner, "make", lambda family, env: Board())
    assert runner._decoy(EvalConfig(family="board", chain=rule)).tasks == tasks


def test_progress_counts_the_episodes_of_each_question_on_from_batch_to_batch(tmp_path, brief):
    told = {}
    config = replace(CONFIG, redteam=16)
    evaluate(
        Looker(CONTRACT, slip=0.3),
        config,
        tmp_path,
        vector=Recorded(),
        progress=lambda name, done, total: told.setdefault(name, []).append((done, total)),
    )
    assert told["red team: scouting"][-1] == (4, 4)
    assert [item for item in told["red team: plain"] if item[0] == item[1]] == [(8, 8), (16, 16)]
    for steps in told.values():
        assert all(done <= total for done, total in steps) and steps == sorted(steps)
