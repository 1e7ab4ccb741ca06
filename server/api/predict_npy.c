/* NumPy arrays in and out of POST /predict. */
#include "predict_npy.h"

#include "config/files/npy.h"
#include "server/codec/batch_write.h"
#include "server/run/models.h"
#include "server/run/prediction_raw.h"
#include "server/run/services.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool predict_npy_query(const char *query, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);
    for (const char *at = query; *at; at += strcspn(at, "&"), at += *at == '&') {
        size_t length = strcspn(at, "&");
        if (length <= n || strncmp(at, key, n) || at[n] != '=' || length - n - 1 >= size)
            continue;
        memcpy(out, at + n + 1, length - n - 1);
        out[length - n - 1] = 0;
        return true;
    }
    return false;
}

static void query_bool(const char *query, const char *key, int *out)
{
    char value[8];
    if (predict_npy_query(query, key, value, sizeof value))
        *out = !strcmp(value, "true") || !strcmp(value, "1");
}

static bool read_session(struct prediction *p)
{
    char id[SESSION_ID_BYTES] = SESSION_UNSAID, value[24], *end;
    predict_npy_query(p->request->head.query, "session", id, sizeof id);
    query_bool(p->request->head.query, "reset", &p->session.reset);
    if (predict_npy_query(p->request->head.query, "step", value, sizeof value)) {
        p->session.step = *value >= '0' && *value <= '9' ? strtoll(value, &end, 10) : -1;
        if (p->session.step < 0 || *end)
            return failure_set(&p->failure, 400, "wrong_type", "/step", "Expected a whole number of at least 0.");
    }
    return session_name(&p->session, id);
}

static bool read_query(struct prediction *p)
{
    struct request *request = p->request;
    predict_npy_query(request->head.query, "model", p->model, sizeof p->model);
    if (!request->model && !(request->model = models_acquire(request->services->models, p->model)))
        return failure_set(&p->failure, 404, "model_not_found", "",
                           "There is no model named \"%.100s\"; GET /v1/models lists them.", p->model);
    query_bool(request->head.query, "return_sequences", &p->return_sequences);
    query_bool(request->head.query, "raw", &p->raw);
    query_bool(request->head.query, "slide", &p->slide);
    query_bool(request->head.query, "return_windows", &p->return_windows);
    return read_session(p);
}

static bool wrong(struct prediction *p, const char *sentence)
{
    return failure_set(&p->failure, 400, "invalid_npy", "", "The body is not a NumPy array that the server reads: %s.",
                       sentence);
}

static bool read_values(struct prediction *p, const struct npy_array *array)
{
    struct memory_share *share = &p->request->memory;
    const struct named_tensor *t = &array->tensor;
    struct named_tensor rows = *t;
    unsigned char *turned = NULL;
    size_t bytes = t->elements * array->width; /* npy_read has multiplied them */
    if (array->fortran) {
        turned = memory_realloc(share, NULL, 0, bytes);
        if (!turned)
            return failure_overloaded(&p->failure);
        npy_to_row_major(array, turned);
        rows.data = turned;
    }
    bool good = json_tensor_reserve(&p->inputs, t->elements, share);
    if (good) {
        if (p->inputs.raw)
            raw_from_elements(&p->inputs, &rows);
        else if (t->type == TENSOR_F32)
            memcpy(p->inputs.values, rows.data, bytes);
        else
            tensor_to_floats(&rows, p->inputs.values);
        p->inputs.n_values = t->elements;
    }
    if (turned) {
        free(turned);
        memory_give(share, bytes);
    }
    return good || failure_overloaded(&p->failure);
}

bool predict_npy_read(struct prediction *p)
{
    struct request *request = p->request;
    struct npy_array array;
    if (!read_query(p))
        return false;
    const char *problem = npy_read((const unsigned char *)request->body, request->body_bytes, &array);
    const struct named_tensor *t = &array.tensor;
    if (problem)
        return wrong(p, problem);
    if (!t->elements || !t->rank)
        return failure_set(&p->failure, 400, "empty_input", "", "There is nothing to predict: the array is empty.");
    if (prediction_transforms(p) && raw_reading_of(request->model, 0, &p->reading))
        p->inputs.raw = &p->reading;
    if (!read_values(p, &array))
        return false;
    bool finite = !p->inputs.raw || raw_is_finite(&p->inputs);
    for (size_t i = 0; i < t->elements && !p->inputs.raw; i++)
        finite &= isfinite(p->inputs.values[i]) != 0;
    if (!finite && !request->model->allow_nonfinite)
        return failure_set(&p->failure, 400, "number_out_of_range", "",
                           "The array has NaN, Infinity or a number beyond float32; set allow_nonfinite for this "
                           "model to let them pass.");
    return json_tensor_reshape(&p->inputs, t->shape, t->rank, &request->memory) || failure_overloaded(&p->failure);
}

void predict_npy_write(struct prediction *p)
{
    if (!prediction_has_outputs(p))
        return;
    struct buffer *out = &p->request->answer.buffer;
    struct batch_tensor outputs;
    size_t shape[BATCH_MAX_RANK], elements = 1, used = 0;
    char sizes[100] = "", dictionary[118], head[128];
    batch_tensor_at(&p->request->model->graph, 0, &outputs);
    if (p->batch.rolled || p->request->model->graph.two_outputs)
        outputs = (struct batch_tensor){.width = p->batch.output.width};
    size_t rank = batch_tensor_shape(&p->batch, &outputs, shape);
    for (size_t i = 0; i < rank; i++) {
        elements *= shape[i];
        used += (size_t)snprintf(sizes + used, sizeof sizes - used, i ? ", %zu" : "%zu", shape[i]);
    }
    snprintf(dictionary, sizeof dictionary, "{'descr': '<f4', 'fortran_order': False, 'shape': (%.60s%s), }", sizes,
             rank == 1 ? "," : "");
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10); /* version 1.0, 118 bytes of header */
    memset(head + 10, ' ', sizeof head - 10);
    memcpy(head + 10, dictionary, strlen(dictionary));
    head[sizeof head - 1] = '\n';
    buffer_bytes(out, head, sizeof head);
    p->request->answer.type = "application/x-npy";
    if (!buffer_room(out, elements * sizeof(float)))
        return;
    p->finite &= batch_copy_tensor(&p->batch, &outputs, (float *)(void *)(out->text + out->used));
    out->used += elements * sizeof(float);
}
