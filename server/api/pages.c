/* The thread of pages. */
#include "pages.h"

#include "routes.h"
#include "server/run/request.h"

#include <stdlib.h>
#include <string.h>

/* All requests that came before the page is written get the same text. So no answer is older than its request. */
static bool alike(const struct request *a, const struct request *b)
{
    return a->route == b->route && a->model == b->model;
}

static void answer_as(struct request *request, const struct request *made)
{
    if (made->answer.status != 200 || made->answer.shared) {
        route_answer(request);
        return;
    }
    buffer_bytes(&request->answer.buffer, made->answer.text, made->answer.text_bytes);
    answer_buffer(request, 200, made->answer.type);
}

static void answer_all(struct task *list)
{
    while (list) {
        struct request *made = request_of_task(list);
        list = list->next;
        route_answer(made);
        for (struct task **at = &list; *at;) {
            struct request *other = request_of_task(*at);
            if (alike(made, other)) {
                *at = other->task.next;
                answer_as(other, made);
                other->done(other);
            } else {
                at = &(*at)->next;
            }
        }
        made->done(made);
    }
}

static void *make_pages(void *argument)
{
    struct pages *pages = argument;
    struct task *list;
    do {
        pthread_mutex_lock(&pages->lock);
        while (!pages->first && !pages->ending)
            pthread_cond_wait(&pages->asked, &pages->lock);
        list = pages->first;
        pages->first = NULL;
        pages->last = &pages->first;
        pthread_mutex_unlock(&pages->lock);
        answer_all(list);
    } while (list);
    return NULL;
}

bool pages_start(struct pages *pages)
{
    *pages = (struct pages){.last = &pages->first};
    pthread_mutex_init(&pages->lock, NULL);
    pthread_cond_init(&pages->asked, NULL);
    pages->started = !pthread_create(&pages->thread, NULL, make_pages, pages);
    return pages->started;
}

bool pages_ask(struct pages *pages, struct request *request)
{
    request->task.next = NULL;
    pthread_mutex_lock(&pages->lock);
    bool taken = !pages->ending;
    if (taken) {
        *pages->last = &request->task;
        pages->last = &request->task.next;
    }
    pthread_mutex_unlock(&pages->lock);
    if (taken)
        pthread_cond_signal(&pages->asked);
    return taken;
}

void pages_stop(struct pages *pages)
{
    if (!pages->started || pages->ending)
        return;
    pthread_mutex_lock(&pages->lock);
    pages->ending = true;
    pthread_mutex_unlock(&pages->lock);
    pthread_cond_signal(&pages->asked);
    pthread_join(pages->thread, NULL);
}

void pages_close(struct pages *pages)
{
    pages_stop(pages);
    if (!pages->started)
        return;
    pages->started = false;
    pthread_cond_destroy(&pages->asked);
    pthread_mutex_destroy(&pages->lock);
    shared_text_release(pages->description);
    pages->description = NULL;
}
