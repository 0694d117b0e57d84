# Debian keeps the server's programs out of PATH, in a folder for each version.
newest=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ ! -d "$newest" ] || PATH=$newest:$PATH
need pgbench postgresql

if [ -z "$host" ]; then
    need initdb postgresql
    make_folder "$directory"
    owner=
    if [ "$(id -u)" = 0 ]; then
        need setpriv util-linux
        chown postgres "$folder" 2>/dev/null ||
            fail 'no user postgres: PostgreSQL refuses to run as root'
        owner='setpriv --reuid=postgres --regid=postgres --init-groups --pdeathsig TERM'
    fi
    cd "$folder" || exit 1
    run $owner initdb --pgdata "$folder/data" --auth trust --username postgres --no-sync \
        >log 2>&1 || fail "initdb: $(said log)"
    tied $owner postgres -D "$folder/data" -k "$folder" -c listen_addresses= -c "port=$port" \
        >log 2>&1 &
    serving=$!
    host=$folder user=postgres database=postgres
    await postgres psql --host "$host" --port "$port" --username "$user" -c 'SELECT 1' "$database"
    run pgbench --initialize --quiet --scale "$scale" --host "$host" --port "$port" \
        --username "$user" "$database" >made 2>&1 || fail "$(said made)"
fi
run pgbench --host "$host" --port "$port" --username "$user" --client "$clients" \
    --jobs "$threads" --time "$seconds" "$database"
