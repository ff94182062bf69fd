#!/usr/bin/env bash
# A software bill of materials (CycloneDX, JSON) for each binary of a release, in build/sbom.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo cyclonedx --version >/dev/null 2>&1; then
	echo "cargo-cyclonedx is not installed: cargo install --locked cargo-cyclonedx" >&2
	exit 1
fi
rm -rf build/sbom
mkdir -p build/sbom
for package in obsync-cli obsync-lambda; do
	manifest=crates/$package/Cargo.toml
	cargo cyclonedx --quiet --manifest-path "$manifest" --format json --spec-version 1.5 \
		--describe binaries --target all
	# The tool writes beside each manifest that it read.
	find crates bench tests -name '*_bin.cdx.json' -path "*$package/*" -exec mv {} build/sbom/ \;
	find crates bench tests -name '*.cdx.json' -delete
done
for binary in obsync bootstrap; do
	if ! grep -q '"obsync-core"' "build/sbom/${binary}_bin.cdx.json"; then
		echo "there is no bill of materials of $binary, or it leaves out what the binary is made of" >&2
		exit 1
	fi
done
ls -l build/sbom
