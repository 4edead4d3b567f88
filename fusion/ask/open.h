/* open.h - what a session takes before it is opened. */
#ifndef FUSION_OPEN_H
#define FUSION_OPEN_H

#include "fusion/session/session.h"

/* Bytes that a session with these options takes. */
size_t session_bytes(const struct vlqa_engine *e, const struct vlqa_session_options *o);
int session_default_seq_len(const struct vlqa_engine *e);

#endif
