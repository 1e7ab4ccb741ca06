/* What the unit tests share. */
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

/* Numbers in -1..1 from a generator of its own. */
float unit_random(unsigned *state);

/* A leaf of a class with `units`. */
struct rnn_cell_spec *unit_leaf(const struct cell_class *class, size_t units);
/* A stack of leaves, which it takes. */
struct rnn_cell_spec *unit_stack(struct rnn_cell_spec **cells, size_t n);

/* Build a stack with the weights of Keras's golden vectors: over all tensors in order one running index n = 1, 2, …,
   value scale * sin(n), row-major. */
void unit_build(struct rnn_stack *stack, struct rnn_cell_spec *spec, size_t features, const struct vec_ops *vec,
                double scale);

/* Run one sequence [timesteps, features]; outputs [timesteps, output_size], states in and out. */
void unit_run(const struct rnn_recurrence *layer, const float *inputs, const unsigned char *mask, size_t timesteps,
              float *states, float *outputs);

/* A file of its own in /tmp with these bytes; the path is valid until the next call. */
const char *unit_file(const char *suffix, const void *bytes, size_t n);

/* Add a float32 tensor to a set: [rows], or [rows, columns] with more than 0 columns. From tensor to tensor the numbers
   go on: 0, 1, 2, … divided by 16. */
void unit_tensor(struct tensor_set *set, const char *name, size_t rows, size_t columns);

/* JSON written with ' in the place of ", or the test fails. */
json_t *unit_json(const char *text);

/* One of the errors (or warnings) has this in it, or the test fails for `what`. */
void unit_has_error(const struct problems *problems, const char *what, const char *line);
void unit_has_warning(const struct problems *problems, const char *what, const char *line);

#endif
