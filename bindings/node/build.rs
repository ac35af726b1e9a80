//! Link arguments of an addon.

fn main() {
    napi_build::setup();
    println!("cargo:rerun-if-changed=build.rs");
    // Node.js unloads an addon with the last worker that has it, while threads and a signal handler
    // may still be running.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
