need stress-ng stress-ng
make_folder ''
# Some versions write their figures to the one, some to the other.
run stress-ng "--$stressor" "$instances" --timeout "$seconds" --temp-path "$folder" \
    --metrics-brief >"$folder/log" 2>&1 || fail "$(said "$folder/log")"
cat "$folder/log"
