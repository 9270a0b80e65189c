# shellcheck shell=bash
# What build and check-fragments both need to know about outputs, fragments and patches. They source
# it and set `here` to the folder guest/kernel.
: "${here:?}"

fail() {
  echo "kernel: $*" >&2
  exit 1
}

# The files whose settings make up OUTPUT, in order.
fragments_of() {
  local list="$here/outputs/$1.list" name
  [[ -f $list ]] || fail "no output '$1': there is no $list"
  while read -r name; do
    [[ -z $name || $name == \#* ]] && continue
    [[ -f $here/fragments/$name.config ]] || fail "$list names '$name', which is no fragment"
    echo "$here/fragments/$name.config"
  done <"$list"
}

# The patches of OUTPUT, in order; most outputs have none.
patches_of() {
  find "$here/patches/$1" -name '*.patch' 2>/dev/null | sort
}

# The settings of the named files: `CONFIG_X=value` or `# CONFIG_X is not set`.
settings_of() {
  grep -hE '^(CONFIG_|# CONFIG_[A-Z0-9a-z_]+ is not set$)' "$@"
}

# The symbol that a setting is about.
symbol_of() {
  local words=${1#\# }
  words=${words%% *}
  echo "${words%%=*}"
}
