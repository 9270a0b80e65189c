#!/bin/sh
# Every wrong line ends with status 2 and says why, without printing a row.
# usage: bad_arguments.sh TROUPE-BENCH
bench=$1
failed=0

refused() { # refused WORD ARGUMENT...: status 2, nothing on stdout, WORD on stderr
  word=$1
  shift
  said=$("$bench" "$@" 2>&1 >/dev/null)
  status=$?
  if [ $status != 2 ] || [ -n "$("$bench" "$@" 2>/dev/null)" ]; then
    echo "troupe-bench $*: status $status, or a row"
    failed=1
  fi
  case $said in *"$word"*) ;; *) echo "troupe-bench $*: said: $said"; failed=1 ;; esac
}

refused NAME
refused no-such no-such
refused --n ctr-run --n 0
refused --n ctr-run --n
refused --wrong ctr-run --wrong
refused second ctr-run second
exit $failed
