"""Runs in the peer's interpreter: LeRobot writes or reads a toy pi0-FAST, learns one batch by heart and acts."""

import contextlib
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors
from lerobot.policies.molmoact2.molmoact2_hf_model.action_tokenizer import UniversalActionProcessor
from lerobot.policies.pi0_fast import modeling_pi0_fast
from lerobot.processor import tokenizer_processor
from tokenizers import Tokenizer, processors
from torch import nn
from transformers import PaliGemmaConfig, PreTrainedTokenizerFast

folder = Path(sys.argv[1])
request = json.loads((folder / "request.json").read_text())
inputs = {name: torch.from_numpy(array) for name, array in np.load(folder / "inputs.npz").items()}
actions = inputs.pop("action")
torch.set_num_threads(1)
torch.manual_seed(3)
table = folder / "theirs" / "fast-action-tokenizer"


def words(*_, add_eos_token=False, **__):
    """PaliGemma's kind of tokenizer: sentences are opened, or closed where asked."""
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    marks = [("<bos>", 2), ("<eos>", 1)]
    single = "$A <eos>" if add_eos_token else "<bos> $A"
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=marks)
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


def pairs(*_, **__):
    facts = json.loads((table / "processor_config.json").read_text())
    made = PreTrainedTokenizerFast(tokenizer_file=str(table / "tokenizer.json"), clean_up_tokenization_spaces=False)
    return UniversalActionProcessor(made, **{name: facts[name] for name in ("scale", "vocab_size", "min_token")})


for module in (modeling_pi0_fast, tokenizer_processor):
    module.AutoTokenizer = SimpleNamespace(from_pretrained=words)
    module.AutoProcessor = SimpleNamespace(from_pretrained=pairs)
sizes = {name: modeling_pi0_fast.GemmaConfig(**numbers) for name, numbers in request["sizes"].items()}
modeling_pi0_fast.get_gemma_config = sizes.__getitem__
mapping = dict(modeling_pi0_fast.CONFIG_MAPPING.items())
mapping["paligemma"] = lambda: PaliGemmaConfig(vision_config={"model_type": "siglip_vision_model", **request["vision"]})
modeling_pi0_fast.CONFIG_MAPPING = mapping


class Small(modeling_pi0_fast.PI0FastPytorch):
    """With a table of few words."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        vlm, count = self.paligemma_with_expert.paligemma, request["words"]
        vlm.model.multi_modal_projector.linear = nn.Linear(request["vision"]["hidden_size"], sizes["gemma_2b"].width)
        held = vlm.model.language_model.embed_tokens
        held.weight, held.num_embeddings = nn.Parameter(held.weight[:count].clone()), count
        vlm.lm_head = nn.Linear(sizes["gemma_2b"].width, count, bias=False)
        vlm.lm_head.weight = held.weight


modeling_pi0_fast.PI0FastPytorch = Small
prompt = {**inputs, "task": list(request["sentences"])}
if request["write"]:
    fitted = UniversalActionProcessor.fit(list(np.load(folder / "fitted.npy")), scale=4, vocab_size=request["ids"])
    fitted.save_pretrained(table)
    cameras = [name for name in inputs if name.startswith("observation.images.")]
    shapes = {name: PolicyFeature(type=FeatureType.VISUAL, shape=tuple(inputs[name].shape[-3:])) for name in cameras}
    dim = actions.shape[-1]
    shapes["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(dim,))
    config = make_policy_config(
        "pi0_fast",
        input_features=shapes,
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(dim,))},
        device="cpu",
        push_to_hub=False,
        **{name: tuple(value) if isinstance(value, list) else value for name, value in request["config"].items()},
    )
    policy = get_policy_class("pi0_fast")(config).float()
    units = {"mean": torch.randn(dim), "std": torch.rand(dim) + 0.5, "min": -torch.ones(dim), "max": torch.ones(dim)}
    stats = {"observation.state": units, "action": {k: v * 0.7 + 0.1 * (k == "mean") for k, v in units.items()}}
    before, after = make_pre_post_processors(config, dataset_stats=stats)
    for parameter in policy.parameters():
        parameter.data += torch.randn_like(parameter) * 0.03
    learner = torch.optim.Adam(policy.parameters(), lr=3e-3)
    batch = before({**prompt, "action": actions * units["std"] * 0.7 + units["mean"] * 0.7 + 0.1})
    for _ in range(request["steps"]):
        loss, _ = policy.forward(batch)
        learner.zero_grad()
        loss.backward()
        learner.step()
        if loss < 0.02:
            break
    for item in (policy, before, after):
        item.save_pretrained(folder / "theirs")
else:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        policy = get_policy_class("pi0_fast").from_pretrained(folder / "theirs", local_files_only=True)
    assert "All keys loaded successfully" in said.getvalue(), said.getvalue()
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(folder / "theirs"))
policy.eval()
scores, ids = [], []
policy.model.paligemma_with_expert.paligemma.lm_head.register_forward_hook(lambda *call: scores.append(call[2][:, -1]))
decode = policy.detokenize_actions
policy.detokenize_actions = lambda tokens, **named: ids.append(tokens) or decode(tokens, **named)
with torch.no_grad():
    chunk = policy.predict_action_chunk(before(prompt))
    found = torch.stack([after(chunk[:, step]) for step in range(chunk.shape[1])], dim=1)
    logits = torch.stack(scores, dim=1)
    physical = after.steps[0].stats["action"]
    truth = actions * physical["std"] + physical["mean"]
    loss, _ = policy.forward(before({**prompt, "action": truth}))
np.savez(
    folder / "outputs.npz",
    actions=found.numpy(),
    logits=logits.numpy(),
    ids=ids[0][:, : logits.shape[1]].numpy(),
    truth=truth.numpy(),
    loss=loss.numpy(),
)
