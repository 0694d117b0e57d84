need sysbench sysbench
case $test in
cpu) set -- "--cpu-max-prime=$max_prime" ;;
memory)
    set -- --memory-total-size=0 "--memory-block-size=$block" "--memory-oper=$operation" \
        "--memory-access-mode=$access"
    ;;
threads) set -- "--thread-locks=$locks" ;;
esac
run sysbench "$test" "--threads=$threads" "--time=$seconds" --events=0 "$@" run
