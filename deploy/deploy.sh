#!/usr/bin/env bash
# Brings an image to a swarm, looks whether it works, and puts the earlier one back if it does not.
#
# usage: deploy/deploy.sh embedded|shared IMAGE
#
# `docker` has to reach a manager of the swarm: DOCKER_HOST=ssh://user@host, or a context.
#
#   STACK            the stack's name (audittrail)
#   WAIT             seconds for all tasks to run (300)
#   SMOKE            what looks whether it works (deploy/smoke.sh), called with stack and service
#   HOST_IS_KNOWN    yes, where the identity of the manager was checked; else no secret and no login
#                    of a registry is sent to it
#   REGISTRY_AUTH    yes: the swarm gets this machine's login of the registry
#   LOG_SIGNING_KEY, MONGO_USERNAME, MONGO_PASSWORD
#                    become secrets of the swarm where these are not there yet; they are never changed
#
# Settings of AuditTrail that the stack file lists are taken from the environment.
# Ends with 0 if the new image runs, with 1 if the earlier one runs again or there is none, with 2 if
# something is missing (nothing was changed), with 3 if the earlier one could not be put back.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '%s\n' "deploy: $*" >&2; }
missing() {
    say "$*"
    exit 2
}

# A variable that a workflow has no value for is empty: it is not set.
for name in "${!AUDITTRAIL_@}" SMOKE_URL; do
    [ -n "${!name:-}" ] || unset "$name"
done

[ $# = 2 ] || missing "usage: deploy/deploy.sh embedded|shared IMAGE"
variant=$1
export AUDITTRAIL_IMAGE=$2
stack=${STACK:-audittrail}
wait_seconds=${WAIT:-300}
smoke=${SMOKE:-./smoke.sh}
known=${HOST_IS_KNOWN:-no}

case $variant in
    embedded) files=(stack-embedded.yml) service=audittrail needs=() ;;
    shared)
        files=(stack.yml) service=api
        needs=(log_signing_key checkpoint_key jwt_secret mongo_username mongo_password
            mongo_root_username mongo_root_password mongo_keyfile)
        ;;
    *) missing "$variant is no variant: embedded or shared" ;;
esac

manager=$(docker info --format '{{.Swarm.ControlAvailable}}') || missing "docker does not answer"
[ "$manager" = true ] || missing "this Docker is no manager of a swarm: docker swarm init"

has_secret() { docker secret inspect "audittrail_$1" >/dev/null 2>&1; }

# From a variable to a secret of the swarm, by standard input: nothing of it is in a command line.
bring_secret() {
    local name=$1 value=$2
    [ -n "$value" ] || return 0
    has_secret "$name" && return 0
    [ "$known" = yes ] || missing "the secret audittrail_$name is not in the swarm, and is not sent to a" \
        "host whose identity was not checked: make it there, or give the host's keys (docs/deploy.md)"
    printf '%s' "$value" | docker secret create "audittrail_$name" - >/dev/null
    say "made the secret audittrail_$name"
}

bring_secret log_signing_key "${LOG_SIGNING_KEY:-}"
if [ "$variant" = shared ]; then
    bring_secret mongo_username "${MONGO_USERNAME:-}"
    bring_secret mongo_password "${MONGO_PASSWORD:-}"
elif has_secret log_signing_key; then
    files+=(stack-signing-key.yml)
fi
# From here on nothing that is started sees them.
unset LOG_SIGNING_KEY MONGO_USERNAME MONGO_PASSWORD

lacking=()
for name in "${needs[@]}"; do
    has_secret "$name" || lacking+=("audittrail_$name")
done
[ ${#lacking[@]} = 0 ] || missing "the swarm lacks the secrets ${lacking[*]}: docs/deploy.md says how to" \
    "make them"

# Configs of a swarm cannot be changed: their names follow their content.
PROMETHEUS_CONFIG_VERSION=$(cat prometheus.yml alerts.yml | sha256sum | cut -c1-12)
export PROMETHEUS_CONFIG_VERSION

services() { docker service ls --filter "label=com.docker.stack.namespace=$stack" --format '{{.Name}}'; }
state_of() { docker service inspect "$1" --format '{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}'; }

# Whether a service runs as it should; 2 if it will not by itself.
settled() {
    local name=$1 state replicas
    state=$(state_of "$name") || return 1
    case $state in
        '' | completed | rollback_completed) ;;
        paused | rollback_paused) return 2 ;;
        *) return 1 ;;
    esac
    if [[ $name == *-setup ]]; then
        docker service ps "$name" --format '{{.CurrentState}}' | head -n 1 | grep -q '^Complete' && return 0
    fi
    # Such as 2/2, or 1/1 (max 1 per node)
    replicas=$(docker service ls --filter "name=$name" --format '{{.Name}} {{.Replicas}}' |
        awk -v name="$name" '$1 == name { print $2 }')
    [ -n "$replicas" ] && [ "${replicas%/*}" = "${replicas#*/}" ]
}

# Until all services run as they should, and did so three times in a row.
converge() {
    local deadline=$((SECONDS + wait_seconds)) good=0 name all outcome
    while [ $good -lt 3 ]; do
        all=yes
        for name in $(services); do
            outcome=0
            settled "$name" || outcome=$?
            case $outcome in
                0) ;;
                2)
                    say "$name: $(state_of "$name")"
                    return 1
                    ;;
                *) all=no ;;
            esac
        done
        if [ $all = yes ]; then good=$((good + 1)); else good=0; fi
        if [ $SECONDS -ge $deadline ]; then
            say "not all tasks run after $wait_seconds s"
            return 1
        fi
        sleep 1
    done
}

# What Docker put back by itself is no success.
kept() {
    local name
    for name in $(services); do
        if [[ $(state_of "$name") == rollback_* ]]; then
            say "$name: its new tasks failed, and Docker put the earlier ones back"
            return 1
        fi
    done
}

why() {
    local name
    for name in $(services); do
        docker service ps "$name" --no-trunc --filter desired-state=shutdown \
            --format '{{.Name}} {{.CurrentState}} {{.Error}}' | head -n 3 >&2 || true
        docker service logs --raw --tail 10 "$name" 2>&1 | cut -c1-500 | sed "s/^/$name: /" >&2 || true
    done
}

put_back() {
    local name
    for name in $(services); do
        # Where Docker did it already, the earlier version is the one that failed.
        [[ $(state_of "$name") == rollback_* ]] && continue
        if [ "$(docker service inspect "$name" --format '{{if .PreviousSpec}}yes{{end}}')" = yes ]; then
            docker service rollback --detach "$name" >/dev/null
        else
            say "$name is new: it is left as it is"
        fi
    done
    converge
}

new=no
[ -n "$(services)" ] || new=yes
say "$variant, $AUDITTRAIL_IMAGE, stack $stack"
options=()
for file in "${files[@]}"; do options+=(--compose-file "$file"); done
if [ "${REGISTRY_AUTH:-no}" = yes ]; then
    [ "$known" = yes ] || missing "the registry's login is not sent to a host whose identity was not checked"
    options+=(--with-registry-auth)
fi
docker stack deploy --resolve-image "${RESOLVE_IMAGE:-always}" "${options[@]}" "$stack" >&2

if converge && kept && "$smoke" "$stack" "$service"; then
    say "runs"
    exit 0
fi

say "it does not work"
why
if [ $new = yes ]; then
    say "there is no earlier version to put back; it is left as it is"
    exit 1
fi
if put_back && "$smoke" "$stack" "$service"; then
    say "the earlier version runs again"
    exit 1
fi
say "the earlier version could not be put back: see to it"
exit 3
