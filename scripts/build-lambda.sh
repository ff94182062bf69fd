#!/usr/bin/env bash
# Builds the function's zip: one file, `bootstrap`, that runs on provided.al2023. Downloads nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: scripts/build-lambda.sh [--arch arm64|x86_64] [--profile lambda|dev] [--out ZIP] [--bootstrap FILE]

  --arch       what the function runs on (arm64; with --bootstrap and --profile dev: this machine's)
  --profile    lambda: small and fast, checked for provided.al2023; dev: built soon, for this machine
  --out        the zip (build/obsync-lambda.zip)
  --bootstrap  zip this program and build nothing"

# What provided.al2023 has, and what a zip may weigh.
glibc_there=2.34
libraries_there='^(libc|libm|libgcc_s|libdl|libpthread|librt|ld-linux-[a-z0-9-]+)\.so\.[0-9]+$'
most_bytes=5000000

die() {
	printf 'error: %s\n' "$@" >&2
	exit 1
}

arch='' profile=lambda out=build/obsync-lambda.zip bootstrap=''
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) echo "$usage" && exit 0 ;;
	--arch | --profile | --out | --bootstrap)
		[ $# -ge 2 ] || die "$1 needs a value" "$usage"
		declare "${1#--}=$2"
		shift 2
		;;
	*) die "what is $1?" "$usage" ;;
	esac
done
case $profile in lambda | dev) ;; *) die "--profile is lambda or dev, not '$profile'" ;; esac

rustc=${RUSTC:-rustc}
host=$("$rustc" -vV | sed -n 's/^host: //p')
if [ -z "$arch" ]; then
	arch=arm64
	if [ -n "$bootstrap" ] || [ "$profile" = dev ]; then arch=${host%%-*}; fi
fi
case $arch in
arm64 | aarch64) arch=arm64 target=aarch64-unknown-linux-gnu machine=AArch64 ;;
x86_64) target=x86_64-unknown-linux-gnu machine='Advanced Micro Devices X86-64' ;;
*) die "--arch is arm64 or x86_64, not '$arch'" ;;
esac

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need python3 "python3, which writes the zip"
readelf=''
for name in readelf llvm-readelf greadelf; do
	if command -v "$name" >/dev/null 2>&1; then readelf=$name && break; fi
done
[ -n "$readelf" ] || missing+=("readelf, which checks the program:        apt-get install binutils")

has_zig() { command -v zig >/dev/null 2>&1 || python3 -m ziglang version >/dev/null 2>&1; }

# Sets `how`: the command that builds for the target, if there is one.
how=()
plan() {
	local std gcc
	std=$("$rustc" --print sysroot)/lib/rustlib/$target/lib
	if ! compgen -G "$std/libstd-*.rlib" >/dev/null; then
		missing+=("Rust's standard library for $target:   rustup target add $target")
	fi
	gcc=${target%%-*}-linux-gnu-gcc
	if command -v cargo-zigbuild >/dev/null 2>&1 && has_zig; then
		# The one way that chooses the glibc to link with.
		how=(cargo zigbuild --target "$target.$glibc_there")
	elif [ "$host" = "$target" ]; then
		how=(cargo build --target "$target")
	elif command -v "$gcc" >/dev/null 2>&1; then
		local upper
		upper=$(tr a-z- A-Z_ <<<"$target")
		how=(env "CARGO_TARGET_${upper}_LINKER=$gcc" cargo build --target "$target")
	else
		missing+=("a linker and C compiler for $arch:   pip install cargo-zigbuild ziglang"
			"    or, on Debian and Ubuntu:          apt-get install gcc-aarch64-linux-gnu")
	fi
}

built=${CARGO_TARGET_DIR:-target}
if [ -n "$bootstrap" ]; then
	[ -f "$bootstrap" ] || die "there is no $bootstrap"
elif [ "$profile" = dev ]; then
	[ "$host" = "$target" ] || die "a dev build runs on this machine, $host, and not on $target"
	how=(cargo build)
	bootstrap=$built/debug/bootstrap
else
	plan
	how+=(--profile lambda)
	bootstrap=$built/$target/lambda/bootstrap
	# No path of this machine gets into the program, which makes it the same on every machine.
	flags=("--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" "--remap-path-prefix=$PWD=/obsync")
	export CARGO_ENCODED_RUSTFLAGS="${flags[0]}"$'\x1f'"${flags[1]}"
fi
if [ ${#missing[@]} -gt 0 ]; then
	echo "error: this machine can't build the function for $arch. It lacks:" >&2
	printf '  %s\n' "${missing[@]}" >&2
	if [ "$arch" = arm64 ] && [ "$host" = x86_64-unknown-linux-gnu ]; then
		echo "hint: x86_64 needs none of the compilers: make build-lambda ARCH=x86_64" >&2
		echo "      (the function is then deployed with the architecture x86_64)" >&2
	fi
	exit 1
fi
if [ ${#how[@]} -gt 0 ]; then
	echo "Building bootstrap for $arch, profile $profile …" >&2
	"${how[@]}" --locked -p obsync-lambda --bin bootstrap
fi

# The program must start there: its machine, the libraries it loads, the versions it asks of glibc.
"$readelf" -h "$bootstrap" | grep -q "Machine: *$machine" || die "$bootstrap is not for $arch"
"$readelf" -d "$bootstrap" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r library; do
	[[ $library =~ $libraries_there ]] || die "$bootstrap needs $library, which Lambda does not have"
done
# A static program asks for none.
versions=$("$readelf" -V "$bootstrap" 2>/dev/null | grep -o 'GLIBC_[A-Z0-9._]*' | sort -uV || true)
glibc=$(sed -n 's/^GLIBC_\([0-9.]*\)$/\1/p' <<<"$versions" | tail -n 1)
if [ "$profile" = lambda ] && grep -qx 'GLIBC_ABI_DT_RELR' <<<"$versions"; then
	die "$bootstrap has packed relocations (GLIBC_ABI_DT_RELR), which glibc $glibc_there does not know" \
		"build it without the linker's -z pack-relative-relocs"
fi
newest=$(printf '%s\n' "$glibc_there" "${glibc:-0}" | sort -V | tail -n 1)
if [ "$profile" = lambda ] && [ "$newest" != "$glibc_there" ]; then
	die "$bootstrap needs glibc $glibc; provided.al2023 has $glibc_there" \
		"this linker takes the newest there is: pip install cargo-zigbuild ziglang, and build again"
fi

mkdir -p "$(dirname "$out")"
python3 - "$bootstrap" "$out" "$profile" <<'PYTHON'
import os, subprocess, sys, tempfile, zipfile

program, out, profile = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    if profile == "dev":
        # What only a debugger wants is most of a dev build. Without `strip` the zip is large.
        slim = os.path.join(folder, "bootstrap")
        try:
            subprocess.run(["strip", "-o", slim, program], check=True)
            program = slim
        except (OSError, subprocess.CalledProcessError):
            pass
    # The same program gives the same zip.
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    level = 9 if profile == "lambda" else 1
    new = f"{out}.{os.getpid()}.new"
    with zipfile.ZipFile(new, "w") as archive, open(program, "rb") as bootstrap:
        archive.writestr(entry, bootstrap.read(), compresslevel=level)
    os.replace(new, out)
PYTHON

bytes=$(wc -c <"$out")
bytes=${bytes//[[:space:]]/}
echo "$out: $arch, $bytes bytes (the program: $(($(wc -c <"$bootstrap")))), glibc ${glibc:-not used}"
if [ "$profile" = lambda ]; then
	[ "$bytes" -le "$most_bytes" ] || die "the zip is larger than $most_bytes bytes: what came in that is not needed?"
	echo "Try it here with: make lambda-local ZIP=$out. Deploy it as docs/lambda.md tells."
fi
