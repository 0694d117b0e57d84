/* Bandwidth of memory: the triad of STREAM, a[i] = b[i] + s * c[i], in threads that stay in place.
 *
 * stream CPU_NODE MEMORY_NODE THREADS MEBIBYTES SECONDS; MEBIBYTES are of each of three arrays.
 * 24 bytes count for an element, as STREAM counts (McCalpin, STREAM: Sustainable Memory Bandwidth
 * in High Performance Computers); the line that a store may read first does not count.
 */
#include "placement.h"
#include <pthread.h>

static const double SCALE = 3;

static struct {
    double *a, *b, *c;
    size_t length;
    int cpus[MOST_CPUS], cpu_count, bound, threads;
    double seconds, best_s, sum_s;
    int rounds, over;
    pthread_barrier_t barrier;
} run;

static void fill(size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        run.a[i] = 0;
        run.b[i] = 2;
        run.c[i] = (double)(i % 1024);
    }
}

static void triad(size_t first, size_t last)
{
    double *restrict a = run.a;
    const double *restrict b = run.b, *restrict c = run.c;
    for (size_t i = first; i < last; i++)
        a[i] = b[i] + SCALE * c[i];
}

/* The first round is a warm-up. */
static void note(double took_s, double begun_s)
{
    if (run.rounds++) {
        run.sum_s += took_s;
        if (took_s < run.best_s)
            run.best_s = took_s;
    }
    run.over = run.rounds > 1 && now_s() - begun_s >= run.seconds;
}

static void *worker(void *argument)
{
    int index = (int)(intptr_t)argument;
    size_t first = run.length * (size_t)index / (size_t)run.threads;
    size_t last = run.length * (size_t)(index + 1) / (size_t)run.threads;
    if (run.bound)
        run_on(&run.cpus[index % run.cpu_count], 1);
    fill(first, last);
    pthread_barrier_wait(&run.barrier);
    double begun_s = now_s();
    while (!run.over) {
        double start_s = now_s(); /* before the others can begin */
        pthread_barrier_wait(&run.barrier);
        triad(first, last);
        pthread_barrier_wait(&run.barrier);
        if (!index)
            note(now_s() - start_s, begun_s);
        pthread_barrier_wait(&run.barrier);
    }
    return NULL;
}

static void require_right(void)
{
    for (size_t i = 0; i < run.length; i++)
        if (run.a[i] != 2 + SCALE * (double)(i % 1024))
            fail("the triad is wrong at element %zu", i);
}

static void work(void)
{
    pthread_t *others = calloc((size_t)run.threads, sizeof *others);
    if (!others || pthread_barrier_init(&run.barrier, NULL, (unsigned)run.threads))
        fail("threads: %d are too many", run.threads);
    for (int i = 1; i < run.threads; i++)
        if (pthread_create(&others[i], NULL, worker, (void *)(intptr_t)i))
            fail("threads: %d are too many", run.threads);
    worker(NULL);
    for (int i = 1; i < run.threads; i++)
        pthread_join(others[i], NULL);
    free(others);
}

int main(int count, char **words)
{
    if (count != 6)
        fail("stream: CPU_NODE MEMORY_NODE THREADS MEBIBYTES SECONDS");
    int cpu_node = (int)number(words[1], "cpu_node"), node = (int)number(words[2], "memory_node");
    run.cpu_count = usable_cpus(cpu_node, run.cpus);
    run.bound = cpu_node >= 0;
    run.threads = (int)number(words[3], "threads");
    run.threads = run.threads ? run.threads : run.cpu_count;
    size_t bytes = (size_t)(number(words[4], "mebibytes") * (1 << 20));
    run.length = bytes / sizeof *run.a;
    run.seconds = number(words[5], "seconds");
    run.best_s = 1e99;
    run.a = memory(bytes, node, ANY_PAGES);
    run.b = memory(bytes, node, ANY_PAGES);
    run.c = memory(bytes, node, ANY_PAGES);
    work();
    require_right();
    require_placed((char *)run.a, bytes);
    require_placed((char *)run.b, bytes);
    require_placed((char *)run.c, bytes);
    double megabytes = 3e-6 * (double)(run.length * sizeof *run.a);
    print_node("cpu_node", cpu_node);
    print_node("memory_node", node);
    printf("threads: %d\nmebibytes: %s\nrounds: %d\n", run.threads, words[4], run.rounds - 1);
    printf("triad_mean: %.1f MB/s\n", megabytes * (run.rounds - 1) / run.sum_s);
    printf("triad: %.1f MB/s\n", megabytes / run.best_s);
    return 0;
}
