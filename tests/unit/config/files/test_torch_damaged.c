/* Damaged files of torch.save: cut short at every byte, and with one byte changed. They are read in this process, so
   that sanitizers check every read. The helper's zip reader frees extracted data only when its process ends. */
#include "config/files/torch_file.h"
#include "config/files/zip_file.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static unsigned char bytes[1 << 14];

static size_t load(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/torch/files/%s.pt", SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(n > 0 && n < sizeof bytes);
    return n;
}

/* Read a copy of exactly n bytes, and every byte of its tensors. */
static bool reads(const unsigned char *from, size_t n)
{
    struct handover out = {.limit = 1 << 20};
    unsigned char *copy = malloc(n + !n), tensor[4096];
    memcpy(copy, from, n);
    bool good = zip_is(copy, n) ? zip_read(&out, copy, n) : torch_stream_read(&out, copy, n);
    assert_true(good || out.error[0]);
    for (size_t i = 0; good && i < out.n; i++)
        if (out.tensors[i].bytes <= sizeof tensor)
            assert_true(out.read(&out.tensors[i], tensor));
    handover_release(&out);
    free(copy);
    return good;
}

static void files_cut_short_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"state-1.13", "state-new", "module-1.13", "state_legacy-1.13"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = load(names[i]);
        assert_true(reads(bytes, n));
        while (n-- > 0)
            assert_false(reads(bytes, n));
    }
}

/* Flip the lowest, then the highest bit of each byte: the file is read or refused. */
static void files_with_a_changed_byte_do_no_harm(void **state)
{
    (void)state;
    static const char *const names[] = {"state-1.13", "module_legacy-new", "views_legacy-1.13"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = load(names[i]), refused = 0;
        for (size_t at = 0; at < n; at++)
            for (int turned = 0; turned < 2; turned++) {
                bytes[at] ^= turned ? 0x80 : 1;
                refused += !reads(bytes, n);
                bytes[at] ^= turned ? 0x80 : 1;
            }
        assert_true(refused > n / 4 && refused < 2 * n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_cut_short_are_refused),
                                       cmocka_unit_test(files_with_a_changed_byte_do_no_harm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
