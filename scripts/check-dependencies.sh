#!/usr/bin/env bash
# How many crates each binary links, against a budget: growth is to be a decision.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
while read -r package budget; do
	count=$(cargo tree --locked --edges normal --prefix none --format '{p}' -p "$package" |
		sed 's/ (.*//' | sort -u | wc -l)
	echo "$package links $count crates, of $budget that it may"
	if [ "$count" -gt "$budget" ]; then
		echo "  too many: do without the new one, or raise the number in scripts/dependency-budget and say why" >&2
		failed=1
	fi
done < <(grep -v '^#' scripts/dependency-budget)
exit "$failed"
