"""What the golden files hold: parameters, losses and a sample of the tiny size from seed 0, on invented inputs."""

import torch
from bodies import gripper_arm, statistics

from embodia.core.invent import invent_batch
from embodia.parts.compose import parameter_count
from embodia.policies import PolicySpec, make


def measure(name: str) -> dict:
    contract = gripper_arm()
    policy = make(PolicySpec(name=name, size="tiny", contract=contract), statistics(contract), seed=0).eval()
    invented = invent_batch(
        policy.contract, 2, history=policy.history, ahead=len(policy.ahead), later=len(policy.later)
    )
    batch = invented.map(torch.from_numpy)
    with torch.no_grad():
        terms = policy.loss_terms(batch, torch.Generator().manual_seed(0))
        sample = policy.sample(batch.observation, torch.Generator().manual_seed(0))
    return {
        "parameters": parameter_count(policy),
        "loss": [value for key in sorted(terms) for value in terms[key].tolist()],
        "sample": sample[:, 0, ::5].flatten().tolist(),
    }
