"""Collection on Dots in one process: any interruption, any number of workers and any failures give one data set."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embodia.core.errors import ConfigError, CorruptFileError, EnvironmentFailure, StorageError, UnknownNameError
from embodia.core.types import Observation
from embodia.envs import EnvConfig, make
from embodia.generate import collect as module
from embodia.generate.collect import ATTEMPTS, SETTINGS, CollectConfig, collect, in_order, paraphrases, read_settings
from embodia.generate.demonstrate import Attempt, EpisodeConfig, demonstrate
from embodia.generate.takeover import TakeoverConfig

TASKS = ("go-red", "go-blue")
ENV = EnvConfig(height=8, width=8, tasks=TASKS)
CONFIG = CollectConfig(family="dots", env=ENV, episodes=3, workers=2, episode=EpisodeConfig(limit=40, settle=1))


class Guide:
    """Goes straight to the square; gives up in the scenes of `fails`, which only seeds tell apart."""

    fails = frozenset()

    def __init__(self, task):
        self.colour = task.removeprefix("go-")

    def begin(self):
        pass

    def act(self, env):
        way = env.place(self.colour) - env.hand
        if tuple(np.round(env.place(self.colour), 6)) in self.fails:
            return np.zeros(2, np.float32)
        return np.clip(way / 0.05, -1, 1).astype(np.float32)


class Desk:
    """A pool in this process: which of its busy workers answers first is drawn at random."""

    def __init__(self, build, arguments, *, name):
        self.handlers, self.busy, self.rng = [build(*given) for given in arguments], {}, np.random.default_rng(7)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    @property
    def idle(self):
        return tuple(index for index in range(len(self.handlers)) if index not in self.busy)

    def send(self, index, request, *, doing):
        assert index not in self.busy and request[0] in doing
        self.busy[index] = request

    def receive(self):
        index = int(self.rng.choice(sorted(self.busy)))
        return [(index, self.handlers[index](self.busy.pop(index)))]


class Shelf:
    """A recorder in memory that survives its process; `room` is how many more episodes fit."""

    kept = {}  # noqa: RUF012
    room = 10**6

    def __init__(self, root, *, contract, provenance, paraphrases):
        self.episodes = Shelf.kept.setdefault(str(root), [])

    @property
    def recorded(self):
        return frozenset((episode.task, episode.seed) for episode in self.episodes)

    def record(self, episode):
        if Shelf.room == 0:
            raise StorageError("full")
        Shelf.room -= 1
        self.episodes.append(episode)
        return len(self.episodes) - 1

    def close(self):
        pass


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setattr(module, "Pool", Desk)
    monkeypatch.setattr(module.experts, "make", lambda family, task, style: Guide(task))
    monkeypatch.setattr(Guide, "fails", frozenset())
    monkeypatch.setattr(Shelf, "kept", {})
    monkeypatch.setattr(Shelf, "room", 10**6)


def hopeless(seeds, task):
    """Where the square of `task` lies under these seeds."""
    env, found = make("dots", ENV), set()
    for seed in seeds:
        env.reset(task, seed)
        found.add(tuple(np.round(env.place(task.removeprefix("go-")), 6)))
    return frozenset(found)


def seeds_of(root, task):
    return [episode.seed for episode in Shelf.kept[str(root)] if episode.task == task]


@settings(max_examples=12)
@given(
    fails=st.sets(st.integers(0, 6), max_size=4),
    stops=st.lists(st.integers(0, 3), max_size=3),
    workers=st.integers(1, 4),
)
def test_the_data_set_is_the_first_successes_in_order_whatever_happens_on_the_way(fails, stops, workers):
    Guide.fails, Shelf.kept = hopeless(fails, "go-red"), {}
    with tempfile.TemporaryDirectory() as folder:
        root, config = Path(folder), replace(CONFIG, workers=workers)
        for room in stops:
            Shelf.room = room
            if len(Shelf.kept.get(folder, ())) + room < 6:
                with pytest.raises(StorageError):
                    collect(config, root, open_recorder=Shelf)
        Shelf.room = 10**6
        report = collect(config, root, open_recorder=Shelf)
        assert seeds_of(root, "go-red") == [seed for seed in range(9) if seed not in fails][:3]
        assert seeds_of(root, "go-blue") == [0, 1, 2] and report.episodes == 6
        last = seeds_of(root, "go-red")[-1]
        assert report.failed == {"go-red": len([seed for seed in fails if seed < last]), "go-blue": 0}


class Clever:
    """A policy of that body, and what stands in for letting it act: it does all that is red."""

    contract = make("dots", ENV).contract

    def __init__(self, policy, config):
        assert policy.contract == self.contract and config.policy == "run"

    def __call__(self, env, sensed, task, seed):
        return sensed, "the policy had done it" if task == "go-red" else ""


def test_what_a_policy_leaves_nothing_of_keeps_fewer_episodes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Takeover", Clever)
    config = replace(CONFIG, takeover=TakeoverConfig(policy="run", after=(3, 6)), tries=2.0)
    assert config.acted_in.horizon == 46 and CONFIG.acted_in.horizon == 0
    novice = lambda: Clever(Clever, config.takeover)  # noqa: E731
    report = collect(config, tmp_path, novice=novice, open_recorder=Shelf)
    assert report.kept == {"go-red": 0, "go-blue": 3} and report.failed == {"go-red": 6, "go-blue": 0}
    assert collect(config, tmp_path, novice=novice, open_recorder=Shelf).frames == 0
    assert read_settings(tmp_path) == config


def test_a_policy_that_acts_first_and_for_how_long_belong_together(tmp_path):
    for config, novice in ((CONFIG, object), (replace(CONFIG, takeover=TakeoverConfig(policy="run")), None)):
        with pytest.raises(ConfigError, match="belong together"):
            collect(config, tmp_path, novice=novice, open_recorder=Shelf)


def test_asking_for_more_adds_to_what_is_there(tmp_path):
    collect(CONFIG, tmp_path, open_recorder=Shelf)
    before = list(Shelf.kept[str(tmp_path)])
    more = collect(replace(CONFIG, episodes=5), tmp_path, open_recorder=Shelf)
    assert more.kept == {"go-red": 5, "go-blue": 5} and Shelf.kept[str(tmp_path)][:6] == before
    assert read_settings(tmp_path).episodes == 5


def test_tasks_may_be_added_later(tmp_path):
    collect(CONFIG, tmp_path, open_recorder=Shelf)
    wider = replace(CONFIG, env=replace(ENV, tasks=(*TASKS, "go-green")))
    report = collect(wider, tmp_path, open_recorder=Shelf)
    assert report.kept["go-green"] == 3 and len(Shelf.kept[str(tmp_path)]) == 9


@pytest.mark.parametrize(
    "change",
    [
        {"first_seed": 9},
        {"env": replace(ENV, height=16)},
        {"episode": EpisodeConfig(limit=41, settle=1)},
        {"env": replace(ENV, options={"leaks": "border"})},
    ],
    ids=["seeds", "pictures", "length", "options"],
)
def test_another_way_of_collecting_is_refused_and_nothing_is_added(tmp_path, change):
    collect(CONFIG, tmp_path, open_recorder=Shelf)
    told = (tmp_path / SETTINGS).read_bytes()
    with pytest.raises(ConfigError, match="another way") as caught:
        collect(replace(CONFIG, **change), tmp_path, open_recorder=Shelf)
    assert caught.value.file.endswith(SETTINGS)
    assert (tmp_path / SETTINGS).read_bytes() == told and len(Shelf.kept[str(tmp_path)]) == 6


def test_first_seed_moves_every_attempt(tmp_path):
    collect(replace(CONFIG, first_seed=500), tmp_path, open_recorder=Shelf)
    assert seeds_of(tmp_path, "go-red") == [500, 501, 502]


def test_an_expert_that_cannot_is_given_up_with_what_was_kept(tmp_path):
    Guide.fails = hopeless(range(40), "go-blue")
    with pytest.raises(EnvironmentFailure, match="attempts at go-blue only 0") as caught:
        collect(CONFIG, tmp_path, open_recorder=Shelf)
    assert caught.value.leaf == "go-blue" and seeds_of(tmp_path, "go-red") == [0, 1, 2]


def test_the_log_tells_every_attempt_once(tmp_path):
    Guide.fails = hopeless([1], "go-red")
    report = collect(CONFIG, tmp_path, open_recorder=Shelf)
    lines = [json.loads(line) for line in (tmp_path / ATTEMPTS).read_text().splitlines()]
    assert len({(line["task"], line["seed"]) for line in lines}) == len(lines) == 7
    (failed,) = [line for line in lines if not line["success"]]
    assert failed["seed"] == 1 and failed["episode"] is None and failed["reason"]
    assert report.frames == sum(line["steps"] for line in lines if line["success"])


@pytest.mark.parametrize("line", ['{"task": "go-red"}', "[1, 2]", '{"task": "go-red", "seed": 0}', '"text"'])
def test_a_strange_line_in_the_log_is_named(tmp_path, line):
    (tmp_path / ATTEMPTS).write_text(line + "\n")
    with pytest.raises(CorruptFileError, match="line 1") as caught:
        collect(CONFIG, tmp_path, open_recorder=Shelf)
    assert caught.value.file.endswith(ATTEMPTS)


def test_settings_of_another_release_are_named_with_their_leaf(tmp_path):
    (tmp_path / SETTINGS).write_text('{"family": "dots", "env": {"hieght": 8}}')
    with pytest.raises(ConfigError, match=r"collect\.json: env.*Did you mean 'height'"):
        collect(CONFIG, tmp_path, open_recorder=Shelf)


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"tries": 0.5}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="at least one"):
        replace(CONFIG, **wrong)


def test_an_unknown_task_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UnknownNameError, match="go-red"):
        collect(replace(CONFIG, env=replace(ENV, tasks=("go-rad",))), tmp_path / "set", open_recorder=Shelf)
    assert not (tmp_path / "set").exists()


def test_paraphrases_are_those_to_train_on():
    found = paraphrases(make("dots", ENV))
    assert found["Go to the red square."] == ("Move onto red.", "Put the hand on the red one.")
    assert not set(sum(found.values(), ())) & set(make("dots").instructions("go-red", "held_out"))


@given(st.integers(1, 6), st.integers(0, 12), st.randoms(use_true_random=False))
def test_order_is_kept_whoever_answers_first_and_nobody_waits_without_need(workers, count, random):
    class Crowd:
        busy = {}  # noqa: RUF012

        @property
        def idle(self):
            return tuple(index for index in range(workers) if index not in self.busy)

        def send(self, index, key, *, doing):
            self.busy = {**self.busy, index: key}

        def receive(self):
            chosen = random.sample(sorted(self.busy), random.randint(1, len(self.busy)))
            answers = [(index, self.busy[index]) for index in chosen]
            self.busy = {index: key for index, key in self.busy.items() if index not in chosen}
            return [
                (index, Attempt(task=task, seed=seed, steps=1, success=False, episode=None))
                for index, (task, seed) in answers
            ]

    todo, crowd = [("go-red", seed) for seed in range(count)], Crowd()
    assert [(attempt.task, attempt.seed) for attempt in in_order(crowd, todo)] == todo
    assert crowd.busy == {}


class Film:
    """An environment whose successes and ends are written down beforehand."""

    contract = make("dots", ENV).contract

    def __init__(self, successes, ends="", cut=False):
        self.script, self.ends, self.cut = successes, ends, cut

    def reset(self, task, seed):
        self.at = 0
        return self._sense()

    def _sense(self):
        return Observation(state=np.full((1, 1, 2), self.at, np.float32))

    def observe(self):
        return Observation(images={"top": np.full((1, 1, 8, 8, 3), self.at, np.uint8)})

    def step(self, action):
        self.at += 1
        over = self.at == len(self.script) and self.ends
        success = self.script[self.at - 1] == "y"
        return self._sense(), 0.5, over == "terminated", over == "truncated", {"success": success}

    def instructions(self, task, split="canonical"):
        return ("Go.",)


class Still(Guide):
    def act(self, env):
        return np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("script", "settle", "steps", "kept"),
    [
        ("nnyyy", 2, 5, True),
        ("nnyyyyy", 0, 3, True),
        ("ynynynnnny", 2, 5, True),
        ("nnnnnnnnny", 3, 10, True),
        ("yyyynnnnnn", 4, 10, False),
        ("nnnnnnnnnn", 0, 10, False),
    ],
)
def test_success_counts_as_often_as_asked_and_at_the_end(script, settle, steps, kept):
    attempt = demonstrate(Film(script), Still("go-red"), "go", 0, EpisodeConfig(limit=10, settle=settle))
    assert (attempt.steps, attempt.success, attempt.episode is not None) == (steps, kept, kept)
    assert bool(attempt.reason) != kept


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_an_environment_that_ends_ends_the_demonstration(ends):
    attempt = demonstrate(Film("nnny", ends), Still("go-red"), "go", 3, EpisodeConfig(limit=30, settle=9))
    assert attempt.steps == 4 and attempt.success and attempt.episode.seed == 3
    assert len(attempt.episode.rewards) == len(attempt.episode.actions) == 4


@given(st.integers(1, 12), st.integers(1, 5))
def test_between_drawn_frames_the_last_picture_stands(length, every):
    script = "n" * (length - 1) + "y"
    config = EpisodeConfig(limit=length, settle=0, images_every=every)
    frames = demonstrate(Film(script), Still("go-red"), "go", 0, config).episode.frames["top"]
    assert frames[:, 0, 0, 0].tolist() == [index - index % every for index in range(length)]
