# A queue in front of the function, for syncs that other programs ask for: each message is one event.
# deploy/sam/queue.yaml says why it is a standard queue, and is the same.

resource "aws_sqs_queue" "events" {
  count                      = var.queue ? 1 : 0
  name                       = "${var.name}-events"
  sqs_managed_sse_enabled    = true
  visibility_timeout_seconds = 6 * var.timeout
  message_retention_seconds  = 1209600
  receive_wait_time_seconds  = 20
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.events_dead[0].arn
    maxReceiveCount     = var.queue_max_receives
  })
}

resource "aws_sqs_queue" "events_dead" {
  count                     = var.queue ? 1 : 0
  name                      = "${var.name}-events-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "events" {
  for_each  = var.queue ? { events = aws_sqs_queue.events[0], dead = aws_sqs_queue.events_dead[0] } : {}
  queue_url = each.value.url
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

data "aws_iam_policy_document" "queue" {
  for_each = var.queue ? { events = aws_sqs_queue.events[0], dead = aws_sqs_queue.events_dead[0] } : {}

  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_iam_role_policy" "read_queue" {
  count  = var.queue ? 1 : 0
  name   = "read-queue"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.read_queue[0].json
}

data "aws_iam_policy_document" "read_queue" {
  count = var.queue ? 1 : 0

  statement {
    sid       = "ReadQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.events[0].arn]
  }
}

# One message at a time: a whole invocation's time for its vault.
resource "aws_lambda_event_source_mapping" "events" {
  count                   = var.queue ? 1 : 0
  function_name           = aws_lambda_function.this.arn
  event_source_arn        = aws_sqs_queue.events[0].arn
  batch_size              = 1
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.queue_max_concurrency
  }

  depends_on = [aws_iam_role_policy.read_queue]
}
