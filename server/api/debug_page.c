/* Build, settings in force, threads, queues, sessions, connections, memory: numbers of this moment. */
#include "debug_page.h"

#include "config/settings.h"
#include "handlers.h"
#include "server/base/clock.h"
#include "server/base/counters.h"
#include "server/base/lifecycle.h"
#include "server/base/log.h"
#include "server/base/metrics.h"
#include "server/base/version.h"
#include "server/run/access.h"
#include "server/run/models.h"
#include "server/run/pool.h"
#include "server/run/services.h"
#include "server/run/stream.h"
#include "server/session/session_store.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(struct buffer *out, const char *text)
{
    buffer_text(out, "\"");
    buffer_escaped(out, text);
    buffer_text(out, "\"");
}

static void put_number(struct buffer *out, bool *first, const char *name, double value)
{
    buffer_printf(out, "%s\"%s\": %.12g", *first ? "" : ", ", name, value);
    *first = false;
}

enum { VALUE_BYTES = 1024, MASK_BYTES = 8 }; /* of a setting's value; more for the marks of a mask */

/* An address of Redis without its user and password. Of an address that fills the buffer, the end is missing, and the '@'
   may be there. */
static void mask(const char value[VALUE_BYTES], char out[VALUE_BYTES + MASK_BYTES])
{
    static const char marks[] = "://***";
    const char *scheme = strstr(value, "://"), *sign = strrchr(value, '@'), *rest = value;
    bool cut = strlen(value) + 1 == VALUE_BYTES;
    if (scheme && (cut || sign > scheme)) {
        out = mempcpy(mempcpy(out, value, (size_t)(scheme - value)), marks, sizeof marks - 1);
        rest = cut ? "" : sign;
    }
    memcpy(out, rest, strlen(rest) + 1);
}

static void write_settings(const struct settings *settings, struct buffer *out)
{
    buffer_text(out, "\"settings\": {");
    for (const struct setting *row = settings_table; row->key; row++) {
        char value[VALUE_BYTES], shown[VALUE_BYTES + MASK_BYTES];
        settings_show(settings, row, value, sizeof value);
        mask(value, shown);
        buffer_printf(out, "%s\"%s\": ", row == settings_table ? "" : ", ", row->key);
        if (setting_is_text(row))
            put_text(out, shown);
        else
            buffer_text(out, shown);
    }
    buffer_text(out, "},\n");
}

/* Names of threads as the system has them, and the processor time of each in seconds. */
static void write_threads(struct buffer *out)
{
    DIR *dir = opendir("/proc/self/task");
    bool first = true;
    buffer_text(out, "\"threads\": [");
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        char path[300], text[512];
        unsigned long user = 0, kernel = 0;
        snprintf(path, sizeof path, "/proc/self/task/%.200s/stat", entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (!file)
            continue;
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        char *name = strchr(text, '('), *end = strrchr(text, ')');
        if (!name || !end)
            continue;
        *end = 0;
        sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
        buffer_text(out, first ? "{\"name\": " : ", {\"name\": ");
        put_text(out, name + 1);
        buffer_printf(out, ", \"cpu_s\": %.2f}", (double)(user + kernel) / 100);
        first = false;
    }
    if (dir)
        closedir(dir);
    buffer_text(out, "],\n");
}

static void write_queues(const struct services *services, struct buffer *out)
{
    size_t queued = 0, running = 0;
    bool first = true;
    if (services->lifecycle->state != SERVER_LOADING)
        pool_load(services->pool, &queued, &running);
    buffer_text(out, "\"queues\": {");
    put_number(out, &first, "workers", (double)services->n_workers);
    put_number(out, &first, "queued", (double)queued);
    put_number(out, &first, "running", (double)running);
    put_number(out, &first, "streams", (double)services->streams->n);
    put_number(out, &first, "turns_waiting", (double)turns_waiting(services->turns));
    buffer_text(out, "},\n");
}

/* What has run side by side until now: runs, and the rows of those. */
static void write_models(const struct services *services, struct buffer *out)
{
    buffer_text(out, "\"models\": [");
    for (size_t i = 0; services->lifecycle->state != SERVER_LOADING && i < services->models->n_slots; i++) {
        const char *name = model_entry_name(services->models->slots[i].entry);
        struct model *model = models_acquire(services->models, name);
        const struct model_statistics s = metrics_model(services->metrics, name);
        bool first = false;
        buffer_text(out, i ? ", {\"name\": " : "{\"name\": ");
        put_text(out, name);
        buffer_text(out, ", \"version\": ");
        put_text(out, model ? model->version : "");
        put_number(out, &first, "success", (double)s.success);
        put_number(out, &first, "fail", (double)s.fail);
        put_number(out, &first, "rows", (double)s.rows);
        put_number(out, &first, "runs", (double)s.runs);
        buffer_text(out, "}");
        model_release(model);
    }
    buffer_text(out, "],\n");
}

struct list {
    struct buffer *out;
    bool first;
};

static void put_sessions(void *cls, const char *model, size_t n)
{
    struct list *list = cls;
    buffer_text(list->out, list->first ? "" : ", ");
    put_text(list->out, model);
    buffer_printf(list->out, ": %zu", n);
    list->first = false;
}

static void write_connections(const struct services *services, struct buffer *out)
{
    static const char *const names[COUNTERS_STAGES] = {"new", "head", "idle", "body", "wait", "answer", "cut"};
    size_t stages[COUNTERS_STAGES] = {0};
    bool first = true;
    if (services->counters->stages)
        services->counters->stages(services->counters->stages_cls, stages);
    buffer_text(out, "\"connections\": {");
    for (size_t i = 0; i < COUNTERS_STAGES; i++)
        put_number(out, &first, names[i], (double)stages[i]);
    buffer_text(out, "},\n");
}

static void write_memory(const struct services *services, struct buffer *out)
{
    const struct mallinfo2 heap = mallinfo2();
    bool first = true;
    buffer_text(out, "\"memory\": {");
    put_number(out, &first, "inflight_bytes", (double)services->memory->used);
    put_number(out, &first, "inflight_limit_bytes", (double)services->memory->limit);
    put_number(out, &first, "heap_used_bytes", (double)heap.uordblks + (double)heap.hblkhd);
    put_number(out, &first, "heap_free_bytes", (double)heap.fordblks);
    buffer_text(out, "}\n");
}

void debug_page_write(const struct services *services, struct buffer *out)
{
    static const char *const states[] = {"loading", "ready", "draining"};
    struct list sessions = {out, true};
    buffer_printf(out, "{\n\"build\": {\"version\": \"%s\", \"isa\": \"%s\", \"compiler\": \"%s\"},\n",
                  CELLSERVE_VERSION, services->models->vec->name, __VERSION__);
    buffer_printf(out, "\"state\": \"%s\",\n", states[atomic_load(&services->lifecycle->state)]);
    write_settings(services->settings, out);
    write_threads(out);
    write_queues(services, out);
    write_models(services, out);
    buffer_text(out, "\"sessions\": {");
    if (services->sessions)
        session_store_models(services->sessions, put_sessions, &sessions);
    buffer_text(out, "},\n");
    write_connections(services, out);
    write_memory(services, out);
    buffer_text(out, "}\n");
}

void debug_page_log(const struct services *services)
{
    enum { MOST_BYTES = 1 << 20 };
    struct memory_share share = {.memory = services->memory, .beyond = true};
    struct buffer out = {.limit = MOST_BYTES, .share = &share};
    debug_page_write(services, &out);
    for (char *line = out.text, *end; line && (end = memchr(line, '\n', out.used - (size_t)(line - out.text)));
         line = end + 1) {
        *end = 0;
        if (end - line > 1)
            log_line(LOG_INFO, "debug: %s", line);
        if ((size_t)(end + 1 - out.text) >= out.used)
            break;
    }
    buffer_close(&out);
}

void answer_debug(struct request *request)
{
    debug_page_write(request->services, &request->answer.buffer);
    answer_buffer(request, 200, "application/json");
}
