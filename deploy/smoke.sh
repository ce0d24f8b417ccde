#!/usr/bin/env bash
# Looks whether a deployed AuditTrail works: ready, and an entry goes in, comes out verified, and is
# proven to be in the log.
#
# usage: deploy/smoke.sh STACK SERVICE
#
# It runs the binary within a container of the service, so that nothing has to be reachable from here
# and no token leaves the host. If no task runs on the node that `docker` talks to, SMOKE_URL has to
# name the API, and only its readiness is looked at.
#   SMOKE_URL     asked as well, from here: whether it is reachable and ready
set -euo pipefail

[ $# = 2 ] || { echo "usage: $0 STACK SERVICE" >&2; exit 2; }
say() { printf '%s\n' "smoke: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$1_$2" --filter health=healthy |
    head -n 1)
if [ -n "$container" ]; then
    audittrail() { docker exec -i -e AUDITTRAIL_TOKEN "$container" /bin/audittrail "$@"; }
    export AUDITTRAIL_TOKEN=
    audittrail health >/dev/null || fail "it is not ready"
    if AUDITTRAIL_TOKEN=$(audittrail token --sub smoke-test --role admin --ttl 2m 2>/dev/null); then
        mark="smoke-$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')"
        printf '{"action":"deploy.smoke","resource":"%s"}\n' "$mark" |
            audittrail import - >/dev/null || fail "an entry is not taken"
        line=$(audittrail export --format ndjson --filter "resource=$mark") || fail "the entry is not found"
        [ "$(printf '%s\n' "$line" | grep -c "$mark")" = 1 ] || fail "the entry is not there once: $line"
        [[ $line == *'"verified":true'* ]] || fail "the entry does not verify: $line"
        id=$(sed -n 's/.*"id":"\([0-9a-f-]*\)".*/\1/p' <<<"$line")
        audittrail prove "$id" >/dev/null || fail "the entry is not proven"
        say "an entry was taken, verified and proven"
    else
        say "it takes tokens of its issuer only: no entry was sent"
    fi
elif [ -z "${SMOKE_URL:-}" ]; then
    fail "no healthy task of $1_$2 runs on this node: set SMOKE_URL, or talk to a node that has one"
fi

if [ -n "${SMOKE_URL:-}" ]; then
    curl -sS --fail --max-time 10 --retry 5 --retry-connrefused -o /dev/null "$SMOKE_URL/health/ready" ||
        fail "$SMOKE_URL is not ready"
    say "$SMOKE_URL is ready"
fi
