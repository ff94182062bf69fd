//! The built-in sample vault: a small garden, in three languages.

use obsidian_sync::{Millis, VaultId};

use crate::error::Error;
use crate::seed::Seeded;
use crate::service::Service;

macro_rules! sample {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_bytes!(concat!("../sample/", $path)))),+]
    };
}

const FILES: &[(&str, &[u8])] = sample![
    ".obsidian/app.json",
    ".obsidian/appearance.json",
    ".obsidian/core-plugins.json",
    ".obsidian/daily-notes.json",
    "Attachments/plan.svg",
    "Beds/Greenhouse.md",
    "Beds/North bed.md",
    "Beds/South bed.md",
    "Calendar.md",
    "Daily/2025-05-01.md",
    "Daily/2025-05-02.md",
    "Daily/2025-05-04.md",
    "Ideas.md",
    "People/Ada.md",
    "People/Jonas.md",
    "People/Mireille.md",
    "Plan of the garden.canvas",
    "Plants/Broad beans.md",
    "Plants/Garlic.md",
    "Plants/Lavender.md",
    "Plants/Sweet peas & co.md",
    "Plants/Tomatoes.md",
    "Recipes/Bärlauchpesto.md",
    "Recipes/Crème brûlée à la lavande.md",
    "Recipes/Green tomato chutney.md",
    "Start here.md",
    "Tools.md",
    "日本の庭/枯山水.md",
    "日本の庭/苔.md",
];

/// The evening of 4 May 2025; each file is a minute younger than the one before.
const WRITTEN: i64 = 1_746_381_600_000;

impl Service {
    /// Puts the built-in sample vault into a vault: some 30 files in 8 folders.
    ///
    /// # Errors
    /// As [`Service::put`].
    pub fn seed_sample(&self, vault: &VaultId) -> Result<Seeded, Error> {
        let mut seeded = Seeded::default();
        let picture = lavender();
        let pictures = [("Attachments/lavender.png", picture.as_slice())];
        let mut folders = Vec::new();
        for (index, (path, content)) in (0_i64..).zip(FILES.iter().copied().chain(pictures)) {
            if let Some((folder, _)) = path.rsplit_once('/')
                && !folders.contains(&folder)
            {
                self.mkdir(vault, folder)?;
                folders.push(folder);
            }
            self.put(vault, path, content, Millis(WRITTEN + index * 60_000))?;
            seeded.files += 1;
            seeded.bytes += content.len() as u64;
        }
        seeded.folders = folders.len() as u64;
        Ok(seeded)
    }
}

/// A picture of lavender, 96 by 64: stalks under a sky. The simplest PNG there is: palette, stored
/// without compression.
fn lavender() -> Vec<u8> {
    const WIDTH: usize = 96;
    const HEIGHT: usize = 64;
    const PALETTE: [u8; 12] = [
        0xdd, 0xe9, 0xf2, 0x8a, 0x6f, 0xb8, 0x6b, 0x8e, 0x4e, 0xcb, 0xbd, 0x9a,
    ];
    let mut rows = Vec::with_capacity(HEIGHT * (WIDTH + 1));
    for y in 0..HEIGHT {
        rows.push(0);
        for x in 0..WIDTH {
            let stalk = x % 8 == 4;
            let flower = (x % 8).abs_diff(4) <= 1 && (14 + x % 5..34 + x % 7).contains(&y);
            rows.push(match y {
                _ if y >= 56 => 3,
                _ if flower => 1,
                _ if stalk && y > 14 => 2,
                _ => 0,
            });
        }
    }
    let length = u16::try_from(rows.len()).expect("the picture fits into one stored block");
    let mut packed = vec![0x78, 0x01, 0x01];
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(&rows);
    packed.extend(adler32(&rows).to_be_bytes());

    let mut header = Vec::new();
    header.extend((WIDTH as u32).to_be_bytes());
    header.extend((HEIGHT as u32).to_be_bytes());
    header.extend([8, 3, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", header.as_slice()),
        (b"PLTE", &PALETTE),
        (b"IDAT", &packed),
        (b"IEND", &[]),
    ] {
        png.extend((data.len() as u32).to_be_bytes());
        let start = png.len();
        png.extend(kind);
        png.extend(data);
        png.extend(crc32(&png[start..]).to_be_bytes());
    }
    png
}

fn adler32(data: &[u8]) -> u32 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in data {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    (high << 16) | low
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn no_file_of_the_folder_is_forgotten() {
        fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, found);
                } else {
                    found.insert(
                        path.strip_prefix(root)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .replace('\\', "/"),
                    );
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample");
        let mut found = BTreeSet::new();
        walk(&root, &root, &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed, found);
    }

    #[test]
    fn checksums_are_the_known_ones() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
