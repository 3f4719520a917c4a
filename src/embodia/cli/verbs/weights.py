"""Bring checkpoints of other programs in, hand ours out in their layouts, say which layout a folder is in.

Nothing in a foreign checkpoint is executed, and every tensor must be accounted for. What its actions mean is nowhere in
its files: give the contract of the body it was trained for, or a data set of that body. Known are LeRobot's layouts of
ACT, Diffusion Policy, VQ-BeT, SmolVLA, pi0 and pi0.5; the last three read sentences and want the public model's
tokenizer.json beside the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embodia.core.errors import ConfigError
from embodia.core.specs import Contract

EXAMPLES = (
    "embodia weights layouts",
    "embodia weights import downloads/act_aloha --out runs/act --data data/aloha",
    "embodia weights import downloads/act_aloha --out runs/act --contract aloha.json",
    "embodia weights import downloads/openvla-7b --out runs/openvla --contract bridge_orig.json",
    "embodia weights import downloads/smolvla_base --out runs/smolvla --data data/so100",
    "embodia weights import downloads/pi0_droid --out runs/pi0 --data data/droid",
    "embodia weights export runs/act --layout lerobot_act --out exported",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Flags of `embodia weights`."""

    action: Annotated[Literal["layouts", "import", "export"], tyro.conf.Positional]
    """layouts: list them. import: make one of our checkpoints of a foreign one. export: the other way round."""
    folder: Annotated[Path | None, tyro.conf.Positional] = None
    """The checkpoint to read; a foreign policy that reads sentences wants the public model's tokenizer.json in it."""
    out: Path | None = None
    """The new folder to write."""
    layout: str = ""
    """Name of the layout; found by looking when importing, needed when exporting."""
    contract: Path | None = None
    """JSON of the contract of the body that a foreign policy was trained for."""
    data: Path | None = None
    """A data set of that body, whose contract is taken instead."""


def run(options: Options) -> int:
    """Do it, and say what was done."""
    from embodia import weights

    if options.action == "layouts":
        for name in weights.FOLDER.names():
            module = weights.FOLDER.load(name)
            print(f"{name:<28}{module.POLICY:<20}{(module.__doc__ or '').splitlines()[0]}")
        return 0
    if options.folder is None or options.out is None:
        raise ConfigError("say which checkpoint to read and which folder to write", leaf="out", cure=EXAMPLES[1])
    if options.action == "import":
        card = weights.bring_in(options.folder, options.out, _contract(options), options.layout)
        print(f"{options.out}: {card.policy.name}, ready for embodia evaluate and embodia serve")
    else:
        weights.hand_out(options.folder, options.out, options.layout)
        print(f"{options.out}: {options.layout}")
    return 0


def _contract(options: Options) -> Contract:
    if options.contract is not None:
        from embodia.cli.verbs.data import read_contract

        return read_contract(options.contract)
    if options.data is not None:
        from embodia.data.extra import read_extra

        return read_extra(options.data).contract
    raise ConfigError(
        "what the actions of a foreign policy mean is not in its files",
        leaf="contract",
        cure="Give --contract or --data.",
    )
