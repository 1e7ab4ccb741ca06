/* A server loads damaged model files and keeps answering. CELLSERVE_TEST_DAMAGED sets the number of files. The n-th
   file always has the same damage. */
#include "e2e.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 13, MAX_BYTES = 1 << 18 };

static struct daemon server;
static char folder[] = "/tmp/cellserve-damaged-XXXXXX";
static const char *const bases[] = {"file_keras2_h5_rnn_stacked/model.h5",
                                    "file_keras2_h5_bidirectional_masked_seq/model.h5",
                                    "file_keras2_h5_embedding_lstm_dense/model.h5",
                                    "model2_h5_compressed/model.h5",
                                    "file_keras3_h5_masked_lstm_dense/model.h5",
                                    "file_keras3_keras_rnn_stacked/model.keras",
                                    "file_keras2_keras_time_distributed/model.keras",
                                    "model3_functional_masked/model.keras",
                                    "onnx/hand_conv_1d_lstm.onnx",
                                    "onnx/dynamo_attention.onnx",
                                    "onnx/dynamo_lstm_two_layers_hidden.onnx",
                                    "../torch/files/sequential-1.13.pt",
                                    "../torch/files/sequential-new.pt"};

static unsigned char original[SLOTS][MAX_BYTES];
static size_t sizes[SLOTS];

static uint32_t state;

static uint32_t draw(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % n;
}

/* Damage bytes one to eight times: flip bits, replace a number by an extreme one, copy, zero or cut off a part. Half of
   the damage is in the first 4 KiB, which have most of the structure. */
static size_t damage(unsigned char *bytes, size_t n)
{
    static const uint32_t extremes[] = {0, 1, 0xffffffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0x10000, 0xff};
    for (uint32_t times = 1 + draw(8); times-- && n > 16;) {
        size_t at = draw(draw(2) && n > 4096 ? 4096 : (uint32_t)n - 8), from = draw((uint32_t)n - 8);
        size_t length = 1 + draw(64);
        if (length > n - at)
            length = n - at;
        if (length > n - from)
            length = n - from;
        switch (draw(8)) {
        case 0:
            memcpy(bytes + at, &extremes[draw(8)], 4);
            break;
        case 1:
            memmove(bytes + at, bytes + from, length);
            break;
        case 2:
            memset(bytes + at, 0, length);
            break;
        case 3:
            if (!draw(8))
                n = at + 1;
            break;
        default:
            bytes[at] ^= (unsigned char)(1 << draw(8));
        }
    }
    return n;
}

static void slot_path(int slot, char *out, size_t size)
{
    snprintf(out, size, "%s/%d", folder, slot);
}

static void put(int slot, const unsigned char *bytes, size_t n)
{
    char path[128], draft[140];
    slot_path(slot, path, sizeof path);
    snprintf(draft, sizeof draft, "%s.draft", path);
    FILE *file = fopen(draft, "wb");
    assert_non_null(file);
    fwrite(bytes, 1, n, file);
    fclose(file);
    assert_int_equal(rename(draft, path), 0);
}

/* A counter of /metrics, over all models. */
static long counter(const char *text, const char *name)
{
    long sum = 0;
    char line[80];
    size_t n = (size_t)snprintf(line, sizeof line, "\ncellserve_%s{", name);
    for (const char *at = strstr(text, line); at; at = strstr(at + n, line))
        sum += atol(strchr(at + 1, '}') + 1);
    return sum;
}

static void counts(long *loaded, long *failed)
{
    struct reply reply = http_get(&server, "/metrics");
    assert_int_equal(reply.status, 200);
    *loaded = counter(reply.body, "model_reloads_total");
    *failed = counter(reply.body, "model_reload_failures_total");
    reply_free(&reply);
}

static atomic_bool done;
static char *answer;

static void *client(void *argument)
{
    uintptr_t failures = 0;
    const char *body = argument;
    while (!done) {
        struct reply reply = http_post(&server, "/predict", body);
        failures += reply.status != 200 || strcmp(reply.body, answer);
        reply_free(&reply);
        usleep(1000);
    }
    return (void *)failures;
}

static void the_server_survives_damaged_files(void **unused)
{
    (void)unused;
    const char *given = getenv("CELLSERVE_TEST_DAMAGED");
    long files = given ? atol(given) : SANITIZED ? 80 : 400, loaded = 0, failed = 0, rss_early = 0;
    char config[8192], *at = config;
    at += sprintf(at, "{\"log\": {\"level\": \"error\"}, \"models\": [{\"name\": \"good\", \"path\": \"%s/demo/seed\"}",
                  SOURCE_DIR);
    for (int s = 0; s < SLOTS; s++)
        at += sprintf(at, ", {\"name\": \"m%d\", \"path\": \"%s/%d\"}", s, folder, s);
    sprintf(at, "]}");
    daemon_start(&server, config, NULL);
    char *body = read_source_file("demo/seed/request.json");
    struct reply reply = http_post(&server, "/predict", body);
    assert_int_equal(reply.status, 200);
    answer = strdup(reply.body);
    reply_free(&reply);
    pthread_t thread;
    done = false;
    pthread_create(&thread, NULL, client, body);
    for (long n = 0; n < files; n += SLOTS) {
        static unsigned char bytes[MAX_BYTES];
        for (int s = 0; s < SLOTS; s++) {
            state = (uint32_t)(n + s + 1) * 2654435761u | 1;
            memcpy(bytes, original[s], sizes[s]);
            put(s, bytes, damage(bytes, sizes[s]));
        }
        kill(server.pid, SIGHUP);
        double end = now_ms() + 60000 * SLOTS;
        /* the undamaged model is reloaded too */
        for (long before = loaded + failed; loaded + failed < before + SLOTS + 1 && now_ms() < end;) {
            sleep_ms(5);
            counts(&loaded, &failed);
        }
        assert_true(loaded + failed == (n / SLOTS + 1) * (SLOTS + 1));
        if (n >= files / 4 && !rss_early)
            rss_early = daemon_rss_kib(&server);
    }
    done = true;
    void *failures;
    pthread_join(thread, &failures);
    long grown = daemon_rss_kib(&server) - rss_early;
    print_message("%ld files: %ld refused; memory grew by %ld KiB\n", files, failed, grown);
    assert_int_equal((uintptr_t)failures, 0);
    assert_true(failed > files / 3);
    if (!SANITIZED)
        assert_true(grown < 4096);
    assert_int_equal(daemon_stop(&server, SIGTERM), 0);
    free(answer);
    free(body);
}

static int prepare(void **unused)
{
    (void)unused;
    if (!mkdtemp(folder))
        return 1;
    for (int s = 0; s < SLOTS; s++) {
        char path[512];
        snprintf(path, sizeof path, "%s/tests/fixtures/%s", SOURCE_DIR, bases[s]);
        FILE *file = fopen(path, "rb");
        if (!file)
            return 1;
        sizes[s] = fread(original[s], 1, MAX_BYTES, file);
        fclose(file);
        put(s, original[s], sizes[s]);
    }
    return 0;
}

static int clean(void **unused)
{
    char command[128];
    (void)unused;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_server_survives_damaged_files)};
    return cmocka_run_group_tests(tests, prepare, clean);
}
