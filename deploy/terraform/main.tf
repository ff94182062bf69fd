# The function, its role, its secret and its log. The same as deploy/sam/template.yaml.

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  # With JSON, Lambda itself lets no line through that is below this. Never above INFO: the lines with
  # the metrics have no level, and count as that.
  level_of_lines        = lookup({ debug = "DEBUG", trace = "TRACE" }, var.log_level, "INFO")
  application_log_level = var.log_format == "JSON" ? local.level_of_lines : null

  secret_arn = var.secret_arn == null ? aws_secretsmanager_secret.this[0].arn : var.secret_arn

  # What may not be there is left out, not empty.
  environment = merge(
    {
      S3_BUCKET                  = aws_s3_bucket.this.bucket
      S3_PREFIX                  = var.s3_prefix
      S3_STATE_PREFIX            = var.s3_state_prefix
      S3_EXPECTED_OWNER          = data.aws_caller_identity.this.account_id
      S3_STORAGE_CLASS           = var.storage_class
      OBSYNC_SECRET_NAME         = local.secret_arn
      LAMBDA_MAX_CONCURRENT      = tostring(var.connections)
      LAMBDA_BATCH_SIZE          = tostring(var.batch_size)
      LAMBDA_TIMEOUT_BUFFER      = tostring(var.timeout_buffer)
      LAMBDA_DOWNLOAD_ON_STARTUP = tostring(var.download_on_startup)
      LOG_LEVEL                  = var.log_level
    },
    var.object_tags == "" ? {} : { S3_TAGS = var.object_tags },
    length(var.vaults) == 0 ? {} : { OBSYNC_VAULTS = join(",", var.vaults) },
  )
}

resource "aws_lambda_function" "this" {
  function_name                  = var.name
  description                    = "Copies Obsidian Sync vaults to S3"
  filename                       = var.zip
  source_code_hash               = filebase64sha256(var.zip)
  handler                        = "bootstrap"
  runtime                        = "provided.al2023"
  architectures                  = [var.architecture]
  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrency
  role                           = aws_iam_role.function.arn
  tags                           = var.tags

  environment {
    variables = local.environment
  }

  logging_config {
    log_format = var.log_format
    log_group  = aws_cloudwatch_log_group.this.name

    application_log_level = local.application_log_level
  }

  dynamic "vpc_config" {
    for_each = length(var.subnet_ids) == 0 ? [] : [1]
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  # In a VPC it can't be made before its role may make network interfaces, nor be taken down after.
  depends_on = [aws_iam_role_policy.function, aws_iam_role_policy_attachment.vpc]
}

resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 3600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }
}

# Events that failed for good, each with its error.
resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

# Without a value: obsync then says so, and asks nobody. Filled in with the CLI, so that no secret is
# in Terraform's state, and no version of it is Terraform's to put back.
resource "aws_secretsmanager_secret" "this" {
  count       = var.secret_arn == null ? 1 : 0
  name_prefix = "${var.name}-"
  description = "obsync: {\"auth\": {\"email\", \"password\", \"totp_secret\"}, \"vaults\": {\"<id or name>\": {\"password\"}}}"
  tags        = var.tags
}

resource "aws_iam_role" "function" {
  name_prefix        = "${var.name}-"
  assume_role_policy = data.aws_iam_policy_document.assume["lambda"].json
  tags               = var.tags
}

resource "aws_iam_role_policy" "function" {
  name   = "obsync"
  role   = aws_iam_role.function.id
  policy = data.aws_iam_policy_document.function.json
}

resource "aws_iam_role_policy_attachment" "vpc" {
  count      = length(var.subnet_ids) == 0 ? 0 : 1
  role       = aws_iam_role.function.name
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}

data "aws_iam_policy_document" "assume" {
  for_each = toset(["lambda", "scheduler", "states"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }

    dynamic "condition" {
      for_each = each.key == "lambda" ? [] : [1]
      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [data.aws_caller_identity.this.account_id]
      }
    }
  }
}

# Exactly what the function does, on exactly what it does it to; deploy/iam/policy.json is the same.
data "aws_iam_policy_document" "function" {
  statement {
    sid       = "VaultObjects"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.this.arn}/${var.s3_prefix}*"]
  }

  statement {
    sid       = "StateObjects"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.this.arn}/${var.s3_state_prefix}*"]
  }

  # A request for an object that is not there bears no prefix; without ListBucket S3 answers it with
  # 403 instead of 404. Hence IfExists.
  statement {
    sid       = "ListObjects"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["${var.s3_prefix}*", "${var.s3_state_prefix}*"]
    }
  }

  # This action knows no prefix.
  statement {
    sid       = "ListUploads"
    actions   = ["s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.this.arn]
  }

  statement {
    sid       = "Secret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.secret_arn]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    sid       = "DeadLetters"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.dead_letters.arn]
  }

  dynamic "statement" {
    for_each = var.object_tags == "" ? [] : [1]
    content {
      sid       = "ObjectTags"
      actions   = ["s3:GetObjectTagging", "s3:PutObjectTagging"]
      resources = ["${aws_s3_bucket.this.arn}/${var.s3_prefix}*"]
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [1]
    content {
      sid       = "BucketKey"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [var.kms_key_arn]
    }
  }

  dynamic "statement" {
    for_each = var.secret_kms_key_arn == null ? [] : [1]
    content {
      sid       = "SecretKey"
      actions   = ["kms:Decrypt"]
      resources = [var.secret_kms_key_arn]
    }
  }
}
