"""The adapter against the benchmark itself, against physics, and against the experts that ship with it."""

import itertools

import numpy as np
import pytest

pytest.importorskip("metaworld", reason="Meta-World is not installed")

from embodia import envs
from embodia.core.errors import ConfigError, EnvironmentFailure, NotFiniteError, UnknownNameError
from embodia.envs import EnvConfig
from embodia.envs.adapters import metaworld as adapter
from embodia.envs.adapters._metaworld_scenes import DONE_AT_START, PLACEMENTS, judgeable, partners
from embodia.envs.adapters._metaworld_sim import Simulation, benchmark_class
from embodia.envs.conformance import check_env

pytestmark = pytest.mark.sim


@pytest.fixture(scope="module")
def neutral():
    env = envs.make("metaworld", EnvConfig(options={"marks": "neutral"}, height=64, width=64))
    yield env
    env.close()


def expert(task):
    from metaworld.policies import ENV_POLICY_MAP

    return ENV_POLICY_MAP[f"{task}-v3"]()


def play(env, name, seed, actor, limit=200):
    env.reset(name, seed)
    policy = expert(actor)
    for _ in range(limit):
        action = np.clip(policy.get_action(env.expert_observation()), -1, 1)
        _, _, terminated, _, info = env.step(action)
        if terminated:
            break
    return info["success"]


def fresh_benchmark(task, seed, **drawing):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = benchmark_class(task)(**drawing)
    env._freeze_rand_vec, env.seeded_rand_vec, env._set_task_called = False, True, True
    env.seed(seed)
    env.reset()
    return env


def test_all_fifty_tasks_are_there(neutral):
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    assert {f"{task}-v3" for task in neutral.tasks} == set(ALL_V3_ENVIRONMENTS) and len(neutral.tasks) == 50


@pytest.mark.parametrize("task", ["reach", "drawer-open", "peg-insert-side", "coffee-push"])
def test_conformance(neutral, task):
    assert "images" in check_env(neutral, (task,))


@pytest.mark.parametrize("task", ["basketball", "box-close", "door-lock", "peg-unplug-side", "reach", "stick-pull"])
def test_episode_does_not_depend_on_what_was_played_before(task):
    def trace(simulation, seed):
        simulation.reset(seed)
        rng = np.random.default_rng(seed)
        rows = [simulation.raw.copy(), simulation.data.site_xpos.ravel().copy()]
        for _ in range(20):
            rows.append(np.array(simulation.step(rng.uniform(-1, 1, 4)), dtype=float))
            rows.append(simulation.raw.copy())
        return np.concatenate(rows)

    used = Simulation(task)
    first = trace(used, 3)
    trace(used, 4)
    assert np.array_equal(trace(used, 3), first)
    assert np.array_equal(trace(Simulation(task), 3), first)
    assert not np.array_equal(trace(used, 4), first)


@pytest.mark.parametrize("task", ["assembly", "push", "window-close"])
def test_same_episode_as_the_benchmark_itself(task):
    env = envs.make("metaworld", EnvConfig())
    reference = fresh_benchmark(task, 7)
    env.reset(task, 7)
    rng = np.random.default_rng(0)
    for _ in range(30):
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        observation, reward, *_ = env.step(action)
        expected, expected_reward, *_ = reference.step(action)
        assert np.allclose(observation.state.ravel(), expected[:4], atol=1e-6)
        assert reward == pytest.approx(float(expected_reward), abs=1e-6)


def test_rate_is_the_simulators():
    assert 1.0 / fresh_benchmark("reach", 0).dt == pytest.approx(adapter.RATE_HZ)


@pytest.mark.parametrize(("axis", "sign"), list(itertools.product(range(3), (1, -1))))
def test_ten_full_steps_move_the_hand_ten_centimetres(neutral, axis, sign):
    scale = neutral.contract.action.parts[0].scale
    start = neutral.reset("reach", 0).state.ravel()
    action = np.zeros(4)
    action[axis] = sign
    for _ in range(10):
        neutral.step(action)
    for _ in range(40):
        observation, *_ = neutral.step(np.zeros(4))
    moved = observation.state.ravel()[:3] - start[:3]
    expected = np.zeros(3)
    expected[axis] = sign * 10 * scale
    assert np.allclose(moved, expected, atol=0.012)


def test_positive_closes_the_gripper(neutral):
    assert neutral.contract.action.parts[1].polarity == "positive_closes"
    opening = {}
    for effort in (1.0, -1.0):
        neutral.reset("reach", 0)
        for _ in range(30):
            observation, *_ = neutral.step(np.array([0, 0, 0, effort]))
        opening[effort] = observation.state.ravel()[3]
    assert opening[1.0] < 0.5 < 0.95 < opening[-1.0]


def test_faithful_pictures_are_the_benchmarks_own():
    import mujoco

    env = envs.make("metaworld", EnvConfig(profile="faithful", cameras=("corner2",), height=96, width=96))
    env.reset("assembly", 5)
    picture = env.observe().images["corner2"][0, 0]
    drawing = {"render_mode": "rgb_array", "camera_name": "corner2", "height": 96, "width": 96}
    reference = fresh_benchmark("assembly", 5, **drawing)
    mujoco.mj_forward(reference.model, reference.data)
    turned = reference.render()[::-1, ::-1]
    reference.close()
    env.close()
    assert np.array_equal(picture, turned)


@pytest.mark.parametrize("camera", ["corner", "corner2", "corner3", "corner4", "right", "left"])
def test_pictures_are_upright(camera):
    """A hand that goes up moves up in the picture: the rows that change while it rises lie above those it left."""
    env = envs.make("metaworld", EnvConfig(cameras=(camera,), height=128, width=128))
    env.reset("reach", 0)
    for _ in range(25):
        env.step(np.array([0, 0, -1.0, 0]))
    low = _red_rows(env.observe().images[camera][0, 0])
    for _ in range(45):
        env.step(np.array([0, 0, 1.0, 0]))
    high = _red_rows(env.observe().images[camera][0, 0])
    env.close()
    assert high < low - 1.0


def _red_rows(picture):
    """Mean row of the fingers, the only cyan and the only near-white parts that move; here the cyan one."""
    colours = picture.astype(int)
    mask = (colours[..., 1] - colours[..., 0] > 60) & (colours[..., 2] - colours[..., 0] > 60)
    assert mask.sum() > 0
    return np.argwhere(mask)[:, 0].mean()


def test_first_picture_shows_where_the_goal_is_now(neutral):
    """The benchmark moves bodies after its last forward pass; the adapter must not draw them where they were."""
    for seed in (1, 2):
        neutral.reset("reach", seed)
        first = neutral.observe().images["corner2"]
        scene = neutral._scene()
        site = scene.model.site("goal").id
        assert np.allclose(scene.data.site_xpos[site], scene.target)
        neutral.step(np.array([0, 0, 0, -1.0]))
        second = neutral.observe().images["corner2"]
        green = [(image[..., 1].astype(int) - image[..., 0] > 90) for image in (first, second)]
        assert green[0].sum() > 0
        assert np.argwhere(green[0]).mean(0) == pytest.approx(np.argwhere(green[1]).mean(0), abs=1.0)


@pytest.mark.parametrize(
    ("task", "scene"),
    [
        ("faucet-close", "faucet-open"),
        ("drawer-open", "drawer-close"),
        ("push", "reach"),
        ("coffee-pull", "coffee-button"),
    ],
)
def test_expert_of_a_partner_flips_its_judge(neutral, task, scene):
    neutral.reset(scene, 1)
    assert not neutral.judge(task) and not neutral.judge(scene)
    assert play(neutral, f"{task}@{scene}", 1, task)
    assert neutral.judge(task)
    if scene == "faucet-open":
        assert not neutral.judge(scene)


def test_judge_agrees_with_the_benchmark_for_the_scenes_own_task(neutral):
    for task in ("faucet-open", "reach"):
        assert play(neutral, task, 3, task) is True
        assert neutral.judge(task)


def test_judging_does_not_disturb_the_episode(neutral):
    def trace(judged):
        rows = [neutral.reset("push", 5).state]
        for index in range(20):
            rows.append(neutral.step(np.sin(np.arange(4) + index))[0].state)
            if judged:
                neutral.judge("reach")
        return np.concatenate(rows)

    assert np.array_equal(trace(False), trace(True))


@pytest.mark.parametrize("pair", sorted(PLACEMENTS))
def test_what_is_done_from_the_start_is_not_a_partner(neutral, pair):
    scene, task = pair
    neutral.reset(scene, 2)
    assert neutral.judge(task) == (pair in DONE_AT_START)
    assert (task in neutral.scene_partners(scene)) == (pair not in DONE_AT_START)


def test_partners_need_the_mark_that_shows_their_goal():
    assert "coffee-pull" in partners("coffee-button", marked=True)
    assert "coffee-pull" not in judgeable("coffee-button", marked=False)


def test_neutral_marks_make_tasks_of_a_scene_look_alike(neutral):
    """Same bodies, one green ball: without words nothing but the goal's place differs."""
    colours = []
    for task in ("reach", "push", "pick-place"):
        neutral.reset(task, 0)
        model = neutral._scene().model
        shown = [
            (tuple(model.site_rgba[i]), tuple(model.site_size[i])) for i in range(model.nsite) if model.site_rgba[i, 3]
        ]
        colours.append(shown)
    assert colours[0] == colours[1] == colours[2] and len(colours[0]) == 1


@pytest.mark.parametrize("task", ["door-open", "hand-insert", "pick-place", "sweep-into"])
def test_experts_succeed(neutral, task):
    assert sum(play(neutral, task, seed, task) for seed in range(2)) == 2


def test_success_ends_the_episode_or_not():
    going_on = envs.make("metaworld", EnvConfig(success_ends=False, horizon=130))
    going_on.reset("drawer-close", 0)
    policy = expert("drawer-close")
    seen = []
    for _ in range(130):
        _, _, terminated, truncated, info = going_on.step(
            np.clip(policy.get_action(going_on.expert_observation()), -1, 1)
        )
        seen.append((info["success"], terminated, truncated))
    assert any(success for success, _, _ in seen) and not any(ended for _, ended, _ in seen)
    assert [index for index, row in enumerate(seen) if row[2]] == [129]


def test_bad_requests_are_typed_errors(neutral):
    with pytest.raises(UnknownNameError, match="drawer-open"):
        neutral.reset("drawer-opne", 0)
    with pytest.raises(UnknownNameError):
        neutral.reset("hammer@reach", 0)
    with pytest.raises(UnknownNameError):
        envs.make("metaworld", EnvConfig(cameras=("corner9",)))
    with pytest.raises(UnknownNameError):
        envs.make("metaworld", EnvConfig(profile="pretty"))
    with pytest.raises(UnknownNameError):
        envs.make("metaworld", EnvConfig(options={"mark": "neutral"}))
    with pytest.raises(ConfigError):
        envs.make("metaworld", EnvConfig(options={"marks": "hidden"}))
    with pytest.raises(EnvironmentFailure, match="reset"):
        envs.make("metaworld").step(np.zeros(4))
    neutral.reset("reach", 0)
    with pytest.raises(NotFiniteError):
        neutral.step(np.array([0, 0, np.nan, 0]))


def test_provenance_tells_what_drew_the_pictures(neutral):
    assert neutral.provenance.profile == "fast, neutral marks" == neutral.contract.observation.cameras[0].profile
    assert neutral.provenance.versions["metaworld"] == "3.1.1"
    assert neutral.provenance.cameras == ("corner2", "gripperPOV")


@pytest.mark.parametrize("camera", ["right", "gripperPOV", "corner3"])
def test_leaving_out_what_no_camera_sees_changes_no_pixel(monkeypatch, camera):
    from embodia.envs import drawing

    env = envs.make("metaworld", EnvConfig(cameras=(camera,), height=96, width=128))
    env.reset("peg-insert-side", 1)
    for _ in range(20):
        env.step(np.array([0.5, 0.5, -1.0, 1.0]))
    found = []
    real = drawing.outside

    def counting(*given):
        found.append(real(*given))
        return found[-1]

    monkeypatch.setattr(drawing, "outside", counting)
    culled = env.observe().images[camera]
    monkeypatch.setattr(drawing, "outside", lambda model, *rest: np.zeros(model.ngeom, bool))
    whole = env.observe().images[camera]
    env.close()
    assert found[0].sum() >= (0 if camera == "corner3" else 5)
    assert np.array_equal(culled, whole)


@pytest.mark.parametrize(("task", "blue", "yellow"), [("push", True, False), ("coffee-pull", True, True)])
def test_vivid_marks_paint_the_object_and_the_button(task, blue, yellow):
    env = envs.make("metaworld", EnvConfig(cameras=("left",), height=96, width=96, options={"marks": "vivid"}))
    assert env.provenance.profile == "fast, vivid marks"
    env.reset(task, 0)
    red, green, other = np.moveaxis(env.observe().images["left"][0, 0].astype(int), -1, 0)
    env.close()
    assert (((other - np.maximum(red, green)) > 60).sum() > 10) == blue
    assert (((np.minimum(red, green) - other) > 80).sum() > 10) == yellow


def test_colours_do_not_change_the_physics(neutral):
    vivid = envs.make("metaworld", EnvConfig(options={"marks": "vivid"}))
    for env in (neutral, vivid):
        env.reset("push", 4)
    for _ in range(30):
        first, second = (env.step(np.array([0.3, 0.2, -1.0, 1.0]))[0].state for env in (neutral, vivid))
    assert np.array_equal(first, second)


def test_the_horizon_ends_an_episode_that_went_on_after_success():
    env = envs.make("metaworld", EnvConfig(tasks=("reach",), horizon=70))
    policy = expert("reach")
    env.reset("reach", 3)
    flags = []
    for _ in range(70):
        _, _, terminated, truncated, _ = env.step(np.clip(policy.get_action(env.expert_observation()), -1, 1))
        flags.append((terminated, truncated))
    env.close()
    assert flags[-1] == (True, True) and not any(truncated for _, truncated in flags[:-1])
