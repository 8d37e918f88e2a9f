#!/usr/bin/env bash
# The service under a real systemd user instance that lives in namespaces of its own. Run by tests/it/service/instance.rs:
#   unshare --mount --pid --fork --mount-proc --kill-child systemd-story.sh
# with HOME, PATH and CCP_HOME of a world in which there is one account. Prints `done` when all went as it should.
# shellcheck disable=SC2016 # what is waited for is evaluated later
set -euo pipefail

group=/sys/fs/cgroup/systemd
[ -d "$group" ] || group=/sys/fs/cgroup
group=$group/ccp-test-$$-$RANDOM
mkdir "$group"
echo $$ >"$group/cgroup.procs"
mount -t tmpfs tmpfs /run
export XDG_RUNTIME_DIR=/run/user/$UID
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
unset DBUS_SESSION_BUS_ADDRESS CCP_TEST_OWNER_PID
export CCP_AUTOSTART=1

/lib/systemd/systemd --user >"$HOME/systemd.log" 2>&1 &
leave() {
    # shellcheck disable=SC2046 # one word each
    kill $(jobs -p) 2>/dev/null || true
    wait 2>/dev/null || true
    echo $$ >"$(dirname "$group")/cgroup.procs" || true
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
}
trap leave EXIT

until_so() {
    local tries=0
    until eval "$1" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 400 ] || {
            printf 'it did not come to: %s\n' "$1"
            ccp service status || true
            ccp logs -n 20 || true
            ccp status || true
            exit 1
        }
        read -r -t 0.05 <><(:) || true
    done
}
main_pid() { systemctl --user show ccp --property=MainPID --value; }
runs() { ccp service status --json | grep '"daemon": {' >/dev/null && [ "$(main_pid)" != 0 ]; }

until_so '[ -S "$XDG_RUNTIME_DIR/systemd/private" ]'
ccp init --no-service
ccp refresh || true
until_so '[ -S "$CCP_HOME/daemon.sock" ]'
echo "a daemon in the background makes room"
ccp service install 2>&1 | grep 'makes room' >/dev/null
until_so runs

echo "a crash is followed by a start"
crashed=$(main_pid)
kill -KILL "$crashed"
until_so 'runs && [ "$(main_pid)" != '"$crashed"' ]'

echo "what it started outlives it"
tail -f /dev/null &
child=$!
# In the daemon's own control group, as what it starts is.
own=$(sed -n 's/^[0-9]*:name=systemd://p; s/^0:://p' "/proc/$(main_pid)/cgroup" | grep -m 1 'ccp\.service')
echo "$child" >"${group%/*}$own/cgroup.procs"
systemctl --user restart ccp
until_so runs
kill -0 "$child"
kill "$child"

echo "one that a person stopped stays down"
systemctl --user stop ccp
ccp refresh || true
[ "$(main_pid)" = 0 ]
ccp service status --json | grep '"daemon": null' >/dev/null
ccp service install
until_so runs

echo "one that dies again and again is given up, and install starts it again"
for _ in 1 2 3 4 5 6 7; do
    until_so '[ "$(main_pid)" != 0 ] || systemctl --user is-failed ccp'
    dying=$(main_pid)
    [ "$dying" = 0 ] || kill -KILL "$dying" || true
    until_so '[ "$(main_pid)" != '"$dying"' ] || systemctl --user is-failed ccp'
done
until_so 'systemctl --user is-failed ccp'
ccp service status | grep '^state    failed' >/dev/null
ccp service install
until_so runs

echo "a configured pool and its slots are in no group of the service, and outlive it"
# Where a service finds it, whose PATH is the system's.
mkdir -p "$HOME/.local/bin" "$HOME/work"
cp "$SLOT_CLAUDE" "$HOME/.local/bin/claude"
chmod 755 "$HOME/.local/bin/claude"
printf '[pool.default]\nsize = 1\nkeep_fresh = 0\ndir = "~/work"\n' >>"$CCP_HOME/config.toml"
until_so 'ccp pool --json health | grep "\"fresh\":1"'
in_pool() { grep -l CLAUDE_POOL_DIR= /proc/[0-9]*/environ 2>/dev/null | sed 's/[^0-9]//g'; cat "$HOME/.claude-pool/default/daemon.lock"; }
pool=$(in_pool)
[ "$(echo "$pool" | wc -l)" -ge 2 ]
for pid in $pool; do
    grep -q '\.scope$' "/proc/$pid/cgroup"
    # shellcheck disable=SC2251 # a word of its own
    ! grep -q 'ccp\.service' "/proc/$pid/cgroup"
done
systemctl --user restart ccp
until_so runs
systemctl --user stop ccp
for pid in $pool; do kill -0 "$pid"; done
ccp pool --json health | grep '"fresh":1' >/dev/null
systemctl --user start ccp
until_so 'ccp status --json | grep "\"kept\": \"runs\""'
[ "$(in_pool)" = "$pool" ]
# What is ended on purpose stays so.
ccp pool destroy --confirm >/dev/null
until_so 'ccp status --json | grep "\"kept\": \"ended\""'

echo "everything goes"
# What a slot's claude wrote a moment ago is not taken yet.
until_so 'ccp service uninstall --purge --yes'
[ ! -e "$CCP_HOME" ]
[ ! -e "$HOME/.config/systemd/user/ccp.service" ]
[ "$(systemctl --user show ccp --property=LoadState --value)" = not-found ]
echo "done"
