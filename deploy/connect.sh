#!/usr/bin/env bash
# Makes `docker` of a job talk to a host by SSH. In a workflow it leaves DOCKER_HOST, HOST_IS_KNOWN, the
# agent and a PATH to the steps that follow; elsewhere: `deploy/connect.sh COMMAND…` runs one with them.
#
#   SSH_HOST, SSH_USER, SSH_PORT (22)   where
#   SSH_PRIVATE_KEY                     goes to an agent, never to a file
#   SSH_KNOWN_HOSTS                     lines of known_hosts for the host: what `ssh-keyscan HOST` prints,
#                                       compared with the host's own /etc/ssh/*.pub
#
# Without SSH_KNOWN_HOSTS the host's key is believed as it comes, and shown; HOST_IS_KNOWN is then no,
# and deploy.sh sends it no secret. Somebody in between could pretend to be the host and be told which
# image to run; they get neither the private key nor a way to the real host.
set -euo pipefail

for name in SSH_HOST SSH_USER SSH_PRIVATE_KEY; do
    [ -n "${!name:-}" ] || { echo "connect: $name is not set" >&2; exit 2; }
done
port=${SSH_PORT:-22}
directory=${RUNNER_TEMP:-$(mktemp -d)}/audittrail-ssh
umask 077
mkdir -p "$directory/bin"

host_is_known=yes
if [ -n "${SSH_KNOWN_HOSTS:-}" ]; then
    printf '%s\n' "$SSH_KNOWN_HOSTS" > "$directory/known_hosts"
else
    host_is_known=no
    ssh-keyscan -T 10 -p "$port" "$SSH_HOST" > "$directory/known_hosts" 2>/dev/null || true
    [ -s "$directory/known_hosts" ] || { echo "connect: $SSH_HOST does not answer" >&2; exit 3; }
    message="SSH_KNOWN_HOSTS is not set: nobody checked that this is $SSH_HOST, and no secret is sent to it."
    echo "${GITHUB_ACTIONS:+::warning::}$message Its keys:" >&2
    ssh-keygen -lf "$directory/known_hosts" >&2
fi

cat > "$directory/config" <<CONFIG
Host audittrail-deploy
    HostName $SSH_HOST
    User $SSH_USER
    Port $port
    UserKnownHostsFile $directory/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    PasswordAuthentication no
    ForwardAgent no
    ConnectTimeout 15
    ServerAliveInterval 15
    ControlMaster auto
    ControlPath $directory/%C
    ControlPersist 60
CONFIG
# Docker calls ssh by itself: this one, which heeds no other settings.
ssh=$(command -v ssh)
printf '#!/bin/sh\nexec %s -F %s/config "$@"\n' "$ssh" "$directory" > "$directory/bin/ssh"
chmod 700 "$directory/bin/ssh"

eval "$(ssh-agent -s)" >/dev/null
printf '%s\n' "$SSH_PRIVATE_KEY" | tr -d '\r' | ssh-add -q -
unset SSH_PRIVATE_KEY

export DOCKER_HOST=ssh://audittrail-deploy HOST_IS_KNOWN=$host_is_known PATH=$directory/bin:$PATH
trap 'kill "$SSH_AGENT_PID"' EXIT
docker version --format 'connect: Docker {{.Server.Version}} answers' >&2
if [ -n "${GITHUB_ENV:-}" ]; then
    for name in DOCKER_HOST HOST_IS_KNOWN SSH_AUTH_SOCK SSH_AGENT_PID; do
        printf '%s=%s\n' "$name" "${!name}" >> "$GITHUB_ENV"
    done
    printf '%s\n' "$directory/bin" >> "$GITHUB_PATH"
    # deploy.yml ends it.
    trap - EXIT
else
    "$@"
fi
