/* Small answers that jansson writes. */
#ifndef SERVER_API_ANSWER_JSON_H
#define SERVER_API_ANSWER_JSON_H

#include "server/run/request.h"

#include <jansson.h>

/* Answer 200 with a value, and take ownership of it. NULL means that memory ran out. */
void answer_json(struct request *request, json_t *json);

#endif
