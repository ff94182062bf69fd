#!/usr/bin/env bash
# Checks deploy/: linters of the ecosystem, the templates against each other and against the code,
# and the state machine run on an emulator. The tools are installed once, pinned, below the user's
# cache. What can't be had on a laptop is left out, and says so; OBSYNC_DEPLOY=require makes that a
# failure.
set -euo pipefail
cd "$(dirname "$0")/.."

asl_validator=asl-validator@4.0.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/obsync
requirements=deploy/tests/requirements.txt

missing() {
	if [ "${OBSYNC_DEPLOY:-}" = require ]; then
		echo "error: $1" >&2
		exit 1
	fi
	echo "SKIPPED: $1" >&2
}

# Another set of versions is another place: an old one is never half of a new one.
digest() {
	cksum | cut -d ' ' -f 1
}

python=
place=$cache/deploy-python-$(digest <"$requirements")
if [ ! -e "$place/installed" ]; then
	if ! command -v python3 >/dev/null; then
		missing "python3 is not installed: the templates are not checked"
		exit 0
	fi
	mkdir -p "$cache"
	if timeout 300 python3 -m venv --clear "$place" &&
		timeout 300 "$place/bin/python" -m pip install --quiet -r "$requirements"; then
		touch "$place/installed"
	else
		missing "the tools of $requirements could not be installed: the templates are not checked"
		exit 0
	fi
fi
python=$place/bin/python

echo "cfn-lint"
"$place/bin/cfn-lint" deploy/sam/*.yaml

echo "asl-validator"
node_place=$cache/deploy-node-$(echo "$asl_validator" | digest)
validator=$node_place/node_modules/.bin/asl-validator
if [ ! -e "$node_place/installed" ] && command -v npm >/dev/null && command -v node >/dev/null; then
	mkdir -p "$node_place"
	if timeout 300 npm install --silent --no-audit --no-fund --ignore-scripts \
		--prefix "$node_place" "$asl_validator" >&2; then
		touch "$node_place/installed"
	fi
fi
if [ -e "$node_place/installed" ] && command -v node >/dev/null; then
	filled=$(mktemp -d)
	trap 'rm -rf "$filled"' EXIT
	# It knows nothing of the templates' substitutions.
	sed -e 's/\${Partition}/aws/g' \
		-e 's/\${FunctionArn}/arn:aws:lambda:eu-central-1:123456789012:function:obsync/g' \
		deploy/stepfunctions/sync.asl.json >"$filled/sync.asl.json"
	timeout 60 "$validator" --json-path "$filled/sync.asl.json"
else
	missing "npm's $asl_validator is not there: the state machine's form is not checked"
fi

if command -v terraform >/dev/null; then
	echo "terraform fmt"
	TF_CLI_CONFIG_FILE=/dev/null terraform fmt -check -diff deploy/terraform
else
	echo "terraform is not installed: its formatting is not checked"
fi

echo "templates and state machine"
cd deploy/tests
export PYTHONDONTWRITEBYTECODE=1
timeout 120 "$python" -m unittest --quiet test_templates test_terraform test_state_machine
