/* jansson's memory. Its parser does not look whether its text of a token could grow: it goes on with a token that lacks
   characters, and reads past its end or ends the process. So every parse goes through here. */
#ifndef CONFIG_JSON_MEMORY_H
#define CONFIG_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>

/* As json_loadb. Out of memory: NULL with that in error. */
json_t *json_memory_load(const char *text, size_t bytes, size_t flags, json_error_t *error);

/* What this thread takes from now on for values that it makes is given back by json_memory_end, if it has not been by
   then: json_pack keeps what it has begun when it fails. False when an allocation has failed meanwhile. What
   json_memory_load returns is not part of that. */
void json_memory_begin(void);
bool json_memory_end(void);

/* Free what json_dumps has made. */
void json_memory_free(char *text);

/* Whether an allocation of jansson's has failed in this thread since the last call: then a value that was built has not
   all that it should have. */
bool json_memory_failed(void);

#endif
