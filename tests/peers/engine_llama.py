"""engine_llama.py - answers a job of speed.py with llama.cpp, through its C interface.

    python engine_llama.py run JOB.json
    python engine_llama.py quantize SOURCE LIBS FROM.gguf TO.gguf KIND

The declarations are those of llama-cpp-python's source distribution (SOURCE), the libraries (LIBS)
those that install.py built from the llama.cpp in it. A job names the steps; see speed.py."""
import ctypes
import importlib
import json
import os
import sys
import time
import types

import numpy
from PIL import Image

PAD = "<|vision_start|><|image_pad|><|vision_end|>"


def declarations(source, libs):
    """(llama, mtmd): llama-cpp-python's modules of declarations, without the package around."""
    os.environ["LLAMA_CPP_LIB_PATH"] = os.environ["MTMD_CPP_LIB"] = str(libs)
    package = types.ModuleType("llama_cpp")
    package.__path__ = [f"{source}/llama_cpp"]
    sys.modules["llama_cpp"] = package
    llama = importlib.import_module("llama_cpp.llama_cpp")
    mtmd = importlib.import_module("llama_cpp.mtmd_cpp")
    llama.llama_backend_init()
    return llama, mtmd


def quantize(source, libs, whole, out, kind):
    llama, _ = declarations(source, libs)
    params = llama.llama_model_quantize_default_params()
    params.ftype = {"Q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0,
                    "Q4_K_M": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M}[kind]
    if llama.llama_model_quantize(whole.encode(), out.encode(), ctypes.byref(params)):
        sys.exit(f"llama.cpp cannot quantise {whole}")


class Engine:
    def __init__(self, job):
        self.llama, self.mtmd = llama, mtmd = declarations(job["source"], job["libs"])
        self.quiet = llama.llama_log_callback(lambda level, text, data: None)
        llama.llama_log_set(self.quiet, None)
        mtmd.mtmd_helper_log_set(self.quiet, None)
        self.model = llama.llama_model_load_from_file(
            job["model"].encode(), llama.llama_model_default_params())
        params = llama.llama_context_default_params()
        params.n_ctx = job["context"]
        params.n_threads = params.n_threads_batch = job["threads"]
        params.flash_attn_type = job["flash"]
        self.batch = params.n_batch
        self.context = llama.llama_init_from_model(self.model, params)
        vision = mtmd.mtmd_context_params_default()
        vision.use_gpu, vision.n_threads, vision.print_timings = False, job["threads"], False
        vision.flash_attn_type = job["flash"]
        self.vision = mtmd.mtmd_init_from_file(job["mmproj"].encode(), self.model, vision)
        if not self.model or not self.context or not self.vision:
            sys.exit(f"llama.cpp cannot open {job['model']} and {job['mmproj']}")
        self.vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.model))

    def clear(self):
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)

    def chunks(self, prompt):
        """Tokens and preprocessed images of a prompt; not part of any time."""
        mtmd = self.mtmd
        text = prompt["text"].replace(PAD, mtmd.mtmd_default_marker().decode()).encode()
        images = []
        for file in prompt["images"]:
            image = Image.open(file).convert("RGB")
            data = (ctypes.c_uint8 * (image.width * image.height * 3)).from_buffer_copy(
                image.tobytes())
            images.append(mtmd.mtmd_bitmap_init(image.width, image.height, data))
        chunks = mtmd.mtmd_input_chunks_init()
        said = mtmd.mtmd_input_text(text, len(text), False, True)
        status = mtmd.mtmd_tokenize(self.vision, chunks, ctypes.byref(said),
                                    (ctypes.c_void_p * len(images))(*images), len(images))
        if status:
            sys.exit(f"llama.cpp cannot tokenise a prompt with {len(images)} images: {status}")
        return [mtmd.mtmd_input_chunks_get(chunks, i)
                for i in range(mtmd.mtmd_input_chunks_size(chunks))]

    def is_image(self, chunk):
        return self.mtmd.mtmd_input_chunk_get_type(chunk) == self.mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE

    def encode(self, chunk):
        if self.mtmd.mtmd_encode_chunk(self.vision, chunk):
            sys.exit("llama.cpp cannot encode an image")

    def answer(self, prompt):
        """{tokens, encode, prefill} of a prompt from its first token to its first logits, in ms."""
        mtmd, past, encode = self.mtmd, ctypes.c_int32(0), 0.0
        chunks = self.chunks(prompt)
        self.clear()
        start = time.perf_counter()
        for i, chunk in enumerate(chunks):
            if self.is_image(chunk):
                before = time.perf_counter()
                self.encode(chunk)
                encode += time.perf_counter() - before
                status = mtmd.mtmd_helper_decode_image_chunk(
                    self.vision, self.context, chunk, mtmd.mtmd_get_output_embd(self.vision),
                    past, 0, self.batch, ctypes.byref(past),
                    mtmd.mtmd_helper_post_decode_callback(), None)
            else:
                status = mtmd.mtmd_helper_eval_chunk_single(
                    self.vision, self.context, chunk, past, 0, self.batch, i == len(chunks) - 1,
                    ctypes.byref(past))
            if status:
                sys.exit(f"llama.cpp cannot evaluate chunk {i}: {status}")
        self.logits()
        whole = time.perf_counter() - start
        return {"tokens": sum(mtmd.mtmd_input_chunk_get_n_tokens(c) for c in chunks),
                "encode": 1e3 * encode, "prefill": 1e3 * (whole - encode)}

    def logits(self):
        pointer = self.llama.llama_get_logits_ith(self.context, -1)
        return numpy.ctypeslib.as_array(pointer, (self.vocab,))

    def decode(self, steps):
        """Milliseconds of so many tokens, each the likeliest after the one before."""
        start = time.perf_counter()
        for _ in range(steps):
            token = (ctypes.c_int32 * 1)(int(self.logits().argmax()))
            if self.llama.llama_decode(self.context, self.llama.llama_batch_get_one(token, 1)):
                sys.exit("llama.cpp cannot decode a token")
        self.logits()
        return 1e3 * (time.perf_counter() - start)


def run(job):
    engine, prompts, said = Engine(job), job["prompts"], {}
    for name in ("text", "image") if "agree" in job["steps"] else ():
        said[name] = engine.answer(prompts[name])
        engine.logits().astype("<f4").tofile(f"{job['out']}.{name}.f32")
    if "prefill" in job["steps"]:
        engine.answer(prompts["warm"])
        said["prefill"] = engine.answer(prompts["long"])
        said["decode"] = {"tokens": job["decode"], "decode": engine.decode(job["decode"])}
    if "encode" in job["steps"]:
        image = next(c for c in engine.chunks(prompts["square"]) if engine.is_image(c))
        start = time.perf_counter()
        engine.encode(image)
        said["encode"] = {"encode": 1e3 * (time.perf_counter() - start)}
    if "pages" in job["steps"]:
        # What is left of the cached prefix is the text before the first page: a few tokens.
        said["pages"] = engine.answer(prompts["pages_again"])
    return said


if __name__ == "__main__":
    if sys.argv[1] == "quantize":
        quantize(*sys.argv[2:])
    else:
        with open(sys.argv[2], encoding="utf-8") as file:
            print(json.dumps(run(json.load(file))))
