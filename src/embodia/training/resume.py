"""Continuing a run: recovery is the start-up path, so it runs every time, kill or no kill."""

from __future__ import annotations

from embodia.core.config import to_json
from embodia.core.errors import ConfigError
from embodia.training.checkpoint import Card, Store, read, read_card
from embodia.training.config import require_same_run
from embodia.training.state import Learner


def resume(learner: Learner, store: Store, card: Card) -> None:
    """Bring `learner` to the newest complete checkpoint of `store`; leave it new where there is none.

    Raises `ConfigError` when the checkpoint is of another run or resuming is not allowed, `CorruptFileError` when it
    was damaged, `TrainingError` when the ranks do not see the same checkpoint.
    """
    place = learner.parallel
    if place.leads:
        store.tidy()
    place.wait()
    latest = store.latest()
    place.agree(str(latest), "the checkpoint to resume from")
    if latest is None:
        return
    if not learner.config.resume:
        raise ConfigError(
            "the folder holds a run already", file=store.folder, leaf="resume", cure="Use another folder."
        )
    require_same(read_card(latest), card, file=str(latest / "spec.json"))
    tensors, facts = read(latest)
    learner.load(tensors, facts, file=str(latest))


def require_same(saved: Card, wanted: Card, *, file: str) -> None:
    """Raise `ConfigError` unless both cards describe one run: policy, data sets, and the training that matters."""
    if saved.training is not None and wanted.training is not None:
        require_same_run(saved.training, wanted.training, file=file)
    for leaf in ("policy", "provenance", "datasets"):
        if to_json(getattr(saved, leaf)) != to_json(getattr(wanted, leaf)):
            raise ConfigError(
                f"the run in this folder has another {leaf}", file=file, leaf=leaf, cure="Use another folder."
            )
