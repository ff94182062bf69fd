"""Reads what is checked: templates, Terraform, the code they have to agree with."""

import json
import pathlib
import re

import hcl2
from cfnlint.decode import cfn_yaml

DEPLOY = pathlib.Path(__file__).parents[1]
ROOT = DEPLOY.parent


def sam(name="template"):
    """A CloudFormation template, its functions in their long form."""
    return json.loads(json.dumps(cfn_yaml.load(str(DEPLOY / f"sam/{name}.yaml"))))


def plain(node):
    """What python-hcl2 reads, without the quotes that it keeps around texts."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if isinstance(node, dict):
        return {plain(key): plain(value) for key, value in node.items() if not key.startswith("__")}
    if isinstance(node, str) and len(node) > 1 and node[0] == node[-1] == '"':
        return node[1:-1].replace('\\"', '"')
    return node


def terraform():
    """All files of the module: `{"resource": {(type, name): body}, "data": …, "variable": …, "locals": …}`."""
    found = {"resource": {}, "data": {}, "variable": {}, "output": {}, "locals": {}}
    for file in sorted((DEPLOY / "terraform").glob("*.tf")):
        with file.open() as text:
            tree = plain(hcl2.load(text))
        for kind in ("resource", "data"):
            for block in tree.get(kind, []):
                for type_, named in block.items():
                    for name, body in named.items():
                        assert (type_, name) not in found[kind], f"{type_}.{name} is there twice"
                        found[kind][type_, name] = body
        for kind in ("variable", "output"):
            for block in tree.get(kind, []):
                found[kind].update(block)
        for block in tree.get("locals", []):
            found["locals"].update(block)
    return found


def terraform_text():
    return "\n".join(file.read_text() for file in sorted((DEPLOY / "terraform").glob("*.tf")))


def source(*paths, leave_out=()):
    """Rust source: files, all below folders, or modules that may be either. Without their tests."""
    texts = []
    for path in paths:
        place = ROOT / path
        if not place.exists():
            place = place.with_suffix(".rs")
        files = sorted(place.rglob("*.rs")) if place.is_dir() else [place]
        names = {"tests.rs", *leave_out}
        texts += [file.read_text().split("#[cfg(test)]\nmod tests {")[0] for file in files if file.name not in names]
    return "\n".join(texts)


def known_variables():
    """The variables that obsync knows, and those of them that hold secrets."""
    text = source("crates/obsync-config/src/env_vars.rs")
    lines = re.findall(r'^    ([A-Z][A-Z0-9_]+)\s+(secret )?"', text, re.M)
    assert len(lines) > 20, "the list of variables is not where it was"
    return {name for name, _ in lines}, {name for name, secret in lines if secret}


def statements(policy):
    """A policy document as `{sid: (actions, resources, condition)}`."""
    found = {}
    for statement in policy:
        if "Fn::If" in statement:
            statement = statement["Fn::If"][1]
        as_list = lambda value: value if isinstance(value, list) else [value]
        assert statement["Effect"] == "Allow"
        assert statement["Sid"] not in found
        found[statement["Sid"]] = (
            sorted(as_list(statement["Action"])),
            as_list(statement["Resource"]),
            statement.get("Condition"),
        )
    return found


def terraform_statements(document):
    """The same of an aws_iam_policy_document."""
    blocks = list(document["statement"])
    for dynamic in document.get("dynamic", []):
        blocks += dynamic["statement"]["content"]
    found = {}
    for block in blocks:
        condition = {
            one["test"]: {one["variable"]: one["values"]} for one in block.get("condition", [])
        }
        assert block["sid"] not in found
        found[block["sid"]] = (sorted(block["actions"]), block["resources"], condition or None)
    return found
