/* Sizes that may be open: the batch, or timesteps. They are needed for the arithmetic on shapes that exporters leave in
   graphs. */
#ifndef CONFIG_ONNX_NUMBER_H
#define CONFIG_ONNX_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ONNX_MAX_SYMBOLS = 4 };

/* A whole number: `value` times the symbols. Each symbol stands for an open size. Symbols are numbered from 1, are in
   ascending order, and end with 0. */
struct onnx_number {
    int64_t value;
    unsigned char symbols[ONNX_MAX_SYMBOLS];
};

/* The symbol of the batch. */
enum { ONNX_BATCH = 1 };

struct onnx_number onnx_whole(int64_t value);
struct onnx_number onnx_symbol(unsigned char symbol);

/* Whether a number has no symbols. */
bool onnx_known(struct onnx_number number);
/* Whether a number has no symbols and has this value. */
bool onnx_is_whole(struct onnx_number number, int64_t value);
bool onnx_same(struct onnx_number a, struct onnx_number b);
bool onnx_has_symbol(struct onnx_number number, unsigned char symbol);

/* Return false if the result does not fit, or if the division has (or may have) a remainder. */
bool onnx_multiply(struct onnx_number a, struct onnx_number b, struct onnx_number *out);
bool onnx_divide(struct onnx_number a, struct onnx_number b, struct onnx_number *out);
/* Returns false if the symbols differ. */
bool onnx_add(struct onnx_number a, struct onnx_number b, struct onnx_number *out);

#endif
