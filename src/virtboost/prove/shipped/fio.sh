need fio fio
if [ -n "$file" ]; then
    [ -e "$file" ] || fail "file: $file: no such file"
    # A colon would begin another file.
    set -- --readonly "--filename=$(printf '%s' "$file" | sed 's/:/\\:/g')"
else
    make_folder "$directory"
    set -- "--directory=$folder" "--size=$size"
fi
# As one process: a job of its own, killed at its start, would wait for the other for ever.
run fio --thread --name=virtboost "--rw=$rw" "--bs=$bs" "--iodepth=$iodepth" "--direct=$direct" \
    "--ioengine=$ioengine" "--runtime=$seconds" --time_based --output-format=json "$@"
