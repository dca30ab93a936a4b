#!/bin/sh
# Print .env.example with every password made up: sh deploy/new-env.sh > .env
set -eu
umask 077

made() { od -An -N 24 -tx1 /dev/urandom | tr -d ' \n'; }

while IFS= read -r line; do
  case $line in
    REDIS_PASSWORD_*= | TROUPE_SECRET= | GRAFANA_PASSWORD=) echo "$line$(made)" ;;
    FLOWER_BASIC_AUTH=) echo "${line}flower:$(made)" ;;
    *) echo "$line" ;;
  esac
done < "$(dirname "$0")/../.env.example"
