//! A function that does nothing: what ours is measured beside. Built like it, with the same runtime.

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Error> {
    let hello = async |_: LambdaEvent<Value>| Ok::<_, Error>(json!({ "status": "hello" }));
    Runtime::new(service_fn(hello)).run().await
}
