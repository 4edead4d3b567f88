/* session.c - a conversation: who may use it, and adding texts to it. */
#include "fusion/session/session.h"

#include "fusion/session/together.h"
#include "text/utf8.h"

#include <string.h>
#include <unistd.h>

const char *vlqa_message(const struct vlqa_session *s)
{
    return s ? s->env.message : "no session";
}

vlqa_status session_enter(struct vlqa_session *s)
{
    int idle = 0;
    if (!s) return VLQA_EUSAGE;
    if (!s->memory.host_block || !atomic_compare_exchange_strong(&s->busy, &idle, 1))
        return VLQA_ESTATE;
    if (getpid() != s->engine->process)
        return session_leave(
            s, env_fail(&s->env, VLQA_ESTATE, "the engine was opened in another process (fork)"));
    s->env.message[0] = 0;
    return VLQA_OK;
}

vlqa_status session_leave(struct vlqa_session *s, vlqa_status status)
{
    status = together_end(s, status);
    workspace_rewind(&s->scratch, (struct workspace_used){0, 0});
    workspace_rewind(&s->request, (struct workspace_used){0, 0});
    atomic_store(&s->busy, 0);
    return status;
}

vlqa_status vlqa_session_clear(struct vlqa_session *s)
{
    TRY(session_enter(s));
    s->n_items = s->n_images = s->n_documents = s->turn = 0;
    s->visual_tokens = s->stand_in_tokens;
    s->text_used = 0;
    s->ms_decode_image = s->ms_vision = 0;
    s->visual_ram = s->visual_disk = s->visual_computed = 0;
    s->n_cached_prefix = 0;
    memset(&s->last_image, 0, sizeof s->last_image);
    return session_leave(s, VLQA_OK);
}

/* Stand-ins. */

static vlqa_status stand_in(struct vlqa_session *s)
{
    if (!s->n_items || s->n_items != s->n_images)
        return env_fail(&s->env, VLQA_ESTATE,
                        "stand-ins are images that were just added, and the conversation has %d "
                        "images among %d items: clear it, add images alone, then make them "
                        "stand-ins",
                        s->n_images, s->n_items);
    if (s->n_images > SESSION_MAX_STAND_INS - s->n_stand_ins)
        return env_fail(&s->env, VLQA_ELIMIT, "%d stand-ins, expected at most %d",
                        s->n_stand_ins + s->n_images, SESSION_MAX_STAND_INS);
    memcpy(s->stand_in + s->n_stand_ins, s->image, (size_t)s->n_images * sizeof *s->image);
    s->n_stand_ins += s->n_images;
    s->stand_in_tokens = s->visual_tokens;
    s->ms_decode_image = s->ms_vision = 0;
    s->visual_ram = s->visual_disk = s->visual_computed = 0;
    s->n_items = s->n_images = s->n_cached_prefix = 0;
    return VLQA_OK;
}

vlqa_status vlqa_stand_in(struct vlqa_session *s)
{
    TRY(session_enter(s));
    return session_leave(s, stand_in(s));
}

/* Texts. */

static vlqa_status copy_text(struct vlqa_session *s, const char *utf8, size_t bytes, char **out)
{
    struct env *env = &s->env;
    size_t valid;
    if (!utf8 && bytes) return env_fail(env, VLQA_EUSAGE, "the text is NULL");
    if (bytes > s->text_cap - s->text_used)
        return env_fail(env, VLQA_ELIMIT,
                        "a text of %zu bytes; the session of %d tokens has room for %zu", bytes,
                        s->max_seq_len, s->text_cap - s->text_used);
    valid = utf8_valid(utf8, bytes);
    if (valid < bytes) return env_fail(env, VLQA_ETEXT, "the text is not UTF-8 at byte %zu", valid);
    if (bytes) memcpy(s->text + s->text_used, utf8, bytes);
    *out = s->text + s->text_used;
    s->text_used += bytes;
    return VLQA_OK;
}

vlqa_status session_check_items(struct vlqa_session *s)
{
    if (s->n_items >= SESSION_MAX_ITEMS)
        return env_fail(&s->env, VLQA_ELIMIT, "the conversation has %d items already",
                        SESSION_MAX_ITEMS);
    return VLQA_OK;
}

vlqa_status session_append(struct vlqa_session *s, enum prompt_role role, const char *utf8,
                           size_t bytes)
{
    char *copy = NULL;
    TRY(session_check_items(s));
    TRY(copy_text(s, utf8, bytes, &copy));
    s->item[s->n_items++] = (struct session_item){role, s->turn, copy, bytes, -1, -1};
    return VLQA_OK;
}

static vlqa_status add_document(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    TRY(session_append(s, PROMPT_USER, utf8, bytes));
    s->item[s->n_items - 1].document = s->n_documents++;
    return VLQA_OK;
}

vlqa_status vlqa_add_text(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    TRY(session_enter(s));
    return session_leave(s, add_document(s, utf8, bytes));
}

static vlqa_status set_system(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    if (s->n_items)
        return env_fail(&s->env, VLQA_ESTATE,
                        "the system text comes first: the conversation has begun");
    TRY(session_append(s, PROMPT_SYSTEM, utf8, bytes));
    s->turn++;
    return VLQA_OK;
}

vlqa_status vlqa_set_system(struct vlqa_session *s, const char *utf8, size_t bytes)
{
    TRY(session_enter(s));
    return session_leave(s, set_system(s, utf8, bytes));
}
