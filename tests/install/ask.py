"""ask.py LIBRARY MODEL IMAGE QUESTION - asks one question through libvlqa with ctypes alone.

Options come from the library, in memory of the largest size: they are mirrored up to the last field
that is set here. Answers are mirrored as far as they are read: the library takes the size of the
caller's. MODEL - is the default model. Prints the answer of a full prefill, of reuse, with a stop
text and with a forbidden first token, the box of the best evidence, and what tokens say."""

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
    ]


class SessionOptions(c.Structure):
    _fields_ = [
        ("version", c.c_uint32),
        ("struct_bytes", c.c_uint32),
        ("max_seq_len", c.c_int),
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
        ("recompute_ratio", c.c_float),
        ("adaptive", c.c_float),
        ("chunker", c.c_int),
        ("chunk_k", c.c_int),
        ("text_chunker", c.c_int),
        ("chunk_text_tokens", c.c_int),
        ("halo", c.c_int),
        ("experimental", c.c_void_p),
        ("evidence_max", c.c_int),
        ("evidence_share", c.c_float),
        ("stop_text", c.POINTER(c.c_char_p)),
        ("on_thinking", c.c_void_p),
        ("bias_token", c.POINTER(c.c_int32)),
        ("bias", c.POINTER(c.c_float)),
        ("n_stop_text", c.c_int),
        ("n_bias", c.c_int),
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


REUSE_ON = 1


def load(path):
    lib = c.CDLL(path)
    size, handle, text, ids = c.c_size_t, c.c_void_p, c.c_char_p, c.POINTER(c.c_int32)
    for name, result, arguments in [
        ("vlqa_engine_options_new", c.POINTER(EngineOptions), []),
        ("vlqa_session_options_new", c.POINTER(SessionOptions), []),
        ("vlqa_ask_options_new", c.POINTER(AskOptions), []),
        ("vlqa_options_free", None, [handle]),
        ("vlqa_default_model_path", c.c_int, [text, size]),
        ("vlqa_engine_open", c.c_int, [c.POINTER(EngineOptions), c.POINTER(handle)]),
        ("vlqa_engine_message", text, [handle]),
        ("vlqa_engine_close", None, [handle]),
        ("vlqa_tokenize", c.c_int, [handle, text, size, c.c_int, ids, c.c_int, ids]),
        ("vlqa_detokenize", c.c_int, [handle, ids, c.c_int, c.c_int, text, size, c.POINTER(size)]),
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


def find_model(lib, model):
    if model != "-":
        return model.encode()
    path = c.create_string_buffer(4096)
    check(lib.vlqa_default_model_path(path, len(path)), b"no default model at " + path.value)
    return path.value


def open_engine(lib, model):
    engine, options = c.c_void_p(), lib.vlqa_engine_options_new()
    options[0].model = find_model(lib, model)
    options[0].threads = 1
    check(lib.vlqa_engine_open(options, c.byref(engine)), lib.vlqa_engine_message(engine))
    lib.vlqa_options_free(options)
    return engine


def open_session(lib, engine):
    session, options = c.c_void_p(), lib.vlqa_session_options_new()
    options[0].max_seq_len = 2048
    check(lib.vlqa_session_open(engine, options, c.byref(session)), lib.vlqa_message(session))
    lib.vlqa_options_free(options)
    return session


def ask(lib, session, question, options):
    answer = Answer()
    status = lib.vlqa_ask(session, question.encode(), options, c.byref(answer), c.sizeof(answer))
    check(status, lib.vlqa_message(session))
    return answer


def ask_all(lib, session, question):
    """The answers, each on a line, and what there is besides."""
    options = lib.vlqa_ask_options_new()
    options[0].max_tokens = 32
    print(ask(lib, session, question, options).text.decode())
    options[0].reuse = REUSE_ON
    answer = ask(lib, session, question, options)
    print(answer.text.decode())
    first = answer.token[0]
    stop = (c.c_char_p * 1)(answer.text.split()[-1])
    options[0].stop_text, options[0].n_stop_text = stop, 1
    print(ask(lib, session, question, options).text.decode())
    options[0].bias_token = (c.c_int32 * 1)(first)
    options[0].bias = (c.c_float * 1)(float("-inf"))
    options[0].n_bias = 1
    print(ask(lib, session, question, options).token[0] != first)
    best = Evidence()
    options[0].n_bias = options[0].n_stop_text = 0
    answer = ask(lib, session, question, options)
    if lib.vlqa_answer_evidence(c.byref(answer), 0, c.byref(best), c.sizeof(best)) == 0:
        print(best.image, best.x, best.y, best.width, best.height)
    lib.vlqa_options_free(options)


def say_again(lib, engine, text):
    n, bytes_of = c.c_int32(), c.c_size_t()
    ids, out = (c.c_int32 * 256)(), c.create_string_buffer(256)
    status = lib.vlqa_tokenize(engine, text, len(text), 0, ids, 256, c.byref(n))
    check(status, b"tokenize")
    check(lib.vlqa_detokenize(engine, ids, n, 0, out, 256, c.byref(bytes_of)), b"detokenize")
    print(n.value > 1, out.value.decode())


def main(library, model, image, question):
    lib = load(library)
    engine = open_engine(lib, model)
    session = open_session(lib, engine)
    for _ in range(2):  # of the second one, not all rows are exact: a question scores them
        check(lib.vlqa_add_image_file(session, image.encode()), lib.vlqa_message(session))
    ask_all(lib, session, question)
    say_again(lib, engine, question.encode())
    lib.vlqa_session_close(session)
    lib.vlqa_engine_close(engine)


main(*sys.argv[1:])
