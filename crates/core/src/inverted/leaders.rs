//! The leaders of lists, and which is the nearest to a row.

use std::cmp::Reverse;
use std::ops::Range;

use rayon::prelude::*;

use super::run::numbered;
use crate::codes::{Codes, CodesView, Encoder, Measure, Weights};
use crate::distance::bytes::{ByteKernels, BytePanels, Least};
use crate::error::Result;
use crate::graph::Scratch;
use crate::memory::{filled, room};
use crate::pools::{give_way, giving_way};
use crate::topk::Key;
use crate::vectors::RowsView;

/// Lists are as many as this times the root of the number of rows that they are made for, up to [`MOST_LISTS`].
const LISTS: usize = 4;
const MOST_LISTS: usize = 2_048;

/// Rows a list that its leader is the mean of, on average.
const SAMPLED: usize = 16;

/// Rows that find their leaders at once.
pub(super) const UNIT: usize = 8;

/// Rows that are summed before it gives way to queries.
const SUMMED_AT_ONCE: usize = 64;

pub(super) struct Leaders {
    /// Rows that they were made for.
    pub(super) size: usize,
    pub(super) codes: Codes,
    /// The same, packed.
    pub(super) panels: BytePanels,
}

impl Leaders {
    /// For the rows at `slots`: some of them, moved once to the middle of the sampled rows that are nearest to each (Lloyd's
    /// algorithm), which saves a search a third of the rows.
    pub(super) fn new(encoder: &Encoder, rows: RowsView<'_>, slots: Range<usize>) -> Result<Self> {
        let count = (LISTS * slots.len().isqrt()).clamp(1, MOST_LISTS.min(slots.len()));
        let sampled = (count * SAMPLED).min(slots.len());
        let samples: Vec<u32> = (0..sampled).map(|i| (slots.start + i * slots.len() / sampled) as u32).collect();
        let codes = Codes::new(encoder.clone());
        codes.encode(rows, &samples)?;
        let first: Vec<u32> = (0..count).map(|list| (list * sampled / count) as u32).collect();
        let mut panels = BytePanels::default();
        codes.view(Measure::Euclidean).pack(&first, &mut panels)?;
        let lists = nearest(&codes, &panels)?;
        let values = means(rows, &samples, &lists, &first)?;
        let codes = Codes::new(encoder.clone());
        codes.encode_values(&values)?;
        codes.view(Measure::Euclidean).pack(&numbered(0..count)?, &mut panels)?;
        Ok(Self { size: slots.len(), codes, panels })
    }

    /// The lists by how near their leaders are, in `scratch.frontier`.
    pub(super) fn rank(&self, leaders: &CodesView<'_>, weights: Weights<'_>, scratch: &mut Scratch) {
        let Scratch { neighbors: lists, distances, frontier, .. } = scratch;
        lists.clear();
        lists.extend(0..self.codes.len() as u32);
        distances.resize(lists.len(), 0.0);
        leaders.score(weights, lists, distances);
        let mut keys = std::mem::take(frontier).into_vec();
        keys.clear();
        keys.extend(lists.iter().zip(distances).map(|(&list, &mut distance)| Reverse(Key::new(distance, list))));
        *frontier = keys.into();
    }
}

/// The mean of the samples of each list; its own, the one at that position, where it has none, or where no direction is
/// their middle.
pub(super) fn means(rows: RowsView<'_>, samples: &[u32], lists: &[u32], own: &[u32]) -> Result<Vec<f32>> {
    let (dimensions, mut buffer) = (rows.space().dimensions(), Vec::new());
    let mut sums = filled("lists", own.len() * dimensions, || 0.0f64)?;
    let mut members = vec![0.0f64; own.len()];
    for (&slot, &list) in giving_way(samples.iter().zip(lists), SUMMED_AT_ONCE) {
        let sums = sums[list as usize * dimensions..][..dimensions].iter_mut();
        sums.zip(rows.given(slot, &mut buffer)).for_each(|(sum, &value)| *sum += f64::from(value));
        members[list as usize] += 1.0;
    }
    let mut means = room("lists", own.len() * dimensions)?;
    for ((sums, &members), &own) in giving_way(sums.chunks(dimensions).zip(&members).zip(own), SUMMED_AT_ONCE) {
        let mean = sums.iter().map(|sum| (sum / members) as f32);
        if members > 0.0 && mean.clone().any(|value| value != 0.0) {
            means.extend(mean);
        } else {
            means.extend_from_slice(rows.given(samples[own as usize], &mut buffer));
        }
    }
    Ok(means)
}

/// The nearest of the packed columns to each of `codes`.
pub(super) fn nearest(codes: &Codes, columns: &BytePanels) -> Result<Vec<u32>> {
    let (view, kernels, width) = (codes.view(Measure::Euclidean), ByteKernels::get(), columns.width());
    let mut nearest = filled("lists", codes.len(), || 0)?;
    let units = nearest.par_chunks_mut(UNIT).enumerate();
    units.for_each_init(
        || (vec![0.0; UNIT * width], Least::default()),
        |(distances, least), (unit, nearest)| {
            give_way();
            let mut positions = [0; UNIT];
            positions.iter_mut().zip(unit as u32 * UNIT as u32..).for_each(|(place, position)| *place = position);
            let distances = &mut distances[..nearest.len() * width];
            view.tile(&positions[..nearest.len()], columns, distances);
            for (place, distances) in nearest.iter_mut().zip(distances.chunks(width)) {
                *place = kernels.nearest(distances, 1, least).first().map_or(0, |key| key.slot());
            }
        },
    );
    Ok(nearest)
}
