/* A table of records by the id of their session, in the order of their last use. */
#ifndef SERVER_SESSION_SESSION_TABLE_H
#define SERVER_SESSION_SESSION_TABLE_H

#include "session_record.h"

struct session_entry {
    struct session_entry *next;          /* the next entry of the bucket */
    struct session_entry *older, *newer; /* neighbours in the order of last use */
    struct session_record *record;       /* the table has a use of it */
    int64_t used_ns;
    char id[];
};

/* Only one thread at a time may use a table. */
struct session_table {
    struct session_entry **buckets;
    size_t n_buckets, count, bytes; /* bytes: the memory of the records and of the table */
    struct session_entry *oldest, *newest;
    uint64_t seed; /* the key of the hash: clients choose the ids, and must not be able to predict their buckets */
};

/* False when out of memory. */
bool session_table_open(struct session_table *table);
void session_table_close(struct session_table *table);

struct session_entry *session_table_find(struct session_table *table, const char *id);

/* The bytes of memory that a record needs in a table, in all. */
size_t session_table_cost(const char *id, const struct session_record *record);

/* Set the record of an id, which becomes the newest entry. The table adds its own use of the record. Returns false if
   out of memory. */
bool session_table_put(struct session_table *table, const char *id, struct session_record *record, int64_t now_ns);

void session_table_remove(struct session_table *table, struct session_entry *entry);

#endif
