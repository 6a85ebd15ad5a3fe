//! Registers what napi-rs needs of the linker.

fn main() {
    napi_build::setup();
}
