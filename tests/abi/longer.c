/* longer.c - part of the library with longer structs alone: how long they are there. */
#include "tests/abi/longer.h"

size_t vlqa_abi_answer_bytes(void)
{
    return sizeof(struct vlqa_answer);
}

size_t vlqa_abi_evidence_bytes(void)
{
    return sizeof(struct vlqa_evidence);
}
