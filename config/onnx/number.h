/* Sizes that may be open: of a batch, or of timesteps. Arithmetic on shapes, which exporters leave in graphs, computes with
   them. */
#ifndef CONFIG_ONNX_NUMBER_H
#define CONFIG_ONNX_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ONNX_MAX_SYMBOLS = 4 };

/* A whole number: `value` times the symbols, each of which stands for an open size. Symbols are numbered from 1 and stand in
   rising order; 0 stands behind the last. */
struct onnx_number {
    int64_t value;
    unsigned char symbols[ONNX_MAX_SYMBOLS];
};

/* The symbol of the batch. */
enum { ONNX_BATCH = 1 };

struct onnx_number onnx_whole(int64_t value);
struct onnx_number onnx_symbol(unsigned char symbol);

/* Whether it has no symbols. */
bool onnx_known(struct onnx_number number);
/* Whether it is known, and this value. */
bool onnx_is_whole(struct onnx_number number, int64_t value);
bool onnx_same(struct onnx_number a, struct onnx_number b);
bool onnx_has_symbol(struct onnx_number number, unsigned char symbol);

/* False where the result does not fit, or the division leaves a rest (or may). */
bool onnx_multiply(struct onnx_number a, struct onnx_number b, struct onnx_number *out);
bool onnx_divide(struct onnx_number a, struct onnx_number b, struct onnx_number *out);
/* False where the symbols differ. */
bool onnx_add(struct onnx_number a, struct onnx_number b, struct onnx_number *out);

#endif
