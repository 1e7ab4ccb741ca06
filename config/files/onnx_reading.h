/* Reading one ONNX file: what its readers share. Each function sets the error of the handover when it fails. */
#ifndef CONFIG_FILES_ONNX_READING_H
#define CONFIG_FILES_ONNX_READING_H

#include "handover.h"
#include "protobuf.h"

enum { ONNX_MAX_TEXT = 1000 };

/* Reading one model. */
struct onnx_reading {
    struct handover *out;
    size_t nodes, tensors; /* so far, of all graphs */
};

/* Set the error. Always false. */
bool onnx_read_fail(struct onnx_reading *r, const char *text);
bool onnx_read_damaged(struct onnx_reading *r);

/* A text as JSON; NULL with the error set. */
json_t *onnx_read_text(struct onnx_reading *r, const struct protobuf *bytes);

/* Set a key of an object, or add to a list; value is taken. */
bool onnx_read_put(struct onnx_reading *r, json_t *object, const char *key, json_t *value);
bool onnx_read_append(struct onnx_reading *r, json_t *list, json_t *value);
bool onnx_read_put_text(struct onnx_reading *r, json_t *object, const char *key, const struct protobuf *bytes);

#endif
