//! Link arguments that cannot be given anywhere else.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Threads and a signal handler may still be running when a plugin host calls dlclose.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsondage.so");
}
