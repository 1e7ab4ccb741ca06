/* Each block has links to the previous and the next block. If a parse runs out of memory, longjmp leaves it at once,
   and all its blocks are freed. This is safe, because jansson holds no other resources than memory. */
#include "json_memory.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The header of every block that jansson allocates. */
struct block {
    _Alignas(max_align_t) struct block *next;
    struct block *before;
};

/* A parse: the ring of its blocks, and the target of longjmp when memory runs out. */
struct parse {
    struct block ring;
    jmp_buf out;
};

static _Thread_local struct parse *parsing;
static _Thread_local struct block made; /* the ring of json_memory_begin; next is NULL outside of json_memory_begin and
                                           json_memory_end */
static _Thread_local bool failed;

static void stand_alone(struct block *block)
{
    block->next = block->before = block;
}

static void join(struct block *ring, struct block *block)
{
    block->next = ring->next;
    block->before = ring;
    block->next->before = block->before->next = block;
}

static void *take(size_t bytes)
{
    struct block *block = bytes < SIZE_MAX / 2 ? malloc(sizeof *block + bytes) : NULL;
    if (!block) {
        failed = true;
        if (parsing)
            longjmp(parsing->out, 1);
        return NULL;
    }
    stand_alone(block);
    if (parsing)
        join(&parsing->ring, block);
    else if (made.next)
        join(&made, block);
    return block + 1;
}

static void give(void *bytes)
{
    if (!bytes)
        return;
    struct block *block = (struct block *)bytes - 1;
    block->next->before = block->before;
    block->before->next = block->next;
    free(block);
}

static void give_all(struct block *ring)
{
    while (ring->next != ring)
        give(ring->next + 1);
}

/* Set before main, because every block must be freed by the functions that belong to its allocation. */
__attribute__((constructor)) static void set_up(void)
{
    json_set_alloc_funcs(take, give);
}

json_t *json_memory_load(const char *text, size_t bytes, size_t flags, json_error_t *error)
{
    struct parse parse;
    stand_alone(&parse.ring);
    parsing = &parse;
    if (setjmp(parse.out)) {
        parsing = NULL;
        give_all(&parse.ring);
        if (error)
            *error = (json_error_t){.line = -1, .column = -1, .text = "out of memory"};
        return NULL;
    }
    json_t *json = json_loadb(text, bytes, flags, error);
    parsing = NULL;
    for (struct block *block = parse.ring.next, *next; block != &parse.ring; block = next) {
        next = block->next;
        stand_alone(block); /* from now on any thread may free the block */
    }
    return json;
}

void json_memory_begin(void)
{
    stand_alone(&made);
    failed = false;
}

bool json_memory_end(void)
{
    give_all(&made);
    made.next = NULL;
    return !json_memory_failed();
}

void json_memory_free(char *text)
{
    give(text);
}

bool json_memory_failed(void)
{
    bool since = failed;
    failed = false;
    return since;
}
