/* The lower bound for HTTP: floor PORT BYTES is a libmicrohttpd program with one epoll thread. It answers with a
   constant body of BYTES bytes. It reads and suspends a POST, and a worker resumes and answers the POST. */
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
    struct request *next;
    struct MHD_Connection *connection;
    int done;
};

static struct request *first, **last = &first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t waiting = PTHREAD_COND_INITIALIZER;
static char *constant;
static size_t bytes;

static void *work(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!first)
            pthread_cond_wait(&waiting, &lock);
        struct request *request = first;
        first = request->next;
        if (!first)
            last = &first;
        pthread_mutex_unlock(&lock);
        request->done = 1;
        MHD_resume_connection(request->connection);
    }
    return NULL;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes, void **context)
{
    struct request *request = *context;
    (void)cls, (void)url, (void)version, (void)upload;
    if (!request) {
        *context = request = calloc(1, sizeof *request);
        request->connection = connection;
        return MHD_YES;
    }
    if (*upload_bytes) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (!strcmp(method, "POST") && !request->done) {
        MHD_suspend_connection(connection);
        pthread_mutex_lock(&lock);
        *last = request;
        last = &request->next;
        pthread_cond_signal(&waiting);
        pthread_mutex_unlock(&lock);
        return MHD_YES;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(bytes, constant, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)cls, (void)connection, (void)code;
    free(*context);
    *context = NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc < 3)
        return 2;
    bytes = strtoul(argv[2], NULL, 10);
    constant = malloc(bytes + 1);
    memset(constant, ' ', bytes);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++)
        pthread_create(&thread, NULL, work, NULL);
    if (!MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)atoi(argv[1]), NULL, NULL,
                          on_request, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                          MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END))
        return 1;
    pause();
    return 0;
}
