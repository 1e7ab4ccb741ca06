#include "server/number_write.h"
#include "unit.h"

static void expect(float value, const char *text)
{
    char out[NUMBER_MAX_CHARS + 1];
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

/* Every 997th float32: it reads back to the same bits, and no shorter text does. (All 2^32 were tried once.) */
static void text_reads_back_and_is_shortest(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < UINT64_C(1) << 32; i += 997) {
        uint32_t bits = (uint32_t)i;
        char out[NUMBER_MAX_CHARS + 1];
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_printed_for_people),
                                       cmocka_unit_test(text_reads_back_and_is_shortest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
