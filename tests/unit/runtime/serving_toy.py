"""Policies for tests of serving: they act by a formula, so that an answer can be checked by hand."""

import time
from dataclasses import replace

import numpy as np

from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk
from embodia.runtime.policy.background import running
from embodia.runtime.policy.card import card_of
from embodia.runtime.policy.server import PolicyServer, ServeConfig

CHUNK = 4
CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="scene", height=12, width=16), CameraSpec(name="wrist", height=8, width=8)),
        state=(StatePart(name="hand", dim=3, units="m"), StatePart(name="opening", dim=1)),
        rate_hz=10,
    ),
    action=ActionSpec(
        parts=(
            ActionPart(name="move", dim=3, representation="ee_position_delta", frame="world"),
            ActionPart(name="grip", dim=1, representation="gripper", polarity="positive_closes"),
        ),
        rate_hz=10,
        chunk=CHUNK,
    ),
    embodiment="arm",
)


class Formula:
    """Actions that show what was seen: state, brightness, length of the sentence, noise of the generator."""

    history = 1

    def __init__(self, noise=0.0):
        self.contract, self.noise, self.calls = CONTRACT, noise, 0

    def act(self, observation, carry, rng):
        self.calls += 1
        actions = self.base(observation) + self.noise * rng.normal(size=(observation.batch_size, CHUNK, 4))
        return self.chunk(actions), carry

    def base(self, observation):
        state = np.asarray(observation.state)[:, -1]
        scene = observation.images["scene"][:, -1].mean((1, 2, 3)) / 255
        wrist = observation.images["wrist"][:, -1].mean((1, 2, 3)) / 255
        words = np.array([len(sentence) for sentence in observation.instruction]) / 100
        row = np.stack([state[:, 0], state[:, 3] + scene, state[:, 1] + wrist, words], axis=-1)
        return row[:, None] + 0.01 * np.arange(CHUNK)[None, :, None]

    def chunk(self, actions):
        return ActionChunk(
            actions=actions.astype(np.float32), valid=np.ones(actions.shape[:2], bool), spec=self.contract.action
        )


class Counter(Formula):
    """Carries the number of decisions of each row's episode and adds it to every action."""

    def act(self, observation, carry, rng):
        count = np.zeros(observation.batch_size) if carry is None else carry
        return self.chunk(self.base(observation) + count[:, None, None]), count + 1


class Looking(Formula):
    """Looks at three steps: the action is the change of the state between the first and the last."""

    history = 3

    def base(self, observation):
        state = np.asarray(observation.state)
        change = np.zeros((len(state), 4))
        change[:, 0], change[:, 1] = state[:, -1, 0] - state[:, 0, 0], state.shape[1]
        return np.repeat(change[:, None], CHUNK, axis=1)


class Failing(Formula):
    """Fails when the sentence asks for it, with a secret in the error."""

    def act(self, observation, carry, rng):
        if observation.instruction[0] == "fail":
            raise ValueError("secret of the server")
        if observation.instruction[0] == "nan":
            return self.chunk(np.full((observation.batch_size, CHUNK, 4), np.nan)), carry
        if observation.instruction[0] == "slow":
            time.sleep(1.0)
        return super().act(observation, carry, rng)


def observation(batch=1, seed=0, history=1, words="open the drawer"):
    from embodia.core.invent import invent_observation

    found = invent_observation(CONTRACT, batch, history=history, seed=seed)
    return replace(found, instruction=(words,) * batch)


def message(seed=0, words="open the drawer"):
    """What an openpi client sends."""
    seen = observation(1, seed)
    return {
        "observation/image": seen.images["scene"][0, 0],
        "observation/wrist_image": seen.images["wrist"][0, 0],
        "observation/state": seen.state[0, 0],
        "prompt": words,
    }


def expected(seed=0, words="open the drawer"):
    return Formula().base(observation(1, seed, words=words))[0].astype(np.float32)


def make_server(policy=None, *, stateful=False, **config):
    policy = policy or Formula()
    card = card_of(policy, stateful=stateful, name="formula")
    return PolicyServer(policy, card, np.random.default_rng, ServeConfig(**{"port": 0, **config}))


def serving(policy=None, **config):
    """A context manager: the port of a server of `policy`."""
    return running(make_server(policy, **config))
