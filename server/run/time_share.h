/* Divides a worker's time between streams, which may be endless, and other requests. */
#ifndef SERVER_RUN_TIME_SHARE_H
#define SERVER_RUN_TIME_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/* All zeros at first. */
struct time_share {
    int64_t credit_ns; /* time that the others have had more than streams, within bounds */
};

/* The others have run for others_ns (0: there were none). True: streams may run now. */
bool time_share_allows_streams(struct time_share *share, int64_t others_ns);

/* Streams have run for streams_ns. */
void time_share_took(struct time_share *share, int64_t streams_ns);

#endif
