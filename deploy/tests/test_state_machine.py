"""Runs deploy/stepfunctions/sync.asl.json on moto's Step Functions against a function that answers
by script, and checks how it ends and how often it called the function.

Its pauses are cut short; everything else is what gets deployed.
"""

import json
import logging
import os
import pathlib
import threading
import time
import unittest
from collections import defaultdict

import boto3
from moto import mock_aws
from moto.awslambda_simple.models import LambdaSimpleBackend

# For clients that never reach AWS.
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
# moto logs each failed state, and failing is what some are for.
logging.disable(logging.CRITICAL)

DEPLOY = pathlib.Path(__file__).parents[1]
REGION = "eu-central-1"
FUNCTION = "obsync"


def definition():
    """The deployed text with its substitutions, and with pauses of a moment."""
    text = (DEPLOY / "stepfunctions/sync.asl.json").read_text()
    arn = f"arn:aws:lambda:{REGION}:123456789012:function:{FUNCTION}"
    text = text.replace("${FunctionArn}", arn).replace("${Partition}", "aws")

    def shorten(node):
        if isinstance(node, list):
            return [shorten(item) for item in node]
        if not isinstance(node, dict):
            return node
        short = {"Seconds": 0, "IntervalSeconds": 1, "MaxDelaySeconds": 2}
        return {key: short.get(key, shorten(value)) for key, value in node.items()}

    return json.dumps(shorten(json.loads(text)))


def answer(status):
    """The function's answer for one vault."""
    whole = "partial" if status == "busy" else status
    return {"status": whole, "vaults": [{"vault_id": "v", "status": status}], "duration_ms": 1}


def error(kind):
    """What a function error carries."""
    return {"errorType": kind, "errorMessage": "in words"}


class Function:
    """Answers each vault by its own list; the last answer is repeated.

    The first calls wait until `together` of them are there.
    """

    def __init__(self, together=1, **scripts):
        self.scripts = scripts
        self.calls = defaultdict(list)
        self.order = []
        self.meeting = threading.Barrier(together, timeout=20)
        self.waiting = together
        self.lock = threading.Lock()

    def invoke(self, _backend, _name, _qualifier, body, _headers, response_headers):
        event = json.loads(body)
        vault = event.get("vault_id", event["type"])
        with self.lock:
            calls = self.calls[vault]
            script = self.scripts[vault]
            reply = script[min(len(calls), len(script) - 1)]
            calls.append(event)
            self.order.append(vault)
            self.waiting -= 1
            early = self.waiting >= 0
        if early:
            self.meeting.wait()
        if "errorType" in reply:
            response_headers["x-amz-function-error"] = "Unhandled"
        return json.dumps(reply).encode()

    def counts(self):
        return {vault: len(calls) for vault, calls in self.calls.items()}


class StateMachine(unittest.TestCase):
    def run_with(self, function, **given):
        """Starts an execution and waits for its end."""
        config = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
        original = LambdaSimpleBackend.invoke
        LambdaSimpleBackend.invoke = lambda backend, *args, **named: function.invoke(
            backend, *args, **named
        )
        try:
            with mock_aws(config=config):
                return self.execute(given)
        finally:
            LambdaSimpleBackend.invoke = original

    def execute(self, given):
        iam = boto3.client("iam", region_name=REGION)
        role = iam.create_role(RoleName="any", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        boto3.client("lambda", region_name=REGION).create_function(
            FunctionName=FUNCTION,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=role,
            Code={"ZipFile": b"never run"},
        )
        states = boto3.client("stepfunctions", region_name=REGION)
        machine = states.create_state_machine(name="sync", definition=definition(), roleArn=role)
        given.setdefault("vaults", [])
        started = states.start_execution(
            stateMachineArn=machine["stateMachineArn"], input=json.dumps(given)
        )
        deadline = time.monotonic() + 40
        while True:
            found = states.describe_execution(executionArn=started["executionArn"])
            if found["status"] != "RUNNING":
                return found
            self.assertLess(time.monotonic(), deadline, "the execution does not end")
            time.sleep(0.02)

    def test_partial_is_repeated_until_complete(self):
        function = Function(v=[answer("partial"), answer("partial"), answer("complete")])
        options = {"full_sync": True, "timeout_minutes": 9}
        found = self.run_with(function, vaults=["v"], options=options)
        self.assertEqual(found["status"], "SUCCEEDED", found)
        output = json.loads(found["output"])
        self.assertEqual(output["status"], "complete")
        self.assertEqual(output["vaults"][0]["rounds"], 3)
        self.assertEqual(output["vaults"][0]["answer"]["status"], "complete")
        event = {"type": "sync_vault", "vault_id": "v", "options": options}
        self.assertEqual(function.calls["v"], [event] * 3)

    def test_busy_is_waited_for(self):
        function = Function(v=[answer("busy"), answer("complete")])
        found = self.run_with(function, vaults=["v"])
        self.assertEqual(found["status"], "SUCCEEDED", found)
        self.assertEqual(json.loads(found["output"])["status"], "complete")
        self.assertEqual(function.counts(), {"v": 2})

    def test_rounds_are_bounded(self):
        function = Function(a=[answer("partial")], b=[answer("busy")], c=[answer("complete")])
        found = self.run_with(function, vaults=["a", "b", "c"], max_rounds=3)
        self.assertEqual(found["status"], "SUCCEEDED", found)
        output = json.loads(found["output"])
        self.assertEqual(output["status"], "partial")
        outcomes = [vault["outcome"] for vault in output["vaults"]]
        self.assertEqual(outcomes, ["unfinished", "unfinished", "complete"])
        self.assertEqual(function.counts(), {"a": 3, "b": 3, "c": 1})

    def test_a_final_error_is_not_tried_again(self):
        function = Function(v=[error("Obsync.WrongVaultPassword")])
        found = self.run_with(function, vaults=["v"])
        self.assertEqual((found["status"], found["error"]), ("FAILED", "Obsync.VaultsFailed"))
        self.assertEqual(json.loads(found["cause"]), ["v: Obsync.WrongVaultPassword"])
        self.assertEqual(function.counts(), {"v": 1})

    def test_a_passing_error_is_tried_again(self):
        for kind in ("Obsync.Network", "Obsync.Overloaded", "Lambda.TooManyRequestsException", "Lambda.Unknown"):
            with self.subTest(kind):
                function = Function(v=[error(kind), answer("complete")])
                found = self.run_with(function, vaults=["v"])
                self.assertEqual(found["status"], "SUCCEEDED", found)
                self.assertEqual(function.counts(), {"v": 2})

    def test_a_lasting_error_is_given_up(self):
        function = Function(v=[error("Sandbox.Timedout")])
        found = self.run_with(function, vaults=["v"])
        self.assertEqual(found["status"], "FAILED", found)
        self.assertEqual(function.counts(), {"v": 3})

    def test_one_vault_s_failure_is_its_own(self):
        function = Function(
            a=[answer("partial"), answer("complete")],
            b=[error("Obsync.WrongVaultPassword")],
            c=[answer("failed")],
            d=[answer("complete")],
        )
        found = self.run_with(function, vaults=["a", "b", "c", "d"])
        self.assertEqual(found["status"], "FAILED", found)
        self.assertEqual(json.loads(found["cause"]), ["b: Obsync.WrongVaultPassword", "c: failed"])
        self.assertEqual(function.counts(), {"a": 2, "b": 1, "c": 1, "d": 1})

    def test_a_cause_is_no_longer_than_it_may_be(self):
        # Each error's own words may be long.
        long = {"errorType": "Obsync.WrongVaultPassword", "errorMessage": "x" * 5000}
        vaults = [f"{number:032x}" for number in range(10)]
        function = Function(**{vault: [long] for vault in vaults})
        found = self.run_with(function, vaults=vaults, max_concurrency=10)
        self.assertEqual((found["status"], found["error"]), ("FAILED", "Obsync.VaultsFailed"))
        self.assertEqual(len(json.loads(found["cause"])), 10)
        # As many as are named come to less than the limit.
        self.assertLess(len(found["cause"]) / 10 * 300, 32768)

    def test_vaults_are_side_by_side_within_the_limit(self):
        # Three at a time without a word: the first three calls can only meet if they are.
        vaults = ["a", "b", "c", "d"]
        script = [answer("partial"), answer("partial"), answer("complete")]
        function = Function(together=3, **{vault: script for vault in vaults})
        found = self.run_with(function, vaults=vaults)
        self.assertEqual(found["status"], "SUCCEEDED", found)
        # One at a time: each is complete before the next begins.
        function = Function(**{vault: script for vault in vaults})
        found = self.run_with(function, vaults=vaults, max_concurrency=1)
        self.assertEqual(found["status"], "SUCCEEDED", found)
        self.assertEqual("".join(function.order), "aaabbbcccddd")

    def test_without_names_the_function_is_asked(self):
        known = {"status": "ok", "vaults": [{"vault_id": "a"}, {"vault_id": "b"}]}
        function = Function(
            status=[error("Obsync.Network"), known], a=[answer("complete")], b=[answer("complete")]
        )
        # An empty name is what a template without vaults gives.
        found = self.run_with(function, vaults=[""])
        self.assertEqual(found["status"], "SUCCEEDED", found)
        self.assertEqual(function.counts(), {"status": 2, "a": 1, "b": 1})

    def test_no_vaults_is_an_error(self):
        function = Function(status=[{"status": "ok", "vaults": []}])
        found = self.run_with(function)
        self.assertEqual((found["status"], found["error"]), ("FAILED", "Obsync.NoVaults"))
        self.assertEqual(function.counts(), {"status": 1})


if __name__ == "__main__":
    unittest.main()
