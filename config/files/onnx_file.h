/* ONNX models: the protobuf of a graph becomes JSON, its tensors are handed over by name. */
#ifndef CONFIG_FILES_ONNX_FILE_H
#define CONFIG_FILES_ONNX_FILE_H

#include "handover.h"

/* Whether these first bytes of a file begin an ONNX model. */
bool onnx_is(const unsigned char *bytes, size_t n);

/**
 * Read an ONNX model. The bytes stay mapped until the handover is written.
 *
 * The text "onnx" of the metadata becomes {"ir", "producer", "opset": {DOMAIN: VERSION}, "graph"}. A graph is
 *
 *     {"nodes": [{"op", "domain", "name", "in": [NAME], "out": [NAME], "attributes": {NAME: VALUE}}],
 *      "inputs": [{"name", "type", "shape": [SIZE, SYMBOL or null]}], "outputs": likewise, "tensors": {NAME: TENSOR}}
 *
 * where a VALUE is a number, a text, a list of them, {"graph": GRAPH}, {"tensor": TENSOR} or null for what is not read, and
 * a TENSOR is the name of a tensor of the handover, or {"location", "offset", "length", "type", "shape"} of one beside the
 * model, or null for a type that is not read. False with the error set.
 */
bool onnx_read(struct handover *out, const unsigned char *bytes, size_t n);

#endif
