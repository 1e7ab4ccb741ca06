/* The helper's life: map the file, give up every right, parse, hand over. */
#include "helper.h"

#include "confine.h"
#include "hdf5_file.h"
#include "scaler_pickle.h"
#include "torch_file.h"
#include "zip_file.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Time grows with the file: deflate unpacks far more than this in a second. */
enum { CPU_SECONDS = 1, BYTES_A_SECOND = 32 << 20 };

/* A file holds at most so many times its own size in tensors: Keras's compressed files hold up to twice. */
enum { MAX_EXPANSION = 8 };
static const size_t spare_bytes = (size_t)64 << 20, spare_memory = (size_t)512 << 20;

#ifdef COVERAGE /* counts are written to files at exit, so this build keeps its rights */
void __gcov_dump(void);
#define _exit(code) (__gcov_dump(), _exit(code))
#define confine(limits, missing, size) ((void)(limits), (void)(size), (void)(*(missing) = 0))
#endif

static void say(const char *text)
{
    if (ftruncate(STDOUT_FILENO, 0) || lseek(STDOUT_FILENO, 0, SEEK_SET) ||
        write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(HELPER_BAD_FILE + 1);
    _exit(HELPER_BAD_FILE);
}

_Noreturn void helper_main(const char *argument)
{
    struct stat info;
    struct handover out = {.n = 0};
    char missing[64];
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would read what it writes */
    json_object_seed(0);              /* needs a file, later none can be opened */
    hdf5_prepare();
    size_t n = fstat(STDIN_FILENO, &info) || info.st_size < 0 ? 0 : (size_t)info.st_size;
    const unsigned char *bytes = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0) : MAP_FAILED;
    if (bytes == MAP_FAILED)
        say("it is empty, or cannot be mapped");
    out.limit = MAX_EXPANSION * n + spare_bytes;
    const struct confine_limits limits = {.memory_bytes = 2 * out.limit + spare_memory,
                                          .file_bytes = out.limit + spare_bytes,
                                          .cpu_seconds = CPU_SECONDS + (unsigned)(n / BYTES_A_SECOND)};
    confine(&limits, missing, sizeof missing);
    bool zip = zip_is(bytes, n), good = handover_text(&out, "unconfined", missing, strlen(missing));
    if (!strcmp(argument, HELPER_SCALER_ARGUMENT) && !zip)
        good = good && scaler_pickle_read(&out, bytes, n);
    else if (hdf5_is(bytes, n))
        good = good && hdf5_read(&out, bytes, n);
    else if (torch_stream_is(bytes, n))
        good = good && torch_stream_read(&out, bytes, n);
    else
        good = good &&
               (zip ? zip_read(&out, bytes, n) : handover_fail(&out, "it is neither an HDF5 file nor a zip archive"));
    if (zip) /* what is needed of it has been unpacked: at most twice the file is held at a time */
        munmap((void *)(uintptr_t)bytes, n);
    good = good && handover_write(&out, STDOUT_FILENO);
    if (!good)
        say(out.error[0] ? out.error : "it cannot be read");
    _exit(HELPER_GOOD);
}
