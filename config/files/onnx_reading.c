/* What the readers of an ONNX file share: texts and JSON with errors set. */
#include "onnx_reading.h"

#include <string.h>

bool onnx_read_fail(struct onnx_reading *r, const char *text)
{
    return handover_fail(r->out, "%s", text);
}

bool onnx_read_damaged(struct onnx_reading *r)
{
    return onnx_read_fail(r, "its protobuf is damaged or cut short");
}

json_t *onnx_read_text(struct onnx_reading *r, const struct protobuf *bytes)
{
    size_t n = protobuf_left(bytes);
    json_t *text = n <= ONNX_MAX_TEXT && !memchr(bytes->at, 0, n) ? json_stringn((const char *)bytes->at, n) : NULL;
    if (!text)
        onnx_read_fail(r, "a name in it is no UTF-8 text of at most 1000 bytes");
    return text;
}

bool onnx_read_put(struct onnx_reading *r, json_t *object, const char *key, json_t *value)
{
    return value && (!json_object_set_new(object, key, value) || onnx_read_fail(r, "out of memory"));
}

bool onnx_read_append(struct onnx_reading *r, json_t *list, json_t *value)
{
    return value && (!json_array_append_new(list, value) || onnx_read_fail(r, "out of memory"));
}

bool onnx_read_put_text(struct onnx_reading *r, json_t *object, const char *key, const struct protobuf *bytes)
{
    return onnx_read_put(r, object, key, onnx_read_text(r, bytes));
}
