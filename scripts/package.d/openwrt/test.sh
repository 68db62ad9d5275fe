#!/bin/sh
# What the feed's CI runs in the package's root file system: test.sh PACKAGE VERSION
case "$1" in
	pinhole | pinhole-client) ;;
	*) exit 0 ;;
esac
pinhole --version | grep -qx "pinhole $2" || exit 1

file=$(mktemp)
trap 'rm -f "$file"' EXIT
printf '[client]\nremote_addr = "127.0.0.1:1"\ndefault_token = "t"\n[client.services]\n' >"$file"
chmod 600 "$file"
pinhole check "$file"
