# Alarms and the dashboard.

locals {
  # Alarms on one metric: namespace, metric, dimensions, statistic, seconds, and what it means.
  plain_alarms = merge(
    {
      failures = {
        namespace  = "Obsync"
        metric     = "Failures"
        dimensions = { FunctionName = aws_lambda_function.this.function_name }
        statistic  = "Sum"
        period     = 3600
        text       = "a vault failed to sync, or an event was refused. The log says which and why."
      }
      # What the function cannot tell itself: time-outs, kills for want of memory, a failed start.
      errors = {
        namespace  = "AWS/Lambda"
        metric     = "Errors"
        dimensions = { FunctionName = aws_lambda_function.this.function_name }
        statistic  = "Sum"
        period     = 3600
        text       = "invocations failed"
      }
      throttles = {
        namespace  = "AWS/Lambda"
        metric     = "Throttles"
        dimensions = { FunctionName = aws_lambda_function.this.function_name }
        statistic  = "Sum"
        period     = 3600
        text       = "invocations were throttled. Raise the concurrency, or start fewer at once."
      }
      dead-letters = {
        namespace  = "AWS/SQS"
        metric     = "ApproximateNumberOfMessagesVisible"
        dimensions = { QueueName = aws_sqs_queue.dead_letters.name }
        statistic  = "Maximum"
        period     = 300
        text       = "events failed for good. They lie in the dead-letter queue with their errors."
      }
    },
    var.queue ? {
      dead-events = {
        namespace  = "AWS/SQS"
        metric     = "ApproximateNumberOfMessagesVisible"
        dimensions = { QueueName = aws_sqs_queue.events_dead[0].name }
        statistic  = "Maximum"
        period     = 300
        text       = "messages were tried too often and lie in the dead-letter queue"
      }
    } : {},
  )

  # The whole function, and the vaults that are watched by themselves.
  ages = merge(
    {
      "" = {
        of         = "any vault"
        hours      = var.max_age_hours
        dimensions = { FunctionName = aws_lambda_function.this.function_name }
      }
    },
    {
      for vault, hours in var.watched_vaults : "-${vault}" => {
        of         = "the vault ${vault}"
        hours      = hours
        dimensions = { FunctionName = aws_lambda_function.this.function_name, VaultId = vault }
      }
    },
  )
}

# Not encrypted with the account's own SNS key: CloudWatch may not use that one. Alarms say which
# metric, and nothing of a vault.
resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
  tags = var.tags
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.alarm_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_cloudwatch_metric_alarm" "plain" {
  for_each            = local.plain_alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "obsync: ${each.value.text}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

# A run that has to stop does so before the buffer; one that comes this close was not able to.
resource "aws_cloudwatch_metric_alarm" "duration" {
  alarm_name          = "${var.name}-duration"
  alarm_description   = "obsync: an invocation ended within 1.5 % of its time-out. Raise timeout_buffer."
  evaluation_periods  = 1
  threshold           = 98.5
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags

  metric_query {
    id          = "share"
    label       = "Percent of the time-out"
    expression  = "duration / 10 / ${var.timeout}"
    return_data = true
  }

  metric_query {
    id          = "duration"
    return_data = false

    metric {
      namespace   = "AWS/Lambda"
      metric_name = "Duration"
      stat        = "Maximum"
      period      = 3600
      dimensions  = { FunctionName = aws_lambda_function.this.function_name }
    }
  }
}

# The age of the last success. No data at all is a breach: a schedule that starts nothing makes none.
resource "aws_cloudwatch_metric_alarm" "age" {
  for_each            = local.ages
  alarm_name          = "${var.name}-age${each.key}"
  alarm_description   = "obsync: no run of ${each.value.of} was complete in the last ${each.value.hours} hours"
  evaluation_periods  = each.value.hours
  datapoints_to_alarm = each.value.hours
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags

  metric_query {
    id          = "complete"
    label       = "Complete runs"
    expression  = "FILL(runs, 0) - FILL(failures, 0) - FILL(partials, 0)"
    return_data = true
  }

  metric_query {
    id          = "runs"
    return_data = false

    metric {
      namespace   = "Obsync"
      metric_name = "SyncDuration"
      stat        = "SampleCount"
      period      = 3600
      dimensions  = each.value.dimensions
    }
  }

  metric_query {
    id          = "failures"
    return_data = false

    metric {
      namespace   = "Obsync"
      metric_name = "Failures"
      stat        = "Sum"
      period      = 3600
      dimensions  = each.value.dimensions
    }
  }

  metric_query {
    id          = "partials"
    return_data = false

    metric {
      namespace   = "Obsync"
      metric_name = "PartialSyncs"
      stat        = "Sum"
      period      = 3600
      dimensions  = each.value.dimensions
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "state_machine" {
  count               = var.state_machine ? 1 : 0
  alarm_name          = "${var.name}-state-machine"
  alarm_description   = "obsync: executions of the state machine failed or ran out of time"
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags

  metric_query {
    id          = "bad"
    label       = "Failed or timed out"
    expression  = "FILL(failed, 0) + FILL(late, 0)"
    return_data = true
  }

  metric_query {
    id          = "failed"
    return_data = false

    metric {
      namespace   = "AWS/States"
      metric_name = "ExecutionsFailed"
      stat        = "Sum"
      period      = 3600
      dimensions  = { StateMachineArn = aws_sfn_state_machine.sync[0].arn }
    }
  }

  metric_query {
    id          = "late"
    return_data = false

    metric {
      namespace   = "AWS/States"
      metric_name = "ExecutionsTimedOut"
      stat        = "Sum"
      period      = 3600
      dimensions  = { StateMachineArn = aws_sfn_state_machine.sync[0].arn }
    }
  }
}

locals {
  # Widgets on a grid of two columns: title, statistic, the line of a limit, metrics.
  widgets = [
    {
      title = "Runs", stat = "Sum", limits = [],
      metrics = [
        ["Obsync", "SyncDuration", "FunctionName", var.name, { stat = "SampleCount", label = "runs" }],
        ["Obsync", "PartialSyncs", "FunctionName", var.name, { label = "partial" }],
        ["Obsync", "Failures", "FunctionName", var.name, { label = "failed" }],
        ["Obsync", "ColdStart", "FunctionName", var.name, { label = "cold starts" }],
      ]
    },
    {
      title = "Seconds a run", stat = "Maximum", limits = [],
      metrics = [
        ["Obsync", "SyncDuration", "FunctionName", var.name, { stat = "Maximum", label = "longest" }],
        ["Obsync", "SyncDuration", "FunctionName", var.name, { stat = "p50", label = "median" }],
      ]
    },
    {
      title = "Files", stat = "Sum", limits = [],
      metrics = [
        [{ expression = "SEARCH('{Obsync,FunctionName,VaultId} FunctionName=\"${var.name}\" MetricName=\"FilesProcessed\"', 'Sum')", label = "" }],
      ]
    },
    {
      title = "Bytes downloaded", stat = "Sum", limits = [],
      metrics = [
        ["Obsync", "BytesDownloaded", "FunctionName", var.name],
      ]
    },
    {
      title = "Memory (MB)", stat = "Maximum", limits = [{ label = "limit", value = var.memory_size }],
      metrics = [
        ["Obsync", "MemoryUsage", "FunctionName", var.name, { label = "most" }],
      ]
    },
    {
      title = "Invocations", stat = "Sum", limits = [],
      metrics = [
        ["AWS/Lambda", "Invocations", "FunctionName", var.name],
        ["AWS/Lambda", "Errors", "FunctionName", var.name],
        ["AWS/Lambda", "Throttles", "FunctionName", var.name],
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", aws_sqs_queue.dead_letters.name, { stat = "Maximum", label = "dead letters" }],
      ]
    },
  ]

  drawn_alarms = concat(
    [for alarm in aws_cloudwatch_metric_alarm.age : alarm.arn],
    [for alarm in aws_cloudwatch_metric_alarm.plain : alarm.arn],
    [aws_cloudwatch_metric_alarm.duration.arn],
    aws_cloudwatch_metric_alarm.state_machine[*].arn,
  )

  # Widgets of both kinds are joined as a tuple: they have no one type.
  dashboard = {
    widgets = concat(
      [
        for index, widget in local.widgets : {
          type   = "metric"
          x      = index % 2 * 12
          y      = floor(index / 2) * 6
          width  = 12
          height = 6
          properties = {
            title       = widget.title
            region      = data.aws_region.this.region
            period      = 3600
            stat        = widget.stat
            view        = "timeSeries"
            metrics     = widget.metrics
            annotations = { horizontal = widget.limits }
          }
        }
      ],
      [
        {
          type   = "alarm"
          x      = 0
          y      = ceil(length(local.widgets) / 2) * 6
          width  = 24
          height = 3
          properties = {
            title  = "Alarms"
            alarms = local.drawn_alarms
          }
        },
      ],
    )
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode(local.dashboard)
}
