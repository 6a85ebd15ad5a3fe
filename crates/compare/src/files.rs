//! Reads the vector files of `shared/data`.

use std::error::Error;
use std::fs;

/// Row-major vectors.
pub struct Rows {
    pub count: usize,
    pub dimensions: usize,
    pub values: Vec<f32>,
}

/// The first `most` rows of a `.u8bin`, `.f16bin` or `.fbin` file.
pub fn read(path: &str, most: Option<usize>) -> Result<Rows, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let (count, dimensions) = (word(&bytes, 0)? as usize, word(&bytes, 4)? as usize);
    let count = count.min(most.unwrap_or(count));
    let body = &bytes[8..];
    let values: Vec<f32> = match path.rsplit('.').next() {
        Some("u8bin") => body.iter().take(count * dimensions).map(|&byte| f32::from(byte)).collect(),
        Some("f16bin") => {
            body.chunks_exact(2).take(count * dimensions).map(|half| from_half([half[0], half[1]])).collect()
        }
        Some("fbin") => {
            let floats = body.chunks_exact(4).take(count * dimensions);
            floats.map(|float| f32::from_le_bytes([float[0], float[1], float[2], float[3]])).collect()
        }
        _ => return Err(format!("{path}: expected .u8bin, .f16bin or .fbin").into()),
    };
    if values.len() != count * dimensions {
        return Err(format!("{path}: got {} values, expected {count} × {dimensions}", values.len()).into());
    }
    Ok(Rows { count, dimensions, values })
}

/// The distance of the tenth neighbor of every query.
pub fn read_truth(path: &str) -> Result<Vec<f32>, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let (count, k) = (word(&bytes, 0)? as usize, word(&bytes, 4)? as usize);
    let distances = 8 + count * k * 4;
    (0..count).map(|row| Ok(f32::from_bits(word(&bytes, distances + (row * k + 9) * 4)?))).collect()
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Box<dyn Error>> {
    let word = bytes.get(at..at + 4).ok_or("the file is too short")?;
    Ok(u32::from_le_bytes(word.try_into()?))
}

fn from_half(bytes: [u8; 2]) -> f32 {
    let half = u16::from_le_bytes(bytes);
    let (sign, exponent, fraction) = (half >> 15, half >> 10 & 31, half & 1023);
    let magnitude = match exponent {
        0 => f32::from(fraction) * 2f32.powi(-24),
        31 => f32::INFINITY,
        _ => (1.0 + f32::from(fraction) / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}
