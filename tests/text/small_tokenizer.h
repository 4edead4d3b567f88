/* small_tokenizer.h - a tokenizer.json of 256 bytes, three merges, a control and an added token. */
#ifndef TESTS_TEXT_SMALL_TOKENIZER_H
#define TESTS_TEXT_SMALL_TOKENIZER_H

#include "text/tokenizer_parts.h"

#include <stdio.h>
#include <utf8proc.h>

#define SMALL_FLAGS \
    "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false"
#define SMALL_ADDED                                                                   \
    "{\"id\": 300, \"content\": \"<|im_end|>\", \"special\": true, " SMALL_FLAGS "}," \
    "{\"id\": 301, \"content\": \"<think>\", \"special\": false, " SMALL_FLAGS "}"
#define SMALL_MERGES "[\"a\", \"b\"], [\"\xC4\xA0\", \"a\"], [\"ab\", \"ab\"]"

/* "!": 33, ... every byte in the byte alphabet, then merged tokens */
static inline void small_vocab(char *out)
{
    int next = 256;
    for (int byte = 0; byte < 256; byte++) {
        int printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
        int code = printable ? byte : next++;
        uint8_t text[5] = {0};
        utf8proc_encode_char(code, text);
        out += sprintf(out, "\"%s%s\": %d, ", code == '"' || code == '\\' ? "\\" : "", (char *)text,
                       byte);
    }
    sprintf(out, "\"ab\": 256, \"\xC4\xA0"
                 "a\": 257, \"abab\": 258");
}

static inline char *small_json(void)
{
    static char text[32768], vocab[16384], pattern[1024], *p = pattern;
    small_vocab(vocab);
    p = pattern;
    for (const char *c = TOKENIZER_PATTERN; *c; *p++ = *c++)
        if (*c == '\\') *p++ = '\\';
    *p = 0;
    snprintf(text, sizeof text,
             "{\"version\": \"1.0\", \"added_tokens\": [" SMALL_ADDED "], "
             "\"normalizer\": {\"type\": \"NFC\"}, "
             "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": ["
             "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"%s\"}, \"behavior\": \"Isolated\", "
             "\"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
             "\"trim_offsets\": false, \"use_regex\": false}]}, \"post_processor\": null, "
             "\"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
             "\"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": \"\", "
             "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false, "
             "\"ignore_merges\": false, \"vocab\": {%s}, \"merges\": [" SMALL_MERGES "]}}",
             pattern, vocab);
    return text;
}

#endif
