output "function_name" {
  description = "The function's name"
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "The function's ARN"
  value       = aws_lambda_function.this.arn
}

output "bucket" {
  description = "The bucket's name"
  value       = aws_s3_bucket.this.bucket
}

output "secret_arn" {
  description = "Fill it in before the first run"
  value       = local.secret_arn
}

output "alarm_topic_arn" {
  description = "Where alarms go"
  value       = aws_sns_topic.alarms.arn
}

output "dead_letters_url" {
  description = "Events that failed for good"
  value       = aws_sqs_queue.dead_letters.url
}

output "state_machine_arn" {
  description = "The state machine, if there is one"
  value       = one(aws_sfn_state_machine.sync[*].arn)
}

output "queue_url" {
  description = "The queue, if there is one"
  value       = one(aws_sqs_queue.events[*].url)
}

output "dashboard_url" {
  description = "The dashboard"
  value       = "https://${data.aws_region.this.region}.console.aws.amazon.com/cloudwatch/home?region=${data.aws_region.this.region}#dashboards:name=${var.name}"
}
