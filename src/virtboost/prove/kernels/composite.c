/* An index of what a small machine does all day, in the manner of UnixBench.
 *
 * composite COPIES SECONDS DIRECTORY: six parts, a sixth of the time each, in COPIES processes at
 * once.  The index is 100 times the geometric mean of the rates over fixed base rates.  The bases
 * are round numbers that set the scale and nothing else: an index compares with its own kind only.
 */
#include "kernel.h"
#include <fcntl.h>
#include <math.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { MOST_COPIES = 4096, PIPE_BYTES = 512, COPY_BYTES = 1024, COPY_BLOCKS = 2000 };

static void require(int condition, const char *what)
{
    if (!condition)
        fail("%s: %s", what, strerror(errno));
}

static const char *directory;
static volatile double sink;

/* A part does its work `times` times; what it keeps open it keeps until the process ends. */
typedef void part(long times);

static void arithmetic(long times)
{
    static uint64_t word = 88172645463325252ULL;
    static double value = 1;
    while (times--) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        value = 1 + 1 / (value + (double)(word % 1000 + 1));
    }
    sink = value;
}

static void calls(long times)
{
    while (times--)
        syscall(SYS_getppid);
}

static void through_pipe(long times)
{
    static int ends[2] = {-1, -1};
    char block[PIPE_BYTES] = {0};
    if (ends[0] < 0)
        require(pipe(ends) == 0, "pipe");
    while (times--) {
        require(write(ends[1], block, sizeof block) == sizeof block, "pipe");
        require(read(ends[0], block, sizeof block) == sizeof block, "pipe");
    }
}

static void echo(int from, int to)
{
    uint32_t word;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(from, &word, sizeof word) == sizeof word)
        if (write(to, &word, sizeof word) != sizeof word)
            break;
    _exit(0);
}

/* Each time is two switches: there and back. */
static void switches(long times)
{
    static int there[2] = {-1, -1}, back[2];
    if (there[0] < 0) {
        require(pipe(there) == 0 && pipe(back) == 0, "pipe");
        pid_t other = fork();
        require(other >= 0, "fork");
        if (!other) {
            close(there[1]);
            echo(there[0], back[1]);
        }
    }
    for (uint32_t sent = 0, got; times--; sent++) {
        require(write(there[1], &sent, sizeof sent) == sizeof sent, "pipe");
        require(read(back[0], &got, sizeof got) == sizeof got && got == sent, "pipe");
    }
}

static void processes(long times)
{
    while (times--) {
        int status = 1;
        pid_t child = fork();
        require(child >= 0, "fork");
        if (!child)
            _exit(0);
        require(waitpid(child, &status, 0) == child && !status, "fork");
    }
}

/* A file without a name: nothing is left, whatever happens. */
static int nameless(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/virtboost-XXXXXX", directory);
    int file = mkstemp(path);
    require(file >= 0, directory);
    unlink(path);
    return file;
}

/* Each time is a block, written, read and written to another file. */
static void copies(long times)
{
    static int from = -1, to, at;
    char block[COPY_BYTES] = {0};
    if (from < 0) {
        from = nameless();
        to = nameless();
        for (int i = 0; i < COPY_BLOCKS; i++)
            require(write(from, block, sizeof block) == sizeof block, directory);
    }
    while (times--) {
        off_t offset = (off_t)(at++ % COPY_BLOCKS) * COPY_BYTES;
        require(pread(from, block, sizeof block, offset) == sizeof block, directory);
        require(pwrite(to, block, sizeof block, offset) == sizeof block, directory);
    }
}

static const struct {
    const char *name, *unit;
    part *part;
    long at_once;
    double of_each, base;
} PARTS[] = {
    {"arithmetic", "rounds/s", arithmetic, 10000, 1, 1e8},
    {"system_calls", "calls/s", calls, 1000, 1, 1e6},
    {"pipe", "round trips/s", through_pipe, 1000, 1, 1e6},
    {"context_switches", "switches/s", switches, 100, 2, 1e5},
    {"processes", "processes/s", processes, 10, 1, 1e3},
    {"file_copy", "bytes/s", copies, 1000, COPY_BYTES, 1e9},
};

enum { PART_COUNT = sizeof PARTS / sizeof *PARTS };

static double rate(int index, double seconds)
{
    double done = 0, passed_s, begun_s;
    PARTS[index].part(PARTS[index].at_once);
    begun_s = now_s();
    do {
        PARTS[index].part(PARTS[index].at_once);
        done += (double)PARTS[index].at_once;
        passed_s = now_s() - begun_s;
    } while (passed_s < seconds);
    return PARTS[index].of_each * done / passed_s;
}

/* In processes of its own, so that what a part keeps open ends with it. */
static double rate_of_all(int index, int count, double seconds, double *rates)
{
    double sum = 0;
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        require(child >= 0, "copies: fork");
        if (child)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        rates[i] = rate(index, seconds);
        _exit(0);
    }
    for (int i = 0; i < count; i++) {
        int status;
        require(wait(&status) > 0, "wait");
        if (status)
            exit(1);
    }
    for (int i = 0; i < count; i++)
        sum += rates[i];
    return sum;
}

int main(int count, char **words)
{
    if (count != 4)
        fail("composite: COPIES SECONDS DIRECTORY");
    int at_once = (int)number(words[1], "copies");
    double seconds = number(words[2], "seconds") / PART_COUNT, logarithms = 0;
    directory = words[3];
    if (at_once < 1 || at_once > MOST_COPIES)
        fail("copies: 1 to %d", MOST_COPIES);
    double *rates = mmap(NULL, (size_t)at_once * sizeof *rates, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(rates != MAP_FAILED, "copies");
    printf("copies: %d\n", at_once);
    fflush(stdout);
    for (int i = 0; i < PART_COUNT; i++) {
        double found = rate_of_all(i, at_once, seconds, rates);
        logarithms += log(found / PARTS[i].base);
        printf("%s: %.1f %s\n", PARTS[i].name, found, PARTS[i].unit);
        fflush(stdout);
    }
    printf("index: %.3f\n", 100 * exp(logarithms / PART_COUNT));
    return 0;
}
