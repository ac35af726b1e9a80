/* A tool like memray or tracemalloc: puts its functions before those of Python's allocators, and
   later puts back what it had found. */
#include <stddef.h>

typedef struct {
    void *context;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
} allocator;

extern void PyMem_GetAllocator(int domain, allocator *found);
extern void PyMem_SetAllocator(int domain, allocator *used);

static allocator below[3];
static unsigned long calls;

static void *layer_malloc(void *context, size_t size) {
    allocator *next = context;
    calls++;
    return next->malloc(next->context, size);
}

static void *layer_calloc(void *context, size_t count, size_t size) {
    allocator *next = context;
    calls++;
    return next->calloc(next->context, count, size);
}

static void *layer_realloc(void *context, void *block, size_t size) {
    allocator *next = context;
    calls++;
    return next->realloc(next->context, block, size);
}

static void layer_free(void *context, void *block) {
    allocator *next = context;
    next->free(next->context, block);
}

void layer_install(void) {
    for (int domain = 1; domain < 3; domain++) {
        allocator own = {&below[domain], layer_malloc, layer_calloc, layer_realloc, layer_free};
        PyMem_GetAllocator(domain, &below[domain]);
        PyMem_SetAllocator(domain, &own);
    }
}

void layer_remove(void) {
    for (int domain = 1; domain < 3; domain++) PyMem_SetAllocator(domain, &below[domain]);
}

unsigned long layer_calls(void) {
    return calls;
}
