need redis-benchmark redis-tools
make_folder ''
if [ -z "$host" ]; then
    need redis-server redis-server
    tied redis-server --port 0 --unixsocket "$folder/socket" --dir "$folder" --save '' \
        --appendonly no >"$folder/log" 2>&1 &
    serving=$!
    await redis-server redis-cli -s "$folder/socket" ping
    set -- -s "$folder/socket"
else
    set -- -h "$host" -p "$port"
    # The benchmark would try for ever.
    run redis-cli "$@" ping >"$folder/log" 2>&1 || fail "redis-cli: $(said "$folder/log")"
fi
run redis-benchmark "$@" -t set,get -n "$requests" -c "$clients" -d "$bytes" -P "$pipeline" --csv
