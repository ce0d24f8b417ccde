//! Tells the tests whether there are test vectors, so that those without show as ignored.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(audittrail_vectors)");
    println!("cargo::rerun-if-env-changed=AUDITTRAIL_VECTORS");
    if std::env::var_os("AUDITTRAIL_VECTORS").is_some_and(|directory| !directory.is_empty()) {
        println!("cargo::rustc-cfg=audittrail_vectors");
    }
}
