/* longer.h - what the library with longer structs tells, so that a test knows it has that one. */
#ifndef TESTS_ABI_LONGER_H
#define TESTS_ABI_LONGER_H

#include "include/vlqa.h"

VLQA_API size_t vlqa_abi_answer_bytes(void);
VLQA_API size_t vlqa_abi_evidence_bytes(void);

#endif
