"""engine_openvino.py - answers a job of speed.py with OpenVINO GenAI.

    python engine_openvino.py run JOB.json
    python engine_openvino.py export MODEL_DIR OUT_DIR WEIGHTS

Its pipeline gives no logits: its first token is compared with the likeliest one of the reference.
Times are those of its own metrics. The pages are asked with its cache of prefixes."""
import json
import os
import pathlib
import subprocess
import sys

TAG = "<|vision_start|><|image_pad|><|vision_end|>"


def export(model_dir, out, weights):
    """The directory that OpenVINO reads, by optimum. It wants transformers 4.57, which looks for
    rope_theta and rope_scaling where released checkpoints have them."""
    linked = pathlib.Path(f"{out}.model")
    linked.mkdir(exist_ok=True)
    for file in pathlib.Path(model_dir).iterdir():
        if file.name != "config.json" and not (linked / file.name).exists():
            (linked / file.name).symlink_to(file)
    config = json.loads((pathlib.Path(model_dir) / "config.json").read_text())
    text = config["text_config"]
    rope = text["rope_parameters"]
    text.update(rope_theta=rope["rope_theta"], rope_scaling=rope)
    (linked / "config.json").write_text(json.dumps(config))
    program = pathlib.Path(sys.executable).parent / "optimum-cli"
    subprocess.run([program, "export", "openvino", "-m", linked, "--task", "image-text-to-text",
                    "--weight-format", weights, out], check=True,
                   env=dict(os.environ, HF_HUB_OFFLINE="1"))


class Engine:
    def __init__(self, job):
        import openvino  # pylint: disable=import-outside-toplevel
        import openvino_genai  # pylint: disable=import-outside-toplevel
        self.tensor, self.genai = openvino.Tensor, openvino_genai
        cache = openvino_genai.SchedulerConfig()
        cache.enable_prefix_caching = True
        self.pipeline = openvino_genai.VLMPipeline(
            job["model"], "CPU", scheduler_config=cache, INFERENCE_NUM_THREADS=job["threads"])

    def answer(self, prompt, tokens=1):
        """{tokens, encode, prefill, decode, first} of a prompt; decode is of one token, first the
        answer. encode has the preprocessing of images in it."""
        import numpy  # pylint: disable=import-outside-toplevel
        from PIL import Image  # pylint: disable=import-outside-toplevel
        text = prompt["text"]
        for i in range(len(prompt["images"])):
            text = text.replace(TAG, f"<ov_genai_image_{i}>", 1)
        config = self.genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.apply_chat_template = tokens, True, False
        images = [self.tensor(numpy.array(Image.open(file).convert("RGB"))[None])
                  for file in prompt["images"]]
        said = self.pipeline.generate(text, images=images, generation_config=config)
        metrics = said.perf_metrics
        encode = metrics.get_prepare_embeddings_duration().mean
        return {"tokens": metrics.get_num_input_tokens(), "encode": encode, "first": said.texts[0],
                "prefill": metrics.get_ttft().mean - encode, "decode": metrics.get_tpot().mean}


def run(job):
    engine, prompts, said = Engine(job), job["prompts"], {}
    for name in ("text", "image") if "agree" in job["steps"] else ():
        said[name] = engine.answer(prompts[name])
    if "prefill" in job["steps"]:
        engine.answer(prompts["warm"])
        said["prefill"] = engine.answer(prompts["long"], job["decode"] + 1)
        said["decode"] = {"tokens": job["decode"],
                          "decode": said["prefill"]["decode"] * job["decode"]}
    if "encode" in job["steps"]:
        said["encode"] = engine.answer(prompts["square"])
    if "pages" in job["steps"]:
        said["pages_cold"] = engine.answer(prompts["pages"])
        said["pages"] = engine.answer(prompts["pages_again"])
    return said


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(*sys.argv[2:])
    else:
        with open(sys.argv[2], encoding="utf-8") as file:
            print(json.dumps(run(json.load(file))))
