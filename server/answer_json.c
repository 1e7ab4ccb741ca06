/* Small answers. */
#include "answer_json.h"

#include <stdlib.h>

void answer_json(struct request *request, json_t *json)
{
    char *text = json ? json_dumps(json, 0) : NULL;
    json_decref(json);
    if (!text) {
        answer_error(request, 503, "out_of_memory", "The server has no memory left for this answer.");
        return;
    }
    buffer_text(&request->answer, text);
    buffer_text(&request->answer, "\n");
    free(text);
    answer_buffer(request, 200, "application/json");
}
