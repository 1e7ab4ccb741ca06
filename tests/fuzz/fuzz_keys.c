/* Fuzz target: key files. */
#include "fuzz.h"

#include "config/key_file.h"

#include <stdlib.h>
#include <string.h>

int fuzz_keys(const unsigned char *data, size_t size)
{
    struct problems problems = {.n_errors = 0};
    struct key_list list;
    bool good = key_list_read((const char *)data, size, "f", &list, &problems);
    if (good == (problems.all_errors > 0) || (!good && list.n))
        abort(); /* a refusal must have an error message and keep no keys */
    for (size_t i = 0; i < list.n; i++) {
        const struct access_key *key = &list.keys[i];
        if (!key_name_is_good(key->name, strlen(key->name)) || !key->scopes || key->per_s < 0 ||
            (key->per_s > 0 && key->burst < 1) || key_has_model(key, ""))
            if (key->models || !key_has_model(key, ""))
                abort();
    }
    key_list_close(&list);
    problems_close(&problems);
    return 0;
}

FUZZ_TARGET(fuzz_keys)
