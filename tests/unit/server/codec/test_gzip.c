#include "server/codec/gzip.h"
#include "tests/unit/unit.h"

#include <zlib.h>

static size_t compress_text(const void *text, size_t n, unsigned char *out, size_t room)
{
    z_stream z = {
        .next_in = (unsigned char *)(uintptr_t)text, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static struct memory memory = {.limit = 1 << 24};

static char *expand(const unsigned char *body, size_t n, size_t max, size_t *bytes, struct failure *failure,
                    struct memory_share *share)
{
    size_t room;
    *failure = (struct failure){.status = 0};
    *share = (struct memory_share){.memory = &memory};
    return gzip_expand((const char *)body, n, max, share, bytes, &room, failure);
}

static void bodies_come_back(void **state)
{
    (void)state;
    unsigned char packed[4096];
    size_t sizes[] = {0, 1, 1000, 65535, 65536, 200000}, bytes;
    char *text = malloc(200000);
    for (size_t i = 0; i < 200000; i++)
        text[i] = (char)('a' + i % 7);
    for (size_t i = 0; i < 6; i++) {
        struct failure failure;
        struct memory_share share;
        size_t n = compress_text(text, sizes[i], packed, sizeof packed);
        char *out = expand(packed, n, 200000, &bytes, &failure, &share);
        assert_non_null(out);
        assert_int_equal(bytes, sizes[i]);
        assert_memory_equal(out, text, bytes);
        assert_int_equal(out[bytes], 0);
        free(out);
        memory_give(&share, share.bytes);
        assert_null(expand(packed, n - 1, 200000, &bytes, &failure, &share)); /* cut short */
        assert_int_equal(failure.status, 400);
        assert_int_equal(share.bytes, 0);
        if (sizes[i]) {
            assert_null(expand(packed, n, sizes[i] - 1, &bytes, &failure, &share)); /* one byte too many */
            assert_int_equal(failure.status, 413);
        }
    }
    free(text);
}

static void bombs_stop_at_the_cap(void **state)
{
    (void)state;
    size_t n = 10000000, bytes;
    char *zeros = calloc(n, 1);
    unsigned char *packed = malloc(100000);
    struct failure failure;
    struct memory_share share;
    n = compress_text(zeros, n, packed, 100000);
    assert_null(expand(packed, n, 100000, &bytes, &failure, &share));
    assert_int_equal(failure.status, 413);
    memory.limit = 1 << 20;
    assert_null(expand(packed, n, 20000000, &bytes, &failure, &share));
    assert_int_equal(failure.status, 503);
    memory.limit = 1 << 24;
    assert_int_equal(memory.used, 0);
    free(zeros);
    free(packed);
}

static void members_follow_each_other_and_garbage_is_refused(void **state)
{
    (void)state;
    unsigned char packed[256];
    size_t n = compress_text("abc", 3, packed, 100), bytes;
    n += compress_text("def", 3, packed + n, 100);
    struct failure failure;
    struct memory_share share;
    char *out = expand(packed, n, 100, &bytes, &failure, &share);
    assert_string_equal(out, "abcdef");
    free(out);
    memory_give(&share, share.bytes);
    memset(packed + n, 'x', 20);
    assert_null(expand(packed, n + 20, 100, &bytes, &failure, &share));
    assert_int_equal(failure.status, 400);
    assert_null(expand((const unsigned char *)"", 0, 100, &bytes, &failure, &share));
    assert_int_equal(failure.status, 400);
}

/* The first bytes are expanded, also if the body is cut short. */
static void heads_are_expanded(void **state)
{
    (void)state;
    unsigned char packed[4096];
    char text[20000], out[8192];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 7);
    size_t n = compress_text(text, sizeof text, packed, sizeof packed);
    assert_int_equal(gzip_head((const char *)packed, n, out, sizeof out), sizeof out);
    assert_memory_equal(out, text, sizeof out);
    for (size_t cut = 0; cut <= n; cut++) {
        size_t got = gzip_head((const char *)packed, cut, out, sizeof out);
        assert_memory_equal(out, text, got);
    }
    n = compress_text(text, 100, packed, sizeof packed);
    assert_int_equal(gzip_head((const char *)packed, n, out, sizeof out), 100);
    assert_int_equal(gzip_head("no gzip", 7, out, sizeof out), 0);
    assert_int_equal(gzip_head(NULL, 0, out, sizeof out), 0);
}

/* Texts are compressed if they shrink by at least an eighth and if memory allows; others stay unchanged. */
static void answers_are_packed_where_that_helps(void **state)
{
    (void)state;
    char text[20000], *out;
    struct failure failure;
    struct memory_share share = {.memory = &memory}, more;
    size_t bytes, room, plain_bytes;
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 7);
    out = gzip_compress(text, sizeof text, &share, &bytes, &room);
    assert_non_null(out);
    assert_true(bytes < 1000 && share.bytes == room);
    char *plain = expand((unsigned char *)out, bytes, sizeof text, &plain_bytes, &failure, &more);
    assert_int_equal(plain_bytes, sizeof text);
    assert_memory_equal(plain, text, sizeof text);
    free(plain);
    memory_give(&more, more.bytes);
    free(out);
    memory_give(&share, room);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(unit_random(&seed) * 128);
    assert_null(gzip_compress(text, sizeof text, &share, &bytes, &room));
    assert_int_equal(share.bytes, 0);
    memory.limit = 1000;
    assert_null(gzip_compress(text, sizeof text, &share, &bytes, &room));
    memory.limit = 1 << 24;
    assert_int_equal(memory.used, 0);
    /* zlib counts in 32 bits */
    assert_null(gzip_compress(text, (size_t)UINT32_MAX + 1, &share, &bytes, &room));
    assert_null(expand((unsigned char *)text, (size_t)UINT32_MAX + 1, 100, &bytes, &failure, &share));
    assert_string_equal(failure.code, "body_too_large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bodies_come_back), cmocka_unit_test(bombs_stop_at_the_cap),
                                       cmocka_unit_test(heads_are_expanded),
                                       cmocka_unit_test(answers_are_packed_where_that_helps),
                                       cmocka_unit_test(members_follow_each_other_and_garbage_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
