/* document.h - what is asked about: images and texts as the command line names them, read before
 * the model is loaded and added in their order. */
#ifndef EVAL_DOCUMENT_H
#define EVAL_DOCUMENT_H

#include "eval/cli/cli.h"

struct document_args {
    struct arg_items items;        /* --image and --text as they were given */
    const char *system, *stand_in; /* the latter: FILE,FILE or NULL */
    int image_mode, resize, image_min_tokens, image_max_tokens;
    int64_t image_max_pixels;
};

extern const char *const document_image_modes[], *const document_resizes[];

struct document {
    struct cli *cli;
    const struct document_args *args;
    const char **question; /* "-" there is standard input, too; NULL: none is asked */
    void *input;           /* what standard input held, for the one argument that is "-" */
    size_t input_bytes;
    struct document_fifo {
        void *data; /* NULL: the item is no FIFO */
        size_t bytes;
    } * fifo; /* [args->items.n], or NULL: none is; what they held, as it can be read once */
};

/* Exit codes. Checks what can be known by now and reads standard input and FIFOs. */
int document_read(struct document *d);
void document_options(const struct document_args *args, struct vlqa_engine_options *out);
int document_add(struct document *d, struct vlqa_session *session);
/* The images of --stand-in into a session that has nothing else yet. */
int document_stand_in(struct cli *cli, const struct document_args *args,
                      struct vlqa_session *session);
/* The tokens that would keep an image as it is, where its resizing left less than half of its
 * pixels; else 0. */
int64_t document_whole_tokens(const struct vlqa_placed_image *image);
/* A note on standard error about each image of the answer whose resizing left less than half of its
 * pixels. */
void document_note_sizes(const struct document *d, const struct vlqa_answer *answer);
/* The pixels of image 0, 1, ... as they were added. */
int document_pixels(struct document *d, struct vlqa_session *session, int image,
                    struct vlqa_pixels *out);
void document_free(struct document *d);

/* Rows of a table whose struct `type` has a struct document_args called `member`. */
#define DOCUMENT_ITEM_ARGS(type, member)                                                      \
    {ARG_ITEM, .name = "image", .value = "FILE", .offset = offsetof(type, member.items),      \
     .help = "PNG, JPEG, BMP or WebP image, - for standard input; repeatable"},               \
        {ARG_ITEM, .name = "text", .value = "FILE", .offset = offsetof(type, member.items),   \
         .help = "UTF-8 text, - for standard input; repeatable"},                             \
    {                                                                                         \
        ARG_TEXT, .name = "system", .value = "TEXT", .offset = offsetof(type, member.system), \
                  .help = "system text [none]"                                                \
    }

#define DOCUMENT_IMAGE_ARGS(type, member)                                                      \
    {ARG_HEADING, .name = "Images"},                                                           \
        {ARG_TEXT, .name = "stand-in", .value = "FILE,...",                                    \
         .offset = offsetof(type, member.stand_in),                                            \
         .help = "compute chunks of later images and texts in sight of these images, which "   \
                 "are in no prompt: some six like those that are asked about [none]"},         \
        {ARG_INT,                                                                              \
         .name = "image-min-tokens",                                                           \
         .value = "N",                                                                         \
         .min = 1,                                                                             \
         .max = 1000000,                                                                       \
         .offset = offsetof(type, member.image_min_tokens),                                    \
         .help = "enlarge images to this many tokens at least [the model's]"},                 \
        {ARG_INT,                                                                              \
         .name = "image-max-tokens",                                                           \
         .value = "N",                                                                         \
         .min = 1,                                                                             \
         .max = 1000000,                                                                       \
         .offset = offsetof(type, member.image_max_tokens),                                    \
         .help = "shrink images to this many tokens at most [the model's]"},                   \
        {ARG_INT64,                                                                            \
         .name = "image-max-pixels",                                                           \
         .value = "N",                                                                         \
         .min = 1,                                                                             \
         .max = 1e12,                                                                          \
         .fallback = "100000000",                                                              \
         .offset = offsetof(type, member.image_max_pixels),                                    \
         .help = "refuse larger files"},                                                       \
        {ARG_CHOICE,                                                                           \
         .name = "image-mode",                                                                 \
         .value = "MODE",                                                                      \
         .fallback = "white",                                                                  \
         .choice = document_image_modes,                                                       \
         .offset = offsetof(type, member.image_mode),                                          \
         .help = "transparency: composited over white, or dropped as transformers does (hf)"}, \
    {                                                                                          \
        ARG_CHOICE, .name = "resize", .value = "LIBRARY", .fallback = "torchvision",           \
                    .choice = document_resizes, .offset = offsetof(type, member.resize),       \
                    .help = "library whose arithmetic is reproduced"                           \
    }

#endif
