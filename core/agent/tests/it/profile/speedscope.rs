//! speedscope files.

use serde_json::{Value, json};
use sondage::profile::speedscope;

use super::shop::shop;

#[test]
fn each_column_is_a_profile_over_shared_functions() {
    let file: Value = serde_json::from_str(&speedscope::encode(&shop()).unwrap()).unwrap();
    assert_eq!(file["$schema"], "https://www.speedscope.app/file-format-schema.json");
    assert_eq!((&file["name"], &file["activeProfileIndex"]), (&json!("shop"), &json!(1)));
    let kinds = [0, 1].map(|i| (&file["profiles"][i]["name"], &file["profiles"][i]["unit"]));
    assert_eq!(
        kinds,
        [(&json!("samples"), &json!("none")), (&json!("cpu"), &json!("nanoseconds"))]
    );
    let cpu = &file["profiles"][1];
    assert_eq!(cpu["endValue"], 60_000_000);
    assert_eq!(cpu["weights"], json!([10_000_000, 10_000_000, 20_000_000, 10_000_000, 10_000_000]));
    let name = |frame: &Value| {
        let frame = usize::try_from(frame.as_u64().unwrap()).unwrap();
        file["shared"]["frames"][frame]["name"].as_str().unwrap().to_owned()
    };
    let second: Vec<String> = cpu["samples"][1].as_array().unwrap().iter().map(name).collect();
    assert_eq!(second, ["main", "shop::handle", "shop::parse", "shop::skip_space"]);
}
