#include "server/codec/number_lanes.h"
#include "server/codec/number_write.h"
#include "tests/unit/unit.h"

static void expect(float value, const char *text)
{
    char out[NUMBER_MAX_CHARS + NUMBER_SLACK];
    *number_write(value, out) = 0;
    assert_string_equal(out, text);
}

static void numbers_are_printed_for_people(void **state)
{
    (void)state;
    expect(0, "0.0");
    expect(-0.0f, "-0.0");
    expect(1, "1.0");
    expect(-1.5f, "-1.5");
    expect(0.1f, "0.1");
    expect(0.001f, "0.001");
    expect(0.0001f, "0.0001");
    expect(0.00001f, "1e-5");
    expect(100, "100.0");
    expect(123456789, "123456790.0");
    expect(1e9f, "1e9");
    expect(1.5e10f, "1.5e10");
    expect(16777216, "16777216.0");
    expect(3.4028235e38f, "3.4028235e38");
    expect(1.1754944e-38f, "1.1754944e-38");
    expect(1e-45f, "1e-45");
    expect(33554432, "33554432.0");
    expect(NAN, "NaN");
    expect(INFINITY, "Infinity");
    expect(-INFINITY, "-Infinity");
}

/* Every 997th float32: its text reads back to the same bits, and no shorter text does. (All 2^32 were tested once.) */
static void text_reads_back_and_is_shortest(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 997) {
        uint32_t bits = (uint32_t)i;
        char out[NUMBER_MAX_CHARS + NUMBER_SLACK];
        float value, back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        char *end = number_write(value, out);
        assert_true(end - out < NUMBER_MAX_CHARS);
        *end = 0;
        back = strtof(out, NULL);
        if (memcmp(&back, &value, sizeof value))
            fail_msg("%s does not read back to %a", out, (double)value);
        if (i % (997 * 41))
            continue;
        int digits = 0, needed = 1;
        char shorter[40];
        for (const char *p = out; *p && *p != 'e'; p++)
            digits += *p >= '0' && *p <= '9';
        const char *first = out + (*out == '-');
        for (; *first == '0' || *first == '.'; first++)
            digits -= *first == '0';
        const char *last = strchr(out, 'e') ? strchr(out, 'e') : end;
        if (last - out > 2 && !strncmp(last - 2, ".0", 2))
            for (digits--, last -= 2; last > first && last[-1] == '0'; last--)
                digits--;
        for (; needed < 9; needed++) {
            snprintf(shorter, sizeof shorter, "%.*e", needed - 1, (double)value);
            if (strtof(shorter, NULL) == value)
                break;
        }
        if (value != 0 && digits > needed)
            fail_msg("%s has %d digits, %s suffices", out, digits, shorter);
    }
}

/* An array is written as its numbers one by one: random bits, numbers in -1..1, whole numbers and powers of two, in
   arrays of up to 36 numbers. */
static void many_are_written_as_each_is(void **state)
{
    enum { MOST = 37 };
    uint32_t seed = 7;
    (void)state;
    number_lanes_choose("avx512");
    for (int round = 0; round < 200000; round++) {
        float values[MOST];
        char together[MOST * (NUMBER_MAX_CHARS + 1) + NUMBER_SLACK], apart[sizeof together], *end = apart;
        size_t n = (size_t)round % MOST;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525 + 1013904223;
            uint32_t bits = seed ^ seed >> 15;
            switch (bits >> 5 & 3) {
            case 0:
                memcpy(&values[i], &bits, sizeof bits);
                break;
            case 1:
                values[i] = (float)(bits >> 8) / 8388608.0f - 1;
                break;
            case 2:
                values[i] = (float)((int)(bits >> 8 & 0xfff) - 2048);
                break;
            case 3:
                values[i] = ldexpf(1, (int)(bits >> 8 & 0xff) - 149) * (bits >> 16 & 1 ? 1.0f : 10.0f);
            }
        }
        *numbers_write(values, n, together) = 0;
        for (size_t i = 0; i < n; i++) {
            end = number_write(values[i], end);
            *end++ = ',';
        }
        *end = 0;
        assert_string_equal(together, apart);
    }
}

/* CELLSERVE_ISA applies to the writer of numbers too. */
static void lanes_follow_the_chosen_kernels(void **state)
{
    static const float values[] = {1, 2};
    char out[2 * (NUMBER_MAX_CHARS + 1) + NUMBER_SLACK], *end = out;
    (void)state;
    assert_false(number_lanes_choose("avx2"));
    assert_false(number_lanes_write(values, 2, &end));
    assert_ptr_equal(end, out);
    assert_false(number_lanes_choose("c"));
    if (number_lanes_choose("avx512"))
        assert_true(number_lanes_write(values, 2, &end));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_printed_for_people), cmocka_unit_test(text_reads_back_and_is_shortest),
        cmocka_unit_test(many_are_written_as_each_is), cmocka_unit_test(lanes_follow_the_chosen_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
