/* A pool of pinned threads. Handing it a task takes a lock and wakes sleepers;
 * inside a task, fc_pool_barrier keeps the threads in step without a system
 * call, as long as none is more than some microseconds late. */
#include "platform.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "fitcheck.h"

enum { CACHE_LINE = 128, SPINS_BEFORE_YIELD = 20000 };

typedef struct {
    fc_pool *pool;
    int index, cpu;
    pthread_t handle;
} worker;

struct fc_pool {
    /* The barrier: arrivals count up, the last one opens the next phase. */
    _Alignas(CACHE_LINE) atomic_int arrived;
    _Alignas(CACHE_LINE) atomic_uint phase;
    /* Handing over tasks, under the lock. */
    _Alignas(CACHE_LINE) pthread_mutex_t lock;
    pthread_cond_t posted, finished;
    fc_task *task;
    void *argument;
    unsigned long ticket; /* counts tasks */
    int running, stopping;
    int threads, started, pinned;
    worker *workers;
};

double fc_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void relax(void) {
#if FC_X86
    __builtin_ia32_pause();
#elif FC_ARM
    __asm__ volatile("yield");
#endif
}

void fc_pool_barrier(fc_pool *pool, int thread) {
    (void)thread;
    unsigned phase = atomic_load_explicit(&pool->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1 == pool->threads) {
        atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&pool->phase, phase + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&pool->phase, memory_order_acquire) == phase; spins++) {
        if (spins < SPINS_BEFORE_YIELD) relax();
        else sched_yield(); /* more threads than CPUs: let the late one run */
    }
}

/* ---- pinning ----------------------------------------------------------------- */

#if defined(__linux__)
/* The CPUs this process may use, in order; returns how many. */
static int allowed_cpus(int *cpus, int room) {
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set)) return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && n < room; cpu++)
        if (CPU_ISSET(cpu, &set)) cpus[n++] = cpu;
    return n;
}

static int pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return cpu >= 0 && pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}
#else
static int allowed_cpus(int *cpus, int room) { (void)cpus; (void)room; return 0; }
static int pin(int cpu) { (void)cpu; return 0; }
#endif

/* A CPU for each thread; more threads than CPUs are left to the scheduler. */
static void choose_cpus(fc_pool *pool) {
    enum { MOST = 1024 };
    int cpus[MOST], n = allowed_cpus(cpus, MOST);
    for (int i = 0; i < pool->threads; i++) pool->workers[i].cpu = pool->threads <= n ? cpus[i] : -1;
}

/* ---- the workers --------------------------------------------------------------- */

static void *work(void *argument) {
    worker *self = argument;
    fc_pool *pool = self->pool;
    unsigned long done = 0;
    int pinned = pin(self->cpu);
    pthread_mutex_lock(&pool->lock);
    pool->pinned += pinned;
    for (;;) {
        while (pool->ticket == done && !pool->stopping) pthread_cond_wait(&pool->posted, &pool->lock);
        if (pool->stopping) break;
        done = pool->ticket;
        pthread_mutex_unlock(&pool->lock);
        pool->task(pool->argument, self->index, pool->threads);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0) pthread_cond_signal(&pool->finished);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

void fc_pool_run(fc_pool *pool, fc_task *task, void *argument) {
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->argument = argument;
    pool->running = pool->threads;
    pool->ticket++;
    pthread_cond_broadcast(&pool->posted);
    while (pool->running) pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static int start(fc_pool *pool) {
    choose_cpus(pool);
    for (; pool->started < pool->threads; pool->started++) {
        worker *w = &pool->workers[pool->started];
        w->pool = pool;
        w->index = pool->started;
        if (pthread_create(&w->handle, NULL, work, w)) return -1;
    }
    return 0;
}

static void nothing(void *argument, int thread, int threads) { (void)argument; (void)thread; (void)threads; }

fc_pool *fc_pool_new(int threads) {
    void *room = NULL;
    if (threads < 1 || posix_memalign(&room, CACHE_LINE, sizeof(fc_pool))) return NULL;
    fc_pool *pool = room;
    *pool = (fc_pool){.threads = threads};
    pool->workers = calloc((size_t)threads, sizeof *pool->workers);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->posted, NULL);
    pthread_cond_init(&pool->finished, NULL);
    if (!pool->workers || start(pool)) {
        fc_pool_free(pool);
        return NULL;
    }
    fc_pool_run(pool, nothing, NULL); /* every thread is up and pinned from here on */
    return pool;
}

void fc_pool_free(fc_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = 1;
    pthread_cond_broadcast(&pool->posted);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].handle, NULL);
    pthread_cond_destroy(&pool->posted);
    pthread_cond_destroy(&pool->finished);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
}

int fc_pool_threads(const fc_pool *pool) { return pool->threads; }
int fc_pool_pinned(const fc_pool *pool) { return pool->pinned; }

fc_span fc_split(int64_t rows, int64_t step, int thread, int threads) {
    int64_t steps = (rows + step - 1) / step;
    int64_t begin = steps * thread / threads * step, end = steps * (thread + 1) / threads * step;
    return (fc_span){begin < rows ? begin : rows, end < rows ? end : rows};
}
