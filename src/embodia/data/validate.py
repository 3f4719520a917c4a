"""Is this data set what it says it is? Everything that is wrong with it, each with file and leaf.

Tables, counters, clocks, sentences, statistics, checksums and the structure of every video are checked; decoding every
frame is optional because it takes as long as the first epoch of training. An empty list means that nothing was found,
not that the demonstrations are good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from embodia.core.errors import ContractError, EmbodiaError
from embodia.core.specs import Contract
from embodia.data import layout
from embodia.data.checks_frames import check_duplicates, check_statistics, check_tables, read_sentences
from embodia.data.checks_videos import check_videos
from embodia.data.extra import read_extra
from embodia.data.finding import Finding, Kind, from_error
from embodia.data.readers.lerobot import contract_of, read_info
from embodia.data.rows import EpisodeRow, read_rows

__all__ = ["Finding", "validate"]

Progress = Callable[[str, int, int], None]


def validate(
    root: str | Path, *, contract: Contract | None = None, decode: bool = False, progress: Progress | None = None
) -> list[Finding]:
    """All findings, in the order of the checks; never raises for what is wrong with the data.

    `contract` is needed for a set of another program (`readers.lerobot.contract_of`). `decode` decodes every frame.
    `progress(what, done, total)` is called between stages.
    """
    root, found = Path(root), list[Finding]()
    tell = progress or (lambda what, done, total: None)
    try:
        tell("episodes", 0, 4)
        known = _contract(root, contract)
        rows = read_rows(root)
    except EmbodiaError as error:
        return [from_error(error, root)]
    sentences = read_sentences(root, rows, found)
    found += _info(root, rows, known, sentences)
    tell("frames", 1, 4)
    tables = check_tables(root, rows, known, sentences, found)
    if tables is not None:
        mine = (root / layout.EXTRA).exists()
        found += check_statistics(root, tables, quantiles=mine)
        found += check_duplicates(root, rows, tables)
    tell("videos", 2, 4)
    found += check_videos(root, rows, known, decode=decode)
    tell("files", 3, 4)
    found += _leftovers(root, rows)
    tell("done", 4, 4)
    return found


def _contract(root: Path, contract: Contract | None) -> Contract:
    if (root / layout.EXTRA).exists():
        return read_extra(root).contract
    read_info(root)
    if contract is None:
        raise ContractError("the set does not say what its actions mean; give its contract", file=root)
    return contract


def _info(root: Path, rows: Sequence[EpisodeRow], contract: Contract, sentences: Sequence[str]) -> Iterator[Finding]:
    path = root / layout.INFO
    try:
        info = read_info(root)
        stated = contract_of(root, action=contract.action.parts, state=contract.observation.state)
    except EmbodiaError as error:
        yield from_error(error, root)
        return

    def differs(leaf: str, given: Any, expected: Any, kind: Kind = "wrong_contract") -> Iterator[Finding]:
        if given != expected:
            yield Finding(kind=kind, message=f"says {given!r}, expected {expected!r}", file=str(path), leaf=leaf)

    yield from differs("fps", stated.observation.rate_hz, contract.observation.rate_hz)
    sizes = {camera.name: (camera.height, camera.width) for camera in stated.observation.cameras}
    for camera in contract.observation.cameras:
        leaf = f"features.{layout.image_key(camera.name)}"
        yield from differs(leaf, sizes.get(camera.name), (camera.height, camera.width))
    if (root / layout.EXTRA).exists():
        for name, names in layout.vector_features(contract).items():
            yield from differs(f"features.{name}.names", info["features"][name].get("names"), list(names))
    yield from differs("total_episodes", info.get("total_episodes"), len(rows), "wrong_count")
    yield from differs("total_frames", info.get("total_frames"), sum(row.length for row in rows), "wrong_count")
    yield from differs("total_tasks", info.get("total_tasks"), len(sentences), "wrong_count")


def _leftovers(root: Path, rows: Sequence[EpisodeRow]) -> Iterator[Finding]:
    known = {root / row.data for row in rows}
    known |= {root / span.path for row in rows for span in row.videos.values()}
    for pattern in ("data/**/*.parquet", "videos/**/*.mp4"):
        for path in sorted(set(root.glob(pattern)) - known):
            message = "belongs to no episode; recording here again removes it"
            yield Finding(kind="leftover", message=message, file=str(path), severity="warning")
