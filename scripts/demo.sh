#!/usr/bin/env bash
# The main job, on a service that runs on this machine: sign in, sync a sample vault, sync again.
# Everything happens below build/demo; nothing outside it is read or written.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:-target}/debug
bin=$(cd "$bin" && pwd)
demo=$PWD/build/demo
rm -rf "$demo"
mkdir -p "$demo"
cd "$demo"

mkfifo ready
"$bin/obsync-devserver" serve --sample "My vault" --account me@example.com:account \
	--vault-password "my vault" >ready &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true; rm -f "$demo/ready"' EXIT
read -r line <ready
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' <<<"$line")

# Prints a command as one would type it; bold on a terminal.
say() {
	local bold='' plain='' word
	[ -t 1 ] && bold=$'\033[1m' plain=$'\033[0m'
	printf '\n%s$' "$bold"
	for word in "$@"; do
		case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
	done
	printf '%s\n' "$plain"
}
run() {
	say "$@"
	# Only what is named here reaches obsync: not your settings, not your account.
	env -i PATH="$bin:$PATH" HOME="$demo" TERM="${TERM:-dumb}" OBSIDIAN_API_URL="$url" \
		OBSYNC_STATE_DIR="$demo/state" OBSYNC_CONFIG="$demo/none.json" \
		OBSIDIAN_EMAIL=me@example.com OBSIDIAN_PASSWORD=account \
		OBSIDIAN_VAULT_PASSWORD="my vault" "$@"
}

echo '{}' >none.json
echo "A local Obsidian Sync service runs at $url with one encrypted sample vault."
run obsync login
run obsync vaults
run obsync sync "My vault" --dest notes
say ls notes
ls notes
run obsync sync "My vault" --dest notes
run obsync status "My vault"
run obsync verify "My vault" --dest notes
echo
echo "The notes are in build/demo/notes."
