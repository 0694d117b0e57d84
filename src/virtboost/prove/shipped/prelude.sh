# Begins every workload's script, after a line NAME=VALUE for each option.
set -u
export LC_ALL=C
running= serving= folder=

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null 2>&1 || fail "$1: not found; Debian package $2"
}

# A program that is told to end where this shell is killed and can no longer tell it.
tied() {
    if setpriv --pdeathsig TERM true 2>/dev/null; then
        exec setpriv --pdeathsig TERM "$@"
    fi
    exec "$@"
}

# In the background: a shell hears no signal while it waits for a program in the foreground.
run() {
    tied "$@" &
    running=$!
    wait "$running"
    ended=$?
    running=
    return "$ended"
}

end() {
    status=$?
    trap - EXIT
    trap '' HUP INT TERM
    for process in $running $serving; do
        kill "$process" 2>/dev/null
    done
    wait
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$status"
}
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# A folder of one's own below $1, or where temporary files go.
make_folder() {
    folder=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/virtboost-XXXXXX") || exit 1
    case $folder in
    /*) ;;
    *) folder=$PWD/$folder ;;
    esac
}

# The line of a log that says what is wrong.
said() {
    grep -i -m 1 error "$1" || tail -n 1 "$1"
}

# Whether the server has ended: what is not waited for yet is a zombie.
gone() {
    case $(cat "/proc/$serving/stat" 2>/dev/null) in
    '' | *') Z '*) return 0 ;;
    esac
    return 1
}

# Wait for up to ten seconds until a command says that the server is ready; $1 is its name.
await() {
    name=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || gone; then
            fail "$name does not start: $(said "$folder/log")"
        fi
        sleep 0.1
    done
}
