/* Names of the types of JSON values, for messages. */
#ifndef CONFIG_JSON_TYPE_H
#define CONFIG_JSON_TYPE_H

#include <jansson.h>

/* "a list", "a number", …; NULL counts as null. */
const char *json_type_name(const json_t *value);

#endif
