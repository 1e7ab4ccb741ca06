/* Records of sessions. */
#include "session_record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

static const char magic[8] = {'c', 'e', 'l', 'l', 's', 'e', 's', '1'};

/* The bytes of head and data. Returns false if the size overflows. */
static bool size_of(const struct session_head *head, size_t *bytes)
{
    size_t states, answer, rows;
    return head->rows && rnn_size_mul(head->rows, head->state_floats, &states) &&
           rnn_size_mul(states, sizeof(float), &states) && rnn_size_mul(head->answer_floats, sizeof(float), &answer) &&
           rnn_size_mul(head->rows, sizeof(uint64_t) + 1, &rows) && rnn_size_add(states, 7, &states) &&
           rnn_size_add(states - states % 8, answer, bytes) && rnn_size_add(*bytes, rows, bytes) &&
           rnn_size_add(*bytes, sizeof *head, bytes);
}

struct session_record *session_record_new(const struct session_head *head)
{
    size_t bytes, room;
    if (!size_of(head, &bytes) || !rnn_size_add(bytes, sizeof(struct session_record), &room))
        return NULL;
    struct session_record *record = malloc(room);
    if (!record)
        return NULL;
    memset(record, 0, sizeof *record);
    record->uses = 1;
    record->bytes = bytes;
    record->head = *head;
    return record;
}

static uint64_t checksum(const struct session_record *record, const char *id)
{
    size_t before = offsetof(struct session_head, tag);
    return XXH3_64bits_withSeed((const char *)&record->head + before, record->bytes - before,
                                XXH3_64bits(id, strlen(id)));
}

/* Whether the size of the answer agrees with its timesteps. */
static bool has_whole_answer(struct session_record *record)
{
    const struct session_head *head = &record->head;
    size_t steps = 0, floats;
    for (size_t b = 0; b < head->rows; b++)
        if (!rnn_size_add(steps, session_record_steps(record)[b], &steps))
            return false;
    return rnn_size_mul(steps, head->answer_width, &floats) && floats == head->answer_floats;
}

size_t session_record_bytes(const void *start, size_t n)
{
    struct session_head head;
    size_t bytes;
    if (n < sizeof head)
        return 0;
    memcpy(&head, start, sizeof head);
    return !memcmp(head.magic, magic, sizeof magic) && size_of(&head, &bytes) ? bytes : 0;
}

enum session_reading session_record_read(const void *bytes, size_t n, const char *id, struct session_record **record)
{
    enum { NAME = sizeof magic - 1 }; /* the name of the format, without its version */
    struct session_head head;
    *record = NULL;
    if (n >= sizeof magic && !memcmp(bytes, magic, NAME) && ((const char *)bytes)[NAME] != magic[NAME])
        return RECORD_OTHER_FORMAT;
    if (!n || session_record_bytes(bytes, n) != n)
        return RECORD_DAMAGED;
    memcpy(&head, bytes, sizeof head);
    if (head.model[sizeof head.model - 1])
        return RECORD_DAMAGED;
    struct session_record *copy = session_record_new(&head);
    if (!copy)
        return RECORD_NO_MEMORY;
    memcpy(copy->data, (const char *)bytes + sizeof head, n - sizeof head);
    if (checksum(copy, id) == head.checksum && has_whole_answer(copy)) {
        *record = copy;
        return RECORD_GOOD;
    }
    session_record_release(copy);
    return RECORD_DAMAGED;
}

void session_record_seal(struct session_record *record, const char *id)
{
    memcpy(record->head.magic, magic, sizeof magic);
    record->head.checksum = checksum(record, id);
}

struct session_record *session_record_used(const struct session_record *record, int64_t used_ms, const char *id)
{
    struct session_record *copy = session_record_new(&record->head);
    if (!copy)
        return NULL;
    memcpy(copy->data, record->data, record->bytes - sizeof record->head);
    copy->head.used_ms = used_ms;
    session_record_seal(copy, id);
    return copy;
}

struct session_record *session_record_use(struct session_record *record)
{
    atomic_fetch_add(&record->uses, 1);
    return record;
}

void session_record_release(struct session_record *record)
{
    if (record && atomic_fetch_sub(&record->uses, 1) == 1)
        free(record);
}

float *session_record_states(struct session_record *record)
{
    return (float *)(void *)record->data;
}

/* The timesteps begin after the states, at the next multiple of eight. */
uint64_t *session_record_steps(struct session_record *record)
{
    size_t states = record->head.rows * record->head.state_floats * sizeof(float);
    return (uint64_t *)(void *)(record->data + (states + 7) / 8 * 8);
}

float *session_record_answer(struct session_record *record)
{
    return (float *)(void *)(session_record_steps(record) + record->head.rows);
}

unsigned char *session_record_stepped(struct session_record *record)
{
    return (unsigned char *)(session_record_answer(record) + record->head.answer_floats);
}

uint64_t session_tag(void)
{
    static _Thread_local uint64_t state[2]; /* a random number of this thread, and a counter */
    if (!state[0] && getrandom(&state[0], sizeof state[0], 0) != sizeof state[0])
        state[0] = (uint64_t)(uintptr_t)state;
    state[1]++;
    uint64_t tag = XXH3_64bits(state, sizeof state);
    return tag ? tag : 1; /* 0 stands for no record */
}
