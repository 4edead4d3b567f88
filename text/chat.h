/* chat.h - the chat template of a model: where it is found, and in which form it takes messages. */
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include "text/template/template.h"

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_ROLES };

#define CHAT_VARIABLES 7 /* bos_token, eos_token, ... */

struct chat {
    struct template *template;
    char name[512];         /* of the file, for messages */
    struct json_doc *names; /* tokenizer_config.json, which the variables point into; or NULL */
    struct template_variable variable[CHAT_VARIABLES];
    int n_variables;
    int as_string[CHAT_ROLES]; /* the content of its messages is one string, not a list of items */
    int think;                 /* the generation prompt opens <think> */
};

/* choice NULL: the template of the model in dir, looked for where transformers 5.24 does, in its
 * order: processor_config.json, chat_template.json, chat_template.jinja,
 * additional_chat_templates/default.jinja, tokenizer_config.json. When there is none, or no dir,
 * that of Qwen3-VL Instruct, which "qwen3vl" names. Else choice is a file, in Jinja's language or,
 * when its name ends with .json, with a member chat_template. The template is rendered over small
 * conversations to see which form it takes: VLQA_EMODEL naming file, line and construct when it
 * cannot be used even for one question. */
vlqa_status chat_open(struct env *env, const char *dir, const char *choice, struct chat **out);
void chat_free(struct chat *chat); /* NULL is fine */
const char *chat_role_name(enum chat_role role);

#endif
