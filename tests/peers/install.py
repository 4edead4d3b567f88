"""install.py - sets up what speed.py compares: llama.cpp, a Python with transformers, models."""
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile

LLAMA = "llama-cpp-python==0.3.36"  # its source distribution has llama.cpp in vendor/llama.cpp
PYTHON = ["torch==2.15.0", "torchvision", "transformers==5.24.0", "pillow", "numpy", "pyyaml"]
OPENVINO = ["optimum-intel==2.2.0", "openvino-genai==2026.4.1.0", "transformers==4.57.6"]
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
HERE = pathlib.Path(__file__).resolve().parent


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def logged(command, log, **more):
    """Runs a long command at the lowest priority; its output is in the file log."""
    say(f"{' '.join(map(str, command))} > {log}")
    with open(log, "ab") as file:
        done = subprocess.run(["nice", "-n", "19", *map(str, command)], stdout=file,
                              stderr=subprocess.STDOUT, check=False, **more)
    if done.returncode:
        sys.exit(f"speed.py: {command[0]} failed with status {done.returncode}; read {log}")


def python(work, given):
    """The interpreter with torch and transformers: the given one, or a new venv in work."""
    if given:
        return given
    venv = work / "venv"
    if not (venv / "ready").exists():
        logged([sys.executable, "-m", "venv", venv], work / "venv.log")
        logged([venv / "bin/pip", "install", *PYTHON], work / "venv.log")
        (venv / "ready").touch()
    return str(venv / "bin/python")


def openvino_python(work, interpreter, given):
    """One with OpenVINO GenAI and what exports to it, which wants an older transformers: a venv
    over the packages of the interpreter, whose torch it uses."""
    if given:
        return given
    venv = work / "openvino"
    if not (venv / "ready").exists():
        logged([interpreter, "-m", "venv", venv], work / "venv.log")
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        below, above = (subprocess.run([python, "-c", code], check=True, capture_output=True,
                                       text=True).stdout.strip()
                        for python in (interpreter, venv / "bin/python"))
        (pathlib.Path(above) / "zz-below.pth").write_text(below + "\n")
        logged([venv / "bin/pip", "install", *OPENVINO], work / "venv.log")
        (venv / "ready").touch()
    return str(venv / "bin/python")


def openvino_model(work, interpreter, model, weights):
    """The checkpoint as OpenVINO reads it, exported by optimum with its defaults."""
    out = work / "models" / f"{model.name}-openvino-{weights}"
    if not out.exists():
        part = out.with_name(f"{out.name}.{os.getpid()}")
        logged([interpreter, HERE / "engine_openvino.py", "export", model, part, weights],
               work / "models.log")
        part.rename(out)
    return out


def modules(work, interpreter):
    """A folder with what llama.cpp's converter imports and a given interpreter may lack."""
    out = work / "modules"
    if not (out / "sentencepiece").exists():
        logged([interpreter, "-m", "pip", "install", "--no-deps", "--target", out, "sentencepiece"],
               work / "models.log")
    return out


def llama_source(work):
    """The unpacked source distribution of llama-cpp-python."""
    name = LLAMA.replace("==", "-").replace("llama-cpp-python", "llama_cpp_python")
    source = work / name
    if not (source / "vendor/llama.cpp/CMakeLists.txt").exists():
        logged([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:",
                "--dest", work / "sdist", LLAMA], work / "llama.log")
        with tarfile.open(work / "sdist" / f"{name}.tar.gz") as archive:
            archive.extractall(work)
    return source


def llama(work):
    """(source, folder with libllama.so and libmtmd.so), built for this machine, without AMX: code
    for AMX died of an illegal instruction on a virtual machine that announces it."""
    source, build = llama_source(work), work / "llama-build"
    if not (build / "ready").exists():
        off = ["TESTS", "EXAMPLES", "COMMON", "TOOLS", "SERVER", "APP"]
        flags = NO_AMX if platform.machine() == "x86_64" else ""
        logged(["cmake", "-S", source / "vendor/llama.cpp", "-B", build, "-G", "Ninja",
                "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=ON",
                f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}", "-DLLAMA_OPENSSL=OFF",
                "-DLLAMA_BUILD_MTMD=ON", *[f"-DLLAMA_BUILD_{name}=OFF" for name in off]],
               work / "llama.log")
        logged(["cmake", "--build", build, "--target", "llama", "mtmd"], work / "llama.log")
        (build / "ready").touch()
    return source, build / "bin"


def checkpoint(work, interpreter, shape, seed):
    """The Hugging Face directory."""
    out = work / "models" / shape
    if not (out / "preprocessor_config.json").exists():
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        code = "import sys, pathlib, checkpoint as c; " \
               "c.write_model(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))"
        logged([interpreter, "-c", code, shape, out, seed], work / "models.log",
               env=dict(os.environ, PYTHONPATH=str(HERE)))
    return out


def gguf(work, interpreter, source, libs, model, kind):
    """The GGUF file of a kind: BF16 and F16 by llama.cpp's converter, others by its quantiser;
    "mmproj-KIND" is the vision tower."""
    out = work / "models" / f"{model.name}-{kind}.gguf"
    part = out.with_suffix(f".{os.getpid()}.part")
    if out.exists():
        return out
    plain = kind.removeprefix("mmproj-")
    if plain in ("BF16", "F16"):
        logged([interpreter, source / "vendor/llama.cpp/convert_hf_to_gguf.py", model,
                "--outtype", plain.lower(), "--outfile", part,
                *(["--mmproj"] if plain != kind else [])], work / "models.log",
               env=dict(os.environ, PYTHONPATH=str(modules(work, interpreter))))
    else:
        whole = gguf(work, interpreter, source, libs, model, "BF16")
        logged([interpreter, HERE / "engine_llama.py", "quantize", source, libs, whole, part, kind],
               work / "models.log")
    part.rename(out)
    return out
