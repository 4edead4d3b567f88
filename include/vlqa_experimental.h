/* vlqa_experimental.h - settings of research, beside vlqa.h: may change in any version.
 *
 * Other variants that repair stored chunks, how they score tokens, and what released code of
 * InfoFlow KV does, to compare with. None of it is needed to use the library.
 *
 *   session_options.experimental = 1;
 *   ...
 *   struct vlqa_experimental more = vlqa_experimental_default();
 *   more.variant = VLQA_VARIANT_CACHEBLEND;
 *   options.experimental = &more;
 *   vlqa_ask(session, question, &options, &answer, sizeof answer);
 *
 * The struct must live during the call. Sizes are as vlqa.h says: new fields come at the end as
 * long as VLQA_OPTIONS_VERSION stays. */
#ifndef VLQA_EXPERIMENTAL_H
#define VLQA_EXPERIMENTAL_H

#include "vlqa.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which tokens of chunks are recomputed; anything but DEFAULT stands for VLQA_REUSE_ON, whatever
 * reuse is. */
enum vlqa_variant {
    VLQA_VARIANT_DEFAULT,    /* what reuse of vlqa_ask_options says */
    VLQA_VARIANT_FULL,       /* all tokens: equal to full prefill, through chunks (for tests) */
    VLQA_VARIANT_NONE,       /* no token: chunks as they are */
    VLQA_VARIANT_INFOFLOW,   /* tokens that the question attends to most (InfoFlow KV) */
    VLQA_VARIANT_PROPHET,    /* the same over context keys only, heads summed (ProphetKV) */
    VLQA_VARIANT_CACHEBLEND, /* tokens whose layer-1 values deviate most (CacheBlend) */
    VLQA_VARIANT_EPIC,       /* the first tokens of every chunk (EPIC, LegoLink) */
    VLQA_VARIANT_VLCACHE,    /* the first tokens of the context (VLCache) */
    VLQA_VARIANT_RANDOM,     /* tokens at random, seeded */
    /* For studies: full prefill runs first and gives attention x |KV - KV of the chunk|, summed
       over layers. It costs more than full prefill */
    VLQA_VARIANT_ORACLE,
    /* CacheBlend's tokens, and others while the answer is generated (after KVShare, arXiv
     * 2503.16525, whose thresholds are not known to us): see refresh_tokens */
    VLQA_VARIANT_KVSHARE
};

/* What recompute_ratio is a share of. */
enum vlqa_budget_base {
    VLQA_BASE_CANDIDATES, /* tokens that miss context */
    VLQA_BASE_CONTEXT,    /* tokens of the context */
    VLQA_BASE_ALL         /* tokens of the prompt */
};

/* The order in which the tokens of a chunked image see each other. */
enum vlqa_order {
    VLQA_ORDER_RASTER, /* as the model was trained: line by line, whatever the chunks */
    VLQA_ORDER_CHUNK   /* chunk by chunk, each line by line: not the model's order, even with all
                        * tokens recomputed; as published code has it */
};

/* What attention a (of a head and a query token) to a context token counts for. */
enum vlqa_token_score {
    VLQA_SCORE_NORM,    /* heads summed, query tokens by their L2 norm */
    VLQA_SCORE_MASS,    /* all summed: Eq. 7 of InfoFlow KV (arXiv 2603.05353), times a constant */
    VLQA_SCORE_MAX,     /* the largest head, query tokens summed (default) */
    VLQA_SCORE_ENTROPY, /* -a ln a summed */
    VLQA_SCORE_VATP,    /* a |v| summed */
    VLQA_SCORE_COMBINED /* 0.4 entropy + 0.4 norm + 0.2 vatp, each from 0 to 1 over the candidates:
                           the mixture of InfoFlow KV's code for images */
};

/* The tokens whose attention is probed. */
enum vlqa_query_tokens {
    VLQA_QUERY_AUTO, /* the variant's own: the last token for InfoFlow, the suffix for ProphetKV */
    VLQA_QUERY_SUFFIX,   /* all tokens behind the context */
    VLQA_QUERY_QUESTION, /* those of the question, without the template */
    VLQA_QUERY_LAST      /* the last token of the prompt */
};

/* The positions of keys of chunks during the attention probe (InfoFlow KV, arXiv 2603.05353);
 * recomputation and answer use their own positions. */
enum vlqa_geometry {
    VLQA_GEOMETRY_GLOBAL, /* in their own places */
    VLQA_GEOMETRY_HLHP,   /* each chunk right behind the prefix, the question behind the longest */
    VLQA_GEOMETRY_TLTP,   /* each chunk right before the question, which is in its place */
    VLQA_GEOMETRY_HLTP    /* each chunk right behind the prefix, the question in its place */
};

/* The order of images and documents in the prompt: for those that do not build on each other. */
enum vlqa_reorder {
    VLQA_REORDER_OFF,    /* as they were added */
    VLQA_REORDER_DENSITY /* a first selection round (HLTP) selects recompute_ratio of the context's
                            tokens; images and documents of the first user turn are placed in
                            ascending order of the share of their tokens that was selected, each
                            whole, and a second round follows; the answer's tokens are of that
                            prompt */
};

/* Reproduces the released code of InfoFlow KV with its defects, to compare with: the query tokens,
 * the token score, and the base of recompute_ratio (at least one token) are then not those above;
 * chunks have no halo. Needs the variant INFOFLOW. */
enum vlqa_parity {
    VLQA_PARITY_OFF,
    /* images: chunk order; the question is computed before the recomputation and stays so, but for
       its last token; a copy of that token at a wrong position is the query, in the last two
       layers, heads by their L2 norm; any token of the prompt may be selected; recomputed tokens
       lose their DeepStack features; nothing is recomputed where images are whole */
    VLQA_PARITY_INFOFLOW_VLM,
    /* texts: the question's tokens are the query, seeing each other, in layers at 0.61 to 0.69 of
       the depth, heads summed, tokens by their L2 norm; any token of the context may be selected
       but those of the first chunk; the ratio is of all tokens up to its end */
    VLQA_PARITY_INFOFLOW_LLM
};

/* By what tokens are dropped from the KV while an answer is generated. Each layer and KV head keeps
 * a budget of them, others in each where not said otherwise. "Observed" is the attention of the
 * last kv_window tokens, summed over them and over the heads that share a KV head; the observed
 * tokens are kept, where they are not more than half of the budget. Over chunks that are not exact
 * only tokens behind the context are observed, by H2O, too. */
enum vlqa_compress {
    VLQA_COMPRESS_OFF,
    /* InfoKV (arXiv 2606.26875): observed attention as SNAPKV has it, and the entropy of what
     * follows a token x the change of its hidden state in the layer. A reconstruction: the paper's
     * scaling and weights are not known to us */
    VLQA_COMPRESS_INFOKV,
    VLQA_COMPRESS_SNAPKV, /* observed attention, each token with two neighbours on either side
                             (SnapKV, arXiv 2404.14469) */
    VLQA_COMPRESS_H2O,    /* attention of all tokens since each was there, and as many last tokens
                             (H2O, arXiv 2306.14048) */
    VLQA_COMPRESS_PYRAMIDKV, /* as SNAPKV; lower layers keep more (PyramidKV, arXiv 2406.02069) */
    VLQA_COMPRESS_STREAMING, /* the first 4 and the last (StreamingLLM, arXiv 2309.17453) */
    VLQA_COMPRESS_TOVA,   /* attention of the last token, all heads of a layer summed: they keep the
                             same (TOVA, arXiv 2401.06104) */
    VLQA_COMPRESS_UNIFORM /* evenly spaced ones */
};

struct vlqa_experimental {
    uint32_t version;      /* VLQA_OPTIONS_VERSION; set by vlqa_experimental_init */
    uint32_t struct_bytes; /* likewise */
    enum vlqa_variant variant;
    enum vlqa_budget_base budget_base;
    enum vlqa_order order; /* not with reuse off */
    /* scores */
    enum vlqa_token_score score;
    enum vlqa_query_tokens query_tokens;
    int query_draft; /* tokens drafted on the chunks as they are, which are query tokens, too; 0:
                        none */
    uint64_t probe_layers[2];    /* bit i % 64 of [i / 64]: layer i is probed; none: all are */
    enum vlqa_geometry geometry; /* not with adaptive */
    enum vlqa_reorder reorder;
    enum vlqa_parity parity;
    /* the layers in which a token is recomputed */
    /* 0..1. Of L layers, layer l recomputes the share r + taper min(r, 1 - r) (1 - 2 l / (L - 1))
     * of the tokens, r = recompute_ratio on the average: those of the highest score, so that tokens
     * drop out on the way. Not with adaptive. A schedule of our own for what VLCache (arXiv
     * 2512.12977) profiles for each layer and CacheBlend's gradual filter does (arXiv 2405.16444);
     * both papers' values are not known to us */
    float taper;
    /* 0..8: gaps of up to 2 closing cells between selected tokens of an image are selected, too,
     * and fewer by score, so that their number stays */
    int closing;
    /* CACHEBLEND and KVSHARE measure deviation in these layers, one after the other, among the
     * tokens that the share of the layers behind the one before left (taper; without it in the last
     * of them alone). As probe_layers, but none: in layer 1 */
    uint64_t check_layers[2];
    /* KVSHARE: after every refresh_every tokens of the answer the refresh_tokens tokens that were
     * not recomputed yet and have the highest attention (of the last token, all heads and layers
     * summed) x deviation are recomputed; token_selected has them in rounds from 2 on. 0 tokens:
     * never */
    int refresh_every, refresh_tokens;
    /* 1: a GPU is given the kernels of a decode pass one by one; 0: as a graph where they are those
     * of the pass before. Answers are the same: this is to compare times. (Of 64 bits, so that the
     * struct does not end in padding.) */
    int64_t single_launches;
    /* compression of the KV; of one process */
    enum vlqa_compress compress;
    /* Tokens that a layer keeps for a KV head, at the end of the prompt and then whenever kv_step
     * more have come: kv_budget, or where that is 0 the share kv_ratio (0..1) of the prompt's. At
     * least 4. Memory of the others is given back on a CPU. The next question computes or places
     * its context anew where tokens were dropped. */
    int kv_budget;
    float kv_ratio;
    int kv_window; /* 1..512 last tokens that are observed */
    int kv_step;   /* kv_window or more */
    /* Tokens of a long prompt after which the KV is compressed while it is read, so that it never
     * holds more than the budget and so many; 0: at the end of the prompt alone. kv_window..512.
     * Needs reuse off; evidence is not looked for. */
    int kv_block;
    float kv_entropy; /* INFOKV: 0..1, the share of entropy x change in the score */
    int kv_top;       /* INFOKV: 1..64 likeliest next tokens that the entropy is over */
    int kv_share; /* 1: heads of a layer share their budget (after Ada-KV, arXiv 2407.11550); not
                   * with TOVA, whose heads keep the same */
    int kv_worst; /* 1: those of the highest score are dropped instead, so many as the budget says:
                     how much they mattered (InfoKV's forward influence) */
    /* Above 0: before a token of the answer whose logit is less than this above the next best one's
     * (before sampling and bias), all that is stale is recomputed, and the answer is full prefill's
     * from there on: prompt exact, exact is 1, the recomputed tokens are of round 2. With
     * VLQA_REUSE_AUTO it stands in the place of adaptive. How likely an answer is that of full
     * prefill at some margin depends on the model: vlqa study --calibrate-quality finds it. Not
     * with VLQA_ORDER_CHUNK, reorder or parity. */
    double margin;
    /* Chunks of images and documents are computed behind the first so many of the session's
     * stand-ins (vlqa_stand_in), but no more than images and documents that stand before them; 0:
     * all, -1: none */
    int64_t stand_ins;
};

/* Sets all fields to their defaults. VLQA_EUSAGE, and nothing is written: bytes is no size of the
 * struct. */
VLQA_API vlqa_status vlqa_experimental_init(struct vlqa_experimental *out, size_t bytes);

/* Makes the images of the conversation, which has nothing else yet, stand-ins of the session: no
 * prompt has them and no answer tells of them, but chunks are computed in their sight. A chunk that
 * saw nothing before it takes itself for the first of its prompt; one that saw other documents of
 * its kind is much nearer to what a full prefill gives behind any others (docs/RESULTS.md). They
 * stay when the session is cleared; another call adds more, up to 64 in all. With a prompt they
 * have to fit into max_seq_len. VLQA_ESTATE: there are no images, or there is something else. */
VLQA_API vlqa_status vlqa_stand_in(struct vlqa_session *session);

/* For C and C++, with the size of this header. */
static inline struct vlqa_experimental vlqa_experimental_default(void)
{
    struct vlqa_experimental x;
    (void)vlqa_experimental_init(&x, sizeof x);
    return x;
}

#ifdef __cplusplus
}
#endif

#endif
