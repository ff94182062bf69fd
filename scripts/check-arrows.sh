#!/usr/bin/env bash
# Dependencies point down only: what a crate must never link, checked on the real dependency tree.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
# must_not CRATE "cargo tree flags" FORBIDDEN...
must_not() {
	local crate=$1 flags=$2
	shift 2
	local tree
	# shellcheck disable=SC2086
	tree=$(cargo tree --locked --edges normal --prefix none --format '{p}' -p "$crate" $flags)
	for forbidden in "$@"; do
		if grep -q "^$forbidden v" <<<"$tree"; then
			echo "$crate must not depend on $forbidden" >&2
			failed=1
		fi
	done
}

ours_above_protocol="obsync-core obsync-config obsync-local obsync-s3 obsync-cli obsync-lambda obsync-devserver"
front_end_of_terminals="clap indicatif rpassword"
front_end="$front_end_of_terminals tracing-subscriber"
# shellcheck disable=SC2086
{
	must_not obsidian-sync "" $ours_above_protocol $front_end rusqlite
	must_not obsidian-sync "--no-default-features" tokio reqwest rustls tokio-tungstenite
	must_not obsync-core "" obsync-config obsync-local obsync-s3 obsync-cli obsync-devserver $front_end rusqlite object_store
	must_not obsync-config "" obsync-core obsync-local obsync-s3 obsync-cli obsync-devserver clap indicatif rpassword rusqlite object_store
	must_not obsync-local "" obsync-config obsync-s3 obsync-cli obsync-devserver $front_end object_store
	must_not obsync-s3 "" obsync-config obsync-local obsync-cli obsync-devserver $front_end rusqlite aws-config aws-lc-sys openssl-sys
	must_not obsync-devserver "" obsync-core obsync-config obsync-local obsync-s3 obsync-cli
	must_not obsync-cli "" obsync-lambda obsync-devserver
	must_not obsync-lambda "" obsync-local obsync-cli obsync-devserver obsync-doubles $front_end_of_terminals rusqlite libsqlite3-sys aws-lc-sys openssl-sys
}
[ "$failed" = 0 ] && echo "arrows point down"
exit "$failed"
