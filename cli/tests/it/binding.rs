//! `sondage.h` and `libsondage.so` from a C program.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::built::{library, program};
use crate::read::{report, said};
use crate::scratch::Scratch;

fn header_folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bindings/c")
}

#[test]
fn a_c89_program_profiles_itself_with_labels() {
    let scratch = Scratch::new("embedded");
    let folder = library().parent().unwrap().to_str().unwrap();
    let include = format!("-I{}", header_folder().display());
    let (search, run_path) = (format!("-L{folder}"), format!("-Wl,-rpath,{folder}"));
    let strict = ["-std=c89", "-pedantic", "-Wextra", &include, &search, &run_path, "-lsondage"];
    let built = program(&scratch, "embedded.c", &strict);
    let file = scratch.path("embedded.pb.gz");
    let output = Command::new(built).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stderr.is_empty(), "{}", said(&output));

    let stats: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(stats["running"], true);
    assert!(stats["samples"].as_u64().unwrap() >= 20, "{stats}");

    let json = report(&file);
    let routes = &json["labels"]["route"];
    let seconds = |route: &str| routes[route].as_f64().unwrap_or(0.0) / 1e9;
    let (checkout, search) = (seconds("/checkout"), seconds("/search"));
    assert!(checkout > 2.0 * search && search > 0.1, "{routes}");
    assert!(checkout + search <= json["total"].as_f64().unwrap() / 1e9, "{json}");
    // The span was entered for the search alone, which came after it.
    for (key, id) in
        [("span_id", "00f067aa0ba902b7"), ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]
    {
        let time = &json["labels"][key][id];
        assert_eq!(time, &routes["/search"], "{}", json["labels"]);
    }
    assert!(json["labels"]["tier"]["test"].as_i64() > Some(0), "{}", json["labels"]);
}

#[test]
fn the_header_compiles_as_c_plus_plus() {
    let scratch = Scratch::new("cxx");
    let source = scratch.path("a.cpp");
    let text =
        "#include \"sondage.h\"\nint main() { return sondage_stop(nullptr) == SONDAGE_OK; }\n";
    std::fs::write(&source, text).unwrap();
    let mut compiler = Command::new("c++");
    compiler.args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]);
    let Ok(output) = compiler.arg(header_folder()).arg(&source).output() else {
        println!("skipped: there is no c++");
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_library_exports_what_the_header_declares_and_what_ends_processes() {
    let header = std::fs::read_to_string(header_folder().join("sondage.h")).unwrap();
    let declared = header.lines().filter(|line| !line.starts_with([' ', '/', '#']));
    let declared = declared.filter_map(|line| {
        let name = line.split('(').next()?.split_whitespace().last()?;
        let name = name.trim_start_matches('*');
        (line.contains('(') && name.starts_with("sondage_")).then(|| name.to_owned())
    });
    let mut expected: Vec<_> = declared.collect();
    assert_eq!(expected.len(), 11, "{expected:?}");
    // Those of the recorder are for the packages that record their process themselves, and the
    // last is looked up by Java.
    let others = ["_exit", "_Exit", "sondage_recorder_stand_down", "sondage_recorder_take_over"];
    expected.extend(others.map(str::to_owned));
    expected.push("JVM_FindClassFromBootLoader".to_owned());
    expected.sort();
    let nm = Command::new("nm").args(["-D", "--defined-only", "-P"]).arg(library()).output();
    let nm = nm.unwrap();
    let text = String::from_utf8_lossy(&nm.stdout);
    let mut exported: Vec<_> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    exported.sort();
    assert_eq!(exported, expected);
}
