#include "server/codec/number_read.h"
#include "server/codec/number_write.h"
#include "tests/unit/unit.h"

static float read_text(const char *text)
{
    float value;
    const char *wrong, *end = number_read(text, text + strlen(text), &value, &wrong);
    if (!end || *end)
        fail_msg("%s was not read whole", text);
    return value;
}

static void same_as_strtof(const char *text)
{
    float got = read_text(text), want = strtof(text, NULL);
    if (memcmp(&got, &want, sizeof got))
        fail_msg("%s: %a, strtof gives %a", text, (double)got, (double)want);
}

static void edges_are_correctly_rounded(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "0.0",
                                        "-0.0e10",
                                        "1",
                                        "-1",
                                        "1e0",
                                        "1E+2",
                                        "1e-2",
                                        "123456789",
                                        "16777217",
                                        "16777219",
                                        "33554435",
                                        "9007199791611905", /* a tie between two floats, exactly */
                                        "9007199791611904.9999",
                                        "9007199791611905.0001",
                                        "3.4028234663852886e38",
                                        "3.4028235e38",
                                        "3.4028235677973365e38",
                                        "3.4028235677973366e38",
                                        "3.4028236e38",
                                        "1e39",
                                        "-1e39",
                                        "1e400",
                                        "1e-400",
                                        "1.17549435e-38",
                                        "1.1754943e-38",
                                        "1.4e-45",
                                        "7e-46",
                                        "7.006492321624085e-46",
                                        "7.006492321624086e-46",
                                        "1e-45",
                                        "0.1",
                                        "0.3",
                                        "2.5e-5",
                                        "179769313486231570000000000000000000000",
                                        "0.000000000000000000000000000000000000000000001",
                                        "8388608.5",
                                        "8388609.5",
                                        "0.50000002980232238769531250",
                                        "0.500000029802322387695312500000000000000000000000000001",
                                        "0.500000029802322387695312499999999999999999999999999999",
                                        "1.00000005960464477539062500000000000000000000000001",
                                        "99999999999999999999999999999999999999",
                                        "1e99999999999",
                                        "0e99999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        same_as_strtof(texts[i]);
    assert_true(signbit(read_text("-0")));
    assert_true(isinf(read_text("1e39")));
}

/* Random bit patterns in several spellings, and texts of random digits. */
static void random_numbers_are_those_of_strtof(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 300000; i++) {
        char text[80];
        float value;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t bits = (uint32_t)(seed >> 32);
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, i % 3 == 0 ? "%.9g" : i % 3 == 1 ? "%.17g" : "%.7e", (double)value);
        same_as_strtof(text);
        int digits = 1 + (int)(seed >> 20 & 31), exponent = (int)(seed >> 26 & 127) - 64, n = 0;
        text[n++] = (char)('1' + bits % 9);
        text[n++] = '.';
        for (int k = 0; k < digits; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[n++] = (char)('0' + (seed >> 40) % 10);
        }
        snprintf(text + n, sizeof text - (size_t)n, "e%d", exponent);
        same_as_strtof(text);
    }
}

/* The exact middle between two neighbouring floats, and a digit to either side. */
static void halfway_cases_are_decided_exactly(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 20000; i++) {
        char text[200];
        float low;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t bits = (uint32_t)(seed >> 33) % 0x7f000000u;
        memcpy(&low, &bits, sizeof low);
        double middle = ((double)low + (double)nextafterf(low, INFINITY)) / 2; /* 25 bits: exact */
        snprintf(text, sizeof text, "%.110e", middle);
        char *e = strchr(text, 'e'), with[220];
        same_as_strtof(text);
        snprintf(with, sizeof with, "%.*s1%s", (int)(e - text), text, e);
        same_as_strtof(with);
    }
}

static void invalid_numbers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int wrong;
    } rows[] = {{"", 0},     {"-", 1},  {"+1", 0},  {"01", 1}, {"-01", 2}, {"1.", 2}, {".5", 0},
                {"1.e5", 2}, {"1e", 2}, {"1e+", 3}, {"x", 0},  {"-x", 1},  {"00", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float value;
        const char *wrong;
        if (number_read(rows[i].text, rows[i].text + strlen(rows[i].text), &value, &wrong))
            fail_msg("%s was read", rows[i].text);
        assert_int_equal(wrong - rows[i].text, rows[i].wrong);
    }
}

static void same_as_strtod(const char *text)
{
    double got, want = strtod(text, NULL);
    const char *wrong, *end = number_read_double(text, text + strlen(text), &got, &wrong);
    if (!end || *end || memcmp(&got, &want, sizeof got))
        fail_msg("%s: %a, strtod gives %a", text, got, want);
}

static void doubles_are_correctly_rounded(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "0.1",
                                        "-1e-5",
                                        "9007199254740993",
                                        "9007199254740992.9999",
                                        "9007199254740993.0001",
                                        "5e-324",
                                        "2.4703282292062327e-324",
                                        "1.7976931348623157e308",
                                        "1e999",
                                        "-1e999",
                                        "2.2250738585072011e-308",
                                        "123456789012345678901234567890",
                                        "0.30000000000000004",
                                        "1e22",
                                        "1e23",
                                        "8.41e21",
                                        "7205759403792793.5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        same_as_strtod(texts[i]);
    unsigned long long x = 88172645463325252ull;
    for (int i = 0; i < 300000; i++) {
        char text[64];
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double any;
        memcpy(&any, &x, sizeof any);
        if (i % 3 == 0 && isfinite(any))
            snprintf(text, sizeof text, "%.17g", any);
        else if (i % 3 == 1) /* near the middle between two doubles */
            snprintf(text, sizeof text, "%llu", (x >> 11 | 1ull << 52) * 2 + 1);
        else
            snprintf(text, sizeof text, "%llue%d", x >> x % 40, (int)(x % 101) - 50);
        same_as_strtod(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_are_correctly_rounded), cmocka_unit_test(edges_are_correctly_rounded),
        cmocka_unit_test(random_numbers_are_those_of_strtof), cmocka_unit_test(halfway_cases_are_decided_exactly),
        cmocka_unit_test(invalid_numbers_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
