/* score_attention.h - tokens by what the question attends to: InfoFlow KV and ProphetKV. */
#ifndef FUSION_SCORE_ATTENTION_H
#define FUSION_SCORE_ATTENTION_H

#include "fusion/reuse/scorer.h"

vlqa_status score_attention(struct scorer *c);

#endif
