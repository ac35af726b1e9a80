//! What `deploy/` says about the agent.

use std::path::Path;

use serde_json::Value;
use sondage::Stats;

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/grafana/sondage.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let metrics = Stats::default().to_prometheus();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap_or_default();
            let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
            for name in expression.split(word).filter(|word| word.starts_with("sondage_")) {
                asked += 1;
                assert!(metrics.contains(&format!("# TYPE {name} ")), "no metric {name}");
            }
        }
    }
    assert!(asked >= 7, "{asked} metrics");
}
