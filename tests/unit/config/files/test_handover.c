/* The tensors and texts that the load helper writes are read back unchanged; tensors that are too large are refused. */
#include "config/json_memory.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const float numbers[] = {1, -2, 3.5f, 4, 5, 6};
static bool broken; /* reading a tensor's data fails */

static bool copy_data(const struct handover_tensor *tensor, void *out)
{
    if (tensor->bytes)
        memcpy(out, tensor->data, tensor->bytes);
    return !broken;
}

static struct handover open_handover(size_t limit)
{
    return (struct handover){.limit = limit, .read = copy_data};
}

static void add(struct handover *h, const char *name, const void *data, size_t rows)
{
    struct handover_tensor *tensor = handover_add(h, name, "F32", 4, 1, &rows);
    if (!tensor)
        fail_msg("%s: %s", name, h->error);
    tensor->data = data;
}

static void tensors_and_texts_come_back(void **state)
{
    (void)state;
    struct problems problems = {.n_errors = 0};
    struct handover h = open_handover(4096);
    struct tensor_set set;
    int fd = memfd_create("handover", MFD_CLOEXEC);
    add(&h, "b", numbers, 4);
    add(&h, "a", numbers + 4, 2);
    add(&h, "nothing", NULL, 0);
    assert_true(handover_text(&h, "naming", "groupx", 5));
    assert_true(handover_write(&h, fd));
    assert_true(safetensors_map(&set, fd, "f", &problems));
    assert_int_equal(set.n, 3);
    assert_string_equal(tensor_set_text(&set, "naming"), "group");
    assert_memory_equal(tensor_floats_in_place(tensor_set_find(&set, "b")), numbers, 16);
    assert_memory_equal(tensor_floats_in_place(tensor_set_find(&set, "a")), numbers + 4, 8);
    assert_int_equal(tensor_set_find(&set, "nothing")->elements, 0);
    tensor_set_close(&set);
    handover_release(&h);
    close(fd);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    static const size_t ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, huge[] = {SIZE_MAX / 2, 8};
    char name[1100];
    struct handover h = open_handover(64);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_null(handover_add(&h, "deep", "F32", 4, 9, ones));
    assert_string_equal(h.error, "tensor deep has more than 8 dimensions, or too long a name");
    h.error[0] = 0;
    assert_null(handover_add(&h, name, "F32", 4, 1, ones));
    assert_non_null(strstr(h.error, "or too long a name"));
    h.error[0] = 0;
    assert_null(handover_add(&h, "huge", "F32", 4, 2, huge)); /* its bytes do not fit a size_t */
    assert_non_null(strstr(h.error, "tensor huge is far larger than the file"));
    h.error[0] = 0;
    add(&h, "a", numbers, 6);
    add(&h, "b", numbers, 6);
    const size_t five = 5;
    assert_null(handover_add(&h, "c", "F32", 4, 1, &five)); /* 48 + 20 bytes */
    assert_false(handover_fail(&h, "another"));
    assert_string_equal(h.error, "tensor c is far larger than the file; such compression is refused"); /* the first
                                                                                                          error stays */
    handover_release(&h);
}

static void number_of_tensors_is_bounded(void **state)
{
    (void)state;
    struct handover h = open_handover(4096);
    char name[16];
    for (size_t i = 0; i < 65536; i++) {
        snprintf(name, sizeof name, "%zu", i);
        add(&h, name, NULL, 0);
    }
    assert_null(handover_add(&h, "more", "F32", 4, 0, NULL));
    assert_string_equal(h.error, "it has more than 65536 tensors");
    handover_release(&h);
}

static void names_are_texts_and_differ(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"a", "a"}, {"a", "\xff"}};
    for (size_t i = 0; i < 2; i++) {
        struct handover h = open_handover(4096);
        int fd = memfd_create("handover", MFD_CLOEXEC);
        add(&h, names[i][0], numbers, 1);
        add(&h, names[i][1], numbers, 1);
        json_memory_begin(); /* jansson does not free its unfinished output if a name is not UTF-8 */
        assert_false(handover_write(&h, fd));
        json_memory_end();
        assert_string_equal(h.error, "two of its tensors have one name, or a name that is no UTF-8");
        handover_release(&h);
        close(fd);
    }
    struct handover h = open_handover(4096);
    assert_false(handover_text(&h, "config", "\xff", 1));
    assert_string_equal(h.error, "its config is no UTF-8 text");
    handover_release(&h);
}

static void write_errors_are_reported(void **state)
{
    (void)state;
    struct handover h = open_handover(4096);
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* ftruncate fails on it */
    add(&h, "a", numbers, 6);
    assert_false(handover_write(&h, fd));
    assert_non_null(strstr(h.error, "out of memory for "));
    close(fd);
    h.error[0] = 0;
    fd = memfd_create("handover", MFD_CLOEXEC);
    broken = true;
    assert_false(handover_write(&h, fd));
    broken = false;
    assert_string_equal(h.error, "the data of tensor a cannot be read");
    close(fd);
    handover_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_and_texts_come_back), cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(number_of_tensors_is_bounded), cmocka_unit_test(names_are_texts_and_differ),
        cmocka_unit_test(write_errors_are_reported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
