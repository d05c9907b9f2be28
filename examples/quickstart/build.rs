//! A new migration file alone must lead to a new build.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
