/* Latency of memory: loads each of which is the address of the next, in one cycle over all lines.
 *
 * chase CPU_NODE MEMORY_NODE MEBIBYTES SECONDS base|huge|transparent
 * The cycle is drawn by Sattolo's algorithm (Sattolo, Information Processing Letters 22, 1986), so
 * that it is one, and no prefetcher can foresee it.
 */
#include "placement.h"

enum { LINE_BYTES = 64, LOADS_PER_LOOK = 1 << 16 };

struct line {
    struct line *next;
    char rest[LINE_BYTES - sizeof(void *)];
};

static uint64_t drawn(void)
{
    static uint64_t state = 88172645463325252ULL;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void link_in_one_cycle(struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        lines[i].next = &lines[i];
    for (size_t i = count - 1; i > 0; i--) {
        size_t other = drawn() % i;
        struct line *kept = lines[i].next;
        lines[i].next = lines[other].next;
        lines[other].next = kept;
    }
}

static struct line *walk(struct line *from, size_t loads)
{
    struct line *volatile end;
    while (loads--)
        from = from->next;
    end = from;
    return end;
}

/* Also the warm-up. */
static void require_one_cycle(struct line *lines, size_t count)
{
    size_t steps = 1;
    for (struct line *at = lines->next; at != lines && steps <= count; at = at->next)
        steps++;
    if (steps != count)
        fail("the chain has a cycle of %zu of %zu lines", steps, count);
}

static double ns_per_load(struct line *lines, double seconds)
{
    double begun_s = now_s(), passed_s, loads = 0;
    struct line *at = lines;
    do {
        at = walk(at, LOADS_PER_LOOK);
        loads += LOADS_PER_LOOK;
        passed_s = now_s() - begun_s;
    } while (passed_s < seconds);
    return 1e9 * passed_s / loads;
}

static enum pages kind(const char *word)
{
    static const char *const words[] = {"any", "base", "huge", "transparent"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(word, words[i]))
            return (enum pages)(ANY_PAGES + i);
    fail("pages: any, base, huge or transparent, and not %s", word);
}

/* Bytes of this mapping that are in transparent huge pages, as /proc says. */
static size_t transparent_bytes(const void *start)
{
    char line[512];
    size_t found = 0;
    int inside = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long first, last;
        if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
            inside = (uintptr_t)start >= first && (uintptr_t)start < last;
        else if (inside && !strncmp(line, "AnonHugePages:", 14))
            found = strtoul(line + 14, NULL, 10) * 1024;
    }
    if (file)
        fclose(file);
    return found;
}

int main(int count, char **words)
{
    static int cpus[MOST_CPUS];
    if (count != 6)
        fail("chase: CPU_NODE MEMORY_NODE MEBIBYTES SECONDS PAGES");
    int cpu_node = (int)number(words[1], "cpu_node"), node = (int)number(words[2], "memory_node");
    size_t lines_count = (size_t)(number(words[3], "mebibytes") * (1 << 20)) / LINE_BYTES;
    size_t bytes = lines_count * LINE_BYTES;
    double seconds = number(words[4], "seconds");
    enum pages pages = kind(words[5]);
    if (lines_count < 2)
        fail("mebibytes: two lines of %d bytes at least", LINE_BYTES);
    int usable = usable_cpus(cpu_node, cpus);
    if (cpu_node >= 0)
        run_on(cpus, usable);
    struct line *lines = memory(bytes, node, pages);
    link_in_one_cycle(lines, lines_count);
    require_one_cycle(lines, lines_count);
    require_placed((char *)lines, bytes);
    if (pages == TRANSPARENT_PAGES && !transparent_bytes(lines))
        fail("pages: transparent: the kernel gave none");
    double figure = ns_per_load(lines, seconds);
    print_node("cpu_node", cpu_node);
    print_node("memory_node", node);
    printf("mebibytes: %s\npages: %s\n", words[3], words[5]);
    if (pages == TRANSPARENT_PAGES)
        printf("transparent_mebibytes: %zu\n", transparent_bytes(lines) >> 20);
    printf("latency: %.3f ns\n", figure);
    return 0;
}
