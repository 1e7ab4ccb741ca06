/* Small answers that jansson writes. */
#ifndef SERVER_API_ANSWER_JSON_H
#define SERVER_API_ANSWER_JSON_H

#include "server/run/request.h"

#include <jansson.h>

/* Answers 200 with a value, which is taken; NULL stands for one that there was no memory for. */
void answer_json(struct request *request, json_t *json);

#endif
