/* The wire format of Protocol Buffers: every wire type, packed and single numbers, and damaged bytes. */
#include "config/files/protobuf.h"
#include "tests/unit/unit.h"

/* message { 1: 150, 2: "testing", 3: 1.5f, 4: 2.5, 19: {1: 1} }, the first two from the encoding guide. */
static const unsigned char example[] = {0x08, 0x96, 0x01, 0x12, 0x07, 't',  'e',  's',  't', 'i', 'n',
                                        'g',  0x1d, 0,    0,    0xc0, 0x3f, 0x21, 0,    0,   0,   0,
                                        0,    0,    4,    0x40, 0x9a, 0x01, 0x02, 0x08, 0x01};

static void every_wire_type_is_read(void **state)
{
    (void)state;
    struct protobuf message = protobuf_open(example, sizeof example), inner;
    struct protobuf_field field;
    assert_true(protobuf_next(&message, &field));
    assert_true(protobuf_is(&field, 1, PROTOBUF_VARINT));
    assert_int_equal(field.value, 150);
    assert_true(protobuf_next(&message, &field));
    assert_true(protobuf_is(&field, 2, PROTOBUF_BYTES));
    assert_true(protobuf_equals(&field.bytes, "testing"));
    assert_false(protobuf_equals(&field.bytes, "testin"));
    assert_false(protobuf_equals(&field.bytes, "testing "));
    assert_true(protobuf_next(&message, &field));
    assert_true(protobuf_is(&field, 3, PROTOBUF_FIXED32));
    assert_int_equal(field.value, 0x3fc00000);
    assert_true(protobuf_next(&message, &field));
    assert_true(protobuf_is(&field, 4, PROTOBUF_FIXED64));
    assert_true(field.value == UINT64_C(0x4004000000000000));
    assert_true(protobuf_next(&message, &field));
    assert_true(protobuf_is(&field, 19, PROTOBUF_BYTES));
    assert_false(protobuf_is(&field, 19, PROTOBUF_VARINT));
    inner = field.bytes;
    assert_true(protobuf_next(&inner, &field));
    assert_true(protobuf_is(&field, 1, PROTOBUF_VARINT) && field.value == 1);
    assert_false(protobuf_next(&inner, &field));
    assert_false(protobuf_next(&message, &field));
    assert_false(message.damaged || inner.damaged);
}

/* A message that is cut within a field is reported as damaged, and no byte after its end is read. */
static void a_message_that_is_cut_is_damaged(void **state)
{
    (void)state;
    static const size_t whole[] = {0, 3, 12, 17, 26, sizeof example};
    for (size_t n = 0; n <= sizeof example; n++) {
        unsigned char *copy = malloc(n + 1); /* of the exact size, so that sanitizers detect a read beyond its end */
        memcpy(copy, example, n);
        struct protobuf message = protobuf_open(copy, n);
        struct protobuf_field field;
        bool complete = false;
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
            complete |= whole[i] == n;
        while (protobuf_next(&message, &field))
            ;
        assert_int_equal(message.damaged, !complete);
        assert_int_equal(protobuf_left(&message), 0);
        free(copy);
    }
}

static void assert_damaged(const char *bytes, size_t n)
{
    struct protobuf message = protobuf_open(bytes, n);
    struct protobuf_field field;
    assert_false(protobuf_next(&message, &field));
    assert_true(message.damaged);
    assert_false(protobuf_next(&message, &field)); /* the error stays */
    assert_true(message.damaged);
}

static void malformed_fields_are_refused(void **state)
{
    (void)state;
    assert_damaged("\x00\x01", 2);                                          /* field 0 */
    assert_damaged("\x0b\x0c", 2);                                          /* a group */
    assert_damaged("\x0e\x01", 2);                                          /* wire type 6 */
    assert_damaged("\x0f\x01", 2);                                          /* wire type 7 */
    assert_damaged("\x80\x80\x80\x80\x10\x01", 6);                          /* field 2^29 */
    assert_damaged("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11);     /* beyond 64 bits */
    assert_damaged("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12); /* eleven bytes */
    assert_damaged("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zz", 13);   /* length 2^64 - 1 */
    assert_damaged("\x0a\x03zz", 4);                                        /* longer than the message */
}

static void the_largest_numbers_are_read(void **state)
{
    (void)state;
    struct protobuf message = protobuf_open("\xf8\xff\xff\xff\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15);
    struct protobuf_field field;
    assert_true(protobuf_next(&message, &field));
    assert_true(protobuf_is(&field, (1 << 29) - 1, PROTOBUF_VARINT));
    assert_true(field.value == UINT64_MAX);
    assert_false(protobuf_next(&message, &field));
    assert_false(message.damaged);
}

/* Repeated numbers, packed and one by one, read alike. */
static void repeated_numbers_are_read(void **state)
{
    (void)state;
    struct protobuf message = protobuf_open("\x0a\x04\x01\xac\x02\x03\x08\xac\x02\x15\x00\x00\xc0\x3f\x12\x08\x01\x00"
                                            "\x00\x00\x02\x00\x00\x00\x19\x01\x02\x03\x04\x05\x06\x07\x08",
                                            33);
    struct protobuf_single single;
    struct protobuf_field field;
    struct protobuf list;
    uint64_t wide;
    uint32_t number;
    assert_true(protobuf_next(&message, &field) && protobuf_repeated(&field, PROTOBUF_VARINT, &single, &list));
    assert_true(protobuf_varint(&list, &wide) && wide == 1);
    assert_true(protobuf_varint(&list, &wide) && wide == 300);
    assert_true(protobuf_varint(&list, &wide) && wide == 3);
    assert_false(protobuf_varint(&list, &wide) || list.damaged);
    assert_true(protobuf_next(&message, &field) && protobuf_repeated(&field, PROTOBUF_VARINT, &single, &list));
    assert_true(protobuf_varint(&list, &wide) && wide == 300);
    assert_false(protobuf_varint(&list, &wide) || list.damaged);
    assert_true(protobuf_next(&message, &field) && protobuf_repeated(&field, PROTOBUF_FIXED32, &single, &list));
    assert_true(protobuf_fixed32(&list, &number) && number == 0x3fc00000);
    assert_false(protobuf_fixed32(&list, &number) || list.damaged);
    assert_true(protobuf_next(&message, &field) && protobuf_repeated(&field, PROTOBUF_FIXED32, &single, &list));
    assert_true(protobuf_fixed32(&list, &number) && number == 1);
    assert_true(protobuf_fixed32(&list, &number) && number == 2);
    assert_false(protobuf_fixed32(&list, &number) || list.damaged);
    assert_true(protobuf_next(&message, &field) && protobuf_repeated(&field, PROTOBUF_FIXED64, &single, &list));
    assert_true(protobuf_fixed64(&list, &wide) && wide == UINT64_C(0x0807060504030201));
    assert_false(protobuf_fixed64(&list, &wide) || list.damaged);
    assert_false(protobuf_repeated(&field, PROTOBUF_VARINT, &single, &list));
    list = protobuf_open("\x01\x00\x00", 3);
    assert_false(protobuf_fixed32(&list, &number));
    assert_true(list.damaged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wire_type_is_read),      cmocka_unit_test(a_message_that_is_cut_is_damaged),
        cmocka_unit_test(malformed_fields_are_refused), cmocka_unit_test(the_largest_numbers_are_read),
        cmocka_unit_test(repeated_numbers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
