/* The record of a session: its states after a step, the model to which they belong, and the answer of this step. It is
   one block of bytes, the same in memory and in an external store. */
#ifndef SERVER_SESSION_SESSION_RECORD_H
#define SERVER_SESSION_SESSION_RECORD_H

#include "config/model.h"

#include <stdatomic.h>

/* STORED: an id with the name of its key in front. */
enum { SESSION_ID_BYTES = 256, SESSION_STORED_BYTES = SESSION_ID_BYTES + 64, SESSION_MODEL_BYTES = 104 };

/* The head of a record, as it is stored (little-endian). */
struct session_head {
    char magic[8];               /* "cellses1": the last character is the version of this format */
    uint64_t checksum;           /* XXH3 of all following bytes, seeded with the hash of the session's id */
    uint64_t tag;                /* a unique number of the record, for compare-and-set */
    uint64_t step;               /* the number of requests applied so far */
    int64_t created_ms, used_ms; /* milliseconds since 1970 */
    struct digest digest;
    char model[SESSION_MODEL_BYTES];
    uint64_t rows, state_floats; /* the floats of a row */
    /* the answer of the last step; stored only if the request had "step" */
    uint64_t has_answer, answer_form, answer_width, answer_floats; /* form: see session.c */
};

/* Immutable once it is shared. The holder of a use may read it. */
struct session_record {
    atomic_size_t uses;
    size_t bytes; /* the stored bytes: head and data */
    struct session_head head;
    unsigned char
        data[]; /* [rows][state_floats] float, [rows] uint64 timesteps of the answer, [answer_floats] float, [rows]
                             bytes: whether a timestep has been taken */
};

/* Make a record with one use and a copy of this head; session_record_seal sets magic and checksum. The caller fills the
   data. Returns NULL if out of memory, or if the size overflows. */
struct session_record *session_record_new(const struct session_head *head);

enum session_reading {
    RECORD_GOOD,
    RECORD_DAMAGED,      /* the bytes are not a record of this session */
    RECORD_OTHER_FORMAT, /* a record of another version of this program; its format is in the first 8 bytes */
    RECORD_NO_MEMORY,
};
/* Make a record from stored bytes, which may be anything. *record is NULL unless they are valid. */
enum session_reading session_record_read(const void *bytes, size_t n, const char *id, struct session_record **record);
/* The size of the record that begins with these n bytes; 0: the bytes are not the beginning of a record. */
size_t session_record_bytes(const void *start, size_t n);
/* Seal a filled record, so that it can be stored and shared. */
void session_record_seal(struct session_record *record, const char *id);

/* A sealed copy with another time of use. Returns NULL if out of memory. */
struct session_record *session_record_used(const struct session_record *record, int64_t used_ms, const char *id);

struct session_record *session_record_use(struct session_record *record);
void session_record_release(struct session_record *record); /* record may be NULL */

/* Pointers to the parts of the data. */
float *session_record_states(struct session_record *record);
uint64_t *session_record_steps(struct session_record *record);
float *session_record_answer(struct session_record *record);
unsigned char *session_record_stepped(struct session_record *record);

/* A tag that no other record has. */
uint64_t session_tag(void);

#endif
