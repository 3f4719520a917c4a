"""Success with n and interval, beside the controls, on unseen seeds and sentences; writes report.html and report.json.

The environment is set up as the data set was collected (tasks, cameras, profile). With `--suite` a published suite
prescribes tasks and protocol, and the cameras stay those of the data (`--suite list` names them all). The policy's
contract, its pictures and the seeds are checked before the first episode. `--policy expert random` judges a suite's
scripted expert beside random actions; `--remote` judges a policy that lives behind openpi's websocket protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from embodia.core.errors import ConfigError

if TYPE_CHECKING:
    from embodia.evaluation.plans import EvalConfig
    from embodia.evaluation.suites import Suite

EXAMPLES = (
    "embodia evaluate --checkpoint runs/doors --data data/doors --episodes 20 --out runs/doors/evaluation",
    "embodia evaluate --checkpoint runs/doors --data data/doors --tasks door-lock --execute 4 --out runs/lock",
    "embodia evaluate --checkpoint runs/doors --data data/doors --controls --out runs/quick",
    "embodia evaluate --checkpoint runs/doors --data data/doors --redteam 48 --out runs/doors/audited",
    "embodia evaluate --suite list",
    "embodia evaluate --suite metaworld/mt10 --checkpoint runs/mt10 --data data/mt10 --out runs/mt10/evaluation",
    "embodia evaluate --suite metaworld/mt10 --policy expert random --episodes 10 --out runs/sanity",
    "embodia evaluate --suite libero/goal --remote ws://localhost:8000 --remote-contract env --out runs/foreign",
)

SCENES = ("suite", "tasks", "episodes", "horizon", "first_seed", "env_options")
OF_SANITY = (*SCENES, "policy", "slots", "workers", "out", "result", "json")
"""Flags that also count where a suite's expert or random actions are judged."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia evaluate`."""

    checkpoint: Path | None = None
    """A checkpoint, or the folder of a run (its best one is taken)."""
    data: Path | None = None
    """The data set it was trained on: names the environment, checks the seeds, gives the blind replay."""
    out: Path | None = None
    """Folder of the report."""
    suite: str = ""
    """A published benchmark with its own protocol; "list" names all."""
    policy: tuple[Literal["expert", "random"], ...] = ()
    """Judge the suite's expert, random actions, or both, instead of a checkpoint."""
    remote: str = ""
    """Judge the policy behind this address, ws://host:port or wss://host:port, instead of a checkpoint."""
    remote_contract: str = ""
    """What its numbers mean, if it does not say: a JSON file, or `env` if it was made for this environment."""
    remote_keys: Path | None = None
    """JSON file of the names in its messages; without one its own, or those of openpi's examples."""
    remote_token_file: Path | None = None
    """File with the token that it wants."""
    remote_authority: Path | None = None
    """PEM file to check its certificate against."""
    remote_timeout_s: float = 30.0
    """Longest wait for an answer."""
    result: Path | None = None
    """Also write the shared keys of the report to this file."""
    tasks: tuple[str, ...] = ()
    """Tasks; empty takes those of the suite or the data set."""
    episodes: int = 0
    """Episodes of each task; 0 is the suite's own number, or 20."""
    control_episodes: int = 10
    """Episodes of each task and control."""
    controls: tuple[str, ...] = ("other_sentence", "blank_image", "blind_replay", "random_policy")
    """Controls to run; `--controls` alone runs none."""
    redteam: int = 0
    """Pairs of episodes for each question of the red team, 48 is a good number; 0 leaves it out."""
    execute: int = 8
    """Actions of a chunk carried out before the policy looks again; 0 is the policy's own habit."""
    horizon: int = 0
    """Control steps of an episode; 0 is the suite's own number, or 200."""
    first_seed: int = -1
    """Seed of the first episode of each task; -1 is the suite's own, or 1000000."""
    env_options: tuple[str, ...] = ()
    """Options that only one environment knows, as name=value."""
    profile: str = ""
    """Visual profile, when it shall differ from the data set's."""
    allow_other_profile: bool = False
    """Measure under another profile or simulator than trained on, on purpose."""
    slots: int = 8
    """Episodes at once; part of the result."""
    workers: int = 0
    """Processes; 0 is one a core."""
    seed: int = 0
    """Root of the policy's own randomness."""
    json: bool = False
    """Print report.json."""


def run(options: Options) -> int:
    """Evaluate, with a progress bar, and print the verdict."""
    from embodia.cli.evaluating import print_report, print_suites, write_suite_result
    from embodia.cli.main import print_json

    if options.suite == "list":
        print_suites(as_json=options.json)
        return 0
    if options.out is None:
        raise ConfigError("a folder for the report is needed", leaf="out", cure="Add --out FOLDER.")
    report = _sanity(options, options.out) if options.policy else _checkpoint(options, options.out)
    if options.result is not None:
        write_suite_result(options.result, report)
    if options.json:
        print_json(report)
    else:
        print_report(report, options.out)
    return 0


def _sanity(options: Options, out: Path) -> dict[str, Any]:
    from embodia.cli.evaluating import command_line
    from embodia.cli.progress import ProgressBar
    from embodia.evaluation.subjects import sanity

    if not options.suite:
        raise ConfigError("--policy judges a suite without a checkpoint", leaf="policy", cure="Add --suite NAME.")
    _refuse_unused(options)
    with ProgressBar() as progress:
        return sanity(
            _with_options(options),
            out,
            subjects=options.policy,
            episodes=options.episodes,
            tasks=options.tasks,
            slots=options.slots,
            workers=options.workers,
            command=command_line(),
            progress=progress,
        )


def _refuse_unused(options: Options) -> None:
    """Raise `ConfigError` for a flag that nothing would come of, because neither subject learns, looks or listens."""
    plain = Options()
    for name in (part.name for part in fields(Options) if part.name not in OF_SANITY):
        if getattr(options, name) != getattr(plain, name):
            flag = "--" + name.replace("_", "-")
            cure = f"Leave out {flag}, or --policy."
            raise ConfigError(f"{flag} is for a trained policy, --policy judges expert or random", leaf=name, cure=cure)


def _with_options(options: Options) -> Suite:
    from embodia.cli.main import named_values
    from embodia.evaluation.suites import load

    suite = load(options.suite)
    env = replace(
        suite.env,
        options=named_values(options.env_options) or suite.env.options,
        horizon=options.horizon or suite.env.horizon,
    )
    return replace(suite, env=env, first_seed=options.first_seed if options.first_seed >= 0 else suite.first_seed)


def _checkpoint(options: Options, out: Path) -> dict[str, Any]:
    from embodia.cli.evaluating import evaluate_checkpoint

    if (options.checkpoint is None) == (not options.remote):
        cure = "Add --checkpoint RUN, --remote ws://host:port, or --policy expert."
        raise ConfigError("one policy is needed", leaf="checkpoint", cure=cure)
    data = [] if options.data is None else [options.data]
    if options.checkpoint is not None:
        return evaluate_checkpoint(options.checkpoint, data, _config(options), out)
    return _remote(options, data, out)


def _remote(options: Options, data: list[Path], out: Path) -> dict[str, Any]:
    from embodia.cli.remote import Remote, evaluate_remote

    remote = Remote(
        url=options.remote,
        contract=options.remote_contract,
        keys=options.remote_keys,
        token_file=options.remote_token_file,
        authority=options.remote_authority,
        timeout_s=options.remote_timeout_s,
    )
    return evaluate_remote(remote, data, _config(options), out)


def _config(options: Options) -> EvalConfig:
    from embodia.cli.evaluating import scenes
    from embodia.cli.main import named_values

    config = scenes(options.suite, options.data)
    env = replace(
        config.env,
        profile=options.profile or config.env.profile,
        horizon=options.horizon or config.env.horizon,
        tasks=options.tasks or config.env.tasks,
        options=named_values(options.env_options) or config.env.options,
    )
    episodes = options.episodes or config.episodes
    controls = tuple(name for name in options.controls if options.data is not None or name != "blind_replay")
    return replace(
        config,
        env=env,
        tasks=() if options.suite else env.tasks,
        episodes=episodes,
        control_episodes=min(options.control_episodes, episodes),
        controls=controls,
        redteam=options.redteam,
        execute=options.execute,
        first_seed=options.first_seed if options.first_seed >= 0 else config.first_seed,
        slots=options.slots,
        workers=options.workers,
        allow_other_profile=options.allow_other_profile,
        seed=options.seed,
    )
