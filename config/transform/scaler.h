/* Reads the description of a scaler, a JSON object or a file, into core's struct. */
#ifndef CONFIG_TRANSFORM_SCALER_H
#define CONFIG_TRANSFORM_SCALER_H

#include "config/problems.h"
#include "core/scaler.h"

#include <jansson.h>

enum { SCALER_MAX_COLUMNS = 1 << 20 };

/**
 * Read {"class_name": "StandardScaler", "mean": […], "scale": […]}: the attributes of a fitted scaler, with or without
 * the final underscore, and its parameters.
 *
 * Some attributes are computed from others if they are missing: StandardScaler's scale from var (with mean and
 * n_samples_seen), MinMaxScaler's scale and min from data_min and data_max, MaxAbsScaler's scale from max_abs. Without
 * a class_name, the attributes identify the class.
 *
 * Returns false with a problem added.
 */
bool scaler_read(const json_t *json, struct place place, struct problems *problems, struct rnn_scaler *out);

/* The class of a description ("StandardScaler", …), as a constant; NULL if unknown. */
const char *scaler_class(const json_t *json);

/* Whether an object describes a scaler. Otherwise it contains scalers by name. */
bool scaler_is(const json_t *json);

/* Read the description from a file: JSON, .npz, a pickle or a joblib file. The caller owns the result. Returns NULL
   with a problem added. */
json_t *scaler_file_read(const char *path, struct problems *problems);

/* "import json; …": Python code that writes the JSON, for messages. */
extern const char scaler_python[];

#endif
