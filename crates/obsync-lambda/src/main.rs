//! `bootstrap`: what Lambda starts. Set up, then one event after the other.

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use obsync_config::values::{LogFormat, LogLevel};
use obsync_config::{Environment, lambda};
use obsync_lambda::answer::Response;
use obsync_lambda::function::{Function, Invocation};
use obsync_lambda::logging;
use serde_json::Value;

/// What Lambda sets, and the runtime can't do without.
const NEEDED: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

fn main() -> ExitCode {
    let environment: Environment = std::env::vars_os().collect();
    let how = lambda::logging(&environment);
    let (level, format) = how
        .as_ref()
        .copied()
        .unwrap_or((LogLevel::Info, LogFormat::Text));
    logging::start(level, format);
    if let Some(missing) = NEEDED.iter().find(|name| environment.get(name).is_none()) {
        tracing::error!("{missing} is not set: this program is for AWS Lambda, which sets it");
        return ExitCode::from(2);
    }
    if let Err(error) = how {
        tracing::warn!("{error}; logging as usual");
    }
    // One for the work, one for timers and answers while the first is busy with numbers.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "can't start");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(serve(environment))
}

async fn serve(environment: Environment) -> ExitCode {
    let function = Arc::new(Function::new(environment, &std::env::temp_dir()));
    function.warm_up().await;
    let handler = service_fn(move |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        async move { answer(&function, event).await }
    });
    match Runtime::new(handler).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Runtime API is gone");
            ExitCode::FAILURE
        }
    }
}

async fn answer(function: &Function, event: LambdaEvent<Value>) -> Result<Response, Diagnostic> {
    let LambdaEvent { payload, context } = event;
    let invocation = Invocation {
        request_id: &context.request_id,
        deadline: context.deadline,
    };
    Ok(function.handle(&payload, invocation).await?)
}
