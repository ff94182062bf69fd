#!/usr/bin/env bash
# How many crates each binary links, against a budget: growth is to be a decision. Whether the crates that
# the cryptography rests on are those that were read. And, where its tool is, the bill of materials.
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

while read -r crate version; do
	if ! grep -A1 "^name = \"$crate\"$" Cargo.lock | grep -q "^version = \"$version\"$"; then
		echo "Cargo.lock has another $crate than $version: read it, and docs/crypto-audit.md again" >&2
		failed=1
	fi
done < <(sed -n '/^## Versions/,$p' docs/crypto-audit.md | grep -E '^[a-z0-9-]+ [0-9.]+$')

if cargo cyclonedx --version >/dev/null 2>&1; then
	scripts/sbom.sh
else
	echo "cargo-cyclonedx is not installed: the bill of materials was not tried"
fi
exit "$failed"
