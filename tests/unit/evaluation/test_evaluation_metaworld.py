"""A real benchmark through the whole evaluation: the same bytes whatever the number of processes."""

from dataclasses import replace

import pytest

from embodia.core.errors import MissingExtraError
from embodia.envs import EnvConfig, make
from embodia.evaluation.plans import EvalConfig
from embodia.evaluation.runner import Subject, evaluate
from embodia.policies import PolicySpec
from embodia.policies import make as make_policy

ENV = EnvConfig(height=64, width=64, tasks=("faucet-open", "faucet-close"), horizon=24)
CONFIG = EvalConfig(
    env=ENV,
    episodes=2,
    control_episodes=1,
    slots=2,
    execute=8,
    filmed=1,
    controls=("blank_image", "other_sentence", "random_policy"),
)


@pytest.mark.sim
@pytest.mark.long
def test_meta_world_reports_repeat_to_the_byte(tmp_path):
    try:
        contract = make("metaworld", ENV).contract
    except MissingExtraError:
        pytest.skip("metaworld is not installed")
    spec = PolicySpec(name="act", size="tiny", contract=replace(contract, action=replace(contract.action, chunk=8)))
    policy = make_policy(spec, None, seed=0)
    trained = make("metaworld", ENV).provenance
    for workers in (1, 2):
        config = replace(CONFIG, workers=workers)
        report = evaluate(policy, config, tmp_path / str(workers), subject=Subject(trained=trained))
    assert report["n"] == 4 and report["provenance"]["differences"] == []
    assert {row["told"] for row in report["language"]} == set(ENV.tasks)
    for name in ("report.json", "episodes.jsonl"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
