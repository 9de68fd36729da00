#!/usr/bin/env bash
# Installs the binary under its three names, the shells' completions and the systemd units; or removes them.
# Usage: install-local.sh install BINARY | uninstall. PREFIX (/usr/local), SYSCONFDIR (/etc) and DESTDIR (a directory that
# stands for /) say where.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=${PREFIX:-/usr/local} sysconfdir=${SYSCONFDIR:-/etc} destdir=${DESTDIR:-}
bin=$destdir$prefix/bin
unit=$destdir$prefix/lib/systemd/system/leasehold@.service
settings=$destdir$sysconfdir/leasehold
declare -A completions=(
    [bash]=$destdir$prefix/share/bash-completion/completions/leasehold
    [zsh]=$destdir$prefix/share/zsh/site-functions/_leasehold
    [fish]=$destdir$prefix/share/fish/vendor_completions.d/leasehold.fish
)
# Not for a directory that stands for another machine's.
systemd() { if [[ -z $destdir && -d /run/systemd/system ]]; then systemctl "$@"; fi; }

case $1 in
install)
    install -D -m 755 --strip "$2" "$bin/leasehold"
    # By these names kubectl has it as `kubectl leasehold`, and completes its command lines.
    ln -sf leasehold "$bin/kubectl-leasehold"
    ln -sf leasehold "$bin/kubectl_complete-leasehold"
    for shell in "${!completions[@]}"; do
        "$bin/leasehold" completion "$shell" | install -D -m 644 /dev/stdin "${completions[$shell]}"
    done
    sed "s#@BINDIR@#$prefix/bin#; s#@SYSCONFDIR@#$sysconfdir#" config/systemd/leasehold@.service |
        install -D -m 644 /dev/stdin "$unit"
    install -d -m 755 "$settings"
    install -d -m 700 "$settings/credentials"
    # Somebody's settings stay as they are.
    [[ -e $settings/leasehold.env ]] || install -m 600 config/systemd/leasehold.env "$settings/leasehold.env"
    systemd daemon-reload
    echo "Installed $bin/leasehold. Its settings as a service: $settings/leasehold.env; then: systemctl enable --now leasehold@run"
    ;;
uninstall)
    systemd stop 'leasehold@*'
    systemd disable --quiet leasehold@run leasehold@controller leasehold@webhook
    rm -f "$bin"/{leasehold,kubectl-leasehold,kubectl_complete-leasehold} "${completions[@]}" "$unit"
    systemd daemon-reload
    echo "Removed leasehold. Its settings in $settings and its state in /var/lib/leasehold stay; remove them when nobody needs them."
    ;;
*)
    echo "error: install-local.sh got \"$1\"; allowed: install BINARY, or uninstall" >&2
    exit 2
    ;;
esac
