/* Memory for jansson. If memory runs out, jansson's parser does not notice that the text of a token could not grow. It
   continues with an incomplete token, and reads past its end or aborts the process. So every parse must call
   json_memory_load. */
#ifndef CONFIG_JSON_MEMORY_H
#define CONFIG_JSON_MEMORY_H

#include <jansson.h>
#include <stdbool.h>

/* Like json_loadb. If memory runs out, returns NULL, and error says so. */
json_t *json_memory_load(const char *text, size_t bytes, size_t flags, json_error_t *error);

/* json_memory_end frees the values that this thread has made since json_memory_begin and has not freed: json_pack leaks
   its unfinished values when it fails. Returns false if an allocation has failed in between. Values of json_memory_load
   are not freed. */
void json_memory_begin(void);
bool json_memory_end(void);

/* Free a text that json_dumps has made. */
void json_memory_free(char *text);

/* Whether an allocation of jansson has failed in this thread since the last call. If so, a value that was built is
   incomplete. */
bool json_memory_failed(void);

#endif
