/* Products of a number and symbols. */
#include "number.h"

#include <string.h>

struct onnx_number onnx_whole(int64_t value)
{
    return (struct onnx_number){.value = value};
}

struct onnx_number onnx_symbol(unsigned char symbol)
{
    return (struct onnx_number){.value = 1, .symbols = {symbol}};
}

bool onnx_known(struct onnx_number number)
{
    return !number.symbols[0];
}

bool onnx_is_whole(struct onnx_number number, int64_t value)
{
    return onnx_known(number) && number.value == value;
}

static bool same_symbols(struct onnx_number a, struct onnx_number b)
{
    return !memcmp(a.symbols, b.symbols, sizeof a.symbols);
}

bool onnx_same(struct onnx_number a, struct onnx_number b)
{
    return a.value == b.value && (same_symbols(a, b) || !a.value);
}

bool onnx_has_symbol(struct onnx_number number, unsigned char symbol)
{
    return memchr(number.symbols, symbol, sizeof number.symbols) != NULL;
}

bool onnx_multiply(struct onnx_number a, struct onnx_number b, struct onnx_number *out)
{
    struct onnx_number result = {.value = 0};
    size_t n = 0, i = 0, k = 0;
    if (__builtin_mul_overflow(a.value, b.value, &result.value))
        return false;
    while (result.value && ((i < ONNX_MAX_SYMBOLS && a.symbols[i]) || (k < ONNX_MAX_SYMBOLS && b.symbols[k]))) {
        unsigned char left = i < ONNX_MAX_SYMBOLS ? a.symbols[i] : 0, right = k < ONNX_MAX_SYMBOLS ? b.symbols[k] : 0;
        bool take_left = left && (!right || left <= right);
        if (n == ONNX_MAX_SYMBOLS)
            return false;
        result.symbols[n++] = take_left ? left : right;
        i += take_left;
        k += !take_left;
    }
    *out = result;
    return true;
}

bool onnx_divide(struct onnx_number a, struct onnx_number b, struct onnx_number *out)
{
    struct onnx_number result = {.value = 0};
    size_t n = 0, k = 0;
    if (!b.value || (a.value == INT64_MIN && b.value == -1) || a.value % b.value)
        return false;
    result.value = a.value / b.value;
    for (size_t i = 0; i < ONNX_MAX_SYMBOLS && a.symbols[i]; i++)
        if (k < ONNX_MAX_SYMBOLS && b.symbols[k] == a.symbols[i])
            k++;
        else
            result.symbols[n++] = a.symbols[i];
    if (k < ONNX_MAX_SYMBOLS && b.symbols[k])
        return false;
    *out = result;
    return true;
}

bool onnx_add(struct onnx_number a, struct onnx_number b, struct onnx_number *out)
{
    struct onnx_number result = a.value ? a : b;
    if (a.value && b.value && !same_symbols(a, b))
        return false;
    if (__builtin_add_overflow(a.value, b.value, &result.value))
        return false;
    if (!result.value)
        result = onnx_whole(0);
    *out = result;
    return true;
}
