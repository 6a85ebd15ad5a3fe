//! Measures a Rust library, whose name comes first. Takes one command a line and answers each with one line of JSON;
//! benches/README.md says which commands there are.

mod driver;
mod files;
#[cfg(feature = "peers")]
mod hnsw_rs;
mod memory;
mod ours;

use std::error::Error;
use std::io::stdin;
use std::process::ExitCode;

use driver::{Driver, Library};
use files::Options;
use serde_json::{Value, json};
use vicinal_core::Dtype;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let run = || -> Result<()> {
        let options = Options::parse(std::env::args().skip(1))?;
        let library = library(&options)?;
        let mut driver = Driver::new(options, library);
        for line in stdin().lines() {
            println!("{}", answer(&mut driver, &line?)?);
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}", json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

fn library(options: &Options) -> Result<Box<dyn Library>> {
    match options.library.as_str() {
        "vicinal-rust" => Ok(Box::new(ours::Vicinal::new(options.metric, Dtype::F32))),
        "vicinal-u8-rust" => Ok(Box::new(ours::Vicinal::new(options.metric, Dtype::U8))),
        #[cfg(feature = "peers")]
        "hnsw_rs" => Ok(Box::new(hnsw_rs::HnswRs::new(options.metric)?)),
        other => Err(format!("{other} is not compiled in").into()),
    }
}

fn answer(driver: &mut Driver, line: &str) -> Result<Value> {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("open", _) => driver.open(),
        ("build", _) => driver.build(),
        ("recall", ef) => driver.recall(ef.parse()?),
        ("search", ef) => driver.search(ef.parse()?),
        _ => Err(format!("unknown command '{line}'").into()),
    }
}
