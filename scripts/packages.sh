#!/usr/bin/env bash
# Installs the Debian packages named as arguments, those that are missing. Asks for nothing when all are there.
set -euo pipefail

missing=()
for package in "$@"; do
    [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

root=()
if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || {
        echo "error: needs ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
        exit 1
    }
    root=(sudo)
fi
echo "Installing ${missing[*]} ..." >&2
# What is wanted of packages with a service, nginx and prometheus, is the program: the service must not start by itself
# (invoke-rc.d(8)). A machine that has a policy of its own keeps it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" install -m 755 /dev/stdin "$policy"
fi
# A mirror that fails once, or another apt-get at work, is no reason to give up.
patience=(-o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
"${root[@]}" apt-get "${patience[@]}" update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${patience[@]}" install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
