#!/usr/bin/env bash
# Prints, for a PATH, the folders of the programs of Debian's packages prometheus and prometheus-alertmanager, for the tests of
# the ruler, of memcached and redis-server, for the tests of caches, and of nginx, for that of gateways.
# Usage: PATH=$PATH:$(tools/servers/debian.sh). The packages are unpacked and not installed, so that no service starts.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=(prometheus prometheus-alertmanager)
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}/debian-programs")
say() { echo "$0: $*" >&2; }

fetch() {
    # The lists may be missing or old; what cannot be renewed may still do. Only root may renew them.
    apt-get update -qq -o Acquire::Retries=3 >&2 || say 'apt-get update failed, going on with the lists that are there'
    # Memcached, Redis and nginx need libraries, whose names change from one Debian to the next: whatever is not installed.
    local more
    more=$(apt-get install --simulate --no-install-recommends memcached redis-server nginx) || return
    more=$(awk '$1 == "Inst" { print $2 }' <<< "$more")
    # shellcheck disable=SC2086
    (cd "$new" && apt-get download -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root "${packages[@]}" $more >&2)
}

if [ ! -d "$folder" ]; then
    command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null \
        || { say "this is not Debian: put ${packages[*]} on the PATH yourself"; exit 1; }
    mkdir -p "$(dirname "$folder")"
    new=$(mktemp -d "$folder.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    for attempt in 1 2 3 last; do
        ! fetch || break
        [ "$attempt" != last ] || { say "cannot get ${packages[*]} from Debian's mirrors"; exit 1; }
        sleep 10
    done
    for package in "$new"/*.deb; do dpkg-deb -x "$package" "$new"; done
    rm "$new"/*.deb
    mkdir "$new/bin"
    for program in memcached redis-server nginx; do
        [ -e "$new/usr/bin/$program" ] || [ -e "$new/usr/sbin/$program" ] || continue
        cat > "$new/bin/$program" << 'END'
#!/bin/sh
# Runs the program of the same name with the libraries that were unpacked beside it.
here=$(dirname "$0")/..
for libraries in "$here"/usr/lib/*-linux-gnu "$here"/lib/*-linux-gnu; do
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries
done
export LD_LIBRARY_PATH
program=$here/usr/bin/$(basename "$0")
[ -e "$program" ] || program=$here/usr/sbin/$(basename "$0")
exec "$program" "$@"
END
        chmod +x "$new/bin/$program"
    done
    # All or nothing; another run may have been first.
    mv -T "$new" "$folder" 2> /dev/null || [ -d "$folder" ]
fi
# Alertmanager does not start without its templates, and knows one place for them.
templates=usr/share/prometheus/alertmanager
if [ ! -e "/$templates/default.tmpl" ]; then
    mkdir -p "/$templates" && cp "$folder/$templates"/*.tmpl "/$templates/" \
        || { say "cannot write /$templates: run this once as root, or install prometheus-alertmanager"; exit 1; }
fi
echo "$folder/bin:$folder/usr/bin"
