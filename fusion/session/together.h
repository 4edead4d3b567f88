/* together.h - calls that all ranks make: they begin and end with one status. */
#ifndef FUSION_TOGETHER_H
#define FUSION_TOGETHER_H

#include "fusion/session/session.h"

/* Behind session_enter, in calls that ranks make together: they meet, and have been given the same,
 * which `key` is over. Until session_leave no other session of the engine does so. VLQA_ESTATE,
 * VLQA_EDEVICE. Alone it does nothing, as all functions here. */
vlqa_status together_begin(struct vlqa_session *s, const char *what, struct key key);
/* VLQA_EMEMORY: this rank has no memory for a session. Others are told. */
vlqa_status together_refuse(struct vlqa_engine *e, const char *what, size_t bytes);
/* Before something is kept that would have to be taken back if another rank has failed. */
vlqa_status together_agree(struct vlqa_session *s);
/* A hash of the conversation so far, to go on with. */
void together_hash(const struct vlqa_session *s, struct hash *h);
/* For session_leave: the status of all ranks. */
vlqa_status together_end(struct vlqa_session *s, vlqa_status mine);

#endif
