//! Makes new inputs from old ones.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// No input grows beyond this.
const LONGEST: usize = 64 * 1024;

/// What parsers stumble over.
const TOKENS: [&[u8]; 30] = [
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"-0.0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b"0.5",
    b"\"\"",
    b"{}",
    b"[]",
    b"[[[[[[[[",
    b"{\"a\":",
    b"\\u0000",
    b"\\ud800",
    b"\0",
    b"../",
    b"/",
    b"\\",
    b".",
    b"\xc2\xa0",
    b"e\xcc\x81",
    b"\xff\xfe",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"**/",
    b"{a,b}",
    b"\n",
];

/// A source of inputs that gives the same ones for the same seed and corpus.
#[derive(Debug)]
pub struct Mutator {
    random: SmallRng,
}

impl Mutator {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// A new input from one of these, or from nothing.
    pub fn next(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus.choose(&mut self.random).cloned().unwrap_or_default();
        for _ in 0..self.random.random_range(1..=6) {
            self.change(&mut input, corpus);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.place(input.len());
        match self.random.random_range(0..9) {
            0 => self.replace(input, at, 1),
            1 => {
                let end = at + self.place(input.len() - at);
                input.drain(at..end);
            }
            2 => {
                let token = *TOKENS.choose(&mut self.random).unwrap_or(&TOKENS[0]);
                input.splice(at..at, token.iter().copied());
            }
            3 => {
                let byte = self.random.random::<u8>();
                input.insert(at, byte);
            }
            4 => {
                let end = at + self.place((input.len() - at).min(512));
                let part = input[at..end].to_vec();
                let times = self.random.random_range(1..8);
                for _ in 0..times {
                    input.splice(at..at, part.iter().copied());
                }
            }
            5 => {
                if let Some(other) = corpus.choose(&mut self.random) {
                    let from = self.place(other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
            6 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
            7 => self.replace(input, at, 8),
            _ => input.truncate(at),
        }
    }

    fn replace(&mut self, input: &mut [u8], at: usize, count: usize) {
        for byte in input.iter_mut().skip(at).take(count) {
            *byte = match self.random.random_range(0..4) {
                0 => 0,
                1 => 0xff,
                2 => b'0' + self.random.random_range(0..10),
                _ => self.random.random(),
            };
        }
    }

    /// A place in something so long, its end included.
    fn place(&mut self, length: usize) -> usize {
        self.random.random_range(0..=length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_again_and_another_gives_others() {
        let corpus = [b"{\"op\":\"push\"}".to_vec(), b"abc".to_vec()];
        let some = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..50)
                .map(|_| mutator.next(&corpus))
                .collect::<Vec<Vec<u8>>>()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
    }
}
