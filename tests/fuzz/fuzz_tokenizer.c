/* fuzz_tokenizer.c - any bytes as text, as a stream of deltas, and as an edit of tokenizer.json. */
#include "base/heap.h"
#include "tests/text/small_tokenizer.h"
#include "text/nfc.h"
#include "text/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct env env;

/* The bytes of the ids are the text in NFC. */
static void check_pieces(const struct tokenizer *t, const char *text, size_t bytes,
                         const int32_t *id, int n, struct arena *scratch)
{
    const char *nfc;
    size_t nfc_bytes, at = 0, length;
    int fits = nfc_compose(text, bytes, scratch, &nfc, &nfc_bytes);
    assert(fits);
    for (int i = 0; i < n; i++) {
        const char *bytes_of = tokenizer_token_bytes(t, id[i], &length);
        assert(bytes_of && at + length <= nfc_bytes && memcmp(bytes_of, nfc + at, length) == 0);
        at += length;
    }
    assert(at == nfc_bytes);
}

static void fuzz_text(const struct tokenizer *t, const char *text, size_t bytes)
{
    size_t scratch_bytes = tokenizer_scratch(bytes);
    void *memory = heap_alloc(scratch_bytes);
    struct arena scratch = arena_over(memory, scratch_bytes);
    int cap = NFC_GROWTH * (int)bytes, n;
    int32_t *id = malloc((size_t)cap * sizeof *id + 1);
    vlqa_status status = tokenizer_encode(&env, t, text, bytes, &scratch, id, cap, &n);
    assert(status == (utf8_valid(text, bytes) == bytes ? VLQA_OK : VLQA_ETEXT));
    if (status == VLQA_OK) {
        assert(n <= cap);
        if (!memmem(text, bytes, "<think>", 7)) check_pieces(t, text, bytes, id, n, &scratch);
        status = tokenizer_encode_special(&env, t, text, bytes, &scratch, id, cap, &n);
        assert(status == VLQA_OK);
    }
    free(id);
    arena_rewind(&scratch, 0);
    heap_free(memory);
}

/* Any split gives the same well-formed text. */
static void fuzz_stream(const char *in, size_t bytes)
{
    struct utf8_stream whole = {.n_tail = 0}, parts = {.n_tail = 0};
    char *out = malloc(3 * (bytes + 3)), *same = malloc(3 * (bytes + 3));
    size_t n = utf8_stream_push(&whole, in, bytes, out), n_same = 0;
    n += utf8_stream_end(&whole, out + n);
    for (size_t at = 0, step; at < bytes; at += step) {
        step = 1 + (uint8_t)in[at] % 5;
        if (step > bytes - at) step = bytes - at;
        n_same += utf8_stream_push(&parts, in + at, step, same + n_same);
    }
    n_same += utf8_stream_end(&parts, same + n_same);
    assert(n == n_same && memcmp(out, same, n) == 0 && utf8_valid(out, n) == n);
    free(out);
    free(same);
}

/* tokenizer.json with some bytes at an offset replaced by the input. */
static void fuzz_file(const uint8_t *data, size_t bytes)
{
    static char dir[] = "/tmp/fuzz_tokenizer.XXXXXX", path[64];
    const char *json = small_json();
    size_t length = strlen(json), at, gone;
    uint64_t live = heap_live();
    struct tokenizer *t = NULL;
    FILE *out;
    if (bytes < 3) return;
    if (!*path) {
        char *made = mkdtemp(dir);
        assert(made);
        snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    }
    at = (size_t)(data[0] | data[1] << 8) % length;
    gone = data[2] % (length - at);
    out = fopen(path, "wb");
    assert(out);
    fwrite(json, 1, at, out);
    fwrite(data + 3, 1, bytes - 3, out);
    fwrite(json + at + gone, 1, length - at - gone, out);
    fclose(out);
    if (tokenizer_load(&env, dir, 302, &t) == VLQA_OK)
        fuzz_text(t, "ab abab<|im_end|>\xC3\xA9", 19);
    tokenizer_free(t);
    assert(heap_live() == live);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct tokenizer *t;
    if (!t) {
        vlqa_status status = tokenizer_bytes(&env, 300, &t);
        assert(status == VLQA_OK);
    }
    if (!bytes) return 0;
    if (data[0] % 4 == 0) {
        fuzz_file(data + 1, bytes - 1);
    } else {
        fuzz_text(t, (const char *)data + 1, bytes - 1);
        fuzz_stream((const char *)data + 1, bytes - 1);
    }
    return 0;
}
