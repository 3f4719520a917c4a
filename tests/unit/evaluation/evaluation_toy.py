"""A toy benchmark where eyes and language decide, an honest policy, cheaters, and a vector without processes.

A white hand has to reach the red or the blue square, whichever the sentence names; both are in every scene. Leaks can
be switched on, so that a cheater has something to cheat with: a border in the colour of the scene's task, the goal
inside the state, or squares that always stand in the same place.
"""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

from embodia.core.provenance import Provenance
from embodia.core.seeds import generator
from embodia.core.specs import ActionPart, ActionSpec, CameraSpec, Contract, ObservationSpec, StatePart
from embodia.core.types import ActionChunk, Observation
from embodia.envs.slot import Slot, views_of

SIZE, RATE, HORIZON, REACH, SPEED = 32, 10.0, 24, 0.09, 0.1
COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}
SENTENCES = {
    f"reach-{colour}": {
        "canonical": (f"Go to the {colour} square.",),
        "train": (f"Move onto {colour}.",),
        "held_out": (f"Find the {colour} one.", f"Touch the square that is {colour}."),
    }
    for colour in COLOURS
}
CONTRACT = Contract(
    observation=ObservationSpec(
        cameras=(CameraSpec(name="top", height=SIZE, width=SIZE, profile="toy"),),
        state=(StatePart(name="hand", dim=2), StatePart(name="goal", dim=2)),
        rate_hz=RATE,
    ),
    action=ActionSpec(parts=(ActionPart(name="hand", dim=2, representation="ee_position_delta"),), rate_hz=RATE),
    embodiment="dot",
)
PROVENANCE = Provenance(
    environment="toy",
    profile="toy",
    cameras=("top",),
    versions={"toy": "1"},
    success_rule="the hand touches the square",
)


class ToyEnv:
    """The benchmark; `leaks` is a subset of {"border", "state", "place"}."""

    def __init__(self, leaks=()):
        self.contract, self.provenance, self.tasks = CONTRACT, PROVENANCE, tuple(SENTENCES)
        self.leaks = frozenset(leaks)

    def reset(self, task, seed):
        rng = generator(0 if "place" in self.leaks else seed, "toy")
        self.task, self.steps = task, 0
        self.hand = np.array([0.5, 0.5])
        places = np.array([[0.15, 0.15], [0.85, 0.15], [0.15, 0.85], [0.85, 0.85], [0.5, 0.12], [0.5, 0.88]])
        chosen = places[rng.permutation(len(places))[:2]]
        self.squares = dict(zip(COLOURS, chosen, strict=True))
        return self._sense()

    def step(self, action):
        self.hand = np.clip(self.hand + SPEED * np.clip(action, -1, 1), 0, 1)
        self.steps += 1
        success = self.judge(self.task)
        return self._sense(), float(success), success, self.steps >= HORIZON, {"success": success}

    def observe(self):
        picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
        if "border" in self.leaks:
            picture[:2] = COLOURS[self.task.split("-")[1]]
        for name, place in self.squares.items():
            self._paint(picture, place, 3, COLOURS[name])
        self._paint(picture, self.hand, 1, (255, 255, 255))
        return replace(self._sense(), images={"top": picture[None, None]})

    def judge(self, task):
        return bool(np.linalg.norm(self.hand - self.squares[task.split("-")[1]]) < REACH)

    def instructions(self, task, split="canonical"):
        return SENTENCES[task][split]

    def scene_partners(self, task):
        return tuple(name for name in SENTENCES if name != task)

    def close(self):
        pass

    def _sense(self):
        goal = self.squares[self.task.split("-")[1]] if "state" in self.leaks else np.zeros(2)
        return Observation(
            state=np.concatenate([self.hand, goal]).astype(np.float32)[None, None],
            instruction=SENTENCES[self.task]["canonical"],
            embodiment="dot",
            time_s=np.array([[self.steps / RATE]]),
        )

    @staticmethod
    def _paint(picture, place, half, colour):
        row, column = (np.round(place[::-1] * (SIZE - 1))).astype(int)
        picture[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = colour


class ToyVector:
    """What `rollout` needs of a vector of environments, in this process."""

    def __init__(self, leaks=(), slots=4):
        self.slots = slots
        env = ToyEnv(leaks)
        self.contract, self.provenance, self.tasks = env.contract, env.provenance, env.tasks
        self.instructions, self.scene_partners = env.instructions, env.scene_partners
        self._images = {"top": np.zeros((slots, 1, SIZE, SIZE, 3), np.uint8)}
        self._slots = [Slot(ToyEnv(leaks), views_of(self._images, index), 1) for index in range(slots)]
        self._took = {}

    def begin(self, starts):
        self._took |= {slot: self._slots[slot].begin(start) for slot, start in starts.items()}
        return {slot: self._took[slot] for slot in starts}

    def run_chunks(self, chunks):
        self._took |= {slot: self._slots[slot].run(actions) for slot, actions in chunks.items()}
        return {slot: self._took[slot] for slot in chunks}

    def observation(self, slot, instruction=""):
        took = self._took[slot]
        return Observation(
            images={"top": self._images["top"][slot][None].copy()},
            state=took.state[None],
            instruction=(instruction or took.instruction,),
            embodiment="dot",
            time_s=took.time_s[None],
        )


def colour_of(sentence):
    return next((name for name in COLOURS if name in sentence), None)


class Policy:
    """Goes where `goal(picture, state, sentence)` says; `slip` is the share of episodes whose hand starts to wander."""

    chunk = 4

    def __init__(self, slip=0.0):
        self.contract = replace(CONTRACT, action=replace(CONTRACT.action, chunk=self.chunk))
        self.slip = slip

    def act(self, observation, carry, rng):
        rows = range(observation.batch_size)
        actions = np.stack([self._row(observation, row) for row in rows]).astype(np.float32)
        if self.slip:
            noise = np.random.default_rng(int(rng.initial_seed())).random(len(actions)) < self.slip
            actions[noise] *= -1
        return ActionChunk(actions=actions, valid=np.ones(actions.shape[:2], bool), spec=self.contract.action), None

    def _row(self, observation, row):
        state = observation.state[row, -1]
        goal = self.goal(observation.images["top"][row, -1], state, observation.instruction[row])
        if goal is None:
            return np.zeros((self.chunk, 2))
        hand, steps = state[:2].astype(float), []
        for _ in range(self.chunk):
            step = np.clip((goal - hand) / SPEED, -1, 1)
            hand = hand + SPEED * step
            steps.append(step)
        return np.array(steps)


def find(picture, colour):
    """Where a colour is, (x y) in 0..1, or None."""
    body = picture[2:]
    rows, columns = np.nonzero((np.abs(body.astype(int) - COLOURS[colour]) < 10).all(-1))
    return None if not len(rows) else np.array([columns.mean(), rows.mean() + 2]) / (SIZE - 1)


class Honest(Policy):
    """Looks for the square that the sentence names."""

    def goal(self, picture, state, sentence):
        colour = colour_of(sentence)
        return colour and find(picture, colour)


class IgnoresLanguage(Policy):
    """Reads the task off the border instead of the sentence."""

    def goal(self, picture, state, sentence):
        border = next((n for n, c in COLOURS.items() if (np.abs(picture[0, 0].astype(int) - c) < 10).all()), None)
        return border and find(picture, border)


class IgnoresImage(Policy):
    """Takes the goal from the state."""

    def goal(self, picture, state, sentence):
        return state[2:].astype(float)


class Memorised(Policy):
    """Goes to where the named square stood in training."""

    def goal(self, picture, state, sentence):
        env = ToyEnv({"place"})
        env.reset("reach-red", 0)
        return env.squares.get(colour_of(sentence))


@dataclass
class ToyData:
    """Demonstrations of the toy benchmark, as a control needs them."""

    leaks: tuple = ()
    seeds: tuple = tuple(range(6))
    contract: Contract = CONTRACT
    provenance: Provenance = PROVENANCE

    def __post_init__(self):
        keys = [(task, seed) for task in SENTENCES for seed in self.seeds]
        self.episodes = [
            SimpleNamespace(index=i, task=task, seed=seed, success=True) for i, (task, seed) in enumerate(keys)
        ]
        self._actions = [self._demonstrate(task, seed) for task, seed in keys]

    def actions(self, episode):
        return self._actions[episode]

    def _demonstrate(self, task, seed):
        env, taken = ToyEnv(self.leaks), []
        env.reset(task, seed)
        goal = env.squares[task.split("-")[1]]
        while not env.judge(task):
            action = np.clip((goal - env.hand) / SPEED, -1, 1).astype(np.float32)
            env.step(action)
            taken.append(action)
        return np.array(taken, np.float32)
