/* Small answers. */
#include "answer_json.h"

#include "config/json_memory.h"

void answer_json(struct request *request, json_t *json)
{
    char *text = json ? json_dumps(json, 0) : NULL;
    bool whole = !json_memory_failed() && text; /* else parts may be missing */
    json_decref(json);
    if (!whole) {
        json_memory_free(text);
        answer_error(request, 503, "out_of_memory", "The server has no memory left for this answer.");
        return;
    }
    buffer_text(&request->answer.buffer, text);
    buffer_text(&request->answer.buffer, "\n");
    json_memory_free(text);
    answer_buffer(request, 200, "application/json");
}
