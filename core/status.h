/* Results and error sentences of core. Errors are for input and resources; assert is for bugs. */
#ifndef RNN_STATUS_H
#define RNN_STATUS_H

enum rnn_status {
    RNN_OK,
    RNN_EINVAL, /* a value outside what the cell, activation or initializer allows */
    RNN_ESHAPE, /* a tensor of the wrong shape */
    RNN_ENOMEM, /* an allocation failed, or a size does not fit a size_t */
};

/* A sentence for a person. The caller zeroes it; the first error wins. */
struct rnn_error {
    char text[256];
};

/* Write the sentence (err may be NULL) and return status, so that callers can `return rnn_fail(…)`. */
enum rnn_status rnn_fail(struct rnn_error *err, enum rnn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
