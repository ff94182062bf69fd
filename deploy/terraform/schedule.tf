# What starts the function: the schedule, by itself or through the state machine.

locals {
  started_arn = var.state_machine ? aws_sfn_state_machine.sync[0].arn : aws_lambda_function.this.arn

  # The form of an EventBridge event; the scheduler fills in what is in angle brackets, which
  # jsonencode would escape.
  scheduled_event = replace(replace(jsonencode({
    version     = "0"
    id          = "<aws.scheduler.execution-id>"
    detail-type = "Scheduled Event"
    source      = "aws.scheduler"
    account     = data.aws_caller_identity.this.account_id
    time        = "<aws.scheduler.scheduled-time>"
    region      = data.aws_region.this.region
    resources   = ["<aws.scheduler.schedule-arn>"]
    detail      = {}
  }), "\\u003c", "<"), "\\u003e", ">")

  schedule_input = var.state_machine ? jsonencode({ vaults = var.vaults }) : local.scheduled_event
}

resource "aws_scheduler_schedule" "this" {
  name                = var.name
  description         = "Brings the vaults up to date"
  schedule_expression = var.schedule_expression
  state               = var.schedule_enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 5
  }

  target {
    arn      = local.started_arn
    role_arn = aws_iam_role.schedule.arn
    input    = local.schedule_input

    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 3600
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letters.arn
    }
  }
}

resource "aws_iam_role" "schedule" {
  name_prefix        = "${var.name}-schedule-"
  assume_role_policy = data.aws_iam_policy_document.assume["scheduler"].json
  tags               = var.tags
}

resource "aws_iam_role_policy" "schedule" {
  name   = "start"
  role   = aws_iam_role.schedule.id
  policy = data.aws_iam_policy_document.schedule.json
}

data "aws_iam_policy_document" "schedule" {
  statement {
    actions   = [var.state_machine ? "states:StartExecution" : "lambda:InvokeFunction"]
    resources = [local.started_arn]
  }

  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]
  }
}

resource "aws_sfn_state_machine" "sync" {
  count    = var.state_machine ? 1 : 0
  name     = var.name
  role_arn = aws_iam_role.state_machine[0].arn
  tags     = var.tags

  definition = templatefile("${path.module}/../stepfunctions/sync.asl.json", {
    FunctionArn = aws_lambda_function.this.arn
    Partition   = data.aws_partition.this.partition
  })

  lifecycle {
    precondition {
      condition     = length(var.vaults) > 0
      error_message = "With state_machine = true, name the vaults in vaults."
    }
  }
}

resource "aws_iam_role" "state_machine" {
  count              = var.state_machine ? 1 : 0
  name_prefix        = "${var.name}-states-"
  assume_role_policy = data.aws_iam_policy_document.assume["states"].json
  tags               = var.tags
}

resource "aws_iam_role_policy" "state_machine" {
  count  = var.state_machine ? 1 : 0
  name   = "invoke"
  role   = aws_iam_role.state_machine[0].id
  policy = data.aws_iam_policy_document.state_machine.json
}

data "aws_iam_policy_document" "state_machine" {
  statement {
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_function.this.arn]
  }
}
