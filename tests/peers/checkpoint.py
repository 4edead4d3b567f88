"""checkpoint.py - writes a Qwen3-VL checkpoint: random weights in the shape of a released model."""
import json
import lzma
import os
import pathlib
import shutil

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
import transformers  # noqa: E402

transformers.utils.logging.disable_progress_bar()

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT.parent / "shared" / "tokenizer"
TEXT = {  # as in fusion/engine/shape.c: hidden, inner, layers, heads; small is for rehearsals
    "small": (512, 1024, 4, 8), "2b": (2048, 6144, 28, 16), "4b": (2560, 9728, 36, 32),
    "8b": (4096, 12288, 36, 32)}
TOWER_L = dict(depth=24, hidden_size=1024, intermediate_size=4096, num_heads=16,
               num_position_embeddings=2304, deepstack_visual_indexes=[5, 11, 17])
TOWER = {"small": dict(TOWER_L, depth=4, hidden_size=256, intermediate_size=1024, num_heads=4,
                       deepstack_visual_indexes=[0, 1, 2]), "2b": TOWER_L, "4b": TOWER_L,
         "8b": dict(TOWER_L, depth=27, hidden_size=1152, intermediate_size=4304,
                    deepstack_visual_indexes=[8, 16, 24])}


def config_of(shape):
    hidden, inner, layers, heads = TEXT[shape]
    tied = shape != "8b"
    return transformers.Qwen3VLConfig(
        text_config=dict(
            vocab_size=151936, hidden_size=hidden, intermediate_size=inner,
            num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=8,
            head_dim=128, max_position_embeddings=262144, rms_norm_eps=1e-6,
            tie_word_embeddings=tied,
            rope_parameters=dict(rope_type="default", rope_theta=5000000.0,
                                 mrope_section=[24, 20, 20], mrope_interleaved=True)),
        vision_config=dict(TOWER[shape], patch_size=16, spatial_merge_size=2,
                           temporal_patch_size=2, out_hidden_size=hidden),
        image_token_id=151655, video_token_id=151656, vision_start_token_id=151652,
        vision_end_token_id=151653, tie_word_embeddings=tied)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_model(shape, out, seed):
    """A directory as the hub has it. Weights: what transformers initialises, and vectors that are
    not all ones or zeros, so that a norm or bias that is passed over would be seen."""
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.bfloat16)
    model = transformers.Qwen3VLForConditionalGeneration(config_of(shape))
    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(torch.randn(p.shape, dtype=torch.float32).mul_(0.05).to(p.dtype))
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size="2GB")
    del model
    packed = TOKENIZER / "qwen3-tokenizer.json.xz"
    (out / "tokenizer.json").write_bytes(lzma.decompress(packed.read_bytes()))
    shutil.copyfile(TOKENIZER / "qwen3-tokenizer_config.json", out / "tokenizer_config.json")
    shutil.copy(ROOT / "tests/golden/tied64/chat_template.jinja", out)
    write_json(out / "generation_config.json", {"eos_token_id": [151645, 151643]})
    write_json(out / "preprocessor_config.json", {
        "size": {"shortest_edge": 65536, "longest_edge": 16777216}, "patch_size": 16,
        "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor"})


def rendered(tokenizer, model_dir, question, images):
    """The prompt that the checkpoint's chat template makes of images and a question."""
    content = [{"type": "image"} for _ in range(images)] + [{"type": "text", "text": question}]
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True,
        chat_template=(pathlib.Path(model_dir) / "chat_template.jinja").read_text())


def expanded(text, grids):
    """The prompt with as many placeholders as each image has tokens."""
    for grid in grids:
        text = text.replace("<|image_pad|>", "<|place|>" * int(grid.prod() // 4), 1)
    return text.replace("<|place|>", "<|image_pad|>")
