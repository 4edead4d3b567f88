/* prompt.h - a conversation to ids by the model's chat template, with holes for images. */
#ifndef TEXT_PROMPT_H
#define TEXT_PROMPT_H

#include "text/chat.h"
#include "text/tokenizer.h"

enum prompt_role { PROMPT_SYSTEM, PROMPT_USER, PROMPT_ASSISTANT };

struct prompt_item {  /* part of a turn */
    const char *text; /* NULL: an image */
    size_t bytes;
    int tokens;  /* of an image: how many placeholders */
    int context; /* a document or image to be read, as opposed to a question or an answer */
    int id;      /* of an image or document: what the prompt's image or text says of its tokens */
};

struct prompt_turn {
    enum prompt_role role;
    const struct prompt_item *item;
    int n_items;
};

struct prompt_tokens { /* control tokens, and the template that writes them */
    int32_t im_start, im_end, vision_start, vision_end, image_pad;
    struct chat *chat;
    int think; /* the template opens the answer with <think> */
};

struct prompt {
    int32_t *id;    /* [n] */
    int32_t *image; /* [n] id of the image, or -1: text */
    int32_t *cell;  /* [n] which token of that image, or -1 */
    int32_t *text;  /* [n] id of the document (context text), or -1 */
    int n;
    int prefix_end;  /* tokens before the first context item, vision_start included */
    int context_end; /* tokens up to and with the last context item (its vision_end included) */
    /* Without a context item both are the tokens up to the control token that opens the first
     * user's turn. */
    int question_end; /* tokens up to the control token behind the last item, or all of them */
};

/* Looks the control tokens up, VLQA_EMODEL naming the missing one, and opens the chat template of
 * dir or the one that choice names: see chat_open. */
vlqa_status prompt_tokens_find(struct env *env, const struct tokenizer *t, const char *dir,
                               const char *choice, struct prompt_tokens *out);
void prompt_tokens_free(struct prompt_tokens *pt); /* zeroed ones are fine */
/* Renders turns and the opening of the assistant's answer. A system turn may only be the first.
 * Control tokens are those that the template writes; in texts they are ordinary characters. Its
 * k-th
 * <|image_pad|> stands for the k-th image.
 * ids are pushed on mem (4 * cap int32_t); VLQA_ELIMIT "prompt needs N tokens, the session holds
 * CAP", or when scratch cannot hold the work (prompt_measure). VLQA_EMODEL: the template has no
 * place for an image, leaves out a text of the system or the user, or what template_render says.
 * VLQA_EUSAGE: it refuses the conversation. No heap calls. */
vlqa_status prompt_build(struct env *env, const struct tokenizer *t, const struct prompt_tokens *pt,
                         const struct prompt_turn *turn, int n_turns, int cap, struct arena *mem,
                         struct arena *scratch, struct prompt *out);
/* What it pushes on mem, for a prompt of at most cap tokens. */
void prompt_layout(int cap, struct arena *mem, struct prompt *out);
/* Scratch that is enough for so many items whose texts, with what stands around them in a turn,
 * have so many bytes. */
void prompt_measure(size_t bytes, int items, struct arena *dry);

#endif
