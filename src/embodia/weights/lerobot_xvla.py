"""X-VLA as LeRobot 0.6 writes it, with the names of Florence-2 of today or those that its first files have.

A body is a number there, held by the step that prepares observations; here the contract's own body comes first, so its
row changes places with row 0 on the way in. The one thing to watch: actions are those of the network (place, two
columns of a rotation, gripper, for two hands); what LeRobot's processors make of them afterwards is not undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from embodia.core.errors import CheckpointError, ConfigError, ContractError
from embodia.core.specs import ActionSpec, Contract
from embodia.io.jsonio import read_json
from embodia.parts.compose import Inference
from embodia.parts.decoders.clean import CleanConfig, kind_of
from embodia.parts.decoders.soft_prompted import SoftPromptedConfig
from embodia.policies import PolicySpec
from embodia.policies.x_vla import EE6D, GRIPPERS, Config
from embodia.weights import Foreign, _florence, _lerobot, _vla
from embodia.weights._names import Names

POLICY = "x_vla"
TOKENIZER = "facebook/bart-large"
_HAND = ("position",) * 3 + ("rotation",) * 6 + ("gripper",)
_ARM = ("joint",) * 6 + ("gripper",)
_EVEN = {"position": 1.0, "rotation": 1.0, "gripper": 1.0, "joint": 1.0}


@dataclass(frozen=True, kw_only=True)
class Space:
    """What LeRobot calls an action mode: what the numbers are ((): anything), and how they are learned."""

    kinds: tuple[str, ...] = ()
    padded: int = 0
    blank: tuple[int, ...] = ()
    gripper: Literal["chance", "number"] = "number"
    weights: Mapping[str, float] = field(default_factory=lambda: dict(_EVEN))


SPACES: Mapping[str, Space] = {
    "ee6d": Space(kinds=_HAND * 2, padded=20, blank=GRIPPERS, gripper="chance", weights=dict(EE6D)),
    "joint": Space(kinds=_ARM * 2, padded=14, blank=(6, 13), gripper="chance", weights={**_EVEN, "gripper": 0.1}),
    "agibot_ee6d": Space(kinds=_HAND * 2, padded=20, weights={**EE6D, "gripper": 10.0}),
    "franka_joint7": Space(padded=20),
    "auto": Space(),
}
"""By name; two SO-101 arms, whose grippers are squashed in use and not while learning, are not built."""
_PICTURES = (
    {"registry_name": "xvla_image_to_float", "config": {"image_keys": None, "validate_range": True}},
    {"registry_name": "xvla_imagenet_normalize", "config": {"image_keys": None}},
)
_DOMAIN = "xvla_add_domain_id"
_BODIES = ("decoder.net.enter.", "decoder.net.leave.", "encoders.prompt.prompts")
_ENTRANCES = ("decoder.net.told.", "decoder.net.seen.")
_QUERY, _REST = "attention.query.", "attention.key_value."
_NAMES = Names(
    [
        ("pos_emb", "decoder.net.position"),
        ("soft_prompt_hub.weight", "encoders.prompt.prompts"),
        *((f"norm.{leaf}", f"decoder.net.norm.{leaf}") for leaf in ("weight", "bias")),
        *(
            (f"{theirs}.{leaf}", f"decoder.net.{ours}.{leaf}")
            for theirs, ours in (("vlm_proj", "told"), ("aux_visual_proj", "seen"))
            for leaf in ("weight", "bias")
        ),
        *(
            (f"action_{theirs}.{place}.weight", f"decoder.net.{ours}.{leaf}")
            for theirs, ours in (("encoder", "enter"), ("decoder", "leave"))
            for place, leaf in (("fc", "weight"), ("bias", "bias"))
        ),
        *(
            (f"blocks.{{index}}.{theirs}.{{leaf}}", f"decoder.net.blocks.layers.{{index}}.{ours}.{{leaf}}")
            for theirs, ours in (
                ("norm1", "attention_norm"),
                ("norm2", "mlp_norm"),
                ("attn.qkv", "attention.qkv"),
                ("attn.proj", "attention.out"),
                ("mlp.fc1", "mlp.up"),
                ("mlp.fc2", "mlp.down"),
            )
        ),
    ]
)


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote an X-VLA into `folder`."""
    return _lerobot.is_of(folder, "xvla")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`."""
    facts = _lerobot.Facts(folder)
    config = config_of(facts, contract, _lerobot.vocabulary(folder))
    place = _body(folder)
    if not 0 <= place < config.net.bodies:
        raise CheckpointError(f"body {place} of {config.net.bodies}", file=folder, leaf=_DOMAIN)
    tensors = ours(_lerobot.read_weights(folder, "model."), config.net)
    identity = config.normalization == "identity"
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=config),
        statistics={} if identity else _lerobot.read_statistics(folder, colours=False, mode=config.normalization),
        tensors=_exchanged(tensors, place),
    )


def config_of(facts: _lerobot.Facts, contract: Contract, file: str = "") -> Config:
    """Our configuration of a LeRobot one. Raises `CheckpointError` for what cannot be built, `ContractError`."""
    facts.require("action_mode", *SPACES)
    facts.require("tokenizer_padding_side", "right", default="right")
    facts.require("pad_language_to", "max_length", default="max_length")
    if facts.pictures() != "IDENTITY":
        raise CheckpointError("pictures are normalised twice", file=facts.file, leaf="normalization_mapping")
    space, mode = SPACES[str(facts.get("action_mode"))], facts.mode()
    _check_contract(facts, contract, space, mode == "identity")
    vlm = _florence.vlm_of(facts.get("florence_config"), facts.file)
    views = facts.get("num_image_views") or 0
    eye = replace(vlm.vision, **_pictures(facts), views=views)  # type: ignore[arg-type, call-arg]
    text = replace(vlm.text, file=file, length=facts.get("tokenizer_max_length"))
    width = facts.get("hidden_size")
    net = SoftPromptedConfig(
        width=width,
        depth=facts.get("depth"),
        heads=facts.get("num_heads"),
        hidden=int(width * facts.get("mlp_ratio")),
        bodies=facts.get("num_domains"),
        prompts=facts.get("len_soft_prompts"),
        time_width=facts.get("dim_time"),
        positions=facts.get("max_len_seq"),
        by_body=facts.get("use_hetero_proj"),
        state_dim=facts.get("max_state_dim") if facts.get("use_proprio") else 0,
        blank=space.blank,
    )
    return Config(
        chunk=facts.get("chunk_size"),
        vlm=replace(vlm, vision=eye, text=text),
        net=net,
        padded=space.padded or facts.get("max_action_dim"),
        clean=CleanConfig(steps=facts.get("num_denoising_steps"), gripper=space.gripper),
        weights=dict(space.weights),
        normalization=mode,
        inference=Inference(execute=facts.get("n_action_steps")),
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's X-VLA has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    eye, text, net = config.vlm.vision, config.vlm.text, config.net
    sizes = _florence.sizes_of(config.vlm)
    if text.fill < 0 or text.template != "{instruction}" or net.hidden % net.width:
        raise ConfigError("LeRobot's reads the padding of a bare sentence, behind whole perceptrons", leaf="vlm.text")
    if eye.pixels and (eye.fit, eye.smooth) != ("corner", False) and not _square(contract, eye.pixels):
        raise ConfigError("LeRobot's puts pictures into the lower right corner, not averaged", leaf="vlm.vision")
    facts = {
        **_vla.shared_facts("xvla", config.chunk, config.inference.execute, config.padded, text.length),
        "florence_config": sizes,
        "action_mode": _space(config, contract.action),
        "tokenizer_name": TOKENIZER,
        "resize_imgs_with_padding": [eye.pixels] * 2 if eye.pixels else None,
        "num_image_views": max(eye.views, len(contract.observation.cameras)),
        "num_denoising_steps": config.inference.steps or config.clean.steps,
        "hidden_size": net.width,
        "depth": net.depth,
        "num_heads": net.heads,
        "mlp_ratio": net.hidden / net.width,
        "num_domains": net.bodies,
        "len_soft_prompts": net.prompts,
        "dim_time": net.time_width,
        "max_len_seq": net.positions,
        "use_hetero_proj": net.by_body,
        "use_proprio": net.state_dim > 0,
        "max_state_dim": net.state_dim,
    }
    body = {"registry_name": _DOMAIN, "config": {"domain_id": 0}}
    words = _vla.words(TOKENIZER, text.length)
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors={f"model.{name}": tensor for name, tensor in theirs(foreign.tensors).items()},
        contract=contract,
        statistics=foreign.statistics,
        mode=config.normalization,
        pictures="IDENTITY",
        before=(words, *_PICTURES, body, _lerobot.DEVICE, _lerobot.UNITS),
    )


def ours(tensors: Mapping[str, Tensor], net: SoftPromptedConfig) -> dict[str, Tensor]:
    """Our state dictionary, without the units. Raises `CheckpointError` on unknown names."""
    parts: dict[str, dict[str, Tensor]] = {"vlm": {}, "transformer": {}}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if first not in parts:
            raise CheckpointError("a tensor that this layout does not know", leaf=name)
        parts[first][_entrance(rest, inward=True)] = tensor
    found: dict[str, Tensor] = {}
    for name, tensor in _NAMES.ours(parts["transformer"]).items():
        if "attention.qkv." in name:
            found[name.replace("attention.qkv.", _QUERY)], found[name.replace("attention.qkv.", _REST)] = (
                tensor[: net.width],
                tensor[net.width :],
            )
        else:
            found[name] = _shaped(name, tensor, net)
    return {**_florence.ours(parts["vlm"]), **found}


def theirs(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The other way round. Raises `CheckpointError` on unknown names."""
    florence, rest = _florence.theirs({name: t for name, t in tensors.items() if "_units." not in name})
    joined: dict[str, Tensor] = {}
    for name, tensor in rest.items():
        if _QUERY in name:
            both = torch.cat([tensor, rest[name.replace(_QUERY, _REST)]])
            joined[name.replace(_QUERY, "attention.qkv.")] = both
        elif _REST not in name:
            joined[name] = _flat(name, tensor)
    by_body = rest["decoder.net.told.weight"].ndim == 3
    named = {_entrance(name, inward=False) if by_body else name: t for name, t in _NAMES.theirs(joined).items()}
    return {**{f"vlm.{n}": t for n, t in florence.items()}, **{f"transformer.{n}": t for n, t in named.items()}}


def _entrance(name: str, *, inward: bool) -> str:
    """Layers of bodies at which what was seen enters have the names of tables there, of layers here."""
    for start in ("vlm_proj", "aux_visual_proj"):
        for long, short in ((f"{start}.fc.weight", f"{start}.weight"), (f"{start}.bias.weight", f"{start}.bias")):
            if name == (long if inward else short):
                return short if inward else long
    return name


def _shaped(name: str, tensor: Tensor, net: SoftPromptedConfig) -> Tensor:
    """A table of one row a body as the layers or tokens of the bodies."""
    if name == "decoder.net.position":
        return tensor[0]
    if name == "encoders.prompt.prompts":
        return tensor.unflatten(1, (net.prompts, net.width))
    if name in ("decoder.net.enter.weight", *(f"{e}weight" for e in _ENTRANCES if net.by_body)):
        return tensor.unflatten(1, (-1, net.width))
    return tensor.unflatten(1, (net.width, -1)) if name == "decoder.net.leave.weight" else tensor


def _flat(name: str, tensor: Tensor) -> Tensor:
    if name == "decoder.net.position":
        return tensor[None]
    return tensor.flatten(1) if tensor.ndim == 3 else tensor


def _exchanged(tensors: Mapping[str, Tensor], place: int) -> dict[str, Tensor]:
    """Body 0 and body `place` in one another's rows."""
    found = dict(tensors)
    for name, tensor in tensors.items():
        entrance = name.startswith(_ENTRANCES) and tensors[f"{name.rpartition('.')[0]}.weight"].ndim == 3
        if place and (entrance or name.startswith(_BODIES)):
            order = list(range(len(tensor)))
            order[0], order[place] = place, 0
            found[name] = tensor[order]
    return found


def _check_contract(facts: _lerobot.Facts, contract: Contract, space: Space, plain: bool) -> None:
    """Raise `ContractError` unless cameras and sizes fit and the actions are what the mode says."""
    state = contract.observation.state_dim if plain and facts.get("use_proprio") else None
    facts.check_contract(contract, state=state, action=len(space.kinds) or None)
    if space.kinds and _kinds(contract.action) != space.kinds:
        problem = f"{facts.get('action_mode')} are {' '.join(space.kinds)}, not {' '.join(_kinds(contract.action))}"
        raise ContractError(problem, file=facts.file, leaf="action.parts")
    ends = {(part.low, part.high) for part in contract.action.parts if part.representation == "gripper"}
    if space.gripper == "chance" and (ends != {(0.0, 1.0)} or not plain):
        raise ContractError("grippers are chances, from 0 to 1 and not normalised", file=facts.file, leaf="gripper")


def _pictures(facts: _lerobot.Facts) -> dict[str, Any]:
    asked: Sequence[int] | None = facts.get("resize_imgs_with_padding", None)
    if asked is None:
        return {"pixels": 0}
    facts.require("resize_imgs_with_padding", [asked[0]] * 2, (asked[0],) * 2)
    return {"pixels": int(asked[0]), "fit": "corner", "smooth": False}


def _body(folder: Path) -> int:
    """The number of the body in the step that tells it. Raises `CheckpointError` for pictures prepared otherwise."""
    file = folder / "policy_preprocessor.json"
    steps = {step.get("registry_name"): step.get("config", {}) for step in read_json(file).get("steps", ())}
    if "xvla_imagenet_normalize" not in steps:
        raise CheckpointError("no step normalises pictures", file=file, leaf="xvla_imagenet_normalize")
    return int(steps.get(_DOMAIN, {}).get("domain_id", 0))


def _space(config: Config, action: ActionSpec) -> str:
    for name, space in SPACES.items():
        known = not space.kinds or (_kinds(action) == space.kinds and config.padded == space.padded)
        if (
            known
            and (config.clean.gripper, config.net.blank) == (space.gripper, space.blank)
            and name != "franka_joint7"
        ):
            return name
    raise ConfigError(f"none of LeRobot's action modes {sorted(SPACES)} says this", leaf="clean.gripper")


def _kinds(action: ActionSpec) -> tuple[str, ...]:
    return tuple(kind_of(part) for part in action.parts for _ in range(part.dim))


def _square(contract: Contract, pixels: int) -> bool:
    return all((camera.height, camera.width) == (pixels, pixels) for camera in contract.observation.cameras)
