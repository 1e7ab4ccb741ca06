/* Streams and other requests share a worker's time. */
#include "server/run/time_share.h"
#include "tests/unit/unit.h"

enum { MS = 1000000 };

/* The time that streams get in `rounds` rounds, if other requests take others_ns in each round. */
static int64_t streams_had(struct time_share *share, int rounds, int64_t others_ns, int64_t chunk_ns)
{
    int64_t had = 0;
    for (int i = 0; i < rounds; i++)
        if (time_share_allows_streams(share, others_ns)) {
            time_share_took(share, chunk_ns);
            had += chunk_ns;
        }
    return had;
}

static void both_have_half_whatever_their_chunks(void **state)
{
    (void)state;
    const int64_t chunks[][2] = {{2 * MS, 2 * MS}, {MS / 50, 3 * MS}, {7 * MS, MS}, {MS, 15 * MS}};
    for (size_t i = 0; i < 4; i++) {
        struct time_share share = {0};
        int64_t others = chunks[i][0] * 100000, streams = streams_had(&share, 100000, chunks[i][0], chunks[i][1]);
        int64_t most = chunks[i][1] * 100000; /* one chunk a round */
        assert_near((double)streams, (double)(others < most ? others : most), 40 * MS);
    }
}

static void alone_streams_have_all(void **state)
{
    (void)state;
    struct time_share share = {0};
    assert_int_equal(streams_had(&share, 1000, 0, 5 * MS), (int64_t)5000 * MS);
    /* a single request waits only for the chunk that runs; after it, streams continue */
    assert_false(time_share_allows_streams(&share, MS));
    assert_true(time_share_allows_streams(&share, 0));
}

static void old_time_does_not_count(void **state)
{
    (void)state;
    struct time_share share = {0};
    time_share_allows_streams(&share, (int64_t)100000 * MS);
    assert_true(streams_had(&share, 1000, 1, 2 * MS) <= 22 * MS);
    time_share_took(&share, (int64_t)100000 * MS);
    assert_int_equal(streams_had(&share, 30, MS, MS), 10 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_have_half_whatever_their_chunks),
                                       cmocka_unit_test(alone_streams_have_all),
                                       cmocka_unit_test(old_time_does_not_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
