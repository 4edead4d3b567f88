/* vlqa.h - ask questions about charts, infographics and documents with Qwen3-VL.
 *
 * The stable interface: what is here stays, and grows as section "Sizes" says. It includes no other
 * header of the project, so this file and libvlqa are all an embedder needs. Variants and settings
 * of research are in vlqa_experimental.h and may change in any version.
 *
 *   struct vlqa_engine_options eo = vlqa_engine_options_default();
 *   eo.model = "path/to/hugging-face-directory";
 *   vlqa_engine_open(&eo, &engine);
 *   vlqa_session_open(engine, NULL, &session);
 *   vlqa_add_image_file(session, "chart.png");
 *   vlqa_ask(session, "Which year was best?", NULL, &answer, sizeof answer);
 *   puts(answer.text);
 *
 * Contents: status and callbacks; engine; session; images and texts; question; answer; cache;
 * conveniences for other languages, and for C and C++.
 *
 * Words (docs/GLOSSARY.md has all): a prompt is a sequence of tokens, text tokens and visual
 * tokens; an image has one visual token for each cell of its grid. The keys and values of documents
 * are stored in chunks, which are cells of images and parts of texts; a chunk is a hit in RAM or on
 * disk, or is computed. A question recomputes (repairs) the tokens of chunks that matter most to
 * it. Full prefill computes all tokens and uses no chunks.
 *
 * Sizes: structs may grow at their ends, so none ends in padding or is passed without its size. A
 * function that fills a struct takes the size of the caller's: vlqa_ask(session, question,
 * &options, &answer, sizeof answer), vlqa_ask_options_init(&options, sizeof options). The library
 * writes no more than that; fields that a newer header has and the library lacks become 0. Options
 * carry the size that their init function was given: fields that an older header lacks have their
 * defaults, fields that the library lacks must be 0, or VLQA_EUSAGE is returned. 0 and other sizes
 * below those of the first version are VLQA_EUSAGE, too. Structs handed to callbacks are the
 * library's and begin with its size: what is behind it is not there.
 *
 * Threads: an engine may be shared by any number of threads. A session belongs to one thread at a
 * time; two sessions may run on two threads. Callbacks run on the calling thread, between passes,
 * and must not call into the session that called them (VLQA_ESTATE is returned if they do). A
 * session in use is not closed either, which the log says: close it afterwards. A calling thread
 * needs a stack of VLQA_STACK_BYTES (with much less, opening is VLQA_ELIMIT).
 *
 * Errors: every function that can fail returns a status; vlqa_message() of the session, or
 * vlqa_engine_message() of the engine, says why in one sentence. Functions that take a const handle
 * leave its message alone. Nothing here exits or aborts on bad input. Passing NULL where a handle
 * is needed gives VLQA_EUSAGE; close functions accept NULL.
 *
 * Lifetimes: what a call is given is copied or not needed after it, but for callbacks and `user`,
 * which are used as long as the engine or session lives. What an answer points to belongs to the
 * session and is valid until its next call.
 */
#ifndef VLQA_H
#define VLQA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VLQA_API __attribute__((visibility("default")))
#else
#define VLQA_API
#endif

#if defined(__clang__)
#define VLQA_MUST_USE __attribute__((warn_unused_result))
#else
#define VLQA_MUST_USE
#endif

#define VLQA_VERSION_MAJOR 0
#define VLQA_VERSION_MINOR 1
#define VLQA_VERSION_PATCH 0
#define VLQA_VERSION_TEXT "0.1.0"

/* `version` of all options: goes up when a field changes other than by a new one at the end. */
#define VLQA_OPTIONS_VERSION 2u
#define VLQA_STACK_BYTES (128 << 10) /* of a thread that calls; those of the library have it */

struct vlqa_engine;  /* a loaded model, its threads and its cache */
struct vlqa_session; /* a conversation, and the memory for its KV */
struct vlqa_image;   /* an image that is ready to be added */
struct vlqa_experimental;
struct vlqa_ranks;

/* ---- status and callbacks ---- */

typedef enum VLQA_MUST_USE vlqa_status {
    VLQA_OK = 0,
    VLQA_EUSAGE,    /* an argument or option is wrong: NULL handle, negative count, bad version */
    VLQA_ESTATE,    /* right call, wrong time: session in use, callback re-entered, device lost */
    VLQA_EIO,       /* a file cannot be opened, read or written */
    VLQA_EIMAGE,    /* an image is damaged, too large, or of a format that is not read */
    VLQA_EMODEL,    /* a model directory is damaged, inconsistent, or of another family */
    VLQA_ETEXT,     /* a text is not UTF-8 */
    VLQA_ELIMIT,    /* more tokens, pixels or bytes than the session or the options allow */
    VLQA_EMEMORY,   /* no memory */
    VLQA_EDEVICE,   /* a device is missing or failed */
    VLQA_ECANCELLED /* a callback asked to stop */
} vlqa_status;

VLQA_API const char *vlqa_status_name(vlqa_status status);
VLQA_API const char *vlqa_version(void); /* of the library, as VLQA_VERSION_TEXT of its header */

enum vlqa_log_level { VLQA_LOG_ERROR, VLQA_LOG_WARN, VLQA_LOG_INFO, VLQA_LOG_DEBUG };

/* A finished line without a line break; valid during the call. */
typedef void (*vlqa_log_fn)(void *user, enum vlqa_log_level level, const char *line);
/* phase: "load", "vision", "prefill", "decode", and with chunks "prefix", "chunks", "score",
 * "repair"; 0 <= done <= total. Nonzero cancels at the next boundary: VLQA_ECANCELLED. */
typedef int (*vlqa_progress_fn)(void *user, const char *phase, int64_t done, int64_t total);
/* The next delta of the answer or of thoughts: whole UTF-8 code points, without a NUL behind them.
 * Nonzero ends the answer there (stop = VLQA_STOP_CALLER); that is no error. */
typedef int (*vlqa_token_fn)(void *user, const char *utf8, size_t bytes);
/* The logits [n] that step 0, 1, ... of the answer is sampled from; valid during the call. */
typedef void (*vlqa_logits_fn)(void *user, int step, const float *logits, int n);

/* ---- engine ---- */

enum vlqa_dtype {
    VLQA_DTYPE_AUTO, /* bf16 for BF16 checkpoints, else f32 */
    VLQA_DTYPE_BF16, /* matrix inputs and KV in bf16, sums and residual stream in f32 */
    VLQA_DTYPE_F32,  /* everything in f32, weights widened: for parity work */
    VLQA_DTYPE_INT8, /* kv_dtype only: K and V of stored chunks, see there */
    VLQA_DTYPE_INT4  /* likewise */
};

/* Of the decoder's matrices in memory; the vision tower is never quantised. */
enum vlqa_weights {
    VLQA_WEIGHTS_AUTO, /* as the model's files have them, but bf16 for FP8 on the CPU */
    VLQA_WEIGHTS_BF16, /* not quantised: VLQA_EMODEL where the files are, as other integers there */
    VLQA_WEIGHTS_INT8, /* eight bits, a scale for a row; embedding and head, too */
    VLQA_WEIGHTS_INT4  /* four bits, a scale and a zero point for 32 columns; those two: int8 */
};

enum vlqa_cpu { VLQA_CPU_AUTO, VLQA_CPU_PLAIN, VLQA_CPU_AVX2, VLQA_CPU_AVX512, VLQA_CPU_AMX };

enum vlqa_device { VLQA_DEVICE_CPU, VLQA_DEVICE_AUTO, VLQA_DEVICE_CUDA }; /* AUTO: CUDA or CPU */

enum vlqa_image_mode {
    VLQA_IMAGE_WHITE, /* transparency composited over white; upright, as Exif or else XMP says */
    VLQA_IMAGE_HF     /* alpha dropped, as transformers' load_image does; upright likewise */
};

enum vlqa_resize {
    VLQA_RESIZE_TORCHVISION, /* int16 coefficients: the fast processor of transformers (default) */
    VLQA_RESIZE_PILLOW       /* 22-bit coefficients: the slow processor, qwen-vl-utils */
};

struct vlqa_engine_options {
    uint32_t version;      /* set by vlqa_engine_options_init; checked at open */
    uint32_t struct_bytes; /* likewise */
    const char *model; /* Hugging Face directory, read and closed; required unless random_shape */
    const char *random_shape; /* "2b", "4b", "8b", "default": random weights, for timing */
    uint64_t random_seed;
    enum vlqa_dtype dtype;
    /* Of keys and values; auto: as dtype. int8, int4: of kept chunks alone, K before its rotation
     * and V, with an f32 scale for each token, layer and KV head, or a bf16 step and base for 32
     * values: 53 and 31 % of bf16. Computed tokens are not rounded to them, and none is exact. */
    enum vlqa_dtype kv_dtype;
    enum vlqa_cpu cpu; /* highest instruction set to use; asking for a missing one is an error */
    int threads;       /* 0: one per core this process may use; at most 1024 */
    enum vlqa_image_mode image_mode;
    enum vlqa_resize resize;
    int image_min_tokens, image_max_tokens; /* 0: as preprocessor_config.json says */
    int64_t image_max_pixels;               /* refuse to decode larger files; 0: 100 million */
    vlqa_log_fn log;                        /* NULL: silence; vlqa_engine_close may call it, too */
    vlqa_progress_fn progress;
    void *user;             /* handed to log and progress */
    int no_cache;           /* nonzero: keep nothing between images and questions */
    const char *cache_dir;  /* NULL: in memory only */
    const char *cache_salt; /* records of other salts are never seen; NULL: none */
    int64_t cache_ram_bytes, cache_disk_bytes; /* 0: 1 GiB, 4 GiB */
    /* A file with a chat template in Jinja's language (or, when its name ends with .json, with a
     * member chat_template), or "qwen3vl": that of Qwen3-VL Instruct. NULL: the model's own. */
    const char *chat_template;
    enum vlqa_weights weights; /* what the files do not have is quantised while they are read */
    /* Of embedding and head, where the files have floats: AUTO: int8 with int8 and int4 weights;
     * BF16: not quantised; INT8. */
    enum vlqa_weights head_weights;
    enum vlqa_device device;  /* CUDA: VLQA_EDEVICE where module, driver or GPU is missing */
    int gpu;                  /* with CUDA: which one, from 0 */
    int64_t gpu_cache_bytes;  /* of its memory, for chunks that were used last; 0: none */
    int64_t load_or_compute;  /* nonzero: compute chunks that would take longer to load */
    struct vlqa_ranks *ranks; /* processes that answer together (vlqa_ranks.h); NULL: this one */
};

struct vlqa_model_info {
    char name[128];      /* last part of the model's path, or random-SHAPE */
    char digest[65];     /* 256 bits in hexadecimal: configuration, tokenizer, tensors */
    char dtype[8];       /* of the computation: "bf16" or "f32" */
    char kv_dtype[8];    /* of keys and values: "bf16" or "f32" */
    char chunk_dtype[8]; /* of kept ones: as kv_dtype, "int8" or "int4" */
    char stored[8];      /* of the weights in the files: BF16, F16, F32, INT8, INT4 or FP8 */
    char cpu[16];        /* instruction set in use */
    int threads;
    int64_t parameters, parameters_vision, parameters_text, parameters_embedding;
    int64_t weight_bytes; /* of the tensors in the files */
    int hidden, inner, layers, heads, kv_heads, head_dim, vocab, max_positions, tied;
    int vision_hidden, vision_inner, vision_depth, vision_heads, vision_patch, vision_merge;
    int n_deepstack, deepstack[8];
    int session_seq_len; /* the default max_seq_len */
    int64_t min_pixels, max_pixels;
    int64_t kv_bytes_per_token, visual_bytes_per_token;
    int64_t chunk_bytes_per_token; /* of kept keys and values */
    int64_t session_bytes;         /* what a session with default options takes at most */
    char weights[8]; /* of the decoder's matrices in memory: bf16, f16, f32, int8, int4 or fp8 */
    int64_t weight_memory_bytes; /* of all weights in memory */
};

/* The directory of the default model, beside the library or the program or where it was installed.
 * VLQA_EIO: there is none; path is where it would be. VLQA_EUSAGE: cap bytes do not hold it. */
VLQA_API vlqa_status vlqa_default_model_path(char *path, size_t cap);
/* Sets all fields to their defaults, or writes nothing: VLQA_EUSAGE: bytes is no size of it. */
VLQA_API vlqa_status vlqa_engine_options_init(struct vlqa_engine_options *out, size_t bytes);
/* On failure *out may still be a handle that holds the message: close it all the same. */
VLQA_API vlqa_status vlqa_engine_open(const struct vlqa_engine_options *options,
                                      struct vlqa_engine **out);
/* Sessions and images that are open go on, and the engine ends with the last of them, which the log
 * says; its callbacks are used until then. In a callback of vlqa_engine_open: that fails then. */
VLQA_API void vlqa_engine_close(struct vlqa_engine *engine);
VLQA_API const char *vlqa_engine_message(const struct vlqa_engine *engine);
VLQA_API vlqa_status vlqa_engine_info(const struct vlqa_engine *engine, struct vlqa_model_info *out,
                                      size_t bytes);

/* Writes options->model, a BF16, F16 or F32 checkpoint, to the new directory `out` with the weights
 * of options->weights, INT8 or INT4, in the compressed-tensors format. Opening it gives bit for bit
 * what opening the model with these weights gives. Of the options, threads, log (told why a call
 * failed, as an error), progress ("quantize") and user count, too. VLQA_EIO also: out is there, or
 * the disk is full; nothing is left behind then. */
VLQA_API vlqa_status vlqa_quantize(const struct vlqa_engine_options *options, const char *out);

/* The tokens of a text as prompts have them. Text that spells a control token is plain characters,
 * or with control nonzero that token, as in a chat template. Writes at most cap ids; *n is how many
 * the text has. VLQA_ETEXT: it is not UTF-8. Safe while others use the engine, as the next one. */
VLQA_API vlqa_status vlqa_tokenize(const struct vlqa_engine *engine, const char *utf8, size_t bytes,
                                   int control, int32_t *token, int cap, int *n);
/* The text of tokens, as an answer has it: ill-formed bytes become U+FFFD; control tokens are left
 * out, or with control nonzero written by name. Writes at most cap bytes, the last of them a NUL;
 * at least 1. *bytes is how many the text has without it. VLQA_EUSAGE: a token is not of the model.
 */
VLQA_API vlqa_status vlqa_detokenize(const struct vlqa_engine *engine, const int32_t *token, int n,
                                     int control, char *utf8, size_t cap, size_t *bytes);

/* ---- session ---- */

struct vlqa_session_options {
    uint32_t version;
    uint32_t struct_bytes;
    int max_seq_len;  /* prompt plus answer; 0: what the model allows, at most 32768 */
    int experimental; /* nonzero: memory for what vlqa_experimental.h asks for, too */
    vlqa_log_fn log;
    vlqa_progress_fn progress;
    void *user;
};

VLQA_API vlqa_status vlqa_session_options_init(struct vlqa_session_options *out, size_t bytes);
/* options NULL: defaults. */
VLQA_API vlqa_status vlqa_session_open(struct vlqa_engine *engine,
                                       const struct vlqa_session_options *options,
                                       struct vlqa_session **out);
VLQA_API void vlqa_session_close(struct vlqa_session *session);
/* Forgets images, texts, turns and the system text; keeps the memory. */
VLQA_API vlqa_status vlqa_session_clear(struct vlqa_session *session);
VLQA_API const char *vlqa_message(const struct vlqa_session *session);

/* ---- images and texts ---- */

struct vlqa_image_info { /* the image that was added last */
    int width, height;   /* in the file, upright */
    int resized_width, resized_height;
    int grid_h, grid_w; /* in patches */
    int tokens;         /* visual tokens */
    double ms_decode, ms_vision;
};

struct vlqa_pixels {
    uint8_t *rgb; /* [height * width * 3] */
    int width, height;
};

/* The conversation. Items are placed in the order they are added; the text is copied. A question
 * follows them in the same user turn. Nothing is changed by a call that fails. */
VLQA_API vlqa_status vlqa_set_system(struct vlqa_session *session, const char *utf8, size_t bytes);
VLQA_API vlqa_status vlqa_add_text(struct vlqa_session *session, const char *utf8, size_t bytes);
VLQA_API vlqa_status vlqa_add_image_file(struct vlqa_session *session, const char *path);
/* An encoded file in memory; name is used in messages. */
VLQA_API vlqa_status vlqa_add_image_bytes(struct vlqa_session *session, const void *data,
                                          size_t bytes, const char *name);
/* stride: bytes from one line of pixels to the next, at least 3 * width; the pixels are copied. */
VLQA_API vlqa_status vlqa_add_image_rgb(struct vlqa_session *session, const uint8_t *rgb, int width,
                                        int height, size_t stride);
/* An image that vlqa_image_open prepared, as often as wanted. */
VLQA_API vlqa_status vlqa_add_image(struct vlqa_session *session, const struct vlqa_image *image);
/* VLQA_ESTATE: there is none. */
VLQA_API vlqa_status vlqa_last_image(const struct vlqa_session *session,
                                     struct vlqa_image_info *out, size_t bytes);

/* An encoded file in memory, decoded and resized on the calling thread alone: ahead of the question
 * that needs it, while sessions of the engine work on other threads. Nothing of data is kept; the
 * image takes resized_width * resized_height * 3 bytes. Adding it gives the same bits as
 * vlqa_add_image_bytes. On failure *out may be a handle that holds the message: close it, too. */
VLQA_API vlqa_status vlqa_image_open(const struct vlqa_engine *engine, const void *data,
                                     size_t bytes, const char *name, struct vlqa_image **out);
VLQA_API void vlqa_image_close(struct vlqa_image *image);
VLQA_API const char *vlqa_image_message(const struct vlqa_image *image);
/* ms_vision is 0. */
VLQA_API vlqa_status vlqa_image_read_info(const struct vlqa_image *image,
                                          struct vlqa_image_info *out, size_t bytes);

/* An encoded file as the engine's options have it decoded, upright; nothing is added, and the last
 * answer stays valid. Free it with vlqa_free_pixels. */
VLQA_API vlqa_status vlqa_decode_image(struct vlqa_session *session, const void *data, size_t bytes,
                                       const char *name, struct vlqa_pixels *out, size_t out_bytes);
VLQA_API void vlqa_free_pixels(struct vlqa_pixels *pixels); /* NULL and zeroed are fine */

/* ---- question ---- */

/* Whether stored chunks are used. */
enum vlqa_reuse {
    VLQA_REUSE_OFF, /* no chunks: everything in one causal prefill, exact */
    VLQA_REUSE_ON,  /* chunks, and the tokens that the question attends to most are recomputed
                     * (InfoFlow KV, arXiv 2603.05353, section 3) */
    VLQA_REUSE_AUTO /* exact where that costs nothing: for the cached prefix and the first image or
                       document. Chunks of later ones are placed, and tokens are recomputed as with
                       ON, more and more while adaptive (0: 0.03) is not met, in the end all. OFF in
                       an engine without a cache */
};

/* The chunking of images: whole, k x k cells, k horizontal strips. */
enum vlqa_chunker { VLQA_CHUNK_IMAGE, VLQA_CHUNK_GRID, VLQA_CHUNK_STRIPS };

/* The chunking of documents: evenly, or behind blank lines and in front of lines that begin with
 * "Passage ", and what is longer than chunk_text_tokens evenly again. */
enum vlqa_text_chunker { VLQA_TEXT_FIXED, VLQA_TEXT_PASSAGE };

struct vlqa_ask_options {
    uint32_t version, struct_bytes;
    /* sampling */
    int max_tokens;           /* of the answer; 1 or more */
    float temperature;        /* 0: greedy; ties go to the lowest id */
    int top_k;                /* 0: off */
    float top_p;              /* 1: off */
    float min_p;              /* 0: off */
    float repetition_penalty; /* 1: off; over prompt text and answer, as transformers */
    float presence_penalty;   /* 0: off; over the answer */
    uint64_t seed;
    int keep;       /* nonzero: question and answer become turns of the conversation */
    int ignore_eos; /* nonzero: go on to max_tokens (for timing) */
    vlqa_token_fn on_token;
    vlqa_logits_fn on_logits;
    void *user;            /* handed to on_token, on_thinking and on_logits */
    const int32_t *forced; /* [n_forced] the answer is these tokens, whatever the logits say */
    int n_forced;
    /* reuse of chunks */
    enum vlqa_reuse reuse;
    float recompute_ratio; /* 0..1 of the tokens that miss context; 0: chunks as they are */
    /* above 0: the ratio doubles until a recomputation moves the first token's distribution by less
     * than this (KL, nats); in the end all tokens, exactly */
    float adaptive;
    /* chunking */
    enum vlqa_chunker chunker;
    int chunk_k; /* grid: k x k cells; strips: k; smaller where an image has fewer grid lines */
    enum vlqa_text_chunker text_chunker;
    int chunk_text_tokens; /* documents, or their passages, are cut after so many tokens at most */
    int halo; /* a chunk is computed in sight of its surroundings, which are not stored with it:
                 tokens of the same image or text before its last one, so many grid cells (lines or
                 columns) or text tokens away at most; -1 (default): 4, and more in large images */
    const struct vlqa_experimental *experimental; /* NULL: none; vlqa_experimental.h. Needs a
                                                   * session that was opened for it */
    /* Evidence: boxes at most, 0..16 (default 16), and the share of the tokens of all images, those
     * attended to most, that they lie around (0..1, default 0.05). Where the tokens were not scored
     * for reuse, the attention of the prompt's last token is counted in the pass that computes it,
     * which changes no bit of the answer and costs next to nothing; 0 boxes: it is not counted. */
    int evidence_max;
    float evidence_share;
    /* [n_stop_text], 64 at most, UTF-8 of 1 to 1024 bytes: the answer (not its thoughts) ends
     * before the one that is complete first, also across tokens; on_token hears nothing of it. */
    const char *const *stop_text;
    /* As on_token, of the thoughts, without the white space around them; NULL: nobody is told. */
    vlqa_token_fn on_thinking;
    /* [n_bias] added to the logits of these tokens before penalties and temperature, -1e6 to 1e6;
     * -INFINITY: never. on_logits and the answer's logits are without. */
    const int32_t *bias_token;
    const float *bias;
    int n_stop_text, n_bias;
};

/* ---- answer ---- */

enum vlqa_stop {
    VLQA_STOP_EOS,          /* the model ended its turn: docs/MODEL.md lists the tokens that do */
    VLQA_STOP_LENGTH,       /* max_tokens reached */
    VLQA_STOP_SESSION_FULL, /* the session is full */
    VLQA_STOP_CALLER,       /* on_token or on_thinking asked to stop */
    VLQA_STOP_TEXT          /* one of the options' stop_text was generated */
};

/* Computed for this question, or a hit in memory or on disk. */
enum vlqa_source { VLQA_SOURCE_COMPUTED, VLQA_SOURCE_RAM, VLQA_SOURCE_DISK, VLQA_SOURCE_GPU };

struct vlqa_placed_image { /* an image of the conversation, in the order they were added */
    int width, height;     /* of the source as decoded upright */
    int grid_h, grid_w;    /* in visual tokens */
    int first_token;       /* of the prompt; the others follow in raster order */
    enum vlqa_source source;
    int resized_width, resized_height; /* as the model saw it */
};

struct vlqa_placed_chunk { /* tokens that were computed together; they see prefix and halo, too */
    int image;             /* of the answer, or -1: a text */
    int text;              /* the number of the document, from 0, or -1 */
    int y, x, h, w;        /* of an image: its cells of the grid */
    int first_token;       /* of the prompt; a text's others follow */
    int tokens, tokens_exact; /* exact: as a full prefill in this order gives them without
                                 recomputation; int8: 0 */
    enum vlqa_source source;
    double ms_load, ms_compute; /* with load_or_compute: estimates; 0: none */
};

/* Part of an image that the question attended to most. */
struct vlqa_evidence {
    int image;               /* of the answer */
    int x, y, width, height; /* in the pixels of the source as decoded upright; (0, 0) top left */
    float score;             /* the highest token_score inside */
};

/* Everything it points to belongs to the session and is valid until its next call. */
struct vlqa_answer {
    /* UTF-8, NUL-terminated; ill-formed bytes of the model become U+FFFD, and control tokens that
     * do not end the answer are left out */
    const char *text;
    size_t text_bytes;
    const int32_t *token; /* [n_tokens] of the answer; those of thoughts and of a stop text, too */
    int n_tokens;
    enum vlqa_stop stop;
    const float *logits; /* [n_logits] of the first answer token, before sampling */
    int n_logits;
    const int32_t *prompt_token; /* [tokens_total] ids as the decoder saw them */
    int tokens_total;            /* prefix + context + question */
    int tokens_prefix, tokens_context, tokens_question;
    int exact;             /* nonzero: every token is as a full prefill of the prompt gives it */
    int tokens_selected;   /* context tokens that were recomputed */
    int tokens_recomputed; /* with the question's and those between chunks */
    int chunks_ram, chunks_disk, chunks_computed; /* where the chunks of this question came from */
    int visual_ram, visual_disk, visual_computed; /* and the tower's output */
    /* [tokens_total] the score of selection, or where nothing was selected the attention that
     * evidence was looked for in; NULL: nothing was scored */
    const float *token_score;
    /* [tokens_total] the selection round in which a token was selected (1; more with adaptive, 255
     * at most), or 0; NULL with reuse off */
    const uint8_t *token_selected;
    const void *image; /* struct vlqa_placed_image of the library: read with vlqa_answer_image */
    int n_images;
    const void *chunk;    /* likewise, vlqa_answer_chunk; in the order of the prompt */
    int n_chunks;         /* 0 with reuse off */
    const void *evidence; /* likewise, vlqa_answer_evidence; the highest score first */
    int n_evidence; /* 0: no image, evidence_max is 0, or the variant selects by order or chance */
    double ms_chunks, ms_assemble, ms_score, ms_repair; /* parts of ms_prefill */
    double ms_vision;       /* tower, all images of this prompt, when they were added */
    double ms_decode_image; /* reading and resizing them */
    double ms_prefill, ms_first_token, ms_decode, ms_total; /* first_token counts from the call */
    uint64_t peak_bytes;                                    /* of the process, so far */
    double flops; /* in the decoder's layers, of the prompt: prefill, or probe and recomputation;
                     computing chunks, which are stored, is not counted */
    /* UTF-8, NUL-terminated: what a model thought before its answer, without the tags <think> and
     * </think> and the white space around it; "" if nothing. text is then what stands behind
     * </think>. The tag that opens thoughts may stand in the prompt. Where it stands nowhere, a
     * lone </think> counts all the same, but on_token was told what stands before it. */
    const char *thinking;
    size_t thinking_bytes;
    int thinking_is_open; /* nonzero: the thoughts did not end, and text is empty */
    int stop_text;        /* with VLQA_STOP_TEXT its index in the options, else -1 */
};

VLQA_API vlqa_status vlqa_ask_options_init(struct vlqa_ask_options *out, size_t bytes);
/* options NULL: defaults. Without options->keep the session is as before afterwards, so a document
 * is added once and asked many times. */
VLQA_API vlqa_status vlqa_ask(struct vlqa_session *session, const char *question,
                              const struct vlqa_ask_options *options, struct vlqa_answer *answer,
                              size_t bytes);
/* Looks up or computes all that a question with these options would need of the conversation: the
 * output of the tower, which is stored when an image is added, and, whatever options->reuse is, the
 * chunks. options NULL: defaults. answer may be NULL, with any size; its text is empty. */
VLQA_API vlqa_status vlqa_warm(struct vlqa_session *session, const struct vlqa_ask_options *options,
                               struct vlqa_answer *answer, size_t bytes);
/* Copies element index of an answer's array. VLQA_EUSAGE, and *out is zeroed: there is none. */
VLQA_API vlqa_status vlqa_answer_image(const struct vlqa_answer *answer, int index,
                                       struct vlqa_placed_image *out, size_t bytes);
VLQA_API vlqa_status vlqa_answer_chunk(const struct vlqa_answer *answer, int index,
                                       struct vlqa_placed_chunk *out, size_t bytes);
VLQA_API vlqa_status vlqa_answer_evidence(const struct vlqa_answer *answer, int index,
                                          struct vlqa_evidence *out, size_t bytes);

/* ---- cache ---- */

struct vlqa_cache_stats { /* of an engine, since it was opened */
    uint64_t ram_records, ram_bytes;
    uint64_t disk_records, disk_bytes; /* of the directory now, whoever wrote them */
    uint64_t hits_ram, hits_disk, misses, evicted_ram, evicted_disk;
    uint64_t rejected;                  /* damaged files: removed, and computed again */
    uint64_t write_failures, unwritten; /* records that are not on disk; on their way there */
    char disk_problem[512];             /* why there is a directory that is not used, or "" */
    uint64_t gpu_records, gpu_bytes, hits_gpu, evicted_gpu; /* copies on the GPU of some in RAM */
};

enum vlqa_record_kind {
    VLQA_RECORD_UNKNOWN, /* damaged, of another version, or no record: see problem */
    VLQA_RECORD_VISUAL,  /* output of the vision tower for an image: exact */
    VLQA_RECORD_CHUNK    /* keys and values of a chunk of a document */
};

struct vlqa_cache_options { /* of a directory of records, without an engine */
    uint32_t version;
    uint32_t struct_bytes;
    const char *dir;
    int verify;      /* nonzero: read every byte of every record */
    vlqa_log_fn log; /* told why a call failed, as an error; NULL: silence */
    void *user;      /* handed to log and to vlqa_record_fn */
};

struct vlqa_record {
    uint32_t version;      /* VLQA_OPTIONS_VERSION of the library */
    uint32_t struct_bytes; /* of the library: fields behind it are not there */
    const char *key;       /* 64 hexadecimal digits */
    enum vlqa_record_kind kind;
    int tokens, grid_h, grid_w; /* 0 where unknown; a text has no grid */
    int intact;                 /* the header is; with verify: every byte */
    uint64_t bytes;             /* of its file */
    int64_t mtime;              /* seconds since 1970; the last use, roughly */
    const char *problem;        /* "" where it is intact; else how its file goes on: "is a FIFO" */
};

/* The record is valid during the call. Nonzero ends the scan; that is no error. */
typedef int (*vlqa_record_fn)(void *user, const struct vlqa_record *record);

/* Safe while other threads use the engine. */
VLQA_API vlqa_status vlqa_cache_read_stats(const struct vlqa_engine *engine,
                                           struct vlqa_cache_stats *out, size_t bytes);
/* Records are written to disk behind the answer, on a thread of the engine. This waits until all of
 * them are written that there are now; what fails is counted as write_failures, and logged the
 * first time. So do vlqa_warm and vlqa_engine_close. VLQA_EIO: the disk does not answer, and what
 * it has not begun with is given up. VLQA_ESTATE: in a child process. Safe while others use the
 * engine. */
VLQA_API vlqa_status vlqa_cache_flush(const struct vlqa_engine *engine);
VLQA_API vlqa_status vlqa_cache_options_init(struct vlqa_cache_options *out, size_t bytes);
/* The records of a directory, least recently used first, and what else has such a name: links,
 * FIFOs, files of others. Safe while others use it. VLQA_EIO: it is not there, or not ours. */
VLQA_API vlqa_status vlqa_cache_scan(const struct vlqa_cache_options *options, vlqa_record_fn fn);
/* Removes the records whose key begins with these 1 to 64 hexadecimal digits; NULL: all, and what
 * crashed writers left. *removed counts them, with links and FIFOs of ours; directories and files
 * of others stay, and the log names them. VLQA_EIO also: one cannot be removed. */
VLQA_API vlqa_status vlqa_cache_remove(const struct vlqa_cache_options *options, const char *key,
                                       int *removed);

/* ---- conveniences for other languages ---- */

/* Default options in memory of the library's, of more bytes than any header knows: a program that
 * cannot read this header mirrors the fields up to the last that it sets, sets them through the
 * pointer and passes it on. Free them with vlqa_options_free. NULL: no memory. */
VLQA_API struct vlqa_engine_options *vlqa_engine_options_new(void);
VLQA_API struct vlqa_session_options *vlqa_session_options_new(void);
VLQA_API struct vlqa_ask_options *vlqa_ask_options_new(void);
VLQA_API struct vlqa_cache_options *vlqa_cache_options_new(void);
VLQA_API void vlqa_options_free(void *options); /* NULL is fine */

/* ---- conveniences for C and C++: the functions above with the sizes of this header ---- */

/* struct vlqa_engine_options vlqa_engine_options_default(void), and so on. */
#define VLQA_DEFINE_DEFAULT(name)                  \
    static inline struct name name##_default(void) \
    {                                              \
        struct name o;                             \
        (void)name##_init(&o, sizeof o);           \
        return o;                                  \
    }
VLQA_DEFINE_DEFAULT(vlqa_engine_options)
VLQA_DEFINE_DEFAULT(vlqa_session_options)
VLQA_DEFINE_DEFAULT(vlqa_ask_options)
VLQA_DEFINE_DEFAULT(vlqa_cache_options)
#undef VLQA_DEFINE_DEFAULT

/* struct vlqa_placed_image vlqa_image_at(const struct vlqa_answer *answer, int index), index from 0
 * to n - 1; likewise vlqa_chunk_at and vlqa_evidence_at. */
#define VLQA_DEFINE_AT(function, from, type)                                        \
    static inline struct type function(const struct vlqa_answer *answer, int index) \
    {                                                                               \
        struct type element;                                                        \
        (void)from(answer, index, &element, sizeof element);                        \
        return element;                                                             \
    }
VLQA_DEFINE_AT(vlqa_image_at, vlqa_answer_image, vlqa_placed_image)
VLQA_DEFINE_AT(vlqa_chunk_at, vlqa_answer_chunk, vlqa_placed_chunk)
VLQA_DEFINE_AT(vlqa_evidence_at, vlqa_answer_evidence, vlqa_evidence)
#undef VLQA_DEFINE_AT

#ifdef __cplusplus
}
#endif

#endif
