"""Toy bodies, records and renamed weights for comparing flow policies with LeRobot's: equal weights, equal inputs."""

import numpy as np
import torch

from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Observation
from embodia.policies import PolicySpec, make

BATCH, CAMERAS, CHUNK, STATE, ACTION, PADDED = 3, 2, 6, 5, 4, 8
SENTENCES = ("open the door", "push", "pick up the red cube")


def contract(pixels: int) -> Contract:
    spec = ActionSpec(parts=(ActionPart(name="joints", dim=ACTION, representation="joint_position"),), rate_hz=50.0)
    seen = ObservationSpec(
        cameras=tuple(CameraSpec(name=f"camera_{i}", height=pixels, width=pixels) for i in range(CAMERAS)),
        state=(StatePart(name="joints", dim=STATE),),
        rate_hz=50.0,
    )
    return Contract(observation=seen, action=spec, embodiment="test")


def build(name: str, pixels: int, config):
    return make(PolicySpec(name=name, size="paper", contract=contract(pixels), config=config)).eval()


def records(policy, pixels: int, seed: int):
    """Random pictures, states within -1..1 and actions; the second sample has lost its second camera."""
    generator = torch.Generator().manual_seed(seed)
    names, shape = policy.contract.observation.camera_names, (BATCH, 1, pixels, pixels, 3)
    observation = Observation(
        images={n: torch.randint(256, shape, generator=generator, dtype=torch.uint8) for n in names},
        state=torch.rand(BATCH, 1, STATE, generator=generator) * 2 - 1,
        instruction=SENTENCES,
        masks={names[1]: torch.tensor([[True], [False], [True]])},
    )
    actions = torch.randn(BATCH, CHUNK, ACTION, generator=generator)
    valid = torch.ones(BATCH, CHUNK, dtype=torch.bool)
    chunk = ActionChunk(actions=actions, valid=valid, spec=policy.contract.action)
    return (
        observation,
        chunk,
        torch.randn(BATCH, CHUNK, PADDED, generator=generator),
        torch.rand(BATCH, generator=generator),
    )


def inputs(policy, observation, chunk, noise, time) -> dict[str, np.ndarray]:
    """The same records in the peer's format."""
    pictures = torch.stack([image[:, 0] for image in observation.images.values()], dim=1)
    present = torch.ones(BATCH, CAMERAS, dtype=torch.bool)
    present[1, 1] = False
    encoder = policy.encoders["language"]
    from embodia.parts.encoders.prompt import prompts

    tokens, mask = encoder.tokenizer(prompts(observation, encoder.template, encoder.state_bins, openpi=encoder.openpi))
    longest = int(mask.sum(1).max())
    given = {
        "pixels": (pictures.double() / 127.5 - 1).float().permute(0, 1, 4, 2, 3),
        "present": present,
        "tokens": tokens[:, :longest],
        "mask": mask[:, :longest],
        "state": torch.nn.functional.pad(observation.state[:, 0], (0, PADDED - STATE)),
        "actions": torch.nn.functional.pad(chunk.actions, (0, PADDED - ACTION)),
        "noise": noise,
        "time": time,
    }
    return {name: tensor.contiguous().numpy() for name, tensor in given.items()}


@torch.no_grad()
def compare(policy, records_, outputs) -> dict[str, float]:
    """Largest absolute differences of the loss a sample and of the sampled actions."""
    observation, chunk, noise, time = records_
    context = policy.context(observation)
    loss = policy.decoder.loss_at(context, chunk, noise, time)
    acted = policy.decoder.from_noise(context, noise)
    expected, actions = torch.from_numpy(outputs["loss"]).mean((1, 2)), torch.from_numpy(outputs["actions"])
    if expected.ndim == 1 and actions.shape[-1] > ACTION:
        actions = actions[..., :ACTION]
    assert expected.min() > 0.1 and actions.std() > 0.1, "a comparison of nothing with nothing"
    return {"loss": float((loss - expected).abs().max()), "actions": float((acted - actions).abs().max())}
