"""A trained model as a Hugging Face directory of Qwen3-VL.

python export.py --out DIR      from DIR/checkpoint.pt and DIR/tokenizer.json
"""

import argparse
import glob
import json
import os

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

import tokens as tokens_
from deepen import deepened
from evaluate import table
from model import SIZES, Model
from pack import CELLS, GLYPHS

SHARD = 15 << 20  # bytes of tensors in a file at most
LEAST = 49152  # pixels of an image: smaller ones are made larger
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' or 'image' in c %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tensors(model):
    """The checkpoint's tensors in bf16. The patch embedding is halved for the two equal frames."""
    found = {}
    for name, value in model.state_dict().items():
        if name.startswith("glyph_head"):
            continue
        value = value.detach().float().cpu()
        if name == "visual.patch_embed.proj.weight":
            value = (value.view(-1, 3, 16, 16) / 2)[:, :, None].repeat(1, 1, 2, 1, 1)
        found["model." + name] = value.to(torch.bfloat16).contiguous()
    return found


def _shards(found):
    """Lists of names whose tensors are at most SHARD bytes together."""
    shards, used = [[]], 0
    for name, value in found.items():
        size = value.numel() * 2
        if shards[-1] and used + size > SHARD:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += size
    return shards


def config(size, t):
    """config.json."""
    text = {
        "model_type": "qwen3_vl_text",
        "vocab_size": size.vocab,
        "hidden_size": size.width,
        "intermediate_size": size.inner,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.kv_heads,
        "head_dim": size.head,
        "hidden_act": "silu",
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-6,
        "rope_theta": size.theta,
        "rope_scaling": {
            "rope_type": "default",
            "mrope_section": size.sections,
            "mrope_interleaved": True,
        },
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "bos_token_id": t.pad,
        "eos_token_id": t.end,
        "initializer_range": 0.02,
        "dtype": "bfloat16",
        "use_cache": True,
    }
    vision = {
        "model_type": "qwen3_vl",
        "depth": size.blocks,
        "hidden_size": size.tower,
        "intermediate_size": 4 * size.tower,
        "num_heads": size.tower_heads,
        "in_channels": 3,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": size.width,
        "num_position_embeddings": size.table**2,
        "deepstack_visual_indexes": list(size.deep),
        "hidden_act": "gelu_pytorch_tanh",
        "initializer_range": 0.02,
    }
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "dtype": "bfloat16",
        "image_token_id": t.image,
        "video_token_id": t.video,
        "vision_start_token_id": t.vision_start,
        "vision_end_token_id": t.vision_end,
        "tie_word_embeddings": True,
        "text_config": text,
        "vision_config": vision,
    }


def _write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1, ensure_ascii=False)
        f.write("\n")


def _write_weights(folder, found):
    shards = _shards(found)
    where, total = {}, 0
    for k, names in enumerate(shards):
        file = (
            "model.safetensors"
            if len(shards) == 1
            else f"model-{k + 1:05d}-of-{len(shards):05d}.safetensors"
        )
        save_file({n: found[n] for n in names}, os.path.join(folder, file), {"format": "pt"})
        os.chmod(os.path.join(folder, file), 0o644)
        where.update(dict.fromkeys(names, file))
        total += sum(found[n].numel() * 2 for n in names)
    if len(shards) > 1:
        _write_json(
            folder,
            "model.safetensors.index.json",
            {"metadata": {"total_size": total}, "weight_map": where},
        )
    return total


def write(folder, model, size, t):
    """Everything but tokenizer.json, which is there already. Returns the bytes of the tensors."""
    total = _write_weights(folder, tensors(model))
    _write_json(folder, "config.json", config(size, t))
    _write_json(
        folder,
        "generation_config.json",
        {
            "bos_token_id": t.pad,
            "pad_token_id": t.pad,
            "eos_token_id": [t.end, t.pad],
            "do_sample": False,
        },
    )
    _write_json(
        folder,
        "preprocessor_config.json",
        {
            "size": {"shortest_edge": LEAST, "longest_edge": size.most},
            "patch_size": 16,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "processor_class": "Qwen3VLProcessor",
            "image_processor_type": "Qwen2VLImageProcessorFast",
        },
    )
    special = {i: s for i, s in t.tokenizer.get_added_tokens_decoder().items()}
    _write_json(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "model_max_length": 8192,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "bos_token": None,
            "unk_token": None,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "chat_template": TEMPLATE,
            "added_tokens_decoder": {
                str(i): {
                    "content": s.content,
                    "lstrip": False,
                    "normalized": False,
                    "rstrip": False,
                    "single_word": False,
                    "special": True,
                }
                for i, s in sorted(special.items())
            },
        },
    )
    _write_json(folder, "chat_template.json", {"chat_template": TEMPLATE})
    return total


def write_card(folder, size, total, summary, found):
    """MODEL_CARD.md: what the model is and the figures of its training. found: evaluate.count's."""
    lines = [
        "# A small Qwen3-VL that reads charts",
        "",
        "| | |",
        "|---|---|",
        "| layout | Hugging Face directory of Qwen3-VL |",
        f"| parameters | {total // 2:,} in bf16 |",
        f"| tower | {size.tower} wide, {size.blocks} blocks, {size.tower_heads} heads, DeepStack after blocks "
        f"{', '.join(map(str, size.deep))} |",
        f"| decoder | {size.width} wide, {size.layers} layers, {size.heads} query and {size.kv_heads} key heads of "
        f"{size.head}, tied embedding |",
        f"| tokenizer | byte-level BPE, {size.vocab:,} entries |",
        f"| images | {LEAST:,} to {size.most:,} pixels after resizing |",
        "| licence | Apache-2.0, as the project |",
        "",
        "Trained by `assets/train` on pictures that it draws: " + summary,
        "",
        "Answers about the held-out split (other words, fonts, palettes and layouts than in training) that are exactly",
        "right, greedy, in the trainer's own precision:",
        "",
        "```",
        table(found),
        "```",
        "",
    ]
    with open(os.path.join(folder, "MODEL_CARD.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines))


def grown_rows(rows, old, new):
    """Embedding rows for a grown tokenizer [new size, D]: a new token's row is the mean of the rows of
    the pieces by which the old tokenizer wrote the same bytes. old, new: paths of tokenizer.json.
    """
    with open(new, encoding="utf-8") as f:
        vocabulary = json.load(f)["model"]["vocab"]
    before = Tokenizer.from_file(old)
    names = sorted(vocabulary, key=vocabulary.get)
    n = rows.shape[0]
    assert [before.token_to_id(t) for t in names[:n]] == list(range(n)), "old ids have moved"
    found = torch.empty(len(names), rows.shape[1])
    found[:n] = rows
    for i, name in enumerate(names[n:], n):
        found[i] = rows[[t.id for t in before.model.tokenize(name)]].mean(0)
    return found


def read_weights(folder, model, tokenizer=None):
    """Loads exported tensors into a model. The glyph head, which is not exported, stays as it is.
    tokenizer: the tokenizer.json of the model, where it has more entries than the folder's. The model
    may have more blocks and layers than the folder's (deepen.py)."""
    state = {}
    for file in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        state.update({n.removeprefix("model."): t.float() for n, t in load_file(file).items()})
    name = "visual.patch_embed.proj.weight"
    state[name] = state[name].sum(2).flatten(1)
    name = "language_model.embed_tokens.weight"
    if tokenizer and state[name].shape[0] < model.state_dict()[name].shape[0]:
        old = os.path.join(folder, "tokenizer.json")
        state[name] = grown_rows(state[name], old, tokenizer)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        deep = json.load(f)["vision_config"]["deepstack_visual_indexes"]
    state = deepened(state, model.size, deep)
    lost = model.load_state_dict(state, strict=False)
    assert not lost.unexpected_keys and all(
        n.startswith("glyph_head") for n in lost.missing_keys
    ), lost


def load(folder):
    """(model on the CPU in fp32, its Size, Tokens) of a checkpoint."""
    state = torch.load(os.path.join(folder, "checkpoint.pt"), map_location="cpu", weights_only=True)
    size = SIZES[state["size"]]
    model = Model(size, GLYPHS, CELLS)
    model.load_state_dict(state["model"])
    return model.eval(), size, tokens_.load(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    print(write(out, *load(out)), "bytes of tensors")
