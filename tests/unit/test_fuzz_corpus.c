/* Every input of the fuzz corpus again: seeds, and what once crashed. */
#include "unit.h"

#include <dirent.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void the_corpus_passes(void **state)
{
    (void)state;
    char folder[512], path[1024];
    size_t files = 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus", SOURCE_DIR);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        static unsigned char bytes[1 << 16];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        size_t n = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        assert_int_equal(LLVMFuzzerTestOneInput(bytes, n), 0);
        files++;
    }
    closedir(dir);
    assert_true(files >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_corpus_passes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
