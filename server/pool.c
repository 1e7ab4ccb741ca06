/* The worker pool. */
#include "pool.h"

#include "cpus.h"

#include <signal.h>
#include <stdlib.h>

static struct task *take(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->closing)
        pthread_cond_wait(&pool->waiting, &pool->lock);
    struct task *task = pool->first;
    if (task) {
        pool->first = task->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->queued--;
        pool->running++;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    struct task *task;
    while ((task = take(pool))) {
        task->run(task, worker);
        pthread_mutex_lock(&pool->lock);
        pool->running--;
        pthread_mutex_unlock(&pool->lock);
    }
    return NULL;
}

static void *work_pinned(void *argument)
{
    struct worker *worker = argument;
    cpus_bind(worker->index);
    return work(worker);
}

bool pool_start(struct pool *pool, size_t workers, bool pin, size_t max_queued, size_t scratch_bytes)
{
    *pool = (struct pool){.max_queued = max_queued};
    pool->last = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->waiting, NULL);
    pool->workers = calloc(workers, sizeof *pool->workers);
    for (size_t i = 0; pool->workers && i < workers; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->index = i;
        if (!arena_reserve(&worker->arena, scratch_bytes))
            break;
        if (pthread_create(&worker->thread, NULL, pin ? work_pinned : work, worker)) {
            arena_close(&worker->arena);
            break;
        }
        pool->n_workers++;
    }
    if (pool->n_workers == workers)
        return true;
    pool_stop(pool);
    return false;
}

bool pool_try_add(struct pool *pool, struct task *task)
{
    pthread_mutex_lock(&pool->lock);
    bool room = pool->queued < pool->max_queued && !pool->closing;
    if (room) {
        task->next = NULL;
        *pool->last = task;
        pool->last = &task->next;
        pool->queued++;
        pthread_cond_signal(&pool->waiting);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

void pool_expire(struct pool *pool, int64_t now_ns, bool all)
{
    struct task *expired = NULL, *task;
    pthread_mutex_lock(&pool->lock);
    struct task **at = &pool->first;
    while ((task = *at)) {
        if (all || task->deadline_ns <= now_ns) {
            *at = task->next;
            task->next = expired;
            expired = task;
            pool->queued--;
        } else {
            at = &task->next;
        }
    }
    pool->last = at;
    pthread_mutex_unlock(&pool->lock);
    while ((task = expired)) {
        expired = task->next;
        task->expire(task);
    }
}

void pool_load(struct pool *pool, size_t *queued, size_t *running)
{
    pthread_mutex_lock(&pool->lock);
    *queued = pool->queued;
    *running = pool->running;
    pthread_mutex_unlock(&pool->lock);
}

void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->waiting);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n_workers; i++) {
        pthread_join(pool->workers[i].thread, NULL);
        arena_close(&pool->workers[i].arena);
    }
    free(pool->workers);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->waiting);
    *pool = (struct pool){0};
}
