in_server() {
    eval "tied $server_command \"\$@\""
}

in_client() {
    eval "run $client_command \"\$@\""
}

[ -n "$client_command" ] || need iperf3 iperf3
make_folder ''
if [ -z "$server" ] || [ -n "$server_command" ]; then
    # The limit holds where the server is, which may be beyond the reach of a signal from here.
    in_server timeout "$((seconds + 60))" \
        iperf3 --server --one-off --forceflush --port "$port" >"$folder/log" 2>&1 &
    serving=$!
    await iperf3 grep -q 'Server listening' "$folder/log"
fi
set --
[ "$udp" = 0 ] || set -- "$@" --udp --bitrate 0
[ "$reverse" = 0 ] || set -- "$@" --reverse
in_client iperf3 --client "${server:-127.0.0.1}" --port "$port" --time "$seconds" \
    --parallel "$parallel" --json "$@" >"$folder/out"
ended=$?
# It may end with success and an error in its JSON.
error=$(sed -n 's/^[[:space:]]*"error":[[:space:]]*"\(.*\)".*/\1/p' "$folder/out")
if [ "$ended" != 0 ] || [ -n "$error" ]; then
    fail "iperf3: ${error:-ended with status $ended}"
fi
cat "$folder/out"
