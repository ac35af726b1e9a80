//! Link arguments that cannot be given anywhere else.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Virtual machines may unload an agent that has refused to begin a second time.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
