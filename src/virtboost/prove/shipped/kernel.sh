# Compiles $source once for each machine and version of itself.

# In a new folder below $1.
compile() {
    command -v cc >/dev/null 2>&1 || fail 'no C compiler (cc); Debian package gcc'
    make_folder "$1"
    printf '%s' "$source" >"$folder/kernel.c" || exit 1
    run cc -O3 -pthread -o "$folder/kernel" "$folder/kernel.c" -lm 2>"$folder/log" ||
        fail "cc: $(said "$folder/log")"
}

cache=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
kept=$cache/virtboost
program=$kept/$kernel-$(uname -m)
if [ ! -x "$program" ]; then
    if [ -n "$cache" ] && mkdir -p "$kept" 2>/dev/null && [ -w "$kept" ]; then
        compile "$kept"
        # At once or not at all: others may be doing the same.
        mv "$folder/kernel" "$program"
    else
        compile ''
        program=$folder/kernel
    fi
fi
