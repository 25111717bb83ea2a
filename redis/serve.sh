#!/bin/sh
# `serve` runs Redis, or Valkey, with our configuration, `ping` says whether it answers. The password comes from
# a file and reaches neither an image, nor the command line, where every process could read it.
set -eu
server=$(command -v redis-server || command -v valkey-server)
REDISCLI_AUTH=$(cat "${REDIS_PASSWORD_FILE:-/run/secrets/exchange/password}")
case $1 in
serve)
  exec "$server" /etc/redis/redis.conf - <<CONFIG
requirepass "$REDISCLI_AUTH"
CONFIG
  ;;
ping)
  # A server that still loads its file answers too, but not with PONG.
  export REDISCLI_AUTH
  [ "$("${server%-server}-cli" ping)" = PONG ]
  ;;
esac
