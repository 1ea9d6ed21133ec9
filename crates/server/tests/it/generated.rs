//! The generated files say what the code says.

use std::path::Path;
use std::process::Command;

use crate::support::binary;

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(binary())
        .args(["generate", "--check", "--dir"])
        .arg(root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn what_is_not_up_to_date_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let generate = |check: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["generate", "--dir"]).arg(folder.path());
        command.args(check).output().unwrap()
    };
    assert!(generate(&[]).status.success());
    assert!(generate(&["--check"]).status.success());
    std::fs::write(folder.path().join("config.default.toml"), "").unwrap();
    let output = generate(&["--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "not up to date, run `cargo xtask gen`: config.default.toml\n"
    );
}
