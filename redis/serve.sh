#!/bin/sh
# `serve` runs Redis with our configuration, `ping` says whether it answers. The password comes from
# a file and reaches neither an image, nor the command line, where every process could read it.
set -eu
REDISCLI_AUTH=$(cat "${REDIS_PASSWORD_FILE:-/run/secrets/exchange/password}")
case $1 in
serve)
  exec redis-server /etc/redis/redis.conf - <<CONFIG
requirepass "$REDISCLI_AUTH"
CONFIG
  ;;
ping)
  # A server that still loads its file answers too, but not with PONG.
  export REDISCLI_AUTH
  [ "$(redis-cli ping)" = PONG ]
  ;;
esac
