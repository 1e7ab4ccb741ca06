/* Divides a worker's time between streams, which may be endless, and other requests. */
#ifndef SERVER_RUN_TIME_SHARE_H
#define SERVER_RUN_TIME_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/* All zeros at first. */
struct time_share {
    int64_t credit_ns; /* the time of other requests minus the time of streams, within bounds */
};

/* Other requests have run for others_ns (0: there were none). Returns true if streams may run now. */
bool time_share_allows_streams(struct time_share *share, int64_t others_ns);

/* Streams have run for streams_ns. */
void time_share_took(struct time_share *share, int64_t streams_ns);

#endif
