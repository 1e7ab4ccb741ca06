/* The heap of a table's connections, ordered by the time of the next check. All functions need the lock of the
   table. */
#ifndef SERVER_HTTP_DEADLINES_H
#define SERVER_HTTP_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct connection_table;

/* False when out of memory. */
bool deadlines_add(struct connection_table *table, struct connection *connection, int64_t look_ns);

/* Another time, earlier or later. */
void deadlines_move(struct connection_table *table, struct connection *connection, int64_t look_ns);

/* Nothing happens to one that has been removed. */
void deadlines_remove(struct connection_table *table, struct connection *connection);

#endif
