"""The templates against each other and against the code."""

import json
import re
import unittest

from reading import (
    DEPLOY,
    ROOT,
    known_variables,
    sam,
    source,
    statements,
    terraform,
    terraform_statements,
    terraform_text,
)

SAM = sam()
RESOURCES = SAM["Resources"]
TERRAFORM = terraform()

# A SAM parameter and the Terraform variable that is the same.
TWINS = {
    "ScheduleExpression": "schedule_expression",
    "Architecture": "architecture",
    "MemorySize": "memory_size",
    "Timeout": "timeout",
    "Connections": "connections",
    "BatchSize": "batch_size",
    "TimeoutBuffer": "timeout_buffer",
    "DownloadOnStartup": "download_on_startup",
    "LogLevel": "log_level",
    "LogFormat": "log_format",
    "LogRetentionDays": "log_retention_days",
    "S3Prefix": "s3_prefix",
    "S3StatePrefix": "s3_state_prefix",
    "StorageClass": "storage_class",
    "ObjectTags": "object_tags",
    "OldVersionsDays": "old_versions_days",
    "ArchiveAfterDays": "archive_after_days",
    "OldStateVersionsDays": "old_state_versions_days",
    "MaxAgeHours": "max_age_hours",
    # Their "none" is written differently.
    "Vaults": "vaults",
    "ScheduleState": "schedule_enabled",
    "StateMachine": "state_machine",
    "SecretArn": "secret_arn",
    "SecretKmsKeyArn": "secret_kms_key_arn",
    "ReservedConcurrency": "reserved_concurrency",
    "SubnetIds": "subnet_ids",
    "SecurityGroupIds": "security_group_ids",
    "BucketName": "bucket_name",
    "KmsKeyArn": "kms_key_arn",
    "AlarmEmail": "alarm_email",
}
NONES = {"", "[]", "null", "no", "false", "0", "-1", "ENABLED", "true"}
# Variables without a parameter: of queue.yaml and vault-alarm.yaml, or of Terraform's own.
TERRAFORM_ONLY = {"name", "zip", "tags", "queue", "queue_max_receives", "queue_max_concurrency", "watched_vaults"}


def function():
    return RESOURCES["Function"]["Properties"]


def default(value):
    return json.dumps(value) if not isinstance(value, str) else value


def terraform_environment():
    text = (DEPLOY / "terraform/main.tf").read_text()
    block = text[text.index("environment = merge(") : text.index('resource "aws_lambda_function" "this"')]
    return set(re.findall(r"([A-Z][A-Z0-9_]+) +=", block))


class Function(unittest.TestCase):
    def test_both_make_the_same_function(self):
        twin = TERRAFORM["resource"]["aws_lambda_function", "this"]
        self.assertEqual(function()["Runtime"], "provided.al2023")
        self.assertEqual(function()["Handler"], "bootstrap")
        self.assertEqual(twin["runtime"], function()["Runtime"])
        self.assertEqual(twin["handler"], function()["Handler"])

    def test_parameters_are_variables_with_the_same_defaults(self):
        parameters, variables = SAM["Parameters"], TERRAFORM["variable"]
        self.assertEqual(set(parameters), set(TWINS))
        self.assertEqual(set(variables), set(TWINS.values()) | TERRAFORM_ONLY)
        for parameter, variable in TWINS.items():
            ours = default(parameters[parameter]["Default"])
            theirs = default(variables[variable]["default"])
            if not (ours in NONES and theirs in NONES):
                self.assertEqual(ours, theirs, parameter)

    def test_every_parameter_is_used_and_grouped(self):
        text = (DEPLOY / "sam/template.yaml").read_text()
        groups = SAM["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        grouped = [name for group in groups for name in group["Parameters"]]
        self.assertEqual(sorted(grouped), sorted(SAM["Parameters"]))
        for name in SAM["Parameters"]:
            used = re.findall(rf"!Ref {name}\b|\$\{{{name}\}}", text)
            self.assertTrue(used, name)
        for name in TERRAFORM["variable"]:
            self.assertRegex(terraform_text(), rf"var\.{name}\b")

    def test_the_environment_is_known_to_obsync_and_holds_no_secret(self):
        known, secret = known_variables()
        ours = set(function()["Environment"]["Variables"])
        self.assertEqual(ours - known, set())
        self.assertEqual(ours & secret, set())
        self.assertEqual(ours, terraform_environment())
        everything = (DEPLOY / "sam/template.yaml").read_text() + terraform_text()
        for name in secret | {"OBSIDIAN_EMAIL"}:
            self.assertNotIn(name, everything)

    def test_lambda_lets_through_what_the_level_asks_for(self):
        # Lambda filters JSON lines by level, and lines without one, as those of metrics, as INFO.
        expected = {level: "INFO" for level in SAM["Parameters"]["LogLevel"]["AllowedValues"]}
        expected.update(debug="DEBUG", trace="TRACE")
        levels = SAM["Mappings"]["ApplicationLogLevels"]
        self.assertEqual({name: level["Level"] for name, level in levels.items()}, expected)
        config = function()["LoggingConfig"]
        condition, level, otherwise = config["ApplicationLogLevel"]["Fn::If"]
        self.assertEqual(SAM["Conditions"][condition], {"Fn::Equals": [{"Ref": "LogFormat"}, "JSON"]})
        self.assertEqual(level, {"Fn::FindInMap": ["ApplicationLogLevels", {"Ref": "LogLevel"}, "Level"]})
        self.assertEqual(otherwise, {"Ref": "AWS::NoValue"})
        # What it is, is evaluated in test_terraform.
        twin = TERRAFORM["resource"]["aws_lambda_function", "this"]["logging_config"][0]
        self.assertEqual(twin["application_log_level"], "${local.application_log_level}")
        self.assertNotIn("system_log_level", twin)

    def test_the_state_machine_s_vaults_are_named(self):
        rule = SAM["Rules"]["TheStateMachineKnowsItsVaults"]
        self.assertEqual(rule["RuleCondition"], {"Fn::Equals": [{"Ref": "StateMachine"}, "yes"]})
        named = rule["Assertions"][0]["Assert"]
        self.assertEqual(named, {"Fn::Not": [{"Fn::Contains": [{"Ref": "Vaults"}, ""]}]})
        twin = TERRAFORM["resource"]["aws_sfn_state_machine", "sync"]["lifecycle"][0]["precondition"]
        self.assertEqual(twin[0]["condition"], "${length(var.vaults) > 0}")

    def test_the_role_may_use_the_vpc_before_the_function_does(self):
        twin = TERRAFORM["resource"]["aws_lambda_function", "this"]
        self.assertIn("${aws_iam_role_policy_attachment.vpc}", twin["depends_on"])

    def test_terraform_names_only_what_is_there(self):
        # What `terraform validate` would say, if it could be had without the provider.
        text = re.sub(r"#.*|description += .*", "", terraform_text())
        for name in re.findall(r"\bvar\.(\w+)", text):
            self.assertIn(name, TERRAFORM["variable"])
        for name in re.findall(r"\blocal\.(\w+)", text):
            self.assertIn(name, TERRAFORM["locals"])
        for kind, name in re.findall(r"\bdata\.(aws_\w+)\.(\w+)", text):
            self.assertIn((kind, name), TERRAFORM["data"])
        for kind, name in re.findall(r"(?<![.\w])(aws_\w+)\.(\w+)", text):
            self.assertIn((kind, name), TERRAFORM["resource"])

    def test_the_zip_is_the_one_that_make_builds(self):
        self.assertEqual(function()["CodeUri"], "../../build/obsync-lambda.zip")


class Permissions(unittest.TestCase):
    # Each template's own words, as policy.json has them.
    WORDS = [
        ('{"Fn::Sub": "${Bucket.Arn}/${S3Prefix}*"}', "arn:aws:s3:::BUCKET/vaults/*"),
        ('{"Fn::Sub": "${Bucket.Arn}/${S3StatePrefix}*"}', "arn:aws:s3:::BUCKET/state/*"),
        ('{"Fn::GetAtt": ["Bucket", "Arn"]}', "arn:aws:s3:::BUCKET"),
        ('{"Fn::Sub": "${S3Prefix}*"}', "vaults/*"),
        ('{"Fn::Sub": "${S3StatePrefix}*"}', "state/*"),
        (
            '{"Fn::If": ["MakesSecret", {"Ref": "Secret"}, {"Ref": "SecretArn"}]}',
            "arn:aws:secretsmanager:REGION:ACCOUNT:secret:SECRET",
        ),
        (
            '{"Fn::GetAtt": ["LogGroup", "Arn"]}',
            "arn:aws:logs:REGION:ACCOUNT:log-group:/aws/lambda/FUNCTION:*",
        ),
        ('{"Fn::GetAtt": ["DeadLetters", "Arn"]}', "arn:aws:sqs:REGION:ACCOUNT:DEAD-LETTERS"),
        ('{"Ref": "KmsKeyArn"}', "arn:aws:kms:REGION:ACCOUNT:key/BUCKET-KEY"),
        ('{"Ref": "SecretKmsKeyArn"}', "arn:aws:kms:REGION:ACCOUNT:key/SECRET-KEY"),
        ("${aws_s3_bucket.this.arn}/${var.s3_prefix}*", "arn:aws:s3:::BUCKET/vaults/*"),
        ("${aws_s3_bucket.this.arn}/${var.s3_state_prefix}*", "arn:aws:s3:::BUCKET/state/*"),
        ("${aws_s3_bucket.this.arn}", "arn:aws:s3:::BUCKET"),
        ("${var.s3_prefix}*", "vaults/*"),
        ("${var.s3_state_prefix}*", "state/*"),
        ("${local.secret_arn}", "arn:aws:secretsmanager:REGION:ACCOUNT:secret:SECRET"),
        (
            "${aws_cloudwatch_log_group.this.arn}:*",
            "arn:aws:logs:REGION:ACCOUNT:log-group:/aws/lambda/FUNCTION:*",
        ),
        ("${aws_sqs_queue.dead_letters.arn}", "arn:aws:sqs:REGION:ACCOUNT:DEAD-LETTERS"),
        ("${var.kms_key_arn}", "arn:aws:kms:REGION:ACCOUNT:key/BUCKET-KEY"),
        ("${var.secret_kms_key_arn}", "arn:aws:kms:REGION:ACCOUNT:key/SECRET-KEY"),
    ]

    def said(self, value):
        words = dict(self.WORDS)
        key = value if isinstance(value, str) else json.dumps(value)
        if isinstance(value, str) and value in words.values():
            return value
        self.assertIn(key, words, "a resource that policy.json does not have")
        return words[key]

    def in_common_words(self, policy):
        found = {}
        for sid, (actions, resources, condition) in policy.items():
            condition = {
                test: {key: [self.said(value) for value in values] for key, values in keys.items()}
                for test, keys in (condition or {}).items()
            }
            found[sid] = (actions, [self.said(resource) for resource in resources], condition)
        return found

    def policies(self):
        json_policy = json.loads((DEPLOY / "iam/policy.json").read_text())["Statement"]
        role = RESOURCES["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        document = TERRAFORM["data"]["aws_iam_policy_document", "function"]
        return (
            self.in_common_words(statements(json_policy)),
            self.in_common_words(statements(role)),
            self.in_common_words(terraform_statements(document)),
        )

    def test_the_three_policies_are_one(self):
        policy, role, document = self.policies()
        self.assertEqual(role, policy)
        self.assertEqual(document, policy)

    def test_no_wildcard_stands_for_all_of_something(self):
        for sid, (actions, resources, _) in self.policies()[0].items():
            for action in actions:
                self.assertNotIn("*", action, sid)
            for resource in resources:
                self.assertNotEqual(resource, "*", sid)
                self.assertNotRegex(resource, r"BUCKET/\*", sid)

    def test_s3_actions_are_those_that_the_code_names(self):
        # Every refusal names its action; so the code lists what it does. Only the command line tries
        # out a bucket.
        code = source("crates/obsync-s3/src", leave_out=["probe.rs"])
        named = set(re.findall(r'"(s3:[A-Za-z]+)"', code))
        given = {
            action
            for sid, (actions, _, _) in self.policies()[0].items()
            for action in actions
            if action.startswith("s3:") and sid != "ObjectTags"
        }
        self.assertEqual(given, named)

    def test_nobody_else_may_do_more_than_start_and_report(self):
        allowed = {"lambda:InvokeFunction", "states:StartExecution", "sqs:SendMessage"}
        for name in ("ScheduleRole", "StateMachineRole"):
            text = json.dumps(RESOURCES[name]["Properties"]["Policies"])
            for action in re.findall(r'"Action": "([^"]+)"', text):
                self.assertIn(action, allowed)
        for name in ("schedule", "state_machine"):
            document = TERRAFORM["data"]["aws_iam_policy_document", name]
            for statement in document["statement"]:
                for action in statement["actions"]:
                    for word in re.findall(r"[a-z]+:[A-Za-z]+", action):
                        self.assertIn(word, allowed)


class Bucket(unittest.TestCase):
    def test_it_is_versioned_encrypted_and_closed(self):
        bucket = RESOURCES["Bucket"]
        self.assertEqual((bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]), ("Retain", "Retain"))
        properties = bucket["Properties"]
        self.assertEqual(properties["VersioningConfiguration"]["Status"], "Enabled")
        self.assertEqual(set(properties["PublicAccessBlockConfiguration"].values()), {True})
        self.assertEqual(len(properties["PublicAccessBlockConfiguration"]), 4)
        self.assertIn("aws:kms", json.dumps(properties["BucketEncryption"]))
        self.assertIn("AES256", json.dumps(properties["BucketEncryption"]))

        resources = TERRAFORM["resource"]
        self.assertTrue(resources["aws_s3_bucket", "this"]["lifecycle"][0]["prevent_destroy"])
        versioning = resources["aws_s3_bucket_versioning", "this"]["versioning_configuration"]
        self.assertEqual(versioning[0]["status"], "Enabled")
        block = resources["aws_s3_bucket_public_access_block", "this"]
        for name in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"):
            self.assertIs(block[name], True, name)
        self.assertIn(("aws_s3_bucket_server_side_encryption_configuration", "this"), resources)

    def test_what_closes_it_stays_as_long_as_it_does(self):
        policy = RESOURCES["BucketPolicy"]
        self.assertEqual((policy["DeletionPolicy"], policy["UpdateReplacePolicy"]), ("Retain", "Retain"))
        readme = (DEPLOY / "terraform/README.md").read_text()
        self.assertIn("terraform state list | grep aws_s3_bucket | xargs -n1 terraform state rm", readme)
        kept = [kind for kind, _ in TERRAFORM["resource"] if "aws_s3_bucket" in kind]
        for kind in ("aws_s3_bucket_policy", "aws_s3_bucket_public_access_block", "aws_s3_bucket_versioning"):
            self.assertIn(kind, kept)

    def test_only_tls(self):
        policy = RESOURCES["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        ours = {one["Sid"]: one["Condition"] for one in policy if one["Effect"] == "Deny"}
        self.assertEqual(ours["OnlyTls"], {"Bool": {"aws:SecureTransport": "false"}})
        theirs = terraform_statements(TERRAFORM["data"]["aws_iam_policy_document", "bucket"])
        self.assertEqual(set(theirs), set(ours))
        self.assertEqual(theirs["OnlyTls"][2], {"Bool": {"aws:SecureTransport": ["false"]}})

    def test_lifecycle(self):
        rules = RESOURCES["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        ours = {rule["Id"]: rule for rule in rules}
        abort = ours["uploads-that-were-never-completed"]["AbortIncompleteMultipartUpload"]
        self.assertEqual(abort["DaysAfterInitiation"], 1)
        theirs = TERRAFORM["resource"]["aws_s3_bucket_lifecycle_configuration", "this"]["rule"]
        self.assertEqual({rule["id"] for rule in theirs}, set(ours))
        # What is current never expires: it is somebody's note.
        for rule in rules:
            self.assertNotIn("ExpirationInDays", rule)
            self.assertNotIn("ExpirationDate", rule)
        for rule in theirs:
            for expiration in rule.get("expiration", []):
                self.assertEqual(set(expiration), {"expired_object_delete_marker"})


class Queue(unittest.TestCase):
    QUEUE = sam("queue")

    def test_messages_come_again_not_too_early(self):
        timeout = int(SAM["Parameters"]["Timeout"]["Default"])
        visibility = int(self.QUEUE["Parameters"]["VisibilityTimeout"]["Default"])
        self.assertGreaterEqual(visibility, 6 * timeout)
        twin = TERRAFORM["resource"]["aws_sqs_queue", "events"]
        self.assertEqual(twin["visibility_timeout_seconds"], "${6 * var.timeout}")
        # A message must outlive all its tries.
        retention = self.QUEUE["Resources"]["Queue"]["Properties"]["MessageRetentionPeriod"]
        tries = int(self.QUEUE["Parameters"]["MaxReceives"]["Default"])
        self.assertGreater(retention, tries * visibility)

    def test_failed_messages_are_reported_one_by_one(self):
        ours = self.QUEUE["Resources"]["Mapping"]["Properties"]
        theirs = TERRAFORM["resource"]["aws_lambda_event_source_mapping", "events"]
        self.assertEqual(ours["FunctionResponseTypes"], ["ReportBatchItemFailures"])
        self.assertEqual(theirs["function_response_types"], ours["FunctionResponseTypes"])
        self.assertEqual(theirs["batch_size"], ours["BatchSize"])
        self.assertIn("MaximumConcurrency", ours["ScalingConfig"])
        self.assertIn("maximum_concurrency", theirs["scaling_config"][0])

    def test_reading_is_allowed_equally(self):
        ours = statements(self.QUEUE["Resources"]["ReadQueue"]["Properties"]["PolicyDocument"]["Statement"])
        theirs = terraform_statements(TERRAFORM["data"]["aws_iam_policy_document", "read_queue"])
        self.assertEqual(ours["ReadQueue"][0], theirs["ReadQueue"][0])


class Monitoring(unittest.TestCase):
    def metrics(self):
        """Every metric that a template names: (namespace, name)."""
        found = {}

        def walk(node, into):
            if isinstance(node, dict):
                if "MetricName" in node and "Namespace" in node:
                    into.add((node["Namespace"], node["MetricName"]))
                for value in node.values():
                    walk(value, into)
            elif isinstance(node, list):
                for value in node:
                    walk(value, into)

        ours = set()
        for name in ("template", "queue", "vault-alarm"):
            walk(sam(name), ours)
        found["sam"] = ours
        text = terraform_text()
        pairs = re.findall(r'namespace\s+= "([^"]+)"\s+metric(?:_name)?\s+= "([^"]+)"', text)
        found["terraform"] = set(pairs)
        return found

    def test_both_watch_the_same(self):
        metrics = self.metrics()
        self.assertEqual(metrics["sam"], metrics["terraform"])

    def test_the_function_writes_what_is_watched(self):
        code = source("crates/obsync-lambda/src/metrics")
        self.assertIn('"Obsync"', code)
        watched = {name for space, name in self.metrics()["sam"] if space == "Obsync"}
        drawn = set()
        for text in (json.dumps(self.dashboard()), terraform_text()):
            drawn |= set(re.findall(r'"Obsync", "(\w+)"', text))
            drawn |= set(re.findall(r'MetricName=\\"(\w+)\\"', text))
        self.assertGreater(len(watched), 2)
        self.assertGreater(len(drawn), 5)
        for name in watched | drawn | {"FunctionName", "VaultId"}:
            self.assertIn(f'"{name}"', code)

    def dashboard(self):
        text = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        return json.loads(re.sub(r"\$\{[\w.:]+\}", "1", text))

    def test_both_dashboards_draw_the_same(self):
        ours = [widget for widget in self.dashboard()["widgets"] if widget["type"] == "metric"]
        text = terraform_text()
        block = text[text.index("widgets = [") : text.index("drawn_alarms")]
        self.assertEqual(re.findall(r'title = "([^"]+)"', block), [one["properties"]["title"] for one in ours])
        drawn = lambda text: sorted(
            re.findall(r'"(?:Obsync|AWS/\w+)", "(\w+)"', text) + re.findall(r'MetricName=\\+"(\w+)', text)
        )
        self.assertEqual(drawn(block), drawn(json.dumps(ours)))
        alarms = text[text.index("drawn_alarms") :]
        for kind, name in TERRAFORM["resource"]:
            if kind == "aws_cloudwatch_metric_alarm":
                self.assertIn(f"{kind}.{name}", alarms)
        self.assertIn('type   = "alarm"', text)
        self.assertIn("dashboard_url", TERRAFORM["output"])

    def test_an_alarm_says_whose_age_it_is(self):
        for name, words in (("template", "of any vault"), ("vault-alarm", "of the vault ${VaultId}")):
            alarm = sam(name)["Resources"]["AgeAlarm"]["Properties"]
            self.assertIn(words, alarm["AlarmDescription"]["Fn::Sub"])
        twin = TERRAFORM["resource"]["aws_cloudwatch_metric_alarm", "age"]
        self.assertIn("${each.value.of}", twin["alarm_description"])

    def test_the_dashboard_draws_what_is_there(self):
        dashboard = self.dashboard()
        self.assertGreaterEqual(len(dashboard["widgets"]), 6)
        text = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        for alarm in re.findall(r"\$\{(\w+Alarm)\.Arn\}", text):
            self.assertEqual(RESOURCES[alarm]["Type"], "AWS::CloudWatch::Alarm")

    def test_every_alarm_tells_somebody(self):
        for name in ("template", "queue", "vault-alarm"):
            for key, resource in sam(name)["Resources"].items():
                if resource["Type"] == "AWS::CloudWatch::Alarm":
                    self.assertTrue(resource["Properties"]["AlarmActions"], key)
        for (kind, name), body in TERRAFORM["resource"].items():
            if kind == "aws_cloudwatch_metric_alarm":
                self.assertEqual(body["alarm_actions"], ["${aws_sns_topic.alarms.arn}"], name)

    def test_silence_is_an_alarm(self):
        for name in ("template", "vault-alarm"):
            alarm = sam(name)["Resources"]["AgeAlarm"]["Properties"]
            self.assertEqual(alarm["TreatMissingData"], "breaching")
        twin = TERRAFORM["resource"]["aws_cloudwatch_metric_alarm", "age"]
        self.assertEqual(twin["treat_missing_data"], "breaching")


class StateMachineText(unittest.TestCase):
    TEXT = (DEPLOY / "stepfunctions/sync.asl.json").read_text()

    def test_what_is_tried_again_is_what_may_pass(self):
        states = json.loads(self.TEXT)["States"]
        sync = states["Each vault"]["ItemProcessor"]["States"]["Sync"]
        self.assertEqual(states["Ask which"]["Retry"], sync["Retry"])
        kinds = [kind for retrier in sync["Retry"] for kind in retrier["ErrorEquals"]]
        ours = {kind for kind in kinds if kind.startswith("Obsync.")}
        self.assertGreater(len(ours), 0)
        # States.ALL would try a wrong password again, which the service answers with a lock-out.
        self.assertFalse({"States.ALL", "States.TaskFailed"} & set(kinds))
        self.assertEqual(ours, error_types("AGAIN"))
        # A process that was killed: by its own end, for its time, for its memory.
        self.assertLessEqual({"Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout"}, set(kinds))
        guide = (ROOT / "docs/lambda.md").read_text()
        for kind in ("Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout"):
            self.assertTrue(f"`{kind}`" in guide, kind)

    def test_both_templates_fill_in_all_of_it(self):
        holes = set(re.findall(r"\$\{(\w+)\}", self.TEXT))
        machine = RESOURCES["SyncStateMachine"]["Properties"]
        self.assertEqual(set(machine["DefinitionSubstitutions"]), holes)
        twin = TERRAFORM["resource"]["aws_sfn_state_machine", "sync"]["definition"]
        for hole in holes:
            self.assertIn(f"{hole} =", twin)


def error_types(*which):
    """The types of obsync's function errors: all, or the AGAIN or the FINAL ones."""
    code = source("crates/obsync-lambda/src/answer")
    kinds = re.findall(r'\bkind\(\s*"(\w+)",\s*(AGAIN|FINAL),', code)
    assert len(kinds) > 20, "the table of kinds is not where it was"
    return {
        "Obsync." + "".join(part.capitalize() for part in word.split("_"))
        for word, again in kinds
        if not which or again in which
    }


class Files(unittest.TestCase):
    def test_every_json_is_json(self):
        files = list(DEPLOY.rglob("*.json"))
        self.assertGreater(len(files), 1)
        for file in files:
            with self.subTest(file.name):
                json.loads(file.read_text())

    def test_the_schedule_s_event_is_one(self):
        text = RESOURCES["Schedule"]["Properties"]["Target"]["Input"]["Fn::If"][2]["Fn::Sub"]
        event = json.loads(text)
        self.assertEqual((event["detail-type"], event["source"]), ("Scheduled Event", "aws.scheduler"))
        code = source("crates/obsync-lambda/src/event")
        self.assertIn(f'"{event["detail-type"]}"', code)
        self.assertIn(f'"{event["source"]}"', code)

    def test_no_template_has_a_value_for_the_secret(self):
        # One that had could put it back over what was filled in.
        self.assertFalse({"SecretString", "GenerateSecretString"} & set(RESOURCES["Secret"]["Properties"]))
        self.assertIn(("aws_secretsmanager_secret", "this"), TERRAFORM["resource"])
        self.assertNotIn("aws_secretsmanager_secret_version", {kind for kind, _ in TERRAFORM["resource"]})

    def test_the_guide_s_links_lead_somewhere(self):
        for name in ("docs/lambda.md", "docs/lambda-features.md", "deploy/terraform/README.md"):
            file = ROOT / name
            text = file.read_text()
            for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
                self.assertTrue((file.parent / link).exists(), f"{name}: {link}")

    def test_the_guide_tells_every_error(self):
        text = (ROOT / "docs/lambda.md").read_text()
        told = set(re.findall(r"`(Obsync\.\w+)`", text))
        self.assertEqual(told, error_types())

    def test_the_guide_tells_every_metric_and_alarm(self):
        text = (ROOT / "docs/lambda.md").read_text()
        code = source("crates/obsync-lambda/src/metrics")
        table = code[code.index("pub const METRICS") : code.index("];")]
        for name in re.findall(r'\("(\w+)", "\w+"\)', table):
            self.assertIn(f"`{name}`", text)
        for name, resource in RESOURCES.items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                self.assertIn(f"`{name}`", text)

    def test_the_guide_s_headings_are_there(self):
        heads = {}
        for file in (ROOT / "docs").glob("*.md"):
            lines = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            heads[file.name] = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}
        for name in ("lambda.md", "lambda-features.md"):
            text = (ROOT / "docs" / name).read_text()
            for file, head in re.findall(r"\]\(([\w.-]*)#([^)]+)\)", text):
                self.assertIn(head, heads[file or name], f"{name}: {file}#{head}")

    def test_the_guide_tells_every_setting(self):
        text = (ROOT / "docs/lambda.md").read_text()
        for name in function()["Environment"]["Variables"]:
            self.assertIn(f"`{name}`", text)
        for name in SAM["Parameters"]:
            self.assertIn(f"`{name}`", text)


if __name__ == "__main__":
    unittest.main()
