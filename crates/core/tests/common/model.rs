//! What an index should hold: rows in insertion order, found by name.

use std::collections::{HashMap, HashSet};

use vicinal_core::{IdType, Ids, Metric};

use super::names::{self, Name};

/// A row that was inserted at some time.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: usize,
    pub vector: Vec<f32>,
    pub is_live: bool,
}

pub struct Model {
    pub metric: Metric,
    pub id_type: IdType,
    /// In insertion order; a replaced row counts as newly inserted.
    pub rows: Vec<Row>,
    /// The live row of a name.
    by_name: HashMap<usize, usize>,
    numbers: HashMap<Name, usize>,
}

impl Model {
    /// A model of an empty index; names are below `names`.
    pub fn new(metric: Metric, id_type: IdType, names: usize) -> Self {
        let numbers = (0..names).map(|number| (Name::of(id_type, number), number)).collect();
        Self { metric, id_type, rows: Vec::new(), by_name: HashMap::new(), numbers }
    }

    pub fn live(&self) -> usize {
        self.by_name.len()
    }

    /// The row of `name`.
    pub fn row(&self, name: usize) -> Option<usize> {
        self.by_name.get(&name).copied()
    }

    /// The names of all live rows, in insertion order.
    pub fn names(&self) -> Vec<usize> {
        self.rows.iter().filter(|row| row.is_live).map(|row| row.name).collect()
    }

    pub fn upsert(&mut self, names: &[usize], vectors: &[f32]) {
        self.remove(names);
        if let Some(dimensions) = vectors.len().checked_div(names.len()) {
            for (&name, vector) in names.iter().zip(vectors.chunks(dimensions)) {
                self.by_name.insert(name, self.rows.len());
                self.rows.push(Row { name, vector: vector.to_vec(), is_live: true });
            }
        }
    }

    /// How many there were.
    pub fn remove(&mut self, names: &[usize]) -> usize {
        let removed = names.iter().filter_map(|name| self.by_name.remove(name));
        removed.map(|row| self.rows[row].is_live = false).count()
    }

    /// Takes away what was removed; the others move together.
    pub fn compact(&mut self) {
        self.rows.retain(|row| row.is_live);
        self.by_name = self.rows.iter().enumerate().map(|(row, Row { name, .. })| (*name, row)).collect();
    }

    pub fn clear(&mut self) {
        self.rows.clear();
        self.by_name.clear();
    }

    /// The ids of `names`.
    pub fn ids(&self, names: &[usize]) -> Ids {
        names::ids(self.id_type, names)
    }

    /// The name of every one of `ids`, which the tests must have given.
    pub fn names_of(&self, ids: &Ids) -> Vec<usize> {
        let name = |id| *self.numbers.get(&Name::from(id)).unwrap_or_else(|| panic!("an id nobody gave: {id:?}"));
        ids.iter().map(name).collect()
    }

    /// Different vectors among the first `rows` rows.
    pub fn distinct(&self, rows: usize) -> usize {
        // Zero of either sign is one value.
        let bits = |row: &Row| row.vector.iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<u32>>();
        self.rows[..rows].iter().map(bits).collect::<HashSet<_>>().len()
    }

    /// Live rows among the first `rows` rows.
    pub fn live_among(&self, rows: usize) -> usize {
        self.rows[..rows].iter().filter(|row| row.is_live).count()
    }
}
