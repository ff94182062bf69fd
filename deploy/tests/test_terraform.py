"""What the Terraform module works out by itself, by a terraform without its provider: variables with
their checks, and all locals. What AWS would give, a name or an ARN, is stood in for by a word.

Without terraform this is left out; what can be read without it, test_templates reads.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import pathlib
import unittest

from reading import DEPLOY, sam

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"


def blocks(text, head):
    """The insides of all blocks that begin so."""
    for start in re.finditer(rf"^{head} {{$", text, re.M):
        depth, at = 1, start.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        yield text[start.end() : at - 1]


def stood_in(text):
    """Without what only the provider knows."""
    text = re.sub(r"#.*", "", text)
    text = re.sub(r"(?:data\.)?aws_\w+\.\w+\[\*\](?:\.\w+)", '["word"]', text)
    text = re.sub(r"(?:data\.)?aws_\w+\.\w+(?:\[[^\]]*\])?(?:\.\w+)", '"word"', text)
    return re.sub(r"(?:data\.)?aws_\w+\.\w+", '{ word = { arn = "word" } }', text)


@unittest.skipUnless(shutil.which("terraform"), "terraform is not installed: the module is only read")
class Locals(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        files = sorted((DEPLOY / "terraform").glob("*.tf"))
        insides = [inside for file in files for inside in blocks(file.read_text(), "locals")]
        self.names = re.findall(r"^  (\w+) += ", "\n".join(insides), re.M)
        (self.place / "locals.tf").write_text("".join(f"locals {{{stood_in(inside)}}}\n" for inside in insides))
        shutil.copy(DEPLOY / "terraform/variables.tf", self.place)

    def console(self, **variables):
        given = {"zip": "x.zip", **variables}
        (self.place / "terraform.tfvars.json").write_text(json.dumps(given))
        wanted = ", ".join(f"{name} = local.{name}" for name in self.names)
        return subprocess.run(
            ["terraform", "console", "-no-color"],
            input=f"jsonencode({{ {wanted} }})\n",
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.place,
            env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"},
        )

    def locals(self, **variables):
        done = self.console(**variables)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn("(known after apply)", done.stdout)
        return json.loads(json.loads(done.stdout))

    def test_by_default(self):
        found = self.locals()
        self.assertEqual(found["application_log_level"], "INFO")
        self.assertNotIn("OBSYNC_VAULTS", found["environment"])
        self.assertEqual(set(found["plain_alarms"]), {"failures", "errors", "throttles", "dead-letters"})
        self.assertEqual(found["ages"][""]["hours"], 3)
        event = json.loads(found["schedule_input"])
        self.assertEqual(event["id"], "<aws.scheduler.execution-id>")
        text = sam()["Resources"]["Schedule"]["Properties"]["Target"]["Input"]["Fn::If"][2]["Fn::Sub"]
        self.assertEqual(set(event), set(json.loads(text)))

    def test_with_everything(self):
        found = self.locals(
            vaults=["My vault", "Work"],
            state_machine=True,
            queue=True,
            secret_arn=SECRET,
            object_tags="a=b",
            watched_vaults={"0123": 24},
            kms_key_arn="arn:aws:kms:eu-central-1:123456789012:key/x",
        )
        self.assertEqual(json.loads(found["schedule_input"]), {"vaults": ["My vault", "Work"]})
        self.assertEqual(found["environment"]["OBSYNC_VAULTS"], "My vault,Work")
        self.assertEqual(found["environment"]["OBSYNC_SECRET_NAME"], SECRET)
        self.assertIn("dead-events", found["plain_alarms"])
        self.assertEqual(found["ages"]["-0123"]["dimensions"]["VaultId"], "0123")
        widgets = found["dashboard"]["widgets"]
        self.assertEqual([widget["type"] for widget in widgets], ["metric"] * 6 + ["alarm"])
        limits = [widget["properties"].get("annotations", {}).get("horizontal") for widget in widgets]
        self.assertEqual([limit for limit in limits if limit], [[{"label": "limit", "value": 512}]])
        self.assertEqual(len({(widget["x"], widget["y"]) for widget in widgets}), len(widgets))
        self.assertGreaterEqual(len(widgets[-1]["properties"]["alarms"]), 4)

    def test_log_levels(self):
        expected = {"error": "INFO", "warn": "INFO", "info": "INFO", "debug": "DEBUG", "trace": "TRACE"}
        for level, lines in expected.items():
            self.assertEqual(self.locals(log_level=level)["application_log_level"], lines)
        self.assertIsNone(self.locals(log_level="debug", log_format="Text")["application_log_level"])

    def test_variables_are_checked(self):
        for name, value in (("architecture", "mips"), ("s3_prefix", "/vaults"), ("s3_state_prefix", "state")):
            done = self.console(**{name: value})
            self.assertIn(name, done.stdout + done.stderr)
            self.assertNotEqual(done.stderr, "", name)


if __name__ == "__main__":
    unittest.main()
