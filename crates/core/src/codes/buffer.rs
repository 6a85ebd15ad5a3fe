//! What a search has of its own to compare codes with.
#![allow(unsafe_code)]

use crate::distance::bytes::BIAS;
use crate::vectors::Padded;

/// Where the numbers of weights are kept: whole cache lines, reused from search to search.
#[derive(Default)]
pub(crate) struct WeightsBuffer {
    lines: Vec<Line>,
    /// A query's code.
    pub(super) code: Vec<u8>,
    /// A row that was widened.
    pub(crate) row: Padded,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([i8; 64]);

impl WeightsBuffer {
    /// Takes the numbers of `code`, whose length is a multiple of a line.
    pub(super) fn set(&mut self, code: &[u8]) {
        self.lines.clear();
        self.lines.extend(code.as_chunks::<64>().0.iter().map(|line| Line(line.map(|byte| (byte ^ BIAS) as i8))));
    }

    pub(super) fn numbers(&self) -> &[i8] {
        // SAFETY: a `Line` is 64 numbers and nothing else, so `len` of them are 64 times as many, all initialised.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 64) }
    }
}
