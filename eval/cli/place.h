/* place.h - where the files lie that belong to the program. */
#ifndef EVAL_PLACE_H
#define EVAL_PLACE_H

#include <stddef.h>

/* The first of three places that is there: from the folder of the program or from /. 0: none is. */
int place_find(const char *const places[3], char *path, size_t cap);
/* Where the script lies, without ".." and links, that turns Parquet into JSON lines. */
int place_of_parquet_script(char *path, size_t cap);

#endif
