/* A hash table with a list by age. */
#include "session_table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { FIRST_BUCKETS = 256 };

bool session_table_open(struct session_table *table)
{
    *table = (struct session_table){.n_buckets = FIRST_BUCKETS, .seed = session_tag()};
    table->buckets = calloc(table->n_buckets, sizeof *table->buckets);
    return table->buckets != NULL;
}

void session_table_close(struct session_table *table)
{
    while (table->oldest)
        session_table_remove(table, table->oldest);
    free(table->buckets);
    *table = (struct session_table){0};
}

static struct session_entry **bucket_of(const struct session_table *table, const char *id)
{
    return &table->buckets[XXH3_64bits_withSeed(id, strlen(id), table->seed) & (table->n_buckets - 1)];
}

struct session_entry *session_table_find(struct session_table *table, const char *id)
{
    struct session_entry *entry = *bucket_of(table, id);
    while (entry && strcmp(entry->id, id))
        entry = entry->next;
    return entry;
}

static void unlink_age(struct session_table *table, struct session_entry *entry)
{
    *(entry->older ? &entry->older->newer : &table->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &table->newest) = entry->older;
}

static void link_newest(struct session_table *table, struct session_entry *entry)
{
    entry->newer = NULL;
    entry->older = table->newest;
    *(table->newest ? &table->newest->newer : &table->oldest) = entry;
    table->newest = entry;
}

/* Double the buckets, if there is memory for them. */
static void grow_table(struct session_table *table)
{
    struct session_table larger = *table;
    larger.n_buckets *= 2;
    larger.buckets = calloc(larger.n_buckets, sizeof *larger.buckets);
    if (!larger.buckets)
        return;
    for (struct session_entry *entry = table->oldest; entry; entry = entry->newer) {
        struct session_entry **bucket = bucket_of(&larger, entry->id);
        entry->next = *bucket;
        *bucket = entry;
    }
    free(table->buckets);
    *table = larger;
}

/* The memory that malloc uses for a block: one word more, in steps of 16 bytes, at least 32. */
static size_t block_bytes(size_t bytes)
{
    size_t whole = (bytes + sizeof(size_t) + 15) / 16 * 16;
    return whole < 32 ? 32 : whole;
}

/* There are up to two buckets for each entry. */
size_t session_table_cost(const char *id, const struct session_record *record)
{
    return block_bytes(sizeof *record + record->bytes) + block_bytes(sizeof(struct session_entry) + strlen(id) + 1) +
           2 * sizeof(struct session_entry *);
}

bool session_table_put(struct session_table *table, const char *id, struct session_record *record, int64_t now_ns)
{
    struct session_entry *entry = session_table_find(table, id);
    if (entry) {
        table->bytes -= session_table_cost(id, entry->record);
        session_record_release(entry->record);
        unlink_age(table, entry);
    } else {
        size_t length = strlen(id) + 1;
        if (table->count == table->n_buckets)
            grow_table(table);
        entry = malloc(sizeof *entry + length);
        if (!entry)
            return false;
        struct session_entry **bucket = bucket_of(table, id);
        entry->next = *bucket;
        *bucket = entry;
        memcpy(entry->id, id, length);
        table->count++;
    }
    entry->record = session_record_use(record);
    entry->used_ns = now_ns;
    link_newest(table, entry);
    table->bytes += session_table_cost(id, record);
    return true;
}

void session_table_remove(struct session_table *table, struct session_entry *entry)
{
    struct session_entry **at = bucket_of(table, entry->id);
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    unlink_age(table, entry);
    table->count--;
    table->bytes -= session_table_cost(entry->id, entry->record);
    session_record_release(entry->record);
    free(entry);
}
