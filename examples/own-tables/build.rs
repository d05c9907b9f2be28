//! Rebuilds when a migration file is added: cargo does not notice that by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
