"""ask.py LIBRARY MODEL IMAGE QUESTION - asks one question through libvlqa with ctypes alone.

Structs are mirrored as far as they are read here: the library takes the size of the caller's, so a
shorter answer is an older caller's. Prints the answer and the box of the best evidence."""

import ctypes as c
import sys


class EngineOptions(c.Structure):
    _fields_ = [
        ("version", c.c_uint32),
        ("struct_bytes", c.c_uint32),
        ("model", c.c_char_p),
        ("random_shape", c.c_char_p),
        ("random_seed", c.c_uint64),
        ("dtype", c.c_int),
        ("kv_dtype", c.c_int),
        ("cpu", c.c_int),
        ("threads", c.c_int),
        ("image_mode", c.c_int),
        ("resize", c.c_int),
        ("image_min_tokens", c.c_int),
        ("image_max_tokens", c.c_int),
        ("image_max_pixels", c.c_int64),
        ("log", c.c_void_p),
        ("progress", c.c_void_p),
        ("user", c.c_void_p),
        ("no_cache", c.c_int),
        ("cache_dir", c.c_char_p),
        ("cache_salt", c.c_char_p),
        ("cache_ram_bytes", c.c_int64),
        ("cache_disk_bytes", c.c_int64),
    ]


class SessionOptions(c.Structure):
    _fields_ = [
        ("version", c.c_uint32),
        ("struct_bytes", c.c_uint32),
        ("max_seq_len", c.c_int),
        ("experimental", c.c_int),
        ("log", c.c_void_p),
        ("progress", c.c_void_p),
        ("user", c.c_void_p),
    ]


class AskOptions(c.Structure):
    _fields_ = [
        ("version", c.c_uint32),
        ("struct_bytes", c.c_uint32),
        ("max_tokens", c.c_int),
        ("temperature", c.c_float),
        ("top_k", c.c_int),
        ("top_p", c.c_float),
        ("min_p", c.c_float),
        ("repetition_penalty", c.c_float),
        ("presence_penalty", c.c_float),
        ("seed", c.c_uint64),
        ("keep", c.c_int),
        ("ignore_eos", c.c_int),
        ("on_token", c.c_void_p),
        ("on_logits", c.c_void_p),
        ("user", c.c_void_p),
        ("forced", c.POINTER(c.c_int32)),
        ("n_forced", c.c_int),
        ("reuse", c.c_int),
        ("rest", c.c_char * 256),  # left at the defaults
    ]


class Evidence(c.Structure):
    _fields_ = [
        ("image", c.c_int),
        ("x", c.c_int),
        ("y", c.c_int),
        ("width", c.c_int),
        ("height", c.c_int),
        ("score", c.c_float),
    ]


class Answer(c.Structure):
    _fields_ = [
        ("text", c.c_char_p),
        ("text_bytes", c.c_size_t),
        ("token", c.POINTER(c.c_int32)),
        ("n_tokens", c.c_int),
        ("rest", c.c_char * 1024),  # what the library lacks of it becomes 0
    ]


REUSE_OFF, REUSE_ON = 0, 1


def load(path):
    lib = c.CDLL(path)
    size, handle, text = c.c_size_t, c.c_void_p, c.c_char_p
    for name, result, arguments in [
        ("vlqa_engine_options_init", c.c_int, [c.POINTER(EngineOptions), size]),
        ("vlqa_session_options_init", c.c_int, [c.POINTER(SessionOptions), size]),
        ("vlqa_ask_options_init", c.c_int, [c.POINTER(AskOptions), size]),
        ("vlqa_engine_open", c.c_int, [c.POINTER(EngineOptions), c.POINTER(handle)]),
        ("vlqa_engine_message", text, [handle]),
        ("vlqa_engine_close", None, [handle]),
        ("vlqa_session_open", c.c_int, [handle, c.POINTER(SessionOptions), c.POINTER(handle)]),
        ("vlqa_message", text, [handle]),
        ("vlqa_session_close", None, [handle]),
        ("vlqa_add_image_file", c.c_int, [handle, text]),
        ("vlqa_ask", c.c_int, [handle, text, c.POINTER(AskOptions), c.POINTER(Answer), size]),
        ("vlqa_answer_evidence", c.c_int, [c.POINTER(Answer), c.c_int, c.POINTER(Evidence), size]),
    ]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def check(status, message):
    if status:
        sys.exit(f"status {status}: {message.decode()}")


def options(lib, kind, name):
    out = kind()
    check(getattr(lib, f"vlqa_{name}_init")(c.byref(out), c.sizeof(out)), name.encode())
    return out


def main(library, model, image, question):
    lib = load(library)
    engine, session, answer, best = c.c_void_p(), c.c_void_p(), Answer(), Evidence()
    engine_options = options(lib, EngineOptions, "engine_options")
    engine_options.model = model.encode()
    engine_options.threads = 1
    status = lib.vlqa_engine_open(c.byref(engine_options), c.byref(engine))
    check(status, lib.vlqa_engine_message(engine))
    session_options = options(lib, SessionOptions, "session_options")
    session_options.max_seq_len = 2048
    status = lib.vlqa_session_open(engine, c.byref(session_options), c.byref(session))
    check(status, lib.vlqa_message(session))
    for _ in range(2):  # of the second one, not all rows are exact: a question scores them
        check(lib.vlqa_add_image_file(session, image.encode()), lib.vlqa_message(session))
    ask_options = options(lib, AskOptions, "ask_options")
    ask_options.max_tokens = 32
    for reuse in (REUSE_OFF, REUSE_ON):
        ask_options.reuse = reuse
        status = lib.vlqa_ask(
            session, question.encode(), c.byref(ask_options), c.byref(answer), c.sizeof(answer)
        )
        check(status, lib.vlqa_message(session))
        print(answer.text.decode())
    if lib.vlqa_answer_evidence(c.byref(answer), 0, c.byref(best), c.sizeof(best)) == 0:
        print(best.image, best.x, best.y, best.width, best.height)
    lib.vlqa_session_close(session)
    lib.vlqa_engine_close(engine)


main(*sys.argv[1:])
