/* request.h - one question on its way: what the files of this folder share. */
#ifndef FUSION_REQUEST_H
#define FUSION_REQUEST_H

#include "fusion/compress/compress.h"
#include "fusion/reuse/choose.h"

struct ask {
    struct vlqa_session *s;
    struct vlqa_ask_options o;
    struct vlqa_experimental x; /* o.experimental, or defaults */
    const char *question;
    struct prompt prompt;
    struct layout layout;
    struct view view; /* of all that is here; over chunks when they are fetched */
    struct choice choice;
    struct compress compress;
    struct probe last_token;   /* what it attends to, for evidence */
    struct vlqa_answer answer; /* filled by each part as it goes */
    double begin;              /* when it was asked */
};

#endif
