"""checkpoint.py - tiny Qwen3-VL directories with random weights: config, tokenizer, tensors."""
import json
import shutil
import zlib

import numpy
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

CHECKPOINTS = {
    # released layout: rope_theta + rope_scaling, tied, BF16, one head of 64 in the tower
    "tied64": dict(
        seed=3, stored=torch.bfloat16, shards=1, layout="4.57", tie=True, vocab=320,
        hidden=56, inner=77, layers=3, heads=6, kv_heads=2, head_dim=16, theta=10000.0,
        section=[4, 2, 2], tower=dict(hidden=64, inner=134, depth=3, heads=1, side=6, deep=[0, 1]),
        pixels=[2048, 8192], preprocessor="preprocessor_config.json"),
    # 5.x layout: rope_parameters, own lm_head, F32 in two shards, odd vocabulary, two heads of 12
    "sharded12": dict(
        seed=6, stored=torch.float32, shards=2, layout="5", tie=False, vocab=333,
        hidden=36, inner=61, layers=4, heads=4, kv_heads=2, head_dim=24, theta=500.0,
        section=[5, 4, 3], tower=dict(hidden=24, inner=70, depth=4, heads=2, side=5,
                                      deep=[0, 1, 3]),
        pixels=[2048, 8192], preprocessor="preprocessor_config.json"),
    # 5.x layout, F16, two heads of 72 in the tower, one DeepStack entry, processor_config.json
    "tower72": dict(
        seed=8, stored=torch.float16, shards=1, layout="5", tie=True, vocab=320,
        hidden=48, inner=53, layers=3, heads=4, kv_heads=1, head_dim=32, theta=5000000.0,
        section=[6, 5, 5], tower=dict(hidden=144, inner=102, depth=2, heads=2, side=6, deep=[0]),
        pixels=[1024, 6144], preprocessor="processor_config.json"),
}

# ---------------------------------------------------------------------------- tokenizer

MERGES = """e r|u s|us er|a s|i s|a n|as s|is t|an t|ist ant|ass istant|s y|sy st|s t|e m|h e|Ġ t|
Ġt he|i n|Ġ in|c h|a r|ch ar|char t|Ġ is|w h|a t|wh at""".replace("\n", "").split("|")
ADDED = [  # text, special flag: the order and the flags of Qwen3
    ("<|endoftext|>", 1), ("<|im_start|>", 1), ("<|im_end|>", 1), ("<|object_ref_start|>", 1),
    ("<|object_ref_end|>", 1), ("<|box_start|>", 1), ("<|box_end|>", 1), ("<|quad_start|>", 1),
    ("<|quad_end|>", 1), ("<|vision_start|>", 1), ("<|vision_end|>", 1), ("<|vision_pad|>", 1),
    ("<|image_pad|>", 1), ("<|video_pad|>", 1), ("<tool_call>", 0), ("</tool_call>", 0),
    ("<|fim_prefix|>", 0), ("<|fim_middle|>", 0), ("<|fim_suffix|>", 0), ("<|fim_pad|>", 0),
    ("<|repo_name|>", 0), ("<|file_sep|>", 0), ("<tool_response>", 0), ("</tool_response>", 0),
    ("<think>", 0), ("</think>", 0)]
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
TEMPLATE = r"""{%- set count = namespace(image=0) -%}
{%- macro say(content) -%}
{%- if content is string -%}{{ content }}{%- else -%}
{%- for item in content -%}
{%- if item.type == 'image' or 'image' in item -%}
{%- set count.image = count.image + 1 -%}
{%- if add_vision_id %}Picture {{ count.image }}: {% endif -%}
<|vision_start|><|image_pad|><|vision_end|>
{%- elif 'text' in item -%}{{ item.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{%- if message.role != 'system' or loop.first -%}
{{- '<|im_start|>' + message.role + '\n' -}}{{- say(message.content) -}}{{- '<|im_end|>\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""


def byte_alphabet():
    """The 256 byte characters of GPT-2 in the order of the bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(b) if b in shown else chr(next(hidden)) for b in range(256)]


def first_added():
    return 256 + len(MERGES)


def tokenizer_write(out):
    vocab = {c: i for i, c in enumerate(byte_alphabet())}
    merges = [tuple(m.split(" ")) for m in MERGES]
    for a, b in merges:
        vocab[a + b] = len(vocab)
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False)
    for text, special in ADDED:
        token = AddedToken(text, special=bool(special), **flags)
        t.add_special_tokens([token]) if special else t.add_tokens([token])
    t.save(str(out / "tokenizer.json"), pretty=False)
    decoder = {str(first_added() + i): dict(content=text, special=bool(special), **flags)
               for i, (text, special) in enumerate(ADDED)}
    json_write(out / "tokenizer_config.json", {
        "tokenizer_class": "Qwen2Tokenizer", "processor_class": "Qwen3VLProcessor",
        "model_max_length": 4096, "bos_token": None, "unk_token": None,
        "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "add_prefix_space": False,
        "clean_up_tokenization_spaces": False, "added_tokens_decoder": decoder})


def added_id(text):
    return first_added() + [t for t, _ in ADDED].index(text)


# ---------------------------------------------------------------------------- writing a checkpoint

def json_write(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def tensors_write(tensors, path):
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)


def config_of(c):
    rope = {"rope_type": "default", "mrope_section": c["section"], "mrope_interleaved": True}
    text = {
        "model_type": "qwen3_vl_text", "vocab_size": c["vocab"], "hidden_size": c["hidden"],
        "intermediate_size": c["inner"], "num_hidden_layers": c["layers"],
        "num_attention_heads": c["heads"], "num_key_value_heads": c["kv_heads"],
        "head_dim": c["head_dim"], "hidden_act": "silu", "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6, "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": added_id("<|endoftext|>"), "eos_token_id": added_id("<|im_end|>")}
    dtype = str(c["stored"]).removeprefix("torch.")
    if c["layout"] == "5":
        text["rope_parameters"] = {**rope, "rope_theta": c["theta"]}
    else:
        text.update(rope_theta=c["theta"], rope_scaling=rope, dtype=dtype)
    tower = c["tower"]
    vision = {
        "model_type": "qwen3_vl" if c["layout"] == "4.57" else "qwen3_vl_vision",
        "depth": tower["depth"], "hidden_size": tower["hidden"],
        "intermediate_size": tower["inner"], "num_heads": tower["heads"], "in_channels": 3,
        "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "out_hidden_size": c["hidden"], "num_position_embeddings": tower["side"] ** 2,
        "deepstack_visual_indexes": tower["deep"], "hidden_act": "gelu_pytorch_tanh"}
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl",
        "dtype": dtype, "tie_word_embeddings": c["tie"],
        "image_token_id": added_id("<|image_pad|>"), "video_token_id": added_id("<|video_pad|>"),
        "vision_start_token_id": added_id("<|vision_start|>"),
        "vision_end_token_id": added_id("<|vision_end|>"),
        "text_config": text, "vision_config": vision}


def preprocessor_of(c):
    image = {
        "size": {"shortest_edge": c["pixels"][0], "longest_edge": c["pixels"][1]},
        "patch_size": 16, "temporal_patch_size": 2, "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "image_processor_type": "Qwen2VLImageProcessorFast"}
    if c["preprocessor"] == "preprocessor_config.json":
        return {**image, "processor_class": "Qwen3VLProcessor"}
    video = {**image, "video_processor_type": "Qwen3VLVideoProcessor"}
    del video["image_processor_type"]
    return {"image_processor": image, "video_processor": video,
            "processor_class": "Qwen3VLProcessor"}


def shapes_of(c):
    """name -> shape, in the order of the model."""
    h, n, d = c["hidden"], c["heads"], c["head_dim"]
    t = c["tower"]
    v, m = t["hidden"], 4 * t["hidden"]
    s = {}

    def linear(name, rows, cols):
        s[name + ".weight"], s[name + ".bias"] = [rows, cols], [rows]

    def norm(name, width):
        s[name + ".weight"], s[name + ".bias"] = [width], [width]

    p = "model.visual."
    s[p + "patch_embed.proj.weight"], s[p + "patch_embed.proj.bias"] = [v, 3, 2, 16, 16], [v]
    s[p + "pos_embed.weight"] = [t["side"] ** 2, v]
    for i in range(t["depth"]):
        b = f"{p}blocks.{i}."
        norm(b + "norm1", v), norm(b + "norm2", v)
        linear(b + "attn.qkv", 3 * v, v), linear(b + "attn.proj", v, v)
        linear(b + "mlp.linear_fc1", t["inner"], v), linear(b + "mlp.linear_fc2", v, t["inner"])
    mergers = [("merger", v)] + [(f"deepstack_merger_list.{k}", m) for k in range(len(t["deep"]))]
    for name, width in mergers:
        norm(f"{p}{name}.norm", width)
        linear(f"{p}{name}.linear_fc1", m, m), linear(f"{p}{name}.linear_fc2", h, m)
    p = "model.language_model."
    s[p + "embed_tokens.weight"] = [c["vocab"], h]
    for i in range(c["layers"]):
        b = f"{p}layers.{i}."
        s[b + "input_layernorm.weight"] = s[b + "post_attention_layernorm.weight"] = [h]
        a = b + "self_attn."
        s[a + "q_norm.weight"] = s[a + "k_norm.weight"] = [d]
        s[a + "q_proj.weight"], s[a + "o_proj.weight"] = [n * d, h], [h, n * d]
        s[a + "k_proj.weight"] = s[a + "v_proj.weight"] = [c["kv_heads"] * d, h]
        s[b + "mlp.gate_proj.weight"] = s[b + "mlp.up_proj.weight"] = [c["inner"], h]
        s[b + "mlp.down_proj.weight"] = [h, c["inner"]]
    s[p + "norm.weight"] = [h]
    if not c["tie"]:
        s["lm_head.weight"] = [c["vocab"], h]
    return s


def tensor_of(c, name, shape):
    """Large enough that mistakes show: nothing is near zero, symmetric or the identity."""
    g = torch.Generator().manual_seed(c["seed"] * 1000003 + zlib.crc32(name.encode()))
    x = torch.randn(shape, generator=g)
    if "norm" in name:
        mean = 0.0 if name.endswith("bias") else 1.6 if "q_norm" in name else 1.0
        x = mean + 0.2 * x
        if name.endswith("language_model.norm.weight"):  # else a tied model repeats its input
            x[torch.rand(shape, generator=g) < 0.5] *= -1
    elif "linear_fc1.bias" in name:  # where tanh and erf GELU differ most beside the result
        x = 0.3 * x - 2.0
    elif "pos_embed" in name or name.endswith("bias"):
        x = 0.3 * x
    elif "embed_tokens" in name or "lm_head" in name:
        x = x / (1.0 if "embed_tokens" in name and not c["tie"] else shape[1] ** 0.5 / 3)
        x[first_added():] *= 0.4  # control tokens are read, and seldom the best answer
        x[first_added() + len(ADDED):] = 0  # rows without a token
    else:
        fan_in = int(numpy.prod(shape[1:]))
        gain = 6.0 if "fc2" in name else 1.5 if "qkv" in name or "patch_embed" in name else 1.0
        x = x * gain / fan_in ** 0.5
    return x.to(c["stored"]).contiguous()


def checkpoint_write(name, c, out):
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    json_write(out / "config.json", config_of(c))
    json_write(out / c["preprocessor"], preprocessor_of(c))
    json_write(out / "generation_config.json", {
        "bos_token_id": added_id("<|endoftext|>"), "pad_token_id": added_id("<|endoftext|>"),
        "eos_token_id": [added_id("<|im_end|>"), added_id("<|endoftext|>")], "do_sample": False})
    (out / "chat_template.jinja").write_text(TEMPLATE)
    tokenizer_write(out)
    tensors = {k: tensor_of(c, k, s) for k, s in shapes_of(c).items()}
    if c["shards"] == 1:
        tensors_write(tensors, out / "model.safetensors")
        return
    names = sorted(tensors)
    parts = [names[i::c["shards"]] for i in range(c["shards"])]  # no layer is whole in one shard
    where = {}
    for i, part in enumerate(parts):
        file = f"model-{i + 1:05}-of-{c['shards']:05}.safetensors"
        tensors_write({k: tensors[k] for k in part}, out / file)
        where.update({k: file for k in part})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    json_write(out / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))})
