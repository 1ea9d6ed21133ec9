//! Runs the benchmark itself, small: bare client, relay and receivers as the processes they really are.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs scenarios at a tenth of the given size and returns the report.
fn measure(arguments: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_hookseal-bench"))
        .args(["run", "--quick", "--connections", "8", "--json"])
        .arg(&json)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !output.status.success() {
        panic!(
            "{}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

/// Checks that both ceilings delivered everything once, rightly signed.
#[track_caller]
fn assert_complete(report: &Value, deliveries: u64) {
    for result in report["results"].as_array().unwrap() {
        let round = result["rounds"][0].as_array().unwrap();
        let contenders: Vec<&Value> = round.iter().map(|trial| &trial["contender"]).collect();
        assert_eq!(contenders, ["bare", "relay"]);
        for trial in round {
            assert_eq!(trial["lost"], 0, "{trial}");
            assert_eq!(trial["refused"], 0, "{trial}");
            assert_eq!(trial["arrivals"]["unique"], deliveries, "{trial}");
            assert_eq!(trial["arrivals"]["duplicates"], 0, "{trial}");
            assert_eq!(trial["arrivals"]["malformed"], 0, "{trial}");
            assert_eq!(
                trial["arrivals"]["signatures_checked"],
                deliveries.div_ceil(100)
            );
            assert_eq!(trial["arrivals"]["signatures_wrong"], 0, "{trial}");
        }
    }
}

#[test]
fn a_burst_arrives_over_plain_http_and_tls() {
    let report = measure(&[
        "--messages=2000",
        "--scenario=burst-plain-1",
        "--scenario=burst-tls-1",
        "--scenario=burst-plain-10",
        "--scenario=burst-tls-10",
    ]);
    assert_eq!(report["results"].as_array().unwrap().len(), 4);
    assert_complete(&report, 200);
}

#[test]
fn a_steady_load_arrives() {
    let report = measure(&["--seconds=10", "--scenario=steady-500"]);
    assert_complete(&report, 500);
}

#[test]
fn an_unknown_scenario_is_refused_with_the_known_ones() {
    let output = Command::new(env!("CARGO_BIN_EXE_hookseal-bench"))
        .args(["run", "--scenario=burst"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("known are all, burst-plain-1"),
        "{message}"
    );
}
