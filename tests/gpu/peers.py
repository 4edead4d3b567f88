"""peers.py - how fast transformers is on this device: SDPA in bf16, in the sizes that run.sh times vlqa in.

    python3 tests/gpu/peers.py --shape 8b --device cuda --out FILE

Weights are made on the device. Each result is written at once, so that whoever is stopped leaves some.
vLLM and others are not installed where this runs, and are not timed."""
import argparse
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
import checkpoint  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

SIZES = {"small": ([24, 48], [48], [128]), "2b": ([512, 4096], [1024], [1024]),
         "8b": ([512, 1024, 4096, 8192, 32768], [1024, 8192, 32768], [1024, 2048])}


class Peer:
    def __init__(self, args):
        self.args, self.results = args, {"shape": args.shape, "torch": torch.__version__,
                                         "transformers": transformers.__version__, "times": []}
        config = checkpoint.config_of(args.shape)
        torch.manual_seed(0)
        start = time.perf_counter()
        torch.set_default_dtype(torch.bfloat16)
        with torch.device(args.device):
            self.model = transformers.Qwen3VLForConditionalGeneration._from_config(
                config, attn_implementation="sdpa").eval()
        torch.set_default_dtype(torch.float32)
        self.wait()
        self.note("load", 0, 1e3 * (time.perf_counter() - start))

    def wait(self):
        if self.args.device == "cuda":
            torch.cuda.synchronize()

    def note(self, what, tokens, ms):
        self.results["times"].append({"what": what, "tokens": tokens, "ms": round(ms, 3)})
        new = self.args.out + ".new"
        pathlib.Path(new).write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")
        os.replace(new, self.args.out)
        print(f"{what} {tokens}: {ms:.1f} ms", flush=True)

    def timed(self, run, repeat):
        """The median in ms, behind one run that warms up."""
        times = []
        for i in range(repeat + 1):
            self.wait()
            start = time.perf_counter()
            run()
            self.wait()
            times.append(1e3 * (time.perf_counter() - start))
        return sorted(times[1:])[(repeat - 1) // 2]

    def prefill(self, tokens):
        ids = torch.randint(1000, 100000, (1, tokens), device=self.args.device)
        self.said = None
        torch.cuda.empty_cache()
        self.said = self.model(input_ids=ids, use_cache=True, logits_to_keep=1)

    def decode(self, steps):
        for _ in range(steps):
            token = self.said.logits[:, -1].argmax(-1, keepdim=True)
            self.said = self.model(input_ids=token, past_key_values=self.said.past_key_values,
                                   use_cache=True, logits_to_keep=1)

    def encode(self, side):
        cells = side // 16
        pixels = torch.randn(cells * cells, 3 * 2 * 16 * 16, device=self.args.device,
                             dtype=torch.bfloat16)
        grid = torch.tensor([[1, cells, cells]], device=self.args.device)
        self.model.model.get_image_features(pixels, grid)

    def run(self):
        prefill, decode, sides = SIZES[self.args.shape]
        for tokens in prefill:
            ms = self.timed(lambda n=tokens: self.prefill(n), 1 if tokens > 8192 else 3)
            self.note("prefill", tokens, ms)
            if tokens in decode:
                steps = 16
                self.decode(2)
                self.note("decode", tokens, self.timed(lambda: self.decode(steps), 1) / steps)
        self.said = None
        for side in sides:
            ms = self.timed(lambda n=side: self.encode(n), 2)
            self.note("tower", side, ms)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SIZES, default="8b")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with torch.inference_mode():
        Peer(args).run()


if __name__ == "__main__":
    main()
