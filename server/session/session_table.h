/* Records by the id of their session, in the order of their last use. */
#ifndef SERVER_SESSION_SESSION_TABLE_H
#define SERVER_SESSION_SESSION_TABLE_H

#include "session_record.h"

struct session_entry {
    struct session_entry *next;          /* of its bucket */
    struct session_entry *older, *newer; /* by last use */
    struct session_record *record;       /* a use of the table's */
    int64_t used_ns;
    char id[];
};

/* Not for several threads at a time. */
struct session_table {
    struct session_entry **buckets;
    size_t n_buckets, count, bytes; /* bytes: of the records and of what the table adds to them */
    struct session_entry *oldest, *newest;
    uint64_t seed; /* ids come from clients: which bucket they fall into is not for them to know */
};

/* False when out of memory. */
bool session_table_open(struct session_table *table);
void session_table_close(struct session_table *table);

struct session_entry *session_table_find(struct session_table *table, const char *id);

/* Bytes of memory that a record takes in a table, all told. */
size_t session_table_cost(const char *id, const struct session_record *record);

/* Put a record (a use of it) in the place of an id's, which is now the newest. False when out of memory. */
bool session_table_put(struct session_table *table, const char *id, struct session_record *record, int64_t now_ns);

void session_table_remove(struct session_table *table, struct session_entry *entry);

#endif
