"""A Prismatic checkpoint in its public names, written and computed without the library: facts of timm and Llama.

`shapes` lists names and shapes; `Reference` computes from the named tensors what the public program computes, the
towers in plain torch functions, the language model by transformers' class.
"""

import json

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

SMALL = {"dino": (64, 3, 128, 2), "siglip": (80, 3, 112, 2), "patch": 14, "llm": (32, 2, 4, 48), "words": 32064}
PAPER = {"dino": (1024, 24, 4096, 16), "siglip": (1152, 27, 4304, 16), "patch": 14, "llm": (4096, 32, 32, 11008)}
PAPER |= {"words": 32064}
DINO, SIGLIP = "vision_backbone.featurizer.", "vision_backbone.fused_featurizer."
HEADS = 16


def shapes(sizes):
    """Name -> shape of every tensor of a file."""
    found = {}

    def linear(name, rows, columns):
        found[f"{name}.weight"], found[f"{name}.bias"] = (rows, columns), (rows,)

    for start, kind in ((DINO, "dino"), (SIGLIP, "siglip")):
        width, depth, hidden, cells = sizes[kind]
        found[f"{start}pos_embed"] = (1, cells * cells, width)
        found[f"{start}patch_embed.proj.weight"] = (width, 3, sizes["patch"], sizes["patch"])
        found[f"{start}patch_embed.proj.bias"] = (width,)
        for name in ("norm", *(f"blocks.{i}.norm{n}" for i in range(depth) for n in (1, 2))):
            found[f"{start}{name}.weight"] = found[f"{start}{name}.bias"] = (width,)
        for block in range(depth):
            inside = f"{start}blocks.{block}."
            linear(f"{inside}attn.qkv", 3 * width, width)
            linear(f"{inside}attn.proj", width, width)
            linear(f"{inside}mlp.fc1", hidden, width)
            linear(f"{inside}mlp.fc2", width, hidden)
            if kind == "dino":
                found[f"{inside}ls1.scale_factor"] = found[f"{inside}ls2.scale_factor"] = (width,)
        if kind == "dino":
            found[f"{start}cls_token"], found[f"{start}reg_token"] = (1, 1, width), (1, 4, width)
        else:
            pool = f"{start}attn_pool."
            found[f"{pool}latent"] = (1, 1, width)
            found[f"{pool}norm.weight"] = found[f"{pool}norm.bias"] = (width,)
            linear(f"{pool}q", width, width)
            linear(f"{pool}kv", 2 * width, width)
            linear(f"{pool}proj", width, width)
            linear(f"{pool}mlp.fc1", hidden, width)
            linear(f"{pool}mlp.fc2", width, hidden)
    width, depth, _, hidden = sizes["llm"]
    seen = sizes["dino"][0] + sizes["siglip"][0]
    for name, rows, columns in (("fc1", 4 * seen, seen), ("fc2", width, 4 * seen), ("fc3", width, width)):
        linear(f"projector.{name}", rows, columns)
    start = "language_model.model."
    found[f"{start}embed_tokens.weight"] = found["language_model.lm_head.weight"] = (sizes["words"], width)
    found[f"{start}norm.weight"] = (width,)
    for layer in range(depth):
        inside = f"{start}layers.{layer}."
        for name in "qkvo":
            found[f"{inside}self_attn.{name}_proj.weight"] = (width, width)
        for name, shape in (("gate", (hidden, width)), ("up", (hidden, width)), ("down", (width, hidden))):
            found[f"{inside}mlp.{name}_proj.weight"] = shape
        found[f"{inside}input_layernorm.weight"] = found[f"{inside}post_attention_layernorm.weight"] = (width,)
    return found


def filmed(tensors, sizes, seed=5):
    """The eyes of a file with every layer inside one that modulates it, under the names of a file of their own."""
    found = {}
    for name, tensor in tensors.items():
        if name.startswith("vision_backbone."):
            before, blocks, after = name.partition(".blocks.")
            number, _, rest = after.partition(".")
            found[f"{before}.blocks.{number}.block.{rest}" if blocks else name] = tensor
    named = {}
    for start, kind in ((DINO, "dino"), (SIGLIP, "siglip")):
        width, depth, _, _ = sizes[kind]
        for block in range(depth):
            for part in ("scale", "shift"):
                named[f"{start}blocks.{block}.{part}.weight"] = (width, sizes["llm"][0])
                named[f"{start}blocks.{block}.{part}.bias"] = (width,)
    return found | invent(named, seed)


def invent(named, seed=0):
    """Random tensors; norms near one."""
    rng = torch.Generator().manual_seed(seed)
    made = {name: 0.15 * torch.randn(shape, generator=rng) for name, shape in named.items()}
    return {name: 1 + tensor if "norm" in name and name.endswith("weight") else tensor for name, tensor in made.items()}


def config(sizes, **more):
    """config.json as the public program writes it."""
    width, depth, heads, hidden = sizes["llm"]
    pixels = sizes["dino"][3] * sizes["patch"]
    text = {"model_type": "llama", "vocab_size": sizes["words"], "hidden_size": width, "intermediate_size": hidden}
    text |= {"num_hidden_layers": depth, "num_attention_heads": heads, "pad_token_id": 32000}
    return {
        "model_type": "openvla",
        "use_fused_vision_backbone": True,
        "timm_model_ids": ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"],
        "timm_override_act_layers": [None, None],
        "image_sizes": [pixels, pixels],
        "pad_to_multiple_of": 64,
        "n_action_bins": 256,
        "text_config": text,
        **more,
    }


def write(folder, tensors, facts, files=2):
    """Sharded files with an index, and config.json."""
    folder.mkdir(parents=True)
    places = {}
    for number in range(files):
        name = f"model-{number + 1:05}-of-{files:05}.safetensors"
        part = {key: tensors[key].contiguous() for key in sorted(tensors)[number::files]}
        save_file(part, folder / name, {"format": "pt"})
        places |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "config.json").write_text(json.dumps(facts))


class Reference:
    """What the public program computes from named tensors."""

    def __init__(self, tensors, sizes):
        self.tensors, self.sizes = tensors, sizes
        self.told = torch.zeros(1, sizes["llm"][0])  # what modulates the towers where their layers are filmed
        width, depth, heads, hidden = sizes["llm"]
        made = LlamaConfig(
            vocab_size=sizes["words"],
            hidden_size=width,
            intermediate_size=hidden,
            num_hidden_layers=depth,
            num_attention_heads=heads,
        )
        self.llama = LlamaForCausalLM(made).eval()
        start = "language_model."
        state = {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
        self.llama.load_state_dict(state)

    def tower(self, pictures, start):
        """(N 3 H W) to (N cells width): the output of the last block but one."""
        t = {name.removeprefix(start): tensor for name, tensor in self.tensors.items() if name.startswith(start)}
        x = F.conv2d(pictures, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=self.sizes["patch"])
        x = x.flatten(2).transpose(1, 2) + t["pos_embed"]
        extra = 0
        if "cls_token" in t:
            begin = torch.cat([t["cls_token"], t["reg_token"]], dim=1).expand(len(x), -1, -1)
            extra, x = begin.shape[1], torch.cat([begin, x], dim=1)
        depth = len({name.split(".")[1] for name in t if name.startswith("blocks.")})
        for block in range(depth - 1):
            x = self._block(x, {n.removeprefix(f"blocks.{block}."): v for n, v in t.items()})
        return x[:, extra:]

    def _block(self, x, t):
        width, film = x.shape[-1], {name: tensor for name, tensor in t.items() if name.startswith(("scale", "shift"))}
        t = {name.removeprefix("block."): tensor for name, tensor in t.items()}
        y = F.layer_norm(x, (width,), t["norm1.weight"], t["norm1.bias"], 1e-6)
        qkv = F.linear(y, t["attn.qkv.weight"], t["attn.qkv.bias"]).unflatten(2, (3, HEADS, width // HEADS))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + F.linear(y, t["attn.proj.weight"], t["attn.proj.bias"]) * t.get("ls1.scale_factor", 1.0)
        if film:
            scale, shift = (F.linear(self.told, film[f"{n}.weight"], film[f"{n}.bias"]) for n in ("scale", "shift"))
            x = x * (1 + scale[:, None]) + shift[:, None]
        y = F.layer_norm(x, (width,), t["norm2.weight"], t["norm2.bias"], 1e-6)
        y = F.linear(
            F.gelu(F.linear(y, t["mlp.fc1.weight"], t["mlp.fc1.bias"])), t["mlp.fc2.weight"], t["mlp.fc2.bias"]
        )
        return x + y * t.get("ls2.scale_factor", 1.0)

    def image(self, pictures):
        """uint8 (N H W 3) to projected cells (N cells width)."""
        unit = torch.as_tensor(pictures).permute(0, 3, 1, 2).float() / 255
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        dino = self.tower((unit - mean[:, None, None]) / deviation[:, None, None], DINO)
        x = torch.cat([dino, self.tower((unit - 0.5) / 0.5, SIGLIP)], dim=2)
        for number in (1, 2, 3):
            x = F.gelu(x) if number > 1 else x
            x = F.linear(x, self.tensors[f"projector.fc{number}.weight"], self.tensors[f"projector.fc{number}.bias"])
        return x

    def words(self, ids):
        """Embeddings (1 L width)."""
        return self.llama.get_input_embeddings()(torch.tensor([ids]))

    def run(self, embeddings, *, full=False):
        """Last hidden states (B N width) and logits of a sequence; `full`: everything sees everything."""
        count = embeddings.shape[1]
        mask = torch.zeros(len(embeddings), 1, count, count) if full else None
        found = self.llama(inputs_embeds=embeddings, attention_mask=mask, output_hidden_states=True, use_cache=False)
        return found.hidden_states[-1], found.logits


def prompt(sentence):
    """Ids of the public prompt in bytes, as a vocabulary file would give them for bytes it has no piece for."""
    text = f"In: What action should the robot take to {sentence.lower()}?\nOut:"
    return [3 + byte for byte in text.encode()]
