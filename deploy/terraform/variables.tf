# What is synced, and when

variable "name" {
  description = "Name of the function, and of what belongs to it"
  type        = string
  default     = "obsync"
}

variable "zip" {
  description = "The function's zip, made by `make build-lambda`"
  type        = string
}

variable "vaults" {
  description = "Vaults to sync, ids or names; empty takes all whose password is in the secret. With the state machine they must be named"
  type        = list(string)
  default     = []
}

variable "schedule_expression" {
  description = "How often: a rate() or cron() expression of EventBridge Scheduler"
  type        = string
  default     = "rate(1 hour)"
}

variable "schedule_enabled" {
  description = "false leaves the function to events of your own"
  type        = bool
  default     = true
}

variable "state_machine" {
  description = "Let a Step Functions state machine go through the vaults until each is complete"
  type        = bool
  default     = false
}

variable "secret_arn" {
  description = "A secret with the combined credentials; null makes one for you to fill in"
  type        = string
  default     = null
}

variable "secret_kms_key_arn" {
  description = "The KMS key of that secret, if it is not the account's own for Secrets Manager"
  type        = string
  default     = null
}

# The function

variable "architecture" {
  description = "Must be that of the zip: arm64 or x86_64"
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory_size" {
  description = "In MB; more memory is also more CPU"
  type        = number
  default     = 512
}

variable "timeout" {
  description = "In seconds"
  type        = number
  default     = 900
}

variable "reserved_concurrency" {
  description = "Most invocations at once; -1 reserves none"
  type        = number
  default     = -1
}

variable "connections" {
  description = "Download connections per vault"
  type        = number
  default     = 3
}

variable "batch_size" {
  description = "Files per checkpoint"
  type        = number
  default     = 50
}

variable "timeout_buffer" {
  description = "Seconds kept back before the deadline to save progress"
  type        = number
  default     = 30
}

variable "download_on_startup" {
  description = "Load the states of the vaults while the function starts"
  type        = bool
  default     = true
}

variable "log_level" {
  description = "error, warn, info, debug or trace"
  type        = string
  default     = "info"
}

variable "log_format" {
  description = "JSON or Text"
  type        = string
  default     = "JSON"
}

variable "log_retention_days" {
  description = "How long logs are kept"
  type        = number
  default     = 30
}

variable "subnet_ids" {
  description = "Private subnets with a way to the internet; empty runs outside a VPC"
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups in the VPC, which must let HTTPS out"
  type        = list(string)
  default     = []
}

# The bucket

variable "bucket_name" {
  description = "Name of the bucket that is made; null takes the function's name and random letters"
  type        = string
  default     = null
}

variable "s3_prefix" {
  description = "Prefix of vault files, with its last slash"
  type        = string
  default     = "vaults/"

  validation {
    condition     = can(regex("^[^/].*/$", var.s3_prefix))
    error_message = "s3_prefix must end in a slash and not begin with one."
  }
}

variable "s3_state_prefix" {
  description = "Prefix of state objects, with its last slash"
  type        = string
  default     = "state/"

  validation {
    condition     = can(regex("^[^/].*/$", var.s3_state_prefix))
    error_message = "s3_state_prefix must end in a slash and not begin with one."
  }
}

variable "kms_key_arn" {
  description = "KMS key for the bucket; null encrypts with keys that S3 manages"
  type        = string
  default     = null
}

variable "storage_class" {
  description = "Storage class of the vault's objects"
  type        = string
  default     = "STANDARD"
}

variable "object_tags" {
  description = "Tags of the vault's objects, k=v&k=v"
  type        = string
  default     = ""
}

variable "old_versions_days" {
  description = "How long replaced and deleted versions of vault files are kept; Glacier bills 90 days at least after archive_after_days"
  type        = number
  default     = 120
}

variable "archive_after_days" {
  description = "When old versions above 128 KB move to Glacier Instant Retrieval; 0 for never"
  type        = number
  default     = 30
}

variable "old_state_versions_days" {
  description = "How long replaced versions of state objects are kept"
  type        = number
  default     = 7
}

# The queue

variable "queue" {
  description = "Put a queue in front of the function, for syncs that other programs ask for"
  type        = bool
  default     = false
}

variable "queue_max_receives" {
  description = "After so many tries a message goes to the dead letters; partial counts as one"
  type        = number
  default     = 10
}

variable "queue_max_concurrency" {
  description = "Most messages at once; at least 2, and not more than the reserved concurrency"
  type        = number
  default     = 5
}

# Alarms

variable "alarm_email" {
  description = "Address for alarms; null subscribes none"
  type        = string
  default     = null
}

variable "max_age_hours" {
  description = "Alarm when no run was complete for so many hours, at most 168; more than between two runs of the schedule"
  type        = number
  default     = 3
}

variable "watched_vaults" {
  description = "Ids of vaults whose own last complete run is watched, with the hours it may be old"
  type        = map(number)
  default     = {}
}

variable "tags" {
  description = "Tags of all resources"
  type        = map(string)
  default     = {}
}
