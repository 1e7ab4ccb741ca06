/* Reads the description of a scaler, a JSON object or a file, into core's struct. */
#ifndef CONFIG_TRANSFORM_SCALER_H
#define CONFIG_TRANSFORM_SCALER_H

#include "config/problems.h"
#include "core/scaler.h"

#include <jansson.h>

enum { SCALER_MAX_COLUMNS = 1 << 20 };

/**
 * Read {"class_name": "StandardScaler", "mean": […], "scale": […]}: the attributes of a fitted scaler without the final
 * underscore (which may be there), and its parameters.
 *
 * An attribute may be left out where others lead to it: StandardScaler's scale to var (with mean and n_samples_seen),
 * MinMaxScaler's scale and min to data_min and data_max, MaxAbsScaler's scale to max_abs. Without a class_name the
 * attributes say which class it is.
 *
 * False with a problem added.
 */
bool scaler_read(const json_t *json, struct place place, struct problems *problems, struct rnn_scaler *out);

/* The class of a description, a constant: "StandardScaler", …; or NULL. */
const char *scaler_class(const json_t *json);

/* Whether an object describes a scaler, and is not a list of scalers by name. */
bool scaler_is(const json_t *json);

/* The description in a file of a folder: JSON, .npz, a pickle or a joblib file. The caller owns it. NULL with a problem. */
json_t *scaler_file_read(const char *path, struct problems *problems);

/* "import json; …": how the JSON is written by Python, for messages. */
extern const char scaler_python[];

#endif
