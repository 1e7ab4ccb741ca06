/* Helpers of the unit tests. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include "config/files/tensors.h"
#include "config/problems.h"
#include "core/rnn.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* |got - want| <= tolerance, or the test fails naming both. */
void assert_near(double got, double want, double tolerance);

/* Pseudo-random numbers in -1..1. */
float unit_random(unsigned *state);

/* The spec of a cell of this class with `units`. */
struct rnn_cell_spec *unit_leaf(const struct cell_class *class, size_t units);
/* The spec of a stack of cells, which it owns afterwards. */
struct rnn_cell_spec *unit_stack(struct rnn_cell_spec **cells, size_t n);

/* Build a stack with the weights of Keras's golden vectors: scale * sin(n), where n = 1, 2, … counts over all tensors in
   order, row-major. */
void unit_build(struct rnn_stack *stack, struct rnn_cell_spec *spec, size_t features, const struct vec_ops *vec,
                double scale);

/* Run one sequence [timesteps, features]; outputs are [timesteps, output_size]; the states are updated. */
void unit_run(const struct rnn_recurrence *layer, const float *inputs, const unsigned char *mask, size_t timesteps,
              float *states, float *outputs);

/* Write these bytes to a new file in /tmp; the returned path is valid until the next call. */
const char *unit_file(const char *suffix, const void *bytes, size_t n);

/* Add a float32 tensor to a set: [rows], or [rows, columns] if columns > 0. Its numbers are n / 16, where n = 0, 1, 2,
   … counts over all tensors. */
void unit_tensor(struct tensor_set *set, const char *name, size_t rows, size_t columns);

/* Parse JSON that has ' instead of "; the test fails if it is invalid. */
json_t *unit_json(const char *text);

/* One of the errors (or warnings) contains `line`, or the test fails and names `what`. */
void unit_has_error(const struct problems *problems, const char *what, const char *line);
void unit_has_warning(const struct problems *problems, const char *what, const char *line);

#endif
