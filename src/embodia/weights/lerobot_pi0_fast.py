"""pi0-FAST as LeRobot writes it (0.6), the layout of its files on the hub too.

Its files name the table of the actions and the pieces of words and hold neither: lay the published folder of the action
tokenizer and PaliGemma's `tokenizer.json` beside the weights. The one thing to watch: in use LeRobot's prompt sees the
mark that opens the action, in its training it does not; here it does in both, so that actions in use are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from embodia.builders.flow_vla import GEMMA_TEXT, PALIGEMMA
from embodia.builders.speaking import SpeakerConfig, SpeechConfig
from embodia.builders.vlm import TextConfig, tokenizer
from embodia.core.errors import CheckpointError, ConfigError
from embodia.core.specs import Contract
from embodia.parts.compose import Inference
from embodia.parts.tokenizers.fast import FastTokenizer
from embodia.policies import PolicySpec
from embodia.policies.pi0_fast import PROMPT, WORDS
from embodia.weights import Foreign, _fast, _folders, _lerobot, _pi0, _vla

POLICY = "pi0_fast"
TABLE = "lerobot/fast-action-tokenizer"
"""The table that LeRobot takes unless told otherwise; a folder of its last name is looked for beside the weights."""
_PREPARE = "pi0_fast_prepare_state_tokenizer_processor_step"
_SPEAKS = "decoder.tokenizer.inner."
_TEXT = replace(GEMMA_TEXT, end="", template=PROMPT, openpi=True, closing=GEMMA_TEXT.start)


def recognise(folder: Path) -> bool:
    """Whether LeRobot wrote a pi0-FAST into `folder`."""
    return _lerobot.is_of(folder, "pi0_fast")


def read(folder: Path, contract: Contract) -> Foreign:
    """The policy in `folder`. Raises `CheckpointError`, `ContractError`, `MissingFileError`."""
    facts = _lerobot.Facts(folder)
    facts.check_contract(contract)
    tensors = ours(_lerobot.read_weights(folder, ""), folder)
    pieces = len(tensors["backbone.vocabulary.table.weight"])
    plain = config_of(facts, pieces, _lerobot.vocabulary(folder))
    name = Path(str(facts.get("action_tokenizer_name", TABLE))).name
    table = _fast.read_table(folder / name, plain.chunk, contract.action.dim, plain.speech.longest)
    speech = replace(plain.speech, ids=table.vocabulary, scale=table.scale)
    buffers = {f"{_SPEAKS}{leaf}": tensor for leaf, tensor in table.state_dict().items()}
    return Foreign(
        spec=PolicySpec(name=POLICY, size="paper", contract=contract, config=replace(plain, speech=speech)),
        statistics=_lerobot.read_statistics(folder, colours=False, mode=plain.normalization),
        tensors={**tensors, **buffers},
    )


def config_of(facts: _lerobot.Facts, pieces: int, file: str = "") -> SpeakerConfig:
    """Our configuration of a LeRobot one with `pieces` words. Raises `CheckpointError` for what cannot be built."""
    facts.require("use_relative_actions", False, default=False)
    text = replace(_TEXT, vocabulary=pieces, length=facts.get("tokenizer_max_length"), file=file)
    longest = facts.get("max_decoding_steps") - len(tokenizer(text).plain(WORDS.before))
    spared = facts.get("fast_skip_tokens") + pieces - _spoken(text)
    if longest < 1 or spared < 0:
        raise CheckpointError("leaves no room for actions", file=facts.file, leaf="max_decoding_steps")
    tokens = replace(WORDS.tokens, temperature=facts.get("temperature", 0.0) or WORDS.tokens.temperature)
    return SpeakerConfig(
        chunk=facts.get("chunk_size"),
        vlm=replace(PALIGEMMA, vision=_vla.eye(facts), model=_vla.gemma(facts, "paligemma_variant"), text=text),
        speech=replace(WORDS, alphabet="bytes", longest=longest, spared=spared, tokens=tokens),
        normalization=facts.mode(),
        inference=Inference(execute=facts.get("n_action_steps")),
    )


def write(foreign: Foreign, out: Path) -> None:
    """Write the policy for LeRobot. Raises `ConfigError` where LeRobot's pi0-FAST has no such thing."""
    config, contract = foreign.spec.config, foreign.spec.contract
    text, speech = config.vlm.text, config.speech
    vision = _vla.check_eye(config.vlm.vision, contract)
    _check(config, speech, text)
    before = len(tokenizer(text).plain(speech.before))
    longest = before + (speech.longest or config.chunk * contract.action.dim)
    skipped = speech.spared - text.vocabulary + _spoken(text)
    facts = {
        **_vla.shared_facts("pi0_fast", config.chunk, config.inference.execute, 32, text.length),
        "max_action_tokens": longest,
        "max_decoding_steps": longest,
        "fast_skip_tokens": skipped,
        "temperature": 0.0,
        "text_tokenizer_name": _vla.PALIGEMMA,
        "action_tokenizer_name": TABLE,
        "dtype": "float32",
        "paligemma_variant": _vla.name_of(config.vlm.model, "vlm.model"),
        "action_expert_variant": "gemma_300m",
        "image_resolution": [vision.pixels, vision.pixels],
        "use_relative_actions": False,
    }
    table = FastTokenizer(config.chunk, contract.action.dim, speech.ids, speech.scale, speech.longest, speech.alphabet)
    table.load_state_dict({leaf: foreign.tensors[f"{_SPEAKS}{leaf}"].cpu() for leaf in table.state_dict()})
    prepare = {"registry_name": _PREPARE, "config": {}}
    spoken = {
        "registry_name": "action_tokenizer_processor",
        "config": {"trust_remote_code": False, "max_action_tokens": longest, "action_tokenizer_name": TABLE},
    }
    words = _vla.words(_vla.PALIGEMMA, text.length)
    _lerobot.write_checkpoint(
        out,
        config=facts,
        tensors=theirs(foreign.tensors),
        contract=contract,
        statistics=foreign.statistics,
        mode=config.normalization,
        pictures="IDENTITY",
        before=(_vla.RELATIVE, _lerobot.UNITS, prepare, words, spoken, _lerobot.DEVICE),
        after=(_lerobot.UNITS, _vla.ABSOLUTE, _lerobot.DEVICE),
        beside=lambda inside: _fast.write_table(inside / Path(TABLE).name, table),
    )


def ours(tensors: Mapping[str, Tensor], file: Path | str = "") -> dict[str, Tensor]:
    """Our state dictionary, without units and table. Raises `CheckpointError` on unknown names and untied words."""
    layout = _pi0.LEROBOT_PI0_FAST
    plain = {name.removeprefix(layout.leading): tensor for name, tensor in tensors.items()}
    head, words = plain.get(layout.tied), plain.get(f"{layout.beginnings['words']}weight")
    if head is not None and words is not None and not torch.equal(head, words):
        raise CheckpointError("is not tied to the words' embeddings", file=file, leaf=layout.tied)
    return _pi0.read(tensors, layout)


def theirs(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The other way round. Raises `CheckpointError` on unknown names."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(_SPEAKS)}
    return _vla.named(kept, _pi0.LEROBOT_PI0_FAST)


def _spoken(text: TextConfig) -> int:
    """How many pieces the program counts back from: those of the vocabulary's file, where there is one."""
    if not text.file:
        return text.vocabulary
    found = _folders.Fields(Path(text.file)).get("model.vocab")
    return min(len(found), text.vocabulary)


def _check(config: SpeakerConfig, speech: SpeechConfig, text: TextConfig) -> None:
    shared = replace(WORDS, ids=speech.ids, scale=speech.scale, alphabet="bytes", longest=speech.longest)
    shared = replace(shared, spared=speech.spared, tokens=speech.tokens)
    if speech != shared or replace(speech.tokens, temperature=WORDS.tokens.temperature) != WORDS.tokens:
        raise ConfigError("LeRobot's pi0-FAST says a table of bytes in the vocabulary's last ids", leaf="speech")
    prompt = replace(_TEXT, vocabulary=text.vocabulary, length=text.length, file=text.file)
    if text != prompt or config.thought is not None or config.ahead or config.history != 1:
        raise ConfigError("LeRobot's pi0-FAST reads its state in one prompt, closed by its opening piece", leaf="text")
    if config.vlm != replace(PALIGEMMA, vision=config.vlm.vision, model=config.vlm.model, text=text):
        raise ConfigError("LeRobot's pi0-FAST is a PaliGemma", leaf="vlm")
