/* fake_script.h - what the files of the fake runtime share: a script that says how calls end, and a
 * list of the calls. */
#ifndef TESTS_EVAL_FAKE_SCRIPT_H
#define TESTS_EVAL_FAKE_SCRIPT_H

#include "include/vlqa.h"

/* The value of "key=value" in the file fake.script, "" or 0 where there is none. */
void script(const char *key, char *value, size_t cap);
int script_number(const char *key);
/* The status that has this name, with a message; else VLQA_OK. */
vlqa_status script_status(const char *key, char message[256]);
/* A line in the list of calls. */
void note_call(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* In fake_ranks.c: which rank opens an engine; whether this process waits where the script holds.
 */
void ranks_note(const struct vlqa_engine_options *options);
int ranks_hold(void);

#endif
