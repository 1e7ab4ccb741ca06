/* CRC-32C, Snappy, and tables of sorted keys that the test makes. */
#include "config/files/crc32c.h"
#include "config/files/sorted_table.h"
#include "tests/unit/unit.h"

/* Values of RFC 3720, appendix B.4, and of LevelDB's own test of the mask. */
static void checksums_are_those_of_the_standard(void **state)
{
    (void)state;
    unsigned char bytes[32] = {0};
    assert_int_equal(crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(bytes, 32), 0x46dd794e);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
    assert_int_equal(crc32c_masked("123456789", 9), (0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u);
}

static void assert_unpacks(const char *packed, size_t n, const char *want)
{
    size_t bytes = 0;
    unsigned char *out = snappy_unpack((const unsigned char *)packed, n, &bytes);
    if (!want) {
        assert_null(out);
        return;
    }
    assert_non_null(out);
    assert_int_equal(bytes, strlen(want));
    assert_memory_equal(out, want, bytes);
    free(out);
}

static void snappy_is_unpacked(void **state)
{
    (void)state;
    assert_unpacks("\x00", 1, "");
    assert_unpacks("\x03\x08"
                   "abc",
                   5, "abc");
    assert_unpacks("\x09\x08"
                   "abc\x09\x03",
                   7, "abcabcabc"); /* copies 6 bytes from 3 bytes back: source and destination overlap */
    assert_unpacks("\x05\x00"
                   "a\x0e\x01\x00",
                   6, "aaaaa"); /* an offset of two bytes */
    assert_unpacks("\x05\x00"
                   "a\x0f\x01\x00\x00\x00",
                   8, "aaaaa"); /* an offset of four bytes */
    assert_unpacks("\x03\xf0\x02"
                   "abc",
                   6, "abc"); /* a literal with a length byte */
    assert_unpacks("\x03\x08"
                   "ab",
                   4, NULL); /* cut short */
    assert_unpacks("\x04\x08"
                   "abc",
                   5, NULL); /* shorter than its length field */
    assert_unpacks("\x02\x08"
                   "abc",
                   5, NULL); /* longer than its length field */
    assert_unpacks("\x05\x00"
                   "a\x0e\x02\x00",
                   6, NULL); /* an offset before the first byte */
    assert_unpacks("\x05\x00"
                   "a\x0e\x00\x00",
                   6, NULL);                         /* an offset of 0 */
    assert_unpacks("\xff\xff\xff\xff\x0f", 5, NULL); /* a length of 4 GiB without data */
    assert_unpacks("", 0, NULL);
}

/* ---- tables ---- */

struct table {
    unsigned char bytes[2048];
    size_t n;
};

static void put(struct table *t, const void *bytes, size_t n)
{
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
}

static void put_u32(struct table *t, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        t->bytes[t->n++] = (unsigned char)(value >> 8 * i);
}

/* Append a block with its type and checksum. The handle has its offset and size (below 16384), in two bytes each. */
static void put_block(struct table *t, const void *entries, size_t n, unsigned char type, unsigned char handle[4])
{
    size_t offset = t->n;
    put(t, entries, n);
    if (!type) {
        put_u32(t, 0);
        put_u32(t, 1);
    }
    size_t size = t->n - offset;
    handle[0] = (unsigned char)(offset | 128), handle[1] = (unsigned char)(offset >> 7);
    handle[2] = (unsigned char)(size | 128), handle[3] = (unsigned char)(size >> 7);
    t->bytes[t->n++] = type;
    put_u32(t, crc32c_masked(t->bytes + offset, size + 1));
}

static struct table make_table(const void *entries, size_t n, unsigned char type)
{
    struct table t = {.n = 0};
    unsigned char data[4], index[4], entry[16] = {0, 1, 4, 'z'};
    put_block(&t, entries, n, type, data);
    memcpy(entry + 4, data, 4);
    put_block(&t, entry, 8, 0, index);
    put(&t, "\x00\x00", 2);
    put(&t, index, 4);
    memset(t.bytes + t.n, 0, 34);
    t.n += 34;
    put(&t, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    return t;
}

struct seen {
    char text[200];
};

static const char *see(void *context, const char *key, size_t key_bytes, struct protobuf value)
{
    struct seen *seen = context;
    size_t n = strlen(seen->text);
    assert_int_equal(strlen(key), key_bytes);
    snprintf(seen->text + n, sizeof seen->text - n, "%s=%.*s;", key, (int)protobuf_left(&value),
             (const char *)value.at);
    return strcmp(key, "stop") ? NULL : "stopped";
}

static const char entries[] = "\x00\x03\x01"
                              "abcX"
                              "\x02\x01\x02"
                              "dYZ"
                              "\x00\x00\x00";

static void entries_share_the_beginnings_of_keys(void **state)
{
    (void)state;
    struct table t = make_table(entries, sizeof entries - 1, 0);
    struct seen seen = {""};
    assert_true(sorted_table_is(t.bytes, t.n));
    assert_null(sorted_table_read(t.bytes, t.n, see, &seen));
    assert_string_equal(seen.text, "abc=X;abd=YZ;=;");
    t = make_table("\x00\x04\x00"
                   "stop\x00\x01\x00"
                   "x",
                   11, 0);
    assert_string_equal(sorted_table_read(t.bytes, t.n, see, &seen), "stopped");
}

static void packed_blocks_are_read(void **state)
{
    (void)state;
    /* A block of one entry "abc" = X and its restart array, as one Snappy literal of 15 bytes. */
    struct table t = make_table("\x0f\x38\x00\x03\x01"
                                "abcX\x00\x00\x00\x00\x01\x00\x00\x00",
                                17, 1);
    struct seen seen = {""};
    assert_null(sorted_table_read(t.bytes, t.n, see, &seen));
    assert_string_equal(seen.text, "abc=X;");
    t = make_table("\x0f\x38\x00\x03\x01"
                   "abcX\x00\x00\x00\x00\x01\x00\x00\x00",
                   17, 2);
    assert_string_equal(sorted_table_read(t.bytes, t.n, see, &seen), "a block is packed in an unknown way");
}

static void damage_is_found(void **state)
{
    (void)state;
    struct table t = make_table(entries, sizeof entries - 1, 0);
    struct seen seen = {""};
    for (size_t n = 0; n < t.n; n++) { /* cut short */
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, t.bytes, n);
        assert_non_null(sorted_table_read(copy, n, see, &seen));
        free(copy);
    }
    size_t blocks = t.n - 48;
    for (size_t i = 0; i < blocks; i++) { /* the checksums detect every changed bit of the blocks */
        t.bytes[i] ^= (unsigned char)(1 << i % 8);
        assert_non_null(sorted_table_read(t.bytes, t.n, see, &seen));
        t.bytes[i] ^= (unsigned char)(1 << i % 8);
    }
    assert_null(sorted_table_read(t.bytes, t.n, see, &seen));
    t = make_table("\x01\x03\x01"
                   "abcX",
                   7, 0); /* shares more bytes than the previous key has */
    assert_string_equal(sorted_table_read(t.bytes, t.n, see, &seen), "an entry of a block is damaged");
    t = make_table("\x00\x03\x7f"
                   "abcX",
                   7, 0); /* a value that ends beyond the block */
    assert_string_equal(sorted_table_read(t.bytes, t.n, see, &seen), "an entry of a block is damaged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_the_standard),
        cmocka_unit_test(snappy_is_unpacked),
        cmocka_unit_test(entries_share_the_beginnings_of_keys),
        cmocka_unit_test(packed_blocks_are_read),
        cmocka_unit_test(damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
