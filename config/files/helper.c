/* The load helper: maps the file, gives up every right, parses the file, and writes the result. */
#include "helper.h"

#include "confine.h"
#include "hdf5_file.h"
#include "onnx_file.h"
#include "scaler_pickle.h"
#include "tensor_bundle.h"
#include "torch_file.h"
#include "zip_file.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The time limit grows with the file: deflate decompresses far more than this in a second. */
enum { CPU_SECONDS = 1, BYTES_A_SECOND = 32 << 20 };

/* The most bytes of tensors, as a multiple of the file's size. Keras's compressed files have up to twice their size. */
enum { MAX_EXPANSION = 8 };
static const size_t spare_bytes = (size_t)64 << 20, spare_memory = (size_t)512 << 20;

const char *const helper_forms[] = {"checkpoint", "keras", "saved-model"};

#ifdef COVERAGE /* the coverage build writes its counts to files at exit, so it keeps its rights */
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

/* Map a file. The result has no bytes if the file is empty or cannot be mapped. */
static struct file_bytes map_file(int fd)
{
    struct stat info;
    size_t n = fstat(fd, &info) || info.st_size < 0 ? 0 : (size_t)info.st_size;
    const unsigned char *bytes = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    struct file_bytes none = {.n = 0}, all = {bytes, n};
    return bytes == MAP_FAILED ? none : all;
}

/* Give up all rights. The limits leave enough time and memory for files of n bytes. */
static bool confine_for(struct handover *out, size_t n)
{
    char missing[64];
    out->limit = MAX_EXPANSION * n + spare_bytes;
    const struct confine_limits limits = {.memory_bytes = 2 * out->limit + spare_memory,
                                          .file_bytes = out->limit + spare_bytes,
                                          .cpu_seconds = CPU_SECONDS + (unsigned)(n / BYTES_A_SECOND)};
    confine(&limits, missing, sizeof missing);
    return handover_text(out, "unconfined", missing, strlen(missing));
}

/* A checkpoint: the index, the metadata, and the shards. */
static bool read_bundle(struct handover *out, const char *form)
{
    enum { FIRST_SHARD = STDERR_FILENO + 2, MAX_SHARDS = 1000 };
    static struct file_bytes shards[MAX_SHARDS];
    struct file_bytes index = map_file(STDIN_FILENO), metadata = map_file(STDERR_FILENO + 1);
    size_t n_shards = 0, n = index.n + metadata.n;
    enum bundle_metadata kind = BUNDLE_CHECKPOINT;
    while (kind < BUNDLE_SAVED && strcmp(helper_forms[kind], form))
        kind++;
    while (n_shards < MAX_SHARDS && fcntl(FIRST_SHARD + (int)n_shards, F_GETFD) >= 0) {
        shards[n_shards] = map_file(FIRST_SHARD + (int)n_shards);
        n += shards[n_shards++].n;
    }
    return confine_for(out, n) && tensor_bundle_read(out, index, kind, metadata, shards, n_shards);
}

/* A single file whose format is in its bytes. */
static bool read_archive(struct handover *out, bool scaler)
{
    struct file_bytes file = map_file(STDIN_FILENO);
    bool zip = file.n && zip_is(file.bytes, file.n);
    if (!file.n)
        return handover_fail(out, "it is empty, or cannot be mapped");
    if (!confine_for(out, file.n))
        return false;
    bool good = scaler && !zip                        ? scaler_pickle_read(out, file.bytes, file.n)
                : zip                                 ? zip_read(out, file.bytes, file.n)
                : hdf5_is(file.bytes, file.n)         ? hdf5_read(out, file.bytes, file.n)
                : torch_stream_is(file.bytes, file.n) ? torch_stream_read(out, file.bytes, file.n)
                : onnx_is(file.bytes, file.n)         ? onnx_read(out, file.bytes, file.n)
                                              : handover_fail(out, "it is neither an HDF5 file nor a zip archive");
    if (zip) /* its needed parts have been unpacked: at most twice the size of the file is in memory */
        munmap((void *)(uintptr_t)file.bytes, file.n);
    return good;
}

_Noreturn void helper_main(const char *form)
{
    struct handover out = {.n = 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would read its output */
    json_object_seed(0);              /* needs a file, and no file can be opened later */
    hdf5_prepare();
    bool scaler = form && !strcmp(form, HELPER_SCALER);
    bool good = form && !scaler ? read_bundle(&out, form) : read_archive(&out, scaler);
    if (!handover_end(&out, good, STDOUT_FILENO))
        say(out.error[0] ? out.error : "it cannot be read");
    _exit(HELPER_GOOD);
}
