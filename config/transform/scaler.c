/* Computes the numbers of a scaler from the attributes of a fitted scikit-learn scaler. Source of the formulas:
   sklearn/preprocessing/_data.py, partial_fit of each class, _handle_zeros_in_scale and _is_constant_feature. */
#include "scaler.h"

#include "config/json_type.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char scaler_python[] =
    "import json; d = {k.rstrip('_'): v.tolist() if hasattr(v, 'tolist') else v for k, v in vars(scaler).items()}; "
    "d['class_name'] = type(scaler).__name__; json.dump(d, open('scaler.json', 'w'), default=str)";

/* The state of reading a description. */
struct reading {
    const json_t *json;
    struct place place;
    struct problems *problems;
    size_t n; /* the number of columns; 0 while it is unknown */
};

/* An attribute by its name, or by scikit-learn's name with an underscore at the end. */
static const json_t *member(const json_t *json, const char *name)
{
    char spelt[48];
    const json_t *value = json_object_get(json, name);
    snprintf(spelt, sizeof spelt, "%s_", name);
    return value ? value : json_object_get(json, spelt);
}

static bool is_there(const struct reading *r, const char *name)
{
    const json_t *value = member(r->json, name);
    return value && !json_is_null(value);
}

static bool fail(const struct reading *r, const char *name, const char *expected)
{
    char path[200];
    snprintf(path, sizeof path, "%.140s/%.40s", r->place.path ? r->place.path : "", name);
    problem_error(r->problems, (struct place){r->place.file, path}, "%s", expected);
    return false;
}

/* Read one number for each column. A number that is not in a list is for a single column. Returns NULL with a problem
   added. */
static double *read_array(struct reading *r, const char *name)
{
    const json_t *list = member(r->json, name);
    size_t n = json_is_number(list) ? 1 : json_array_size(list);
    if (!n || n > SCALER_MAX_COLUMNS) {
        fail(r, name, "expected a list of numbers, one for each column");
        return NULL;
    }
    if (r->n && n != r->n) {
        char text[120];
        snprintf(text, sizeof text, "expected %zu numbers, as in the previous lists; found %zu", r->n, n);
        fail(r, name, text);
        return NULL;
    }
    r->n = n;
    double *values = calloc(n, sizeof *values);
    if (!values)
        fail(r, name, "out of memory");
    for (size_t i = 0; values && i < n; i++) {
        const json_t *value = json_is_number(list) ? list : json_array_get(list, i);
        values[i] = json_number_value(value);
        if (json_is_number(value) && isfinite(values[i]))
            continue;
        fail(r, name, "expected only finite numbers");
        free(values);
        return NULL;
    }
    return values;
}

/* Read true or false, or 1 or 0. */
static bool read_flag(const struct reading *r, const char *name, bool otherwise, bool *out)
{
    const json_t *value = member(r->json, name);
    *out = otherwise;
    if (!value || json_is_null(value))
        return true;
    *out = json_is_true(value) || (json_is_number(value) && json_number_value(value) > 0);
    return json_is_boolean(value) || json_is_number(value) || fail(r, name, "expected true or false");
}

static bool out_of_memory(const struct reading *r)
{
    problem_error(r->problems, r->place, "out of memory");
    return false;
}

static bool check_scale(const struct reading *r, const struct rnn_scaler *s)
{
    for (size_t i = 0; s->scale && i < s->n; i++)
        if (s->scale[i] == 0)
            return fail(r, "scale", "a scale is 0; scikit-learn uses 1 for a constant column");
    return true;
}

/* Set the range of a scaler that does not store one: offset - reach * scale to offset + reach * scale. */
static bool set_reach(const struct reading *r, struct rnn_scaler *s, double reach)
{
    if (!s->scale)
        return true;
    s->least = calloc(s->n, sizeof *s->least);
    s->most = calloc(s->n, sizeof *s->most);
    if (!s->least || !s->most)
        return out_of_memory(r);
    for (size_t i = 0; i < s->n; i++) {
        double middle = s->offset ? s->offset[i] : 0;
        s->least[i] = middle - reach * s->scale[i];
        s->most[i] = middle + reach * s->scale[i];
    }
    return true;
}

/* Compute StandardScaler's scale from its var. */
static bool scale_of_var(struct reading *r, struct rnn_scaler *s)
{
    double *means = is_there(r, "mean") ? read_array(r, "mean") : NULL;
    double samples = json_number_value(member(r->json, "n_samples_seen"));
    s->scale = read_array(r, "var");
    bool good = s->scale && (means || !is_there(r, "mean"));
    for (size_t i = 0; good && i < r->n; i++) {
        double var = s->scale[i], error = means ? samples * means[i] * DBL_EPSILON : 0;
        bool constant = var <= samples * DBL_EPSILON * var + error * error;
        s->scale[i] = constant ? 1 : sqrt(var);
        good = var >= 0 || fail(r, "var", "a variance is below 0");
    }
    free(means);
    return good;
}

/* The largest usual distance of a value from the mean (in standard deviations) or from the median (in widths of the
   quantile range). */
static const double reach_of_deviations = 5;

static bool read_standard(struct reading *r, struct rnn_scaler *s)
{
    bool center, divide;
    if (!read_flag(r, "with_mean", true, &center) || !read_flag(r, "with_std", true, &divide))
        return false;
    if (center && !(s->offset = read_array(r, "mean")))
        return false;
    if (divide && is_there(r, "scale"))
        s->scale = read_array(r, "scale");
    else if (divide && is_there(r, "var") && !scale_of_var(r, s))
        return false;
    if (divide && !s->scale)
        return is_there(r, "scale") ? false : fail(r, "scale", "a StandardScaler needs \"scale\" or \"var\"");
    if (!r->n)
        r->n = json_array_size(member(r->json, "mean"));
    return true;
}

static bool read_robust(struct reading *r, struct rnn_scaler *s)
{
    bool center, divide;
    return read_flag(r, "with_centering", true, &center) && read_flag(r, "with_scaling", true, &divide) &&
           (!center || (s->offset = read_array(r, "center"))) && (!divide || (s->scale = read_array(r, "scale")));
}

static bool read_max_abs(struct reading *r, struct rnn_scaler *s)
{
    bool given = is_there(r, "scale");
    if (!read_flag(r, "clip", false, &s->clip))
        return false;
    s->clip_least = -1;
    s->clip_most = 1;
    s->most = is_there(r, "max_abs") || !given ? read_array(r, "max_abs") : NULL;
    s->scale = given ? read_array(r, "scale") : NULL;
    if ((given && !s->scale) || (!given && !s->most))
        return false;
    if (!s->scale && !(s->scale = calloc(r->n, sizeof *s->scale)))
        return out_of_memory(r);
    if (!s->most && !(s->most = calloc(r->n, sizeof *s->most)))
        return out_of_memory(r);
    s->least = calloc(r->n, sizeof *s->least);
    for (size_t i = 0; s->least && i < r->n; i++) {
        s->scale[i] = given ? s->scale[i] : rnn_scaler_nonzero(s->most[i]);
        s->most[i] = is_there(r, "max_abs") ? s->most[i] : s->scale[i];
        s->least[i] = -s->most[i];
    }
    return s->least || out_of_memory(r);
}

/* Read feature_range; the default is [0, 1]. */
static bool read_range(const struct reading *r, double range[2])
{
    const json_t *list = member(r->json, "feature_range");
    range[0] = 0;
    range[1] = 1;
    if (!list || json_is_null(list))
        return true;
    range[0] = json_number_value(json_array_get(list, 0));
    range[1] = json_number_value(json_array_get(list, 1));
    bool good = json_array_size(list) == 2 && json_is_number(json_array_get(list, 0)) &&
                json_is_number(json_array_get(list, 1)) && isfinite(range[0]) && isfinite(range[1]) &&
                range[0] < range[1];
    return good || fail(r, "feature_range", "expected two numbers, the smaller one first");
}

static bool read_min_max(struct reading *r, struct rnn_scaler *s)
{
    double range[2];
    bool given = is_there(r, "scale") && is_there(r, "min"), limits = is_there(r, "data_min");
    s->form = SCALER_MULTIPLIES;
    if (!read_range(r, range) || !read_flag(r, "clip", false, &s->clip))
        return false;
    s->clip_least = range[0];
    s->clip_most = range[1];
    if (limits || !given) {
        s->least = read_array(r, "data_min");
        s->most = s->least ? read_array(r, "data_max") : NULL;
    }
    if (given) {
        s->scale = read_array(r, "scale");
        s->offset = s->scale ? read_array(r, "min") : NULL;
    }
    if (((limits || !given) && !s->most) || (given && !s->offset))
        return false;
    if (!given) {
        s->scale = calloc(r->n, sizeof *s->scale);
        s->offset = calloc(r->n, sizeof *s->offset);
    }
    if (!s->least) {
        s->least = calloc(r->n, sizeof *s->least);
        s->most = calloc(r->n, sizeof *s->most);
    }
    if (!s->scale || !s->offset || !s->least || !s->most)
        return out_of_memory(r);
    for (size_t i = 0; i < r->n; i++) {
        if (!given) {
            s->scale[i] = (range[1] - range[0]) / rnn_scaler_nonzero(s->most[i] - s->least[i]);
            s->offset[i] = range[0] - s->least[i] * s->scale[i];
        } else if (!limits) {
            s->least[i] = (range[0] - s->offset[i]) / s->scale[i];
            s->most[i] = (range[1] - s->offset[i]) / s->scale[i];
        }
    }
    return true;
}

static const struct scaler_kind {
    const char *name, *mark; /* mark: an attribute that identifies this class */
    bool (*read)(struct reading *r, struct rnn_scaler *s);
    double reach; /* the argument of set_reach; 0 if the scaler stores its range */
} kinds[] = {
    {"StandardScaler", "mean", read_standard, reach_of_deviations},
    {"MinMaxScaler", "min", read_min_max, 0},
    {"RobustScaler", "center", read_robust, reach_of_deviations},
    {"MaxAbsScaler", "max_abs", read_max_abs, 0},
    {"MinMaxScaler", "data_min", read_min_max, 0},
    {"StandardScaler", "var", read_standard, reach_of_deviations},
};

static const struct scaler_kind *kind_of(const json_t *json)
{
    const json_t *name = json_object_get(json, "class_name");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (name ? json_is_string(name) && !strcmp(json_string_value(name), kinds[i].name)
                 : member(json, kinds[i].mark) != NULL)
            return &kinds[i];
    return NULL;
}

const char *scaler_class(const json_t *json)
{
    const struct scaler_kind *kind = kind_of(json);
    return kind ? kind->name : NULL;
}

bool scaler_is(const json_t *json)
{
    return json_is_object(json) && (json_object_get(json, "class_name") || kind_of(json));
}

static void wrong_class(const struct reading *r)
{
    const json_t *name = json_object_get(r->json, "class_name");
    if (!json_is_object(r->json))
        problem_error(r->problems, r->place, "expected a scaler, an object or the path of a file; found %s",
                      json_type_name(r->json));
    else if (name)
        problem_error(
            r->problems, r->place,
            "a %.60s is not supported; supported are StandardScaler, MinMaxScaler, RobustScaler and MaxAbsScaler. "
            "Save the scaler in it (for example pipeline.named_steps['scaler']): %s",
            json_is_string(name) ? json_string_value(name) : "class", scaler_python);
    else
        problem_error(r->problems, r->place, "a scaler needs its \"class_name\"");
}

bool scaler_read(const json_t *json, struct place place, struct problems *problems, struct rnn_scaler *out)
{
    struct reading r = {.json = json, .place = place, .problems = problems};
    const struct scaler_kind *kind = kind_of(json);
    *out = (struct rnn_scaler){.n = 0};
    if (!kind) {
        wrong_class(&r);
        return false;
    }
    bool good = kind->read(&r, out);
    if (good && !r.n)
        good = fail(&r, "scale", "the number of columns is unknown; give \"mean\" or \"scale\" as a list");
    out->n = r.n;
    good = good && check_scale(&r, out) && (kind->reach <= 0 || set_reach(&r, out, kind->reach));
    if (!good)
        rnn_scaler_close(out);
    return good;
}
