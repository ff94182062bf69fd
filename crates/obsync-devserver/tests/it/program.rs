//! The binary.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obsync-devserver"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn serves_a_vault_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(notes.join("a.md"), "text").unwrap();
    let url_file = folder.path().join("url");
    let vault = format!("Mine={}", notes.display());
    let (url_file_text, data) = (url_file.to_str().unwrap(), folder.path().join("data"));
    let arguments = [
        "serve",
        "--account",
        "a@example.com:pw",
        "--vault",
        &vault,
        "--sample",
        "--url-file",
        url_file_text,
        "--data",
        data.to_str().unwrap(),
        "--encryption",
        "managed",
        "--fault",
        "pull:flip,once=1",
    ];
    let refused = program(&arguments).output().unwrap();
    assert_eq!(
        refused.status.code(),
        Some(2),
        "there is no limit called once"
    );

    // The second run finds what the first one left.
    for _ in 0..2 {
        let mut running = Running(program(&arguments[..arguments.len() - 2]).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(running.0.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert!(
            ready["url"]
                .as_str()
                .unwrap()
                .starts_with("http://127.0.0.1:")
        );
        let names: Vec<_> = ready["vaults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| &v["name"])
            .collect();
        assert_eq!(names, ["Mine", "Garden"]);
        assert_eq!(ready["vaults"][0]["password"], Value::Null);
        while !url_file.exists() {
            std::thread::yield_now();
        }
        assert_eq!(
            std::fs::read_to_string(&url_file).unwrap(),
            ready["url"].as_str().unwrap()
        );
        std::fs::remove_file(&url_file).unwrap();
        let stop = Command::new("kill")
            .args(["-TERM", &running.0.id().to_string()])
            .status();
        assert!(stop.unwrap().success());
        assert!(running.0.wait().unwrap().success());
        let mut complaints = String::new();
        running
            .0
            .stderr
            .as_mut()
            .unwrap()
            .read_to_string(&mut complaints)
            .unwrap();
        assert_eq!(complaints, "");
    }
}
