#!/bin/sh
# Start Redis with the users of users.acl: `start.sh redis-server OPTIONS…`, or `start.sh --print` for the file alone.
# Each user's password is in REDIS_PASSWORD_<USER>, at least 16 characters, and no two are the same. Only their hashes
# are written, into a folder that ends with the container.
#
#   TROUPE_PREFIX   prefix of the store's keys; default: troupe
#   REDIS_QUEUES   queues of your own agents, separated by blanks; the built-in ones are always there
#   ACL_TEMPLATE    default: users.acl beside this file
#   ACL_FOLDER      where the file goes; default: /run/redis
set -eu

here=$(dirname "$0")
template=${ACL_TEMPLATE:-$here/users.acl}
folder=${ACL_FOLDER:-/run/redis}
prefix=${TROUPE_PREFIX:-troupe}
users="admin producer api orchestrator worker flower doctor metrics"

fail() { echo "start.sh: $1" >&2; exit 2; }

case $prefix in '' | *[!A-Za-z0-9_.-]*) fail "TROUPE_PREFIX: '$prefix' has other characters than letters, digits, _ . -" ;; esac

hashes=
seen=
for user in $users; do
  name=REDIS_PASSWORD_$(echo "$user" | tr '[:lower:]' '[:upper:]')
  eval "password=\${$name:-}"
  [ "${#password}" -ge 16 ] || fail "$name: set it, to 16 characters or more"
  hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
  case " $seen " in *" $hash "*) fail "$name: another user has the same password" ;; esac
  seen="$seen $hash"
  hashes="$hashes -v $user=$hash"
done

# The keys of a queue: its messages, those of other priorities, and those for one version of an agent.
queues=
look_queues=
for queue in planner search analysis summary ${REDIS_QUEUES:-}; do
  case $queue in [!a-z]* | *[!a-z0-9_-]*) fail "REDIS_QUEUES: '$queue' is no queue's name" ;; esac
  for pattern in "$queue" "$queue??[0-9]" "$queue@*"; do
    queues="$queues ~$pattern"
    look_queues="$look_queues %R~$pattern"
  done
done

write() {
  # shellcheck disable=SC2086 # hashes are hexadecimal, and words of their own
  awk $hashes -v prefix="$prefix" -v queues="$queues" -v look_queues="$look_queues" '
    function told(text,    out, name) {
      out = ""
      while (match(text, /\$[a-z_]+/)) {
        name = substr(text, RSTART + 1, RLENGTH - 1)
        if (!(name in word)) { print "start.sh: users.acl: what is $" name "?" > "/dev/stderr"; bad = 1; exit 2 }
        out = out substr(text, 1, RSTART - 1) word[name]
        text = substr(text, RSTART + RLENGTH)
      }
      return out text
    }
    function take(line,    name) {
      if (line == "") return
      line = told(line)
      if (line ~ /^let /) { split(line, part, " "); name = part[2]; sub(/^let +[a-z_]+ +/, "", line); word[name] = line }
      else { gsub(/ +/, " ", line); print line }
    }
    BEGIN {
      word["prefix"] = prefix; word["queues"] = queues; word["look_queues"] = look_queues
      word["admin"] = admin; word["producer"] = producer; word["api"] = api; word["orchestrator"] = orchestrator
      word["worker"] = worker; word["flower"] = flower; word["doctor"] = doctor; word["metrics"] = metrics
    }
    /^#/ || /^[ \t]*$/ { next }
    /^[ \t]/ { sub(/^[ \t]+/, " "); line = line $0; next }
    { take(line); line = $0 }
    END { if (!bad) take(line) }
  ' "$template"
}

if [ "${1:-}" = --print ]; then
  write
  exit
fi
umask 077
mkdir -p "$folder"
write > "$folder/users.acl"
for user in $users; do unset "REDIS_PASSWORD_$(echo "$user" | tr '[:lower:]' '[:upper:]')"; done
exec "$@" --aclfile "$folder/users.acl"
