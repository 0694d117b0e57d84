/* What a kernel runs on and where its memory is: bare system calls, so that libnuma is not needed.
 *
 * A node of -1 is any.  What was asked for and is not so ends the program with a line that says it.
 */
#include "kernel.h"
#include <limits.h>
#include <sched.h>

/* Of linux/mempolicy.h, which not every C library comes with. */
enum { MPOL_BIND = 2, MPOL_F_NODE = 1 << 0, MPOL_F_ADDR = 1 << 1 };

enum { MOST_CPUS = 8192, MOST_NODES = 1024 };
enum pages { ANY_PAGES, BASE_PAGES, HUGE_PAGES, TRANSPARENT_PAGES };

/* A file of one line; returns whether there is one. */
static int read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "r");
    int found = file && fgets(line, size, file);
    if (file)
        fclose(file);
    return found;
}

/* The words of sched_setaffinity(2) and mbind(2) are longs. */
static void set_bit(unsigned long *words, int bit)
{
    words[bit / (CHAR_BIT * sizeof *words)] |= 1UL << (bit % (CHAR_BIT * sizeof *words));
}

static int has_bit(const unsigned long *words, int bit)
{
    return words[bit / (CHAR_BIT * sizeof *words)] >> (bit % (CHAR_BIT * sizeof *words)) & 1;
}

#define WORDS(bits) ((bits) / (CHAR_BIT * sizeof(unsigned long)))

/* Fill cpus with those of a node that this process may use; returns how many. */
static int node_cpus(int node, const unsigned long *allowed, int *cpus)
{
    char path[64], list[8192], *rest = list;
    int count = 0;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
    if (!read_line(path, list, sizeof list))
        fail("cpu_node %d: this machine has no such NUMA node", node);
    while (*rest >= '0' && *rest <= '9') {
        long first = strtol(rest, &rest, 10), last = first;
        if (*rest == '-')
            last = strtol(rest + 1, &rest, 10);
        for (; first <= last && first < MOST_CPUS; first++)
            if (has_bit(allowed, (int)first))
                cpus[count++] = (int)first;
        rest += *rest == ',';
    }
    if (!count)
        fail("cpu_node %d: has no CPU that this process may use", node);
    return count;
}

/* Fill cpus with what this process may run on, of a node or of all; returns how many. */
static int usable_cpus(int node, int *cpus)
{
    unsigned long allowed[WORDS(MOST_CPUS)] = {0};
    int count = 0;
    if (syscall(SYS_sched_getaffinity, 0, sizeof allowed, allowed) < 0)
        fail("sched_getaffinity: %s", strerror(errno));
    if (node >= 0)
        return node_cpus(node, allowed, cpus);
    for (int cpu = 0; cpu < MOST_CPUS; cpu++)
        if (has_bit(allowed, cpu))
            cpus[count++] = cpu;
    return count;
}

/* Bind the calling thread to CPUs. */
static void run_on(const int *cpus, int count)
{
    unsigned long wanted[WORDS(MOST_CPUS)] = {0};
    for (int i = 0; i < count; i++)
        set_bit(wanted, cpus[i]);
    if (syscall(SYS_sched_setaffinity, 0, sizeof wanted, wanted) < 0)
        fail("cpu_node: sched_setaffinity: %s", strerror(errno));
}

static size_t kernel_bytes(const char *path, const char *key, size_t unit)
{
    char line[256];
    size_t found = 0;
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key)))
            found = strtoul(line + strlen(key), NULL, 10) * unit;
    if (file)
        fclose(file);
    return found;
}

static int wanted_node = -1;

static void no_page(int number)
{
    static const char text[] = "pages: huge: no free huge page for this memory\n";
    ssize_t ignored = write(2, text, sizeof text - 1);
    (void)number;
    (void)ignored;
    _exit(1);
}

static void bind_memory(void *start, size_t bytes, int node)
{
    unsigned long nodes[WORDS(MOST_NODES)] = {0};
    if (node >= MOST_NODES)
        fail("memory_node %d: this machine has no such NUMA node", node);
    set_bit(nodes, node);
    if (syscall(SYS_mbind, start, bytes, MPOL_BIND, nodes, (unsigned long)MOST_NODES, 0) < 0)
        fail("memory_node %d: mbind: %s", node,
             errno == EINVAL ? "no such NUMA node, or it has no memory, or it is not allowed here"
                             : strerror(errno));
    wanted_node = node;
}

static size_t page_bytes(enum pages pages)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (pages == HUGE_PAGES)
        bytes = kernel_bytes("/proc/meminfo", "Hugepagesize:", 1024);
    if (pages == TRANSPARENT_PAGES)
        bytes = kernel_bytes("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "", 1);
    if (!bytes)
        fail("pages: this kernel has none of this kind");
    return bytes;
}

static void advise(void *start, size_t bytes, enum pages pages)
{
    if (pages == TRANSPARENT_PAGES && madvise(start, bytes, MADV_HUGEPAGE) < 0)
        fail("pages: transparent: %s", strerror(errno));
    /* Without transparent pages in the kernel this fails, and all pages are base pages anyway. */
    if (pages == BASE_PAGES)
        madvise(start, bytes, MADV_NOHUGEPAGE);
}

/* Memory that nobody has touched yet, on whole pages of its kind. */
static void *memory(size_t bytes, int node, enum pages pages)
{
    size_t page = page_bytes(pages), whole = (bytes + page - 1) / page * page;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (pages == HUGE_PAGES ? MAP_HUGETLB : 0);
    size_t slack = pages == TRANSPARENT_PAGES ? page : 0;
    char *start = mmap(NULL, whole + slack, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (start == MAP_FAILED)
        fail("%zu MiB: %s", whole >> 20,
             pages == HUGE_PAGES ? "not so many free huge pages" : strerror(errno));
    if (slack)
        start += (page - (uintptr_t)start % page) % page;
    if (pages == HUGE_PAGES)
        signal(SIGBUS, no_page);
    advise(start, whole, pages);
    if (node >= 0)
        bind_memory(start, whole, node);
    return start;
}

/* Ask the kernel where each page is, now that all are touched. */
static void require_placed(char *start, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; wanted_node >= 0 && at < bytes; at += page) {
        int node = -1;
        if (syscall(SYS_get_mempolicy, &node, NULL, 0UL, start + at, MPOL_F_NODE | MPOL_F_ADDR) < 0)
            fail("memory_node %d: get_mempolicy: %s", wanted_node, strerror(errno));
        if (node != wanted_node)
            fail("memory_node %d: a page is on node %d", wanted_node, node);
    }
}

static void print_node(const char *name, int node)
{
    if (node < 0)
        printf("%s: any\n", name);
    else
        printf("%s: %d\n", name, node);
}
