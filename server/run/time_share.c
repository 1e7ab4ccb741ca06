/* While other requests have work, streams get at most half of the time; otherwise they get all of it. */
#include "time_share.h"

/* The bound of the balance: streams do not make up for a long burst of other requests later, and other requests do not
   make up for a long chunk of streams. */
enum { MOST_NS = 20000000 };

static int64_t within_bounds(int64_t ns)
{
    return ns > MOST_NS ? MOST_NS : ns < -MOST_NS ? -MOST_NS : ns;
}

bool time_share_allows_streams(struct time_share *share, int64_t others_ns)
{
    share->credit_ns = others_ns ? within_bounds(share->credit_ns + others_ns) : 1;
    return share->credit_ns > 0;
}

void time_share_took(struct time_share *share, int64_t streams_ns)
{
    share->credit_ns = within_bounds(share->credit_ns - streams_ns);
}
