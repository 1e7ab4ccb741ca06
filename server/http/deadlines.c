/* A binary heap; each connection knows its place. */
#include "deadlines.h"

#include "connections.h"

#include <stdlib.h>

static void put(struct connection_table *table, size_t at, struct connection *connection)
{
    table->heap[at] = connection;
    connection->heap_at = at;
}

static void move_up(struct connection_table *table, struct connection *connection)
{
    size_t at = connection->heap_at;
    for (; at && table->heap[(at - 1) / 2]->look_ns > connection->look_ns; at = (at - 1) / 2)
        put(table, at, table->heap[(at - 1) / 2]);
    put(table, at, connection);
}

static void move_down(struct connection_table *table, struct connection *connection)
{
    size_t at = connection->heap_at;
    for (size_t child; (child = 2 * at + 1) < table->n_heap; at = child) {
        if (child + 1 < table->n_heap && table->heap[child + 1]->look_ns < table->heap[child]->look_ns)
            child++;
        if (table->heap[child]->look_ns >= connection->look_ns)
            break;
        put(table, at, table->heap[child]);
    }
    put(table, at, connection);
}

bool deadlines_add(struct connection_table *table, struct connection *connection, int64_t look_ns)
{
    enum { ROOM = 64 };
    connection->heap_at = SIZE_MAX;
    if (table->n_heap == table->heap_room) {
        size_t room = table->heap_room ? 2 * table->heap_room : ROOM;
        struct connection **grown = realloc(table->heap, room * sizeof(struct connection *));
        if (!grown)
            return false;
        table->heap = grown;
        table->heap_room = room;
    }
    connection->look_ns = look_ns;
    put(table, table->n_heap++, connection);
    move_up(table, connection);
    return true;
}

void deadlines_move(struct connection_table *table, struct connection *connection, int64_t look_ns)
{
    bool earlier = look_ns < connection->look_ns;
    connection->look_ns = look_ns;
    if (earlier)
        move_up(table, connection);
    else
        move_down(table, connection);
}

void deadlines_remove(struct connection_table *table, struct connection *connection)
{
    size_t at = connection->heap_at;
    if (at == SIZE_MAX)
        return;
    connection->heap_at = SIZE_MAX;
    struct connection *last = table->heap[--table->n_heap];
    if (last == connection)
        return;
    put(table, at, last);
    move_up(table, last);
    move_down(table, last);
}
